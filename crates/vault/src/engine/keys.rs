//! Keys: changing what values are sealed with; copying the store.

use std::collections::HashMap;

use fnox_core::seal::Algorithm;
use fnox_vault_wire::methods::{KeyReport, KeyRotate, KeyRotated, SealAlgorithm};

use super::Engine;
use super::audit::entry;
use crate::error::VaultError;
use crate::identity::Identity;
use crate::key_ring::KeyRingError;
use crate::rotation;

impl Engine {
    pub(super) async fn reload_ring(&self) {
        if let Err(error) = self.shared.ring.reload().await {
            tracing::warn!("the key ring could not be read again: {error}");
        }
    }

    /// Describes the keys.
    ///
    /// # Errors
    /// `Store`.
    pub async fn key_status(&self) -> Result<KeyReport, VaultError> {
        let counts = self
            .shared
            .stores
            .secrets
            .count_by_key()
            .await
            .map_err(|error| self.failed(error))?;
        let counts: HashMap<String, u64> = counts.into_iter().collect();
        Ok(self.shared.ring.report(&counts))
    }

    /// Replaces the data key, or the key source's own key, while the vault serves.
    ///
    /// # Errors
    /// `Unsupported` before anything is changed where the source cannot hold a second key; `Store`, `Keys`,
    /// `Audit`: then it can be repeated, and goes on where it stopped.
    pub async fn key_rotate(
        &self,
        identity: &Identity,
        params: &KeyRotate,
    ) -> Result<KeyRotated, VaultError> {
        let shared = &self.shared;
        let mut entry = entry("key_rotated", identity);
        entry.reason = Some(
            if params.source {
                "the key source's key"
            } else {
                "the data key"
            }
            .to_owned(),
        );
        let work = async {
            let _one_at_a_time = shared.rotating.lock().await;
            let clock = shared.clock.as_ref();
            if params.source {
                Ok(
                    rotation::rotate_source(&shared.ring, shared.stores.secrets.as_ref(), clock)
                        .await?,
                )
            } else {
                Ok(
                    rotation::rotate_data(&shared.ring, shared.stores.secrets.as_ref(), clock)
                        .await?,
                )
            }
        };
        self.on_record(entry, work).await
    }

    /// Seals every value anew.
    ///
    /// # Errors
    /// As [`Self::key_rotate`].
    pub async fn key_rewrap(
        &self,
        identity: &Identity,
        algorithm: Option<SealAlgorithm>,
    ) -> Result<KeyRotated, VaultError> {
        let algorithm = algorithm.map(|algorithm| match algorithm {
            SealAlgorithm::Aes256Gcm => Algorithm::Aes256Gcm,
            SealAlgorithm::XChaCha20Poly1305 => Algorithm::XChaCha20Poly1305,
        });
        let mut entry = entry("key_rewrapped", identity);
        entry.reason = algorithm.map(|algorithm| format!("with {algorithm}"));
        let work = async {
            let _one_at_a_time = self.shared.rotating.lock().await;
            Ok(rotation::rewrap(
                &self.shared.ring,
                self.shared.stores.secrets.as_ref(),
                algorithm,
            )
            .await?)
        };
        self.on_record(entry, work).await
    }
}

impl Engine {
    /// Writes a copy of the store. `copy` does it and answers with its size.
    ///
    /// # Errors
    /// `Invalid` if something is at the path already; `Store`, `Audit`.
    pub async fn backup(
        &self,
        identity: &Identity,
        copy: impl Future<Output = Result<u64, crate::store::StoreError>>,
        path: &std::path::Path,
    ) -> Result<u64, VaultError> {
        let mut entry = entry("backup_written", identity);
        entry.reason = Some(path.display().to_string());
        let work = async {
            if path.symlink_metadata().is_ok() {
                return Err(VaultError::Invalid(format!(
                    "there is a file in {} already, and a backup goes into a new one: name another path",
                    path.display()
                )));
            }
            copy.await.map_err(VaultError::from)
        };
        self.on_record(entry, work).await
    }

    /// The clock that nobody can set.
    pub(crate) fn monotonic(&self) -> std::time::Duration {
        self.shared.clock.monotonic()
    }

    /// The vault's wall clock. It never runs back.
    #[must_use]
    pub fn wall_clock(&self) -> jiff::Timestamp {
        self.now().wall
    }
}

impl From<KeyRingError> for VaultError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Store(error) => error.into(),
            KeyRingError::Opaque => Self::Opening,
            KeyRingError::Sealing => Self::Sealing,
            KeyRingError::CannotRotate { .. } => Self::Unsupported(error.to_string()),
            KeyRingError::Moved => Self::Conflict("the key ring".to_owned()),
            KeyRingError::Source(error) => Self::Keys {
                problem: error.to_string(),
                remedy: error.remedy,
            },
            other => Self::keys(other.to_string()),
        }
    }
}
