//! Storing secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnox_core::audit::Entry;
use fnox_core::seal::Algorithm;
use fnox_core::{SecretBytes, VaultName};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::{
    PruneSecrets, RevocationReason, SealAlgorithm, SecretList, SecretMetadata, StoreSecret,
    UpdateSecret,
};

use super::audit::entry;
use super::{Engine, MAX_VALUE, page};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::store::{Described, Refusal, SecretRecord, StoreError, StoredSecret};

/// How many secrets a page has at the most, so that it fits a frame.
const PAGE: usize = 500;
/// Bounds of what is not secret.
const MAX_DESCRIPTION: usize = 1024;
const MAX_TAGS: usize = 32;
const MAX_TAG: usize = 128;
/// How often a write is repeated because the key ring changed meanwhile.
const TRIES: usize = 5;
/// How often a new value is stored anew because others stored one first.
const UPDATE_TRIES: usize = 100;

impl Engine {
    /// Stores a new secret.
    ///
    /// # Errors
    /// `SecretExists`, `Invalid` for a name, description or tag that is not one or a value that is too long;
    /// `Sealing`, `Store`, `Audit`.
    pub async fn store_secret(
        &self,
        identity: &Identity,
        params: StoreSecret,
    ) -> Result<SecretMetadata, VaultError> {
        self.own_store()?;
        let name = VaultName::parse(&params.name)?;
        if self.mint_terms(&name).is_some() {
            return Err(VaultError::Invalid(format!(
                "`{name}` is the name of a mint: give the secret another one"
            )));
        }
        check(
            &params.plaintext.0,
            params.description.as_deref(),
            &params.tags,
        )?;
        let now = self.now().wall;
        let record = SecretRecord {
            id: SecretId::generate(),
            name: name.clone(),
            kind: params.kind,
            description: params.description,
            tags: params.tags,
            created_at: now,
            updated_at: now,
            version: 1,
            algorithm: params
                .algorithm
                .map_or(self.shared.options.algorithm, algorithm),
        };
        let work = async {
            self.write(&record, &params.plaintext.0, |stored| {
                self.shared.stores.secrets.insert(stored)
            })
            .await
        };
        self.on_record(about_secret("secret_stored", identity, &name), work)
            .await?;
        Ok(described(&record))
    }

    /// Gives a secret a new value or description.
    ///
    /// # Errors
    /// `SecretNotFound`; `Conflict` if it is not at the version that was expected; as [`Self::store_secret`].
    pub async fn update_secret(
        &self,
        identity: &Identity,
        params: UpdateSecret,
    ) -> Result<SecretMetadata, VaultError> {
        self.own_store()?;
        let name = VaultName::parse(&params.name)?;
        let empty = SecretBytes::new(Vec::new());
        let tags = params.tags.clone().unwrap_or_default();
        check(
            params.plaintext.as_ref().map_or(&empty, |value| &value.0),
            params.description.as_deref(),
            &tags,
        )?;
        if params.plaintext.is_none() && params.algorithm.is_some() {
            return Err(VaultError::Invalid(
                "another algorithm needs a new value; see also key_rewrap".to_owned(),
            ));
        }
        let event = if params.plaintext.is_some() {
            "secret_rotated"
        } else {
            "secret_described"
        };
        self.on_record(
            about_secret(event, identity, &name),
            self.update(&name, params),
        )
        .await
    }

    /// Whoever names no version wants the last word, whoever else speaks at the same time.
    async fn update(
        &self,
        name: &VaultName,
        params: UpdateSecret,
    ) -> Result<SecretMetadata, VaultError> {
        for _ in 0..UPDATE_TRIES {
            match self.update_once(name, &params).await {
                Err(VaultError::Conflict(_)) if params.if_version.is_none() => {}
                outcome => return outcome,
            }
        }
        Err(VaultError::Conflict(format!("the secret `{name}`")))
    }

    async fn update_once(
        &self,
        name: &VaultName,
        params: &UpdateSecret,
    ) -> Result<SecretMetadata, VaultError> {
        let current = self.record_of(name).await?;
        if params
            .if_version
            .is_some_and(|version| version != current.version)
        {
            return Err(VaultError::Conflict(format!("the secret `{name}`")));
        }
        let mut record = SecretRecord {
            updated_at: self.now().wall,
            ..(*current).clone()
        };
        let change = Described {
            kind: params.kind.clone(),
            description: params.description.clone(),
            tags: params.tags.clone(),
            updated_at: record.updated_at,
        };
        record.kind = change.kind.clone().unwrap_or(record.kind);
        record.description = change.description.clone().or(record.description);
        record.tags = change.tags.clone().unwrap_or(record.tags);
        match &params.plaintext {
            None => {
                let outcome = self
                    .shared
                    .stores
                    .secrets
                    .describe_secret(name, change)
                    .await;
                outcome.map_err(|error| self.secret_error(error, name))?;
            }
            Some(value) => {
                record.version += 1;
                record.algorithm = params.algorithm.map_or(record.algorithm, algorithm);
                let keep = self.shared.options.keep_versions;
                self.write(&record, &value.0, |stored| {
                    self.shared.stores.secrets.add_version(stored, keep)
                })
                .await?;
            }
        }
        Ok(described(&record))
    }

