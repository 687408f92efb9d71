//! Changing which hardware keys open a provider's values.
//!
//! What comes back is what `fnox.toml` gets. Nothing is written here, and no value is read.

use async_trait::async_trait;

use crate::error::ProviderError;

/// A key's table in `fnox.toml`: keys and their texts. None of them is secret.
pub type KeyTable = Vec<(&'static str, String)>;

/// A key that is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it will be called.
    pub name: String,
    /// What the key that the provider has will be called, if it has one that has no name.
    pub first: String,
    /// Which slot answers, for keys that have slots; by default that of the first key.
    pub slot: Option<String>,
}

/// A key was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedKeys {
    /// `data_key` of the provider.
    pub data_key: String,
    /// `former_keys` of the provider.
    pub former_keys: Vec<String>,
    /// What is added to its `keys`: the new key, and before it the one that the provider had, if that had no name.
    pub tables: Vec<KeyTable>,
    /// What its own table loses, because it stands in a key's table now.
    pub moved: &'static [&'static str],
}

/// The data key was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedKeys {
    /// `data_key` of the provider.
    pub data_key: String,
    /// `former_keys` of the provider.
    pub former_keys: Vec<String>,
    /// `wrapped` of each key that stays, by its place in `keys` as it is now.
    pub wrapped: Vec<(usize, String)>,
}

/// A provider whose values hardware keys open.
#[async_trait]
pub trait HardwareKeys: Send + Sync {
    /// Lets another key open the values. One that the provider has is asked, and the new one.
    ///
    /// # Errors
    /// [`ProviderError`]
    async fn add(&self, new: &NewKey) -> Result<AddedKeys, ProviderError>;

    /// Replaces the data key, for all keys but perhaps one. Each that stays is asked.
    ///
    /// # Errors
    /// [`ProviderError`]
    async fn rotate(&self, without: Option<usize>) -> Result<RotatedKeys, ProviderError>;
}
