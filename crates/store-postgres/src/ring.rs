//! The ring of wrapped keys: one row, replaced as a whole.
//!
//! Whoever seals a secret holds this row still until the secret is committed ([`hold`]); whoever replaces it waits
//! for them. So once a new key is active, no value sealed by an old one can still arrive.

use async_trait::async_trait;
use fnox_vault::store::{KeyRingStore, Refusal, RingRecord, StoreError};
use tokio_postgres::Transaction;

use crate::PostgresStore;
use crate::audit::number;
use crate::notice::Notices;
use crate::problem::{Failure, Trouble};
use crate::rows::column;

/// The active data key, held still until the transaction ends. `None` if there is no ring.
pub(crate) async fn hold(transaction: &Transaction<'_>) -> Result<Option<String>, Trouble> {
    let row = transaction
        .query_opt(
            "SELECT active_data_key FROM fnox_vault.key_ring FOR SHARE",
            &[],
        )
        .await?;
    Ok(match row {
        None => None,
        // A ring without an active key takes no new value: no key is named by an empty id.
        Some(row) => Some(column::<Option<String>>(&row, "active_data_key")?.unwrap_or_default()),
    })
}

#[async_trait]
impl KeyRingStore for PostgresStore {
    async fn load(&self) -> Result<Option<RingRecord>, StoreError> {
        let row = self
            .connections
            .query_one("SELECT document FROM fnox_vault.key_ring", &[])
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        column::<&str>(&row, "document")
            .map_err(Failure::from)
            .and_then(|document| {
                serde_json::from_str(document)
                    .map_err(|_| Failure::Corrupt("the key ring cannot be read".to_owned()))
            })
            .map(Some)
            .map_err(|failure| failure.of(self.connections.name()))
    }

    async fn save(&self, ring: &RingRecord) -> Result<(), StoreError> {
        let document = serde_json::to_string(ring).map_err(|_| {
            Failure::Corrupt("a key ring that is no JSON".to_owned()).of(self.connections.name())
        })?;
        self.connections
            .limited(async {
                let mut client = self.connections.client().await?;
                let transaction = client.transaction().await?;
                let (active, generation) = (ring.active_data_key(), number(ring.generation));
                let changed = if ring.generation == 1 {
                    let sql =
                        "INSERT INTO fnox_vault.key_ring (generation, active_data_key, document)
                               VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                    transaction
                        .execute(sql, &[&generation, &active, &document])
                        .await?
                } else {
                    let sql = "UPDATE fnox_vault.key_ring
                               SET generation = $1, active_data_key = $2, document = $3
                               WHERE generation = $1::bigint - 1";
                    transaction
                        .execute(sql, &[&generation, &active, &document])
                        .await?
                };
                if changed == 0 {
                    return Err(Refusal::Moved.into());
                }
                self.tell(&transaction, Notices::ring()).await?;
                transaction.commit().await?;
                Ok(())
            })
            .await
    }
}
