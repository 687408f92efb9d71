//! Sealed values.
//!
//! Nothing is cached: what another vault stored is seen by the next read.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::VaultName;
use fnox_core::seal::Algorithm;
use fnox_vault::store::{
    Described, Refusal, Resealed, SecretRecord, SecretStore, StoreError, StoredSecret,
};
use serde_json::to_string;
use tokio_postgres::{Row, Transaction};

use crate::PostgresStore;
use crate::audit::limited;
use crate::notice::Notices;
use crate::problem::{Failure, Trouble};
use crate::rows::{self, Unreadable, column};
use crate::texts::fits;
use crate::{ring, time};

const RECORD: &str = "s.id, s.name, s.kind, s.description, s.tags, s.created_at, s.updated_at, v.version, v.algorithm";

const SEALED: &str = "v.key_id, v.kind AS sealed_kind, v.nonce, v.ciphertext";

const NEWEST: &str = "fnox_vault.secret s JOIN fnox_vault.secret_version v ON v.secret = s.id AND v.version = s.version";

impl PostgresStore {
    fn readable<T>(&self, read: Result<T, Unreadable>) -> Result<T, StoreError> {
        read.map_err(|unreadable| Failure::from(unreadable).of(self.connections.name()))
    }

    fn check_text(&self, text: Option<&str>) -> Result<(), StoreError> {
        if text.is_some_and(|text| !fits(text)) {
            return Err(StoreError::Unsupported {
                store: self.connections.name().to_owned(),
                action: "hold a description with a NUL character".to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl SecretStore for PostgresStore {
    fn describe(&self) -> String {
        self.connections.name().to_owned()
    }

    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError> {
        let sql = format!("SELECT {RECORD}, {SEALED} FROM {NEWEST} WHERE s.name = $1");
        let row = self.connections.query_one(&sql, &[&name.as_str()]).await?;
        row.map(|row| self.readable(rows::stored_secret(&row)).map(Arc::new))
            .transpose()
    }

    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError> {
        let sql = format!("SELECT {RECORD} FROM {NEWEST} WHERE s.name = $1");
        let row = self.connections.query_one(&sql, &[&name.as_str()]).await?;
        row.map(|row| self.readable(rows::secret_record(&row)).map(Arc::new))
            .transpose()
    }

    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        let sql =
            format!("SELECT {RECORD} FROM {NEWEST} WHERE s.name > $1 ORDER BY s.name LIMIT $2");
        // No name is empty, and none has a NUL, which PostgreSQL cannot be asked about: what comes after
        // "a\0b" is what comes after "a".
        let after = after
            .and_then(|after| after.split('\0').next())
            .unwrap_or("");
        let found = self
            .connections
            .query(&sql, &[&after, &limited(limit)])
            .await?;
        self.readable(found.iter().map(rows::secret_record).collect())
    }

    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError> {
        let record = &secret.record;
        self.check_text(record.description.as_deref())?;
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let sql = "INSERT INTO fnox_vault.secret
                               (id, name, kind, description, tags, created_at, updated_at, version)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
                let inserted = transaction
                    .execute(
                        sql,
                        &[
                            &record.id.0,
                            &record.name.as_str(),
                            &json(&record.kind)?,
                            &record.description,
                            &json(&record.tags)?,
                            &time::stored(record.created_at),
                            &time::stored(record.updated_at),
                            &i64::from(record.version),
                        ],
                    )
                    .await?;
                if inserted == 0 {
                    return Err(Refusal::Exists.into());
                }
                check_key(&transaction, &secret.key_id).await?;
                insert_version(&transaction, &secret).await?;
                self.tell(&transaction, Notices::secret(record.name.as_str()))
                    .await?;
                transaction.commit().await?;
                Ok(())
            })
            .await
    }

    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError> {
        let record = &secret.record;
        self.check_text(record.description.as_deref())?;
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let found = transaction
                    .query_opt(
                        "SELECT id, version FROM fnox_vault.secret WHERE name = $1 FOR UPDATE",
                        &[&record.name.as_str()],
                    )
                    .await?
                    .ok_or(Refusal::Missing)?;
                let (id, newest): (uuid::Uuid, i64) =
                    (column(&found, "id")?, column(&found, "version")?);
                // Another id: it was deleted and stored anew.
                if id != record.id.0 || newest + 1 != i64::from(record.version) {
                    return Err(Refusal::Moved.into());
                }
                check_key(&transaction, &secret.key_id).await?;
                insert_version(&transaction, &secret).await?;
                let sql = "UPDATE fnox_vault.secret
                           SET version = $2, kind = $3, description = $4, tags = $5, updated_at = $6 WHERE id = $1";
                transaction
                    .execute(
                        sql,
                        &[
                            &id,
                            &i64::from(record.version),
                            &json(&record.kind)?,
                            &record.description,
                            &json(&record.tags)?,
                            &time::stored(record.updated_at),
                        ],
                    )
                    .await?;
                let oldest = i64::from(record.version) - i64::from(keep.max(1));
                let sql = "DELETE FROM fnox_vault.secret_version WHERE secret = $1 AND version <= $2";
                transaction.execute(sql, &[&id, &oldest]).await?;
                self.tell(&transaction, Notices::secret(record.name.as_str()))
                    .await?;
                transaction.commit().await?;
                Ok(())
            })
            .await
    }

    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError> {
        self.check_text(change.description.as_deref())?;
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let kind = change.kind.as_ref().map(json).transpose()?;
                let tags = change.tags.as_ref().map(json).transpose()?;
                let sql = "UPDATE fnox_vault.secret
                           SET kind = coalesce($2, kind), description = coalesce($3, description),
                               tags = coalesce($4, tags), updated_at = $5 WHERE name = $1";
                let updated_at = time::stored(change.updated_at);
                let changed = transaction
                    .execute(
                        sql,
                        &[
                            &name.as_str(),
                            &kind,
                            &change.description,
                            &tags,
                            &updated_at,
                        ],
                    )
                    .await?;
                if changed == 0 {
                    return Err(Refusal::Missing.into());
                }
                self.tell(&transaction, Notices::secret(name.as_str()))
                    .await?;
                transaction.commit().await?;
                Ok(())
            })
            .await
    }

    async fn delete(&self, name: &VaultName) -> Result<(), StoreError> {
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let sql = "DELETE FROM fnox_vault.secret WHERE name = $1";
                if transaction.execute(sql, &[&name.as_str()]).await? == 0 {
                    return Err(Refusal::Missing.into());
                }
                self.tell(&transaction, Notices::secret(name.as_str()))
                    .await?;
                transaction.commit().await?;
                Ok(())
            })
            .await
    }

    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError> {
        self.connections
            .limited(async {
                let client = self.connections.client().await?;
                let sql = "DELETE FROM fnox_vault.secret_version v USING fnox_vault.secret s
                           WHERE v.secret = s.id AND v.version <= s.version - $1
                             AND ($2::text IS NULL OR s.name = $2)";
                let name = name.map(VaultName::as_str);
                let keep = i64::from(keep.max(1));
                Ok(client.execute(sql, &[&keep, &name]).await?)
            })
            .await
    }

    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let sql = format!(
            "SELECT {RECORD}, {SEALED}
             FROM fnox_vault.secret s JOIN fnox_vault.secret_version v ON v.secret = s.id
             WHERE v.key_id <> $1 OR v.algorithm <> coalesce($2, v.algorithm)
             ORDER BY s.name, v.version LIMIT $3"
        );
        let algorithm = algorithm.map(Algorithm::as_str);
        let found = self
            .connections
            .query(&sql, &[&key_id, &algorithm, &limited(limit)])
            .await?;
        self.readable(found.iter().map(rows::stored_secret).collect())
    }

    async fn reseal(&self, items: Vec<Resealed>) -> Result<u64, StoreError> {
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let active = ring::hold(&transaction).await?;
                // A key that another vault has replaced meanwhile must not seal anything any more: once no
                // value needs it, it is dropped.
                let items = items
                    .iter()
                    .filter(|item| active.as_ref().is_none_or(|active| *active == item.key_id));
                let (mut resealed, mut told) = (0, Notices::default());
                for item in items {
                    let changed = reseal(&transaction, item).await?;
                    if changed > 0 {
                        resealed += changed;
                        told.secrets.push(item.name.as_str().to_owned());
                    }
                }
                told.secrets.dedup();
                self.tell(&transaction, told).await?;
                transaction.commit().await?;
                Ok(resealed)
            })
            .await
    }

    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT key_id, count(*) AS versions FROM fnox_vault.secret_version
                   GROUP BY key_id ORDER BY key_id";
        let read = |row: &Row| {
            let versions: i64 = column(row, "versions")?;
            Ok((column(row, "key_id")?, u64::try_from(versions).unwrap_or(0)))
        };
        let found = self.connections.query(sql, &[]).await?;
        self.readable(found.iter().map(read).collect())
    }
}

