//! A provider's configuration with every reference filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fnox_config::fields::resolve_path;
use fnox_config::{Fields, Folders, OptionValue, ProviderConfig, TextOrSecret, Value};
use fnox_core::{SecretName, SecretString};

use crate::error::ProviderError;

/// One of the `options` of a provider that others make.
#[derive(Debug, Clone)]
pub enum Opt {
    /// A text, which may be secret.
    Text {
        /// The text.
        value: SecretString,
        /// Whether it is a secret's value.
        is_secret: bool,
    },
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
}

/// `options` of a provider that others make, in the order in which they are written.
pub type Options = Vec<(String, Opt)>;

/// What a backend is made from: its keys, `{ secret = "NAME" }` and templates already replaced by values.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configured provider.
    pub config: ProviderConfig,
    texts: BTreeMap<&'static str, SecretString>,
    options: Options,
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
        let fill_in = |key: &'static str, value: &TextOrSecret| match value {
            // Its backend fills it in, with values of its own.
            TextOrSecret::Text(text) if key == "credential_command" => {
                Ok(SecretString::from(text.as_str()))
            }
            TextOrSecret::Text(text) => render(text)
                .map(SecretString::from)
                .map_err(|reason| ProviderError::misconfigured(format!("it {reason}")).at_key(key)),
            TextOrSecret::Secret(name) => secrets.get(name).cloned().ok_or_else(|| {
                ProviderError::misconfigured(format!(
                    "`{key}` needs the secret `{name}`, which has no value"
                ))
                .at_key(key)
            }),
        };
        let mut texts = BTreeMap::new();
        let mut options = Options::new();
        for (key, value) in config.fields.iter() {
            match value {
                Value::Text(value) => {
                    texts.insert(key, fill_in(key, value)?);
                }
                Value::Options(values) => {
                    for (name, value) in values {
                        let option = match value {
                            OptionValue::Text(text) => Opt::Text {
                                value: fill_in(key, text)?,
                                is_secret: matches!(text, TextOrSecret::Secret(_)),
                            },
                            OptionValue::Flag(flag) => Opt::Flag(*flag),
                            OptionValue::Number(number) => Opt::Number(*number),
                        };
                        options.push((name.clone(), option));
                    }
                }
                _ => {}
            }
        }
        Ok(Self {
            config,
            texts,
            options,
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

    /// `options`, with the values of secrets.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The keys as they were written: lists, flags, tables.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.config.fields
    }
}
