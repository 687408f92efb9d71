//! Contents on their way to a provider and to the entry that says where they are.

use std::path::{Component, Path, PathBuf};

use fnox_config::edit::Change;
use fnox_config::spec::Capability;
use fnox_config::{Config, ProviderConfig};
use fnox_core::SecretString;

use super::{entry, replace};
use crate::app::{App, block_on};
use crate::commands::reencrypt;
use crate::error::CliError;

/// Stores a content; what the entry or its `source` holds of it.
pub(super) fn store(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    key: &str,
    reference: &str,
    content: SecretString,
) -> Result<String, CliError> {
    if provider.capability == Capability::StoresRemotely {
        let work = async {
            let resolver = app.resolver(config);
            let opened = resolver.open(provider.name.as_str()).await?;
            let put = opened.provider.put(reference, &content).await;
            put.map_err(|error| CliError::Provider {
                provider: provider.name.to_string(),
                action: "store the file",
                error,
            })
        };
        return block_on(work)?;
    }
    let values = [(entry::name_of(key)?, content)];
    let work = reencrypt::store(app, config, &provider.name, None, &values);
    // There is one for each value, and there was one value.
    Ok(block_on(work)??.pop().unwrap_or_default())
}

/// What an entry gets.
pub(in crate::commands) struct Stored {
    pub(in crate::commands) value: String,
    /// The file of the configuration folder that holds it instead of the entry.
    pub(in crate::commands) source: Option<String>,
}

impl Stored {
    pub(in crate::commands) fn changes(&self) -> Vec<(&'static str, Change)> {
        let mut changes = match &self.source {
            None => vec![
                ("value", Change::text(&self.value)),
                ("source", Change::Remove),
            ],
            Some(source) => vec![("source", Change::text(source)), ("value", Change::Remove)],
        };
        // The copy is of the old content.
        changes.push(("sync", Change::Remove));
        changes
    }

    /// Where the ciphertext goes, if not into the entry: a place in the configuration folder, also by links.
    pub(super) fn place(&self, app: &App) -> Result<Option<PathBuf>, CliError> {
        let Some(source) = &self.source else {
            return Ok(None);
        };
        let wrong = |reason: &str| CliError::Usage {
            message: format!("the source `{}` {reason}", source.escape_debug()),
            help: Some("name a path within the configuration folder, without `..`".to_owned()),
        };
        let relative = Path::new(source);
        let is_plain = |part| matches!(part, Component::Normal(_));
        if source.is_empty() || !relative.components().all(is_plain) {
            return Err(wrong("is not one within the configuration folder"));
        }
        let global = app.folders.global_file();
        let folder = global.parent().unwrap_or(Path::new("/"));
        let path = folder.join(relative);
        // Whatever of the way is there already must not lead out.
        let there = path
            .ancestors()
            .skip(1)
            .find_map(|it| it.canonicalize().ok());
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if there.is_some_and(|there| folder.exists() && !there.starts_with(&real)) {
            return Err(wrong("leads out of the configuration folder"));
        }
        if path == global {
            return Err(wrong("is the configuration file itself"));
        }
        Ok(Some(path))
    }

    pub(super) fn write_source(&self, app: &App) -> Result<(), CliError> {
        match self.place(app)? {
            Some(path) => write_ciphertext(&path, &self.value),
            None => Ok(()),
        }
    }
}

/// Replaces a file of the configuration folder that holds a ciphertext.
pub(in crate::commands) fn write_ciphertext(path: &Path, value: &str) -> Result<(), CliError> {
    let text = SecretString::new(format!("{value}\n"));
    replace(path, &text).map_err(|source| CliError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}
