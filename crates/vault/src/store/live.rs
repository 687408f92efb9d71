//! Secrets that live elsewhere and are fetched for each use: the secrets of a `fnox.toml`, for example.

use async_trait::async_trait;
use fnox_core::{SecretBytes, VaultName};
use fnox_vault_wire::methods::SecretMetadata;

use super::StoreError;

/// Fetches secrets. The vault keeps nothing of them, and cannot change them.
#[async_trait]
pub trait LiveSecrets: Send + Sync + std::fmt::Debug {
    /// Where they are, for people.
    fn describe(&self) -> String;

    /// All of them by name, without values.
    async fn list(&self) -> Result<Vec<SecretMetadata>, StoreError>;

    /// The value of one. `None`: there is none of that name.
    async fn value(&self, name: &VaultName) -> Result<Option<SecretBytes>, StoreError>;
}