    /// Seals a value and stores it, again with the new key if the ring changes meanwhile.
    async fn write<F>(
        &self,
        record: &SecretRecord,
        value: &SecretBytes,
        store: impl Fn(StoredSecret) -> F,
    ) -> Result<(), VaultError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        for _ in 0..TRIES {
            let ring = &self.shared.ring;
            let _writing = ring.writing().await;
            let (key_id, sealed) = ring.seal(
                record.id,
                &record.name,
                record.version,
                &record.kind,
                record.algorithm,
                value,
            )?;
            let stored = StoredSecret {
                record: record.clone(),
                key_id,
                sealed_kind: record.kind.clone(),
                sealed,
            };
            match store(stored).await {
                Err(StoreError::Refused(Refusal::StaleKey)) => self.reload_ring().await,
                outcome => return outcome.map_err(|error| self.secret_error(error, &record.name)),
            }
        }
        Err(VaultError::Conflict("the key ring".to_owned()))
    }

    /// Deletes a secret with all its versions. Its leases are withdrawn first.
    ///
    /// # Errors
    /// `SecretNotFound`; `Store`, `Audit`.
    pub async fn delete_secret(&self, identity: &Identity, name: &str) -> Result<(), VaultError> {
        self.own_store()?;
        let name = VaultName::parse(name)?;
        let work = async {
            self.record_of(&name).await?;
            let revoked = entry("lease_revoked", identity);
            self.withdraw_all(
                |lease| lease.secret == name,
                RevocationReason::SecretDeleted,
                &revoked,
            )
            .await?;
            let outcome = self.shared.stores.secrets.delete(&name).await;
            outcome.map_err(|error| self.secret_error(error, &name))?;
            // One may have been granted in between; without the secret it is worth nothing.
            self.withdraw_all(
                |lease| lease.secret == name,
                RevocationReason::SecretDeleted,
                &revoked,
            )
            .await?;
            Ok(())
        };
        self.on_record(about_secret("secret_deleted", identity, &name), work)
            .await
    }

    /// Describes one secret.
    ///
    /// # Errors
    /// `SecretNotFound`.
    pub async fn secret_metadata(&self, name: &str) -> Result<SecretMetadata, VaultError> {
        let name = VaultName::parse(name)?;
        let mints = self.mint_metadata();
        if let Some(mint) = mints.iter().find(|mint| mint.name == name.as_str()) {
            return Ok(mint.clone());
        }
        if self.shared.live.is_some() {
            let found = self
                .live_secrets()
                .await?
                .into_iter()
                .find(|secret| secret.name == name.as_str());
            return found.ok_or_else(|| VaultError::SecretNotFound(name.to_string()));
        }
        Ok(described(self.record_of(&name).await?.as_ref()))
    }

    /// Lists secrets by name.
    ///
    /// # Errors
    /// `OutOfRange`; `Store`, `Audit`.
    pub async fn list_secrets(
        &self,
        identity: &Identity,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<SecretList, VaultError> {
        let limit = page::size(limit, PAGE, PAGE)?;
        let mut secrets = if self.shared.live.is_some() {
            let mut secrets = self.live_secrets().await?;
            secrets.retain(|secret| after.is_none_or(|after| secret.name.as_str() > after));
            secrets
        } else {
            let outcome = self.shared.stores.secrets.list(after, limit + 1).await;
            outcome
                .map_err(|error| self.failed(error))?
                .iter()
                .map(described)
                .collect()
        };
        let mints = self.mint_metadata().iter().cloned();
        secrets.extend(mints.filter(|mint| after.is_none_or(|after| mint.name.as_str() > after)));
        secrets.sort_by(|one, other| one.name.cmp(&other.name));
        self.record(vec![entry("secrets_listed", identity)]).await?;
        let count = secrets.len();
        secrets.truncate(limit.min(page::fitting(&secrets)));
        let next = secrets
            .last()
            .filter(|_| count > secrets.len())
            .map(|last| last.name.clone());
        Ok(SecretList { secrets, next })
    }

    /// Drops old versions, and tells how many.
    ///
    /// # Errors
    /// `OutOfRange`; `SecretNotFound`; `Store`, `Audit`.
    pub async fn prune_secrets(
        &self,
        identity: &Identity,
        params: &PruneSecrets,
    ) -> Result<u64, VaultError> {
        let name = params.name.as_deref().map(VaultName::parse).transpose()?;
        if params.keep == Some(0) {
            return Err(VaultError::OutOfRange(
                "keep must be at least 1: delete_secret deletes a secret with its last version"
                    .to_owned(),
            ));
        }
        let keep = params
            .keep
            .unwrap_or(self.shared.options.keep_versions)
            .max(1);
        let mut entry = entry("secrets_pruned", identity);
        entry.secret = name.as_ref().map(ToString::to_string);
        entry.reason = Some(format!("keeping {keep}"));
        let work = async {
            if let Some(name) = &name {
                self.record_of(name).await?;
            }
            self.shared
                .stores
                .secrets
                .prune(name.as_ref(), keep)
                .await
                .map_err(|error| self.failed(error))
        };
        self.on_record(entry, work).await
    }

    /// Whether there is a secret of this name.
    pub(super) async fn has_secret(&self, name: &VaultName) -> Result<bool, VaultError> {
        if self.mint_terms(name).is_some() {
            return Ok(true);
        }
        match &self.shared.live {
            None => {
                let found = self.shared.stores.secrets.metadata(name).await;
                Ok(found.map_err(|error| self.failed(error))?.is_some())
            }
            Some(_) => Ok(self
                .live_secrets()
                .await?
                .iter()
                .any(|secret| secret.name == name.as_str())),
        }
    }

    async fn live_secrets(&self) -> Result<Vec<SecretMetadata>, VaultError> {
        match &self.shared.live {
            None => Ok(Vec::new()),
            Some(live) => live.list().await.map_err(|error| self.failed(error)),
        }
    }

    /// Fails where secrets live elsewhere.
    fn own_store(&self) -> Result<(), VaultError> {
        match &self.shared.live {
            None => Ok(()),
            Some(live) => Err(VaultError::Unsupported(format!(
                "the secrets of this vault are those of {}: change them there",
                live.describe()
            ))),
        }
    }

    async fn record_of(&self, name: &VaultName) -> Result<Arc<SecretRecord>, VaultError> {
        let found = self
            .shared
            .stores
            .secrets
            .metadata(name)
            .await
            .map_err(|error| self.failed(error))?;
        found.ok_or_else(|| VaultError::SecretNotFound(name.to_string()))
    }

    fn secret_error(&self, error: StoreError, name: &VaultName) -> VaultError {
        match error {
            StoreError::Refused(Refusal::Exists) => VaultError::SecretExists(name.to_string()),
            StoreError::Refused(Refusal::Missing) => VaultError::SecretNotFound(name.to_string()),
            StoreError::Refused(_) => VaultError::Conflict(format!("the secret `{name}`")),
            other => self.failed(other),
        }
    }
}

