//! `plain`: values in clear text.
//!
//! Without `file` the stored text is the value, and encrypting changes nothing: it is for values that are
//! no secrets. With `file` and `format` the stored text is a key of that file, which is read once and never
//! written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use async_trait::async_trait;
use fnox_core::{SecretName, SecretString};
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::flat::{self, Syntax};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::{dotenv, shell};

/// The formats of `file`, as messages list them.
const FORMATS: &str = "`env`, `shell`, `json`, `yaml` or `toml`";

/// Largest file that is read.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// Opens a provider of this type.
///
/// # Errors
/// `Misconfigured` if only one of `file` and `format` is there.
pub fn open(settings: &Settings, _: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let format = settings.fields().text("format");
    match (settings.path("file"), format) {
        (None, None) => Ok(Box::new(Plain)),
        (Some(path), Some(format)) => Ok(Box::new(PlainFile {
            path,
            format: Format::parse(format)?,
            pairs: OnceLock::new(),
        })),
        (None, Some(_)) => Err(ProviderError::misconfigured(
            "`format` says how to read `file`, which is not set",
        )
        .at_key("format")),
        (Some(_), None) => Err(ProviderError::misconfigured(format!(
            "`file` needs `format`: {FORMATS}"
        ))
        .at_key("file")),
    }
}

/// Values that stand in `fnox.toml` as they are.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl Provider for Plain {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        requests
            .iter()
            .map(|request| Ok(SecretString::from(request.reference.as_str())))
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        Ok(values
            .iter()
            .map(|(_, value)| value.expose_secret().to_owned())
            .collect())
    }

    fn is_current(&self, _: &str) -> Option<bool> {
        Some(true)
    }
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Env,
    Shell,
    Map(Syntax),
}

impl Format {
    fn parse(word: &str) -> Result<Self, ProviderError> {
        Ok(match word {
            "env" => Self::Env,
            "shell" => Self::Shell,
            "json" => Self::Map(Syntax::Json),
            "yaml" => Self::Map(Syntax::Yaml),
            "toml" => Self::Map(Syntax::Toml),
            other => {
                return Err(ProviderError::misconfigured(format!(
                    "`{}` is no format: use {FORMATS}",
                    other.escape_debug()
                ))
                .at_key("format"));
            }
        })
    }

    fn read(self, text: &str) -> Result<Vec<(String, SecretString)>, String> {
        match self {
            Self::Env => dotenv::parse(text).map_err(|error| error.to_string()),
            Self::Shell => shell::parse(text).map_err(|error| error.to_string()),
            Self::Map(syntax) => flat::parse(text, syntax).map_err(|error| error.to_string()),
        }
    }
}

/// Values of a file.
#[derive(Debug)]
struct PlainFile {
    path: PathBuf,
    format: Format,
    pairs: OnceLock<Result<HashMap<String, SecretString>, ProviderError>>,
}

impl PlainFile {
    fn pairs(&self) -> Result<&HashMap<String, SecretString>, ProviderError> {
        self.pairs
            .get_or_init(|| self.load())
            .as_ref()
            .map_err(Clone::clone)
    }

    fn load(&self) -> Result<HashMap<String, SecretString>, ProviderError> {
        let fault = |reason: &str| {
            ProviderError::misconfigured(format!(
                "the file {} cannot be used: {reason}",
                self.path.display()
            ))
            .at_key("file")
        };
        let bytes = read_limited(&self.path).map_err(|error| fault(&error.to_string()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| fault("it is not UTF-8 text"))?;
        let pairs = self.format.read(text).map_err(|reason| fault(&reason))?;
        Ok(pairs.into_iter().collect())
    }

    fn read_only(&self) -> ProviderError {
        ProviderError::misconfigured(format!(
            "values of the file {} are only read",
            self.path.display()
        ))
        .with_remedy("edit the file itself, or give `--provider` another provider")
        .at_key("file")
    }
}

fn read_limited(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len().min(FILE_LIMIT);
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(size).unwrap_or_default() + 1,
    ));
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

#[async_trait]
impl Provider for PlainFile {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        requests
            .iter()
            .map(|request| {
                self.pairs()?
                    .get(&request.reference)
                    .cloned()
                    .ok_or_else(|| ProviderError::not_found(&request.reference))
            })
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.pairs().map(|_| ())
    }

    async fn encrypt(
        &self,
        _: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        Err(self.read_only())
    }

    async fn put(&self, _: &str, _: &SecretString) -> Result<String, ProviderError> {
        Err(self.read_only())
    }
}
