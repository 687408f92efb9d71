//! A provider's configuration with every reference filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fnox_config::fields::resolve_path;
use fnox_config::{Fields, Folders, ProviderConfig, TextOrSecret, Value};
use fnox_core::{SecretName, SecretString};

use crate::error::ProviderError;

/// What a backend is made from: its keys, `{ secret = "NAME" }` and templates already replaced by values.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configured provider.
    pub config: ProviderConfig,
    texts: BTreeMap<&'static str, SecretString>,
    folders: Folders,
}

impl Settings {
    /// Fills in the values of `secrets` and renders literal texts with `render`.
    ///
    /// # Errors
    /// [`ProviderError`] if a secret that a key refers to is not among `secrets`, or a template is wrong.
    pub fn new<R>(
        config: ProviderConfig,
        secrets: &BTreeMap<SecretName, SecretString>,
        folders: &Folders,
        render: R,
    ) -> Result<Self, ProviderError>
    where
        R: Fn(&str) -> Result<String, String>,
    {
        let mut texts = BTreeMap::new();
        for (key, value) in config.fields.iter() {
            let Value::Text(value) = value else { continue };
            let text = match value {
                TextOrSecret::Text(text) => render(text)
                    .map(SecretString::from)
                    .map_err(|reason| ProviderError::misconfigured(reason).at_key(key))?,
                TextOrSecret::Secret(name) => secrets.get(name).cloned().ok_or_else(|| {
                    ProviderError::misconfigured(format!(
                        "`{key}` needs the secret `{name}`, which has no value"
                    ))
                    .at_key(key)
                })?,
            };
            texts.insert(key, text);
        }
        Ok(Self {
            config,
            texts,
            folders: folders.clone(),
        })
    }

    /// A text that is not secret.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts
            .get(key)
            .map(SecretString::expose_secret)
            .filter(|text| !text.is_empty())
    }

    /// A text that is secret.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<SecretString> {
        self.texts.get(key).filter(|text| !text.is_empty()).cloned()
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// [`ProviderError`] of kind misconfigured that names the key.
    pub fn required(&self, key: &'static str) -> Result<&str, ProviderError> {
        self.text(key).ok_or_else(|| {
            ProviderError::misconfigured(format!("`{key}` must not be empty")).at_key(key)
        })
    }

    /// A path, relative to the declaring file; `~` is expanded.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let folder = self.fields().location_of(key).file.folder();
        self.text(key)
            .map(|text| resolve_path(text, folder, self.folders.home()))
    }

    /// The keys as they were written: lists, flags, tables.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.config.fields
    }
}
