//! Entries of `[files]`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::{Config, ConfigError, Fields, ProviderConfig, suggest};
use fnox_core::{ProviderName, SecretName};
use fnox_providers::resolve::Original;

use crate::app::App;
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;

/// A file of a value with more than this is none: age files in base64 of what a variable or a file of keys may hold.
pub(super) const LARGEST: u64 = 4 * 1024 * 1024;

/// An entry of `[files]`.
#[derive(Debug)]
pub(in crate::commands) struct Entry<'c> {
    /// As it is written.
    pub(in crate::commands) key: &'c str,
    pub(in crate::commands) path: PathBuf,
    /// Under which providers are asked.
    pub(in crate::commands) name: SecretName,
    pub(in crate::commands) fields: &'c Fields,
}

impl Entry<'_> {
    /// The provider that keeps it.
    pub(in crate::commands) fn provider<'c>(
        &self,
        config: &'c Config,
    ) -> Result<&'c ProviderConfig, CliError> {
        let named = self.fields.text("provider");
        let default = config.default_provider().map(ProviderName::as_str);
        let Some(name) = named.or(default) else {
            return Err(self
                .fields
                .invalid("provider", "is missing, and there is no default provider")
                .into());
        };
        let place = self.fields.location_of("provider");
        let provider = config.provider(name, Some(place))?;
        if provider.spec.name == "plain" {
            let reason =
                "is of the type `plain`, which keeps values in clear; a file may hold a key";
            return Err(self.fields.invalid("provider", reason).into());
        }
        Ok(provider)
    }

    /// Where it is written: in the global file, or in one that it imports; perhaps for a profile.
    pub(in crate::commands) fn definition(&self) -> Result<Definition, CliError> {
        let place = self.fields.location();
        Definition::find(place, Section::Files, self.key).ok_or_else(|| {
            let file = place.file.path.display();
            CliError::failed(format!(
                "the entry `{}` of {file} was not found again",
                self.key
            ))
        })
    }

    /// What the provider is asked.
    pub(in crate::commands) fn original(
        &self,
        app: &App,
        config: &Config,
    ) -> Result<Original, CliError> {
        let provider = self.provider(config)?;
        let reference = match self.fields.text("value") {
            Some(value) => value.to_owned(),
            None => read_source(self.fields, &source(app, self.fields)?)?,
        };
        Ok(self.asking(provider, reference))
    }

    /// The file of the configuration folder that holds the ciphertext, if the entry itself does not.
    pub(in crate::commands) fn source(&self, app: &App) -> Result<Option<PathBuf>, CliError> {
        match self.fields.text("source") {
            Some(_) => source(app, self.fields).map(Some),
            None => Ok(None),
        }
    }

    /// What the provider of the encrypted copy is asked, if there is a copy.
    pub(super) fn copy(&self, config: &Config) -> Result<Option<Original>, CliError> {
        let Some(copy) = self.fields.table("sync") else {
            return Ok(None);
        };
        let (Some(name), Some(value)) = (copy.text("provider"), copy.text("value")) else {
            return Err(copy
                .invalid("provider", "needs `provider` and `value`")
                .into());
        };
        let provider = config.provider(name, Some(copy.location_of("provider")))?;
        Ok(Some(self.asking(provider, value.to_owned())))
    }

    fn asking(&self, provider: &ProviderConfig, reference: String) -> Original {
        Original {
            name: self.name.clone(),
            reference,
            providers: vec![provider.name.clone()],
            location: self.fields.location().clone(),
        }
    }
}

/// A file of the configuration folder. Links that lead out of it are not followed.
fn source(app: &App, fields: &Fields) -> Result<PathBuf, CliError> {
    let source = fields.text("source").unwrap_or_default();
    let path = fields.location_of("source").file.folder().join(source);
    let failed = |error| unreadable(&path, error);
    let real = path.canonicalize().map_err(failed)?;
    let folder = app.folders.config.canonicalize().map_err(failed)?;
    if !real.starts_with(&folder) {
        let reason = "leads out of the configuration folder";
        return Err(fields.invalid("source", reason).into());
    }
    Ok(real)
}

/// The ciphertext that it holds.
fn read_source(fields: &Fields, path: &Path) -> Result<String, CliError> {
    let failed = |error| unreadable(path, error);
    let metadata = path.metadata();
    if metadata
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    {
        let reason = format!(
            "names {}, which is not there: `fnox set --file PATH --source FILE` makes it from the file that it is of",
            path.display()
        );
        return Err(fields.invalid("source", reason).into());
    }
    if metadata.map_err(failed)?.len() > LARGEST {
        return Err(fields.invalid("source", "is larger than 4 MiB").into());
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.trim().to_owned())
}

fn unreadable(path: &Path, source: std::io::Error) -> CliError {
    CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

/// The name under which providers are asked for a file. Values that are bound to a name are bound to its path, as it is
/// written, so that no file's content opens in the place of another's.
pub(super) fn name_of(key: &str) -> Result<SecretName, CliError> {
    let digest = hex::encode_upper(&blake3::hash(key.as_bytes()).as_bytes()[..8]);
    SecretName::parse(&format!("FNOX_FILE_{digest}"))
        .map_err(|error| CliError::usage(error.to_string()))
}

/// All entries, in the order of the configuration.
pub(in crate::commands) fn entries<'c>(
    app: &App,
    config: &'c Config,
) -> Result<Vec<Entry<'c>>, CliError> {
    let mut out: Vec<Entry<'c>> = Vec::new();
    for (key, fields) in &config.settings.files {
        let path = resolve_path(key, Path::new("/"), app.folders.home());
        if !path.is_absolute() || path.starts_with("/~") {
            let reason = "begins with `~`, and the environment names no home folder";
            return Err(fields.invalid(key, reason).into());
        }
        if let Some(other) = out.iter().find(|other| other.path == path) {
            let reason = format!("is the same file as `{}`", other.key);
            return Err(fields.invalid(key, reason).into());
        }
        let name = name_of(key)?;
        out.push(Entry {
            key,
            path,
            name,
            fields,
        });
    }
    Ok(out)
}

/// Those whose paths are named, in the order of the configuration; all without a name.
pub(in crate::commands) fn chosen<'c>(
    app: &App,
    entries: Vec<Entry<'c>>,
    paths: &[PathBuf],
) -> Result<Vec<Entry<'c>>, CliError> {
    if paths.is_empty() {
        return Ok(entries);
    }
    for path in paths {
        if !entries.iter().any(|entry| is(app, entry, path)) {
            return Err(unknown(&entries, path));
        }
    }
    let named = entries
        .into_iter()
        .filter(|entry| paths.iter().any(|path| is(app, entry, path)));
    Ok(named.collect())
}

/// Whether a path of the command line means this entry.
pub(super) fn is(app: &App, entry: &Entry<'_>, path: &Path) -> bool {
    Path::new(entry.key) == path || entry.path == app.cwd.join(path)
}

fn unknown(entries: &[Entry<'_>], path: &Path) -> CliError {
    let known: Vec<String> = entries.iter().map(|entry| entry.key.to_owned()).collect();
    let name = path.to_string_lossy();
    let near = suggest::nearest(&name, known.iter().map(String::as_str));
    CliError::Config(ConfigError::UnknownName {
        location: None,
        kind: "file",
        name: name.escape_debug().to_string(),
        place: String::new(),
        suggestion: near.map(str::to_owned),
        known,
    })
}