fn about_secret(event: &str, identity: &Identity, name: &VaultName) -> Entry {
    let mut entry = entry(event, identity);
    entry.secret = Some(name.to_string());
    entry
}

fn check(
    value: &SecretBytes,
    description: Option<&str>,
    tags: &BTreeMap<String, String>,
) -> Result<(), VaultError> {
    let length = value.expose_secret().len();
    if length > MAX_VALUE {
        return Err(VaultError::Invalid(format!(
            "the value has {length} bytes; a vault takes up to {MAX_VALUE}"
        )));
    }
    if description.is_some_and(|text| {
        text.len() > MAX_DESCRIPTION || text.chars().any(|c| c.is_control() && c != '\n')
    }) {
        return Err(VaultError::Invalid(format!(
            "the description is longer than {MAX_DESCRIPTION} bytes, or has control characters"
        )));
    }
    let is_fine = |text: &String| text.len() <= MAX_TAG && !text.chars().any(char::is_control);
    let tags_are_fine = tags.len() <= MAX_TAGS
        && tags
            .iter()
            .all(|(key, value)| !key.is_empty() && is_fine(key) && is_fine(value));
    if !tags_are_fine {
        return Err(VaultError::Invalid(format!(
            "a secret has up to {MAX_TAGS} tags with keys and values of up to {MAX_TAG} bytes and no control characters"
        )));
    }
    Ok(())
}

fn algorithm(wire: SealAlgorithm) -> Algorithm {
    match wire {
        SealAlgorithm::Aes256Gcm => Algorithm::Aes256Gcm,
        SealAlgorithm::XChaCha20Poly1305 => Algorithm::XChaCha20Poly1305,
    }
}

pub(super) fn described(record: &SecretRecord) -> SecretMetadata {
    SecretMetadata {
        id: record.id,
        name: record.name.to_string(),
        kind: record.kind.clone(),
        description: record.description.clone(),
        created_at: record.created_at,
        updated_at: record.updated_at,
        version: record.version,
        tags: record.tags.clone(),
        algorithm: Some(match record.algorithm {
            Algorithm::Aes256Gcm => SealAlgorithm::Aes256Gcm,
            Algorithm::XChaCha20Poly1305 => SealAlgorithm::XChaCha20Poly1305,
        }),
    }
}
