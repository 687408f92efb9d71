//! Whole files: `[files]` of the global configuration.
//!
//! They stand in the global file, and only its providers are asked and encrypt them, whatever project the command runs in.
//! What stands in the files' own places is never touched.

use std::path::PathBuf;

use fnox_config::Config;
use fnox_core::{ProviderName, SecretString};
use fnox_providers::resolve::{Original, Purpose};
use indexmap::IndexMap;

use super::listed::Listed;
use super::{ANOTHER_PROVIDER, is_redefined, not_eligible, store, write};
use crate::app::App;
use crate::args::ReencryptArgs;
use crate::audit::Changed;
use crate::commands::chain;
use crate::commands::definition::Definition;
use crate::commands::files::{Entry, Stored, chosen, entries, failed, global, write_ciphertext};
use crate::commands::import::pattern;
use crate::error::CliError;

/// A file whose ciphertext the configuration has.
pub(super) struct FileCandidate<'c> {
    pub(super) entry: Entry<'c>,
    pub(super) place: Definition,
    config: &'c Config,
    provider: ProviderName,
    /// The ciphertext, from wherever it stands.
    original: Original,
    /// The file of the configuration folder that holds it, if the entry itself does not.
    source: Option<PathBuf>,
}

/// A candidate and its new ciphertext.
pub(super) struct FreshFile<'c> {
    pub(super) candidate: FileCandidate<'c>,
    pub(super) stored: Stored,
}

/// The global configuration, if this run is about files too: they are named, or no secret is.
pub(super) fn config(app: &App, args: &ReencryptArgs) -> Result<Option<Config>, CliError> {
    if !args.files.is_empty() {
        return global(app).map(Some);
    }
    if !args.keys.is_empty() || !app.folders.global_file().exists() {
        return Ok(None);
    }
    let config = global(app)?;
    Ok(Some(config).filter(|config| !config.settings.files.is_empty()))
}

pub(super) fn candidates<'c>(
    app: &App,
    config: &'c Config,
    args: &ReencryptArgs,
) -> Result<Vec<FileCandidate<'c>>, CliError> {
    let filter = args.filter.as_deref().map(pattern).transpose()?;
    let is_named = !args.files.is_empty();
    let (mut out, mut left_out) = (Vec::new(), Vec::new());
    for entry in chosen(app, entries(app, config)?, &args.files)? {
        let is_left_out = |filter: &regex::Regex| !filter.is_match(entry.key);
        if filter.as_ref().is_some_and(is_left_out) {
            continue;
        }
        let provider = entry.provider(config)?;
        let (name, place) = (&provider.name, entry.definition()?);
        let is_asked_for = |wanted: &str| wanted == name.as_str();
        if !chain::encrypts(provider) {
            if is_named {
                let label = provider.spec.label;
                let reason = format!(
                    "its provider `{name}` ({label}) does not encrypt values into the configuration"
                );
                return Err(not_eligible(entry.key, &reason));
            }
        } else if !args.provider.as_deref().is_none_or(is_asked_for) {
            if is_named {
                let reason = format!("its provider is `{name}`");
                return Err(not_eligible(entry.key, &reason));
            }
        } else if is_redefined(config, std::slice::from_ref(name), &place) {
            if is_named {
                return Err(not_eligible(entry.key, ANOTHER_PROVIDER));
            }
            left_out.push(entry.key);
        } else {
            out.push(FileCandidate::new(app, config, entry, place)?);
        }
    }
    if !left_out.is_empty() {
        app.printer.warn(&format!(
            "left out: {}: {ANOTHER_PROVIDER}",
            left_out.join(", ")
        ));
    }
    Ok(out)
}

/// Reads all of them, then encrypts them, those of one provider together. Nothing is written.
pub(super) async fn anew<'c>(
    app: &App,
    config: &Config,
    candidates: Vec<FileCandidate<'c>>,
) -> Result<Vec<FreshFile<'c>>, CliError> {
    let wanted = candidates.iter().map(|it| it.original.clone()).collect();
    let resolver = app.resolver(config);
    let mut found = resolver
        .originals(wanted, Purpose::Reencrypt)
        .await?
        .answers;
    let mut batches: IndexMap<ProviderName, Vec<(FileCandidate<'c>, SecretString)>> =
        IndexMap::new();
    for candidate in candidates {
        let Some(answer) = found.swap_remove(&candidate.entry.name) else {
            continue;
        };
        let given = answer.map_err(|error| failed(&candidate.entry, error))?;
        let batch = batches.entry(given.provider).or_default();
        batch.push((candidate, given.value));
    }
    let mut fresh = Vec::new();
    for (provider, batch) in batches {
        let values: Vec<_> = batch
            .iter()
            .map(|(candidate, value)| (candidate.entry.name.clone(), value.clone()))
            .collect();
        let stored = store(app, config, &provider, None, &values).await?;
        fresh.extend(
            batch
                .into_iter()
                .zip(stored)
                .map(|((candidate, _), value)| {
                    let source = candidate.entry.fields.text("source").map(str::to_owned);
                    let stored = Stored { value, source };
                    FreshFile { candidate, stored }
                }),
        );
    }
    Ok(fresh)
}

impl<'c> FileCandidate<'c> {
    fn new(
        app: &App,
        config: &'c Config,
        entry: Entry<'c>,
        place: Definition,
    ) -> Result<Self, CliError> {
        Ok(Self {
            provider: entry.provider(config)?.name.clone(),
            original: entry.original(app, config)?,
            source: entry.source(app)?,
            config,
            place,
            entry,
        })
    }

    /// As it is listed.
    pub(super) fn listed(&self) -> Listed<'_> {
        Listed {
            config: self.config,
            name: self.entry.key,
            is_file: true,
            providers: std::slice::from_ref(&self.provider),
            stored: &self.original.reference,
            may_be_reference: false,
            location: self.entry.fields.location(),
        }
    }
}

impl FreshFile<'_> {
    /// As the log of uses names it.
    pub(super) fn changed(&self) -> Changed {
        let candidate = &self.candidate;
        Changed::file(candidate.entry.path.display(), Some(&candidate.provider))
    }

    /// The ciphertext must be the one that was read.
    pub(super) fn require_unchanged_source(&self) -> Result<(), CliError> {
        let Some(path) = &self.candidate.source else {
            return Ok(());
        };
        let text = std::fs::read_to_string(path).map_err(|source| CliError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        if text.trim() == self.candidate.original.reference {
            return Ok(());
        }
        Err(write::changed_meanwhile(path))
    }

    /// Writes the ciphertext, if it does not stand in the entry.
    pub(super) fn write_source(&self) -> Result<(), CliError> {
        match &self.candidate.source {
            Some(path) => write_ciphertext(path, &self.stored.value),
            None => Ok(()),
        }
    }
}
