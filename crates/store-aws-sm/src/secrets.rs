//! The store as the vault sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_aws::secrets_manager;
use fnox_core::VaultName;
use fnox_core::seal::Algorithm;
use fnox_vault::store::{
    Described, Refusal, Resealed, SecretRecord, SecretStore, StoreError, StoredSecret,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::memory::Current;
use crate::payload::{Document, Version};
use crate::problem::is_absent;
use crate::store::{AwsSmStore, Write};

/// How many secrets are read or written at once.
const AT_ONCE: usize = 8;

#[async_trait]
impl SecretStore for AwsSmStore {
    fn describe(&self) -> String {
        self.label().to_owned()
    }

    /// `ListSecrets` may lag behind by minutes.
    fn lists_everything(&self) -> bool {
        false
    }

    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError> {
        let current = self.current(name).await?;
        Ok(current
            .and_then(|current| current.document.newest())
            .map(Arc::new))
    }

    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError> {
        let current = self.current(name).await?;
        Ok(current
            .and_then(|current| current.document.record())
            .map(Arc::new))
    }

    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        let summaries = self.summaries().await?;
        Ok(summaries
            .iter()
            .map(|summary| &summary.record)
            .filter(|record| after.is_none_or(|after| record.name.as_str() > after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError> {
        let document = Document::new(&self.options.prefix, secret);
        self.encode(&document)?;
        let aws_name = self.aws_name(&document.name);
        let _lock = self.lock(&aws_name).await;
        if self.create(document.clone()).await? {
            return Ok(());
        }
        let base = self.vacant(&document.name).await?;
        self.replace(&base, document, Write::Described).await
    }

    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError> {
        let alone = Document::new(&self.options.prefix, secret);
        self.encode(&alone)?;
        let name = alone.name.clone();
        self.change(&name, Write::Value, |document| {
            let newest = document.versions.last().map(|version| version.number);
            let follows = |next: &Version| {
                newest.and_then(|newest| newest.checked_add(1)) == Some(next.number)
            };
            if document.id != alone.id || !alone.versions.iter().all(follows) {
                return Err(Refusal::Moved.into());
            }
            let mut versions = std::mem::take(&mut document.versions);
            versions.extend(alone.versions);
            *document = Document { versions, ..alone };
            document.keep_newest(keep);
            Ok(1)
        })
        .await
        .map(drop)
    }

    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError> {
        self.change(name, Write::Described, |document| {
            if let Some(kind) = change.kind {
                document.kind = kind;
            }
            if let Some(description) = change.description {
                document.description = Some(description);
            }
            if let Some(tags) = change.tags {
                document.tags = tags;
            }
            document.updated_at = change.updated_at;
            Ok(1)
        })
        .await
        .map(drop)
    }

    async fn delete(&self, name: &VaultName) -> Result<(), StoreError> {
        let aws_name = self.aws_name(name);
        let _lock = self.lock(&aws_name).await;
        let base = self.read(name).await?.ok_or(Refusal::Missing)?;
        let was_living = !base.document.versions.is_empty();
        if was_living {
            let emptied = Document {
                description: None,
                tags: BTreeMap::new(),
                versions: Vec::new(),
                ..base.document.clone()
            };
            self.replace(&base, emptied, Write::Described).await?;
        }
        let deletion = self.options.deletion;
        match secrets_manager::delete_secret(&self.client, &aws_name, deletion).await {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(self.unavailable(&error)),
        }
        if was_living {
            Ok(())
        } else {
            Err(Refusal::Missing.into())
        }
    }

    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError> {
        let names: Vec<VaultName> = match name {
            Some(name) => vec![name.clone()],
            None => self
                .summaries()
                .await?
                .iter()
                .filter(|summary| summary.versions.len() > 1)
                .map(|summary| summary.record.name.clone())
                .collect(),
        };
        stream::iter(names)
            .map(async |name| {
                let pruned = self.change(&name, Write::Value, |document| {
                    Ok(document.keep_newest(keep))
                });
                or_none(pruned.await)
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |sum, count| Ok(sum + count))
            .await
    }

    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let otherwise = |key: &str, sealed_with: Algorithm| {
            key != key_id || algorithm.is_some_and(|algorithm| algorithm != sealed_with)
        };
        let summaries = self.summaries().await?;
        let names: Vec<VaultName> = summaries
            .iter()
            .filter(|summary| {
                let mut versions = summary.versions.iter();
                versions.any(|(key, sealed_with)| otherwise(key, *sealed_with))
            })
            .map(|summary| summary.record.name.clone())
            .collect();
        let mut found = Vec::new();
        let mut secrets = stream::iter(names)
            .map(async |name| self.current(&name).await)
            .buffered(AT_ONCE);
        while found.len() < limit {
            let Some(current) = secrets.next().await else {
                break;
            };
            let Some(current) = current? else { continue };
            let document = &current.document;
            let versions = document.versions.iter();
            found.extend(
                versions
                    .filter(|version| otherwise(&version.key_id, version.algorithm))
                    .map(|version| document.stored(version)),
            );
        }
        drop(secrets);
        found.truncate(limit);
        Ok(found)
    }

    async fn reseal(&self, items: Vec<Resealed>) -> Result<u64, StoreError> {
        let mut by_name: BTreeMap<String, (VaultName, Vec<Resealed>)> = BTreeMap::new();
        for item in items {
            let entry = by_name.entry(item.name.as_str().to_owned());
            let (_, items) = entry.or_insert_with(|| (item.name.clone(), Vec::new()));
            items.push(item);
        }
        stream::iter(by_name.into_values())
            .map(async |(name, items)| {
                let resealed = self.change(&name, Write::Value, |document| {
                    let replaced = items.into_iter().filter(|item| replace(document, item));
                    Ok(replaced.count())
                });
                or_none(resealed.await)
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |sum, count| Ok(sum + count))
            .await
    }

    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for summary in self.summaries().await? {
            for (key, _) in &summary.versions {
                *counts.entry(key.clone()).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }
}

impl AwsSmStore {
    /// Changes a living secret in one write; none if `make` says that it changed nothing.
    async fn change<F>(&self, name: &VaultName, write: Write, make: F) -> Result<usize, StoreError>
    where
        F: FnOnce(&mut Document) -> Result<usize, StoreError> + Send,
    {
        let aws_name = self.aws_name(name);
        let _lock = self.lock(&aws_name).await;
        let base = self.read(name).await?;
        let base = base
            .filter(|base| !base.document.versions.is_empty())
            .ok_or(Refusal::Missing)?;
        let mut document = base.document.clone();
        let changed = make(&mut document)?;
        if changed > 0 {
            self.replace(&base, document, write).await?;
        }
        Ok(changed)
    }

    /// What a new secret may replace: one that was emptied or deleted, brought back if it is being deleted.
    ///
    /// # Errors
    /// [`Refusal::Exists`] if it lives.
    async fn vacant(&self, name: &VaultName) -> Result<Arc<Current>, StoreError> {
        let aws_name = self.aws_name(name);
        let told = secrets_manager::describe_secret(&self.client, &aws_name).await;
        let deleted = match told {
            Ok(told) => told.deleted_date.is_some(),
            Err(error) if is_absent(&error) => return Err(self.still_deleting(&aws_name)),
            Err(error) => return Err(self.unavailable(&error)),
        };
        if deleted {
            // This store empties before it deletes, so nothing comes back to life here. What somebody deleted
            // in AWS does, until it is replaced a moment later.
            let restored = secrets_manager::restore_secret(&self.client, &aws_name).await;
            restored.map_err(|error| self.unavailable(&error))?;
        }
        let base = self.read(name).await?;
        let base = base.ok_or_else(|| self.still_deleting(&aws_name))?;
        if base.document.versions.is_empty() || deleted {
            Ok(base)
        } else {
            Err(Refusal::Exists.into())
        }
    }

    fn still_deleting(&self, aws_name: &str) -> StoreError {
        StoreError::Unavailable {
            store: self.label().to_owned(),
            problem: format!("AWS is still deleting the former {aws_name}; try again in a minute"),
        }
    }
}

/// What is gone meanwhile needed no change.
fn or_none(result: Result<usize, StoreError>) -> Result<u64, StoreError> {
    match result {
        Ok(count) => Ok(count as u64),
        Err(StoreError::Refused(Refusal::Missing)) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Replaces the sealed form of one version, if it is still what it was.
fn replace(document: &mut Document, item: &Resealed) -> bool {
    if document.id != item.id {
        return false;
    }
    let mut versions = document.versions.iter_mut();
    let found = versions
        .find(|version| version.number == item.version && version.sealed.nonce == item.old_nonce);
    let Some(version) = found else { return false };
    version.key_id.clone_from(&item.key_id);
    version.algorithm = item.algorithm;
    version.sealed = item.sealed.clone();
    true
}
