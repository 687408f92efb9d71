//! Where the key is that wraps the vault's other keys.
//!
//! A source holds one or more 256-bit *wrapping keys*, each with an id that is computed from the key itself, so
//! that a wrong key is recognised before anything is opened with it. Adding a source: a type with
//! [`KeySource`], and its line in the program's list of sources.

mod env;
mod file;
mod local;
mod spec;

use async_trait::async_trait;
use fnox_core::seal::SealingKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::env::EnvKey;
pub use self::file::FileKey;
pub use self::local::{format_keys, generate_key, parse_keys};
pub use self::spec::{InvalidKeySource, KeySourceSpec};

/// Holds wrapping keys.
#[async_trait]
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// Where the keys are, without any of their bytes: `file:/etc/fnox/vault.key`.
    fn describe(&self) -> String;

    /// Whether [`Self::add`] works once there is a key: whether the source can hold a second one.
    fn can_rotate(&self) -> bool;

    /// All keys that the source holds. `stored` is what [`Self::add`] asked to have stored beside the ring.
    /// An empty answer means that there is no key yet.
    async fn load(&self, stored: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError>;

    /// Makes one more key, durably, and keeps those that are there.
    async fn add(&self, vault_id: &str) -> Result<NewKey, KeySourceError>;

    /// Drops every key but the one named `keep`. Also called when there is nothing to drop.
    async fn retain(&self, keep: &str) -> Result<(), KeySourceError>;
}

/// A key that a source has just made.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: SealingKey,
    /// What the source needs to give it again, if it does not keep the key itself.
    pub stored: Option<StoredKey>,
}

/// A wrapping key that is itself wrapped elsewhere, and stored with the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Id of the wrapping key.
    pub id: String,
    /// Base64 of what the source gave, opaque here.
    pub blob: String,
}

/// The id of a wrapping key: 16 hex digits that are computed from it and tell nothing about it.
#[must_use]
pub fn wrapping_key(bytes: Zeroizing<[u8; 32]>) -> SealingKey {
    let anonymous = SealingKey::new(String::new(), bytes.clone());
    let check = anonymous.derive(&["fnox vault key check v1"]);
    let id = hex::encode(&check.expose_bytes()[..8]);
    SealingKey::new(id, bytes)
}

/// A key source did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key source {name} {problem}")]
pub struct KeySourceError {
    /// The source, as [`KeySource::describe`] names it.
    pub name: String,
    /// What is wrong, for example `is not set`; never key material.
    pub problem: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl KeySourceError {
    /// An error of one source.
    #[must_use]
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
            remedy: None,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