/// Refuses a value whose key is not the active one, and keeps the ring as it is until the transaction ends.
async fn check_key(transaction: &Transaction<'_>, key_id: &str) -> Result<(), Trouble> {
    match ring::hold(transaction).await? {
        Some(active) if active != key_id => Err(Refusal::StaleKey.into()),
        _ => Ok(()),
    }
}

async fn insert_version(
    transaction: &Transaction<'_>,
    secret: &StoredSecret,
) -> Result<(), Trouble> {
    let sql = "INSERT INTO fnox_vault.secret_version (secret, version, kind, algorithm, key_id, nonce, ciphertext)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    transaction
        .execute(
            sql,
            &[
                &secret.record.id.0,
                &i64::from(secret.record.version),
                &json(&secret.sealed_kind)?,
                &secret.record.algorithm.as_str(),
                &secret.key_id,
                &secret.sealed.nonce,
                &secret.sealed.ciphertext,
            ],
        )
        .await?;
    Ok(())
}

async fn reseal(transaction: &Transaction<'_>, item: &Resealed) -> Result<u64, Trouble> {
    let sql = "UPDATE fnox_vault.secret_version SET key_id = $4, algorithm = $5, nonce = $6, ciphertext = $7
               WHERE secret = $1 AND version = $2 AND nonce = $3";
    Ok(transaction
        .execute(
            sql,
            &[
                &item.id.0,
                &i64::from(item.version),
                &item.old_nonce,
                &item.key_id,
                &item.algorithm.as_str(),
                &item.sealed.nonce,
                &item.sealed.ciphertext,
            ],
        )
        .await?)
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    to_string(value).map_err(|_| Failure::Corrupt("a description that is no JSON".to_owned()))
}
