//! Copies of whole files: `[files]` of the global configuration.
//!
//! They stand in the global file, and only its providers are asked or encrypt them, whatever project the command runs in.

use fnox_config::edit::{Change, Editor};
use fnox_config::{Config, Folders};
use fnox_core::ProviderName;
use fnox_providers::resolve::{Original, Purpose};
use jiff::Timestamp;
use toml_edit::Value;

use super::write::copy;
use super::{SyncArgs, pattern};
use crate::app::{App, block_on};
use crate::audit::{self, Changed};
use crate::commands::chain;
use crate::commands::definition::Definition;
use crate::commands::files::{Entry, entries, failed, global, record};
use crate::commands::reencrypt;
use crate::error::CliError;
use crate::output::documents::{PlannedCopy, PlannedStep};

/// Files of which copies can be made.
pub(super) struct Files<'c> {
    config: &'c Config,
    candidates: Vec<(Entry<'c>, Original)>,
    /// The provider that encrypts the copies: there is one if there are candidates.
    target: Option<ProviderName>,
}

/// The global configuration, if this run is about files too: no secret is named, and no local file gets the copies.
pub(super) fn config(app: &App, args: &SyncArgs) -> Result<Option<Config>, CliError> {
    let is_there = app.folders.global_file().exists();
    if !args.keys.is_empty() || args.local_file || !is_there {
        return Ok(None);
    }
    let config = global(app)?;
    Ok(Some(config).filter(|config| !config.settings.files.is_empty()))
}

impl<'c> Files<'c> {
    pub(super) fn of(app: &App, config: &'c Config, args: &SyncArgs) -> Result<Self, CliError> {
        let default = config.default_provider().map(ProviderName::as_str);
        let target = args.provider.as_deref().or(default);
        let target = target
            .and_then(|name| config.providers.get(name))
            .filter(|provider| chain::encrypts(provider))
            .map(|provider| provider.name.clone());
        let filter = args.filter.as_deref().map(pattern).transpose()?;
        let mut candidates = Vec::new();
        for entry in entries(app, config)? {
            let provider = entry.provider(config)?;
            let source = args.source.as_deref();
            let is_wanted = target.as_ref() != Some(&provider.name)
                && source.is_none_or(|source| source == provider.name.as_str())
                && filter
                    .as_ref()
                    .is_none_or(|filter| filter.is_match(entry.key))
                && !matches!(provider.spec.name, "fnox-server" | "vault-agent");
            if is_wanted {
                let original = entry.original(app, config)?;
                candidates.push((entry, original));
            }
        }
        if target.is_none() && !candidates.is_empty() {
            app.printer.note(
                "Files are left out: the global file has no such provider that encrypts values.",
            );
            candidates.clear();
        }
        Ok(Self {
            config,
            candidates,
            target,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.candidates.len()
    }

    /// What would be done, for `-n`.
    pub(super) fn plan(&self) -> impl Iterator<Item = PlannedCopy> {
        let all = self.candidates.iter();
        all.map(|(entry, original)| PlannedCopy {
            name: entry.key.to_owned(),
            kind: "file",
            step: PlannedStep::Copy,
            from: original.providers.iter().map(ToString::to_string).collect(),
            provider: self.target.as_ref().map(ToString::to_string),
        })
    }

    /// Reads all of them, encrypts those that came, and writes the copies: how many.
    pub(super) fn sync(&self, app: &App, now: Timestamp) -> Result<usize, CliError> {
        let Some(target) = self.target.as_ref().filter(|_| self.count() > 0) else {
            return Ok(0);
        };
        let originals = self.candidates.iter().map(|(_, original)| original.clone());
        let resolver = app.resolver(self.config);
        let wanted = originals.collect();
        let mut found = block_on(resolver.originals(wanted, Purpose::Use))??.answers;
        let mut read = Vec::new();
        for (entry, _) in &self.candidates {
            match found.swap_remove(&entry.name) {
                Some(Ok(given)) => read.push((entry, given)),
                Some(Err(error)) => {
                    let error = failed(entry, error);
                    app.printer.warn(&format!("left out: {error}"));
                }
                None => {}
            }
        }
        if read.is_empty() {
            return Err(CliError::failed(
                "no file could be read; copies made earlier stay as they are",
            ));
        }
        record(
            app,
            self.config,
            read.iter().map(|(entry, it)| (*entry, it)),
        )?;
        let (read, values): (Vec<_>, Vec<_>) = read
            .into_iter()
            .map(|(entry, given)| (entry, (entry.name.clone(), given.value)))
            .unzip();
        let work = reencrypt::store(app, self.config, target, None, &values);
        let stored = block_on(work)??;
        let changed = read
            .iter()
            .map(|entry| Changed::file(entry.path.display(), Some(target)));
        let change = audit::Change::FileSync;
        audit::changing(app, Some(self.config), change, changed, || {
            write(&app.folders, target, &read, &stored, now)
        })?;
        Ok(read.len())
    }
}

/// The copies, each into the file that has the entry: the global one, or one that it imports.
fn write(
    folders: &Folders,
    target: &ProviderName,
    entries: &[&Entry<'_>],
    stored: &[String],
    now: Timestamp,
) -> Result<(), CliError> {
    for (entry, stored) in entries.iter().zip(stored) {
        let place = entry.definition()?;
        let mut editor = Editor::open(place.path(), place.kind.clone())?;
        if !is_same(&editor, &place, entry) {
            return Err(CliError::failed(format!(
                "the entry `{}` was changed by somebody else in the meantime: run `fnox sync` again",
                entry.key
            )));
        }
        let copy = Value::InlineTable(copy(target, stored, now));
        editor.set(&place.table(), entry.key, &[("sync", Change::Set(copy))])?;
        editor.save(folders)?;
    }
    Ok(())
}

/// Whether an entry says what it said when its value was read.
fn is_same(editor: &Editor, place: &Definition, entry: &Entry<'_>) -> bool {
    let now = editor.entry(&place.table(), entry.key).unwrap_or_default();
    ["provider", "value", "source"].iter().all(|key| {
        let text = now.iter().find(|(name, _)| name == key);
        text.and_then(|(_, value)| value.as_str()) == entry.fields.text(key)
    })
}
