//! `fnox files`, and `--file` of `get`, `set`, `edit` and `remove`: whole files that a provider keeps.
//!
//! Only the global configuration may declare them, and only its providers are asked: a project must not decide what
//! stands in the home folder. Every value is there before the first file is written, each file is replaced in one step,
//! and one that has its content already is left alone.

mod entry;
pub(super) mod set;
mod stored;
pub(super) mod value;

use std::path::{Path, PathBuf};

use fnox_config::{Config, ConfigError, edit};
use fnox_core::SecretString;
use fnox_providers::resolve::{Given, Options, Purpose, ResolveError, Resolver};
use fnox_system::{Protection, Rights};

pub(super) use self::entry::{Entry, chosen, entries};
pub(super) use self::stored::{Stored, write_ciphertext};
use crate::app::{App, block_on};
use crate::args::{FilesArgs, FilesCommand};
use crate::audit::{self, Changed};
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::{FileOutcome, ListedFile, WrittenFile};

pub(crate) fn run(app: &App, args: FilesArgs) -> Result<(), CliError> {
    let config = global(app)?;
    match args.command {
        None => list(app, &config, args.json),
        Some(FilesCommand::List { json }) => list(app, &config, json),
        Some(FilesCommand::Write {
            paths,
            offline,
            dry_run,
            json,
        }) => {
            let options = Options {
                offline,
                ..app.resolver_options(&config)
            };
            let resolver = Resolver::new(&config, options);
            let how = How { dry_run, json };
            write(app, &config, &resolver, &paths, how)
        }
    }
}

/// The global configuration for the active profiles. One that it does not know is a project's, and has no files.
pub(super) fn global(app: &App) -> Result<Config, CliError> {
    match app.loader().load_global() {
        Err(ConfigError::UnknownName {
            kind: "profile", ..
        }) => Ok(app.for_profile(None).loader().load_global()?),
        loaded => Ok(loaded?),
    }
}

fn list(app: &App, config: &Config, json: bool) -> Result<(), CliError> {
    let entries = entries(app, config)?;
    let mut files = Vec::with_capacity(entries.len());
    for entry in &entries {
        files.push(ListedFile {
            path: entry.path.display().to_string(),
            provider: entry.provider(config)?.name.to_string(),
            source: entry.fields.text("source").map(str::to_owned),
            description: entry.fields.text("description").map(str::to_owned),
            exists: entry.path.symlink_metadata().is_ok(),
        });
    }
    if json {
        return app.printer.json(&files);
    }
    if files.is_empty() {
        app.printer
            .note("No files are configured: `[files]` of the global file declares them.");
        return Ok(());
    }
    let mut table = Table::new(&["Path", "Provider", "Description", "There"], false);
    for file in files {
        table.row(vec![
            file.path,
            file.provider,
            file.description.unwrap_or_default(),
            if file.exists { "yes" } else { "no" }.to_owned(),
        ]);
    }
    app.printer.line(&table.render())
}

/// How `files write` goes about it.
#[derive(Debug, Clone, Copy)]
struct How {
    dry_run: bool,
    json: bool,
}

fn write(
    app: &App,
    config: &Config,
    resolver: &Resolver<'_>,
    paths: &[PathBuf],
    how: How,
) -> Result<(), CliError> {
    let entries = chosen(app, entries(app, config)?, paths)?;
    if entries.is_empty() && !how.json {
        app.printer
            .note("No files are configured: `[files]` of the global file declares them.");
        return Ok(());
    }
    let contents = contents(app, config, resolver, &entries)?;
    let mut written = Vec::with_capacity(entries.len());
    let outcome = entries
        .iter()
        .zip(&contents)
        .try_for_each(|(entry, given)| {
            let outcome = write_one(app, config, entry, given, how.dry_run)?;
            written.push(WrittenFile {
                path: entry.path.display().to_string(),
                provider: given.provider.to_string(),
                outcome,
            });
            if how.json {
                return Ok(());
            }
            let path = entry.path.display();
            match (outcome, how.dry_run) {
                (FileOutcome::Unchanged, true) => {
                    app.printer.line(&format!("[dry-run] {path} stays"))?;
                }
                (FileOutcome::Unchanged, false) => {
                    app.printer.note(&format!("{path} is as it should be"));
                }
                (FileOutcome::WouldWrite, _) => {
                    app.printer.line(&format!("[dry-run] would write {path}"))?;
                }
                (FileOutcome::Written, _) => app.printer.done(&format!("Wrote {path}")),
            }
            Ok(())
        });
    // Also what was written before a failure.
    if how.json {
        app.printer.json(&written)?;
    }
    outcome
}

/// Puts a content in its place, on record, unless it is there.
fn write_one(
    app: &App,
    config: &Config,
    entry: &Entry<'_>,
    Given {
        provider, value, ..
    }: &Given,
    dry_run: bool,
) -> Result<FileOutcome, CliError> {
    let failed = |source| CliError::File {
        action: "write",
        path: entry.path.clone(),
        source,
    };
    match State::of(&entry.path, value) {
        State::Folder => Err(failed(std::io::Error::other("it is a folder"))),
        State::Same => Ok(FileOutcome::Unchanged),
        State::Other if dry_run => Ok(FileOutcome::WouldWrite),
        State::Other => {
            let changed = [Changed::file(entry.path.display(), Some(provider))];
            audit::changing(app, Some(config), audit::Change::FileWrite, changed, || {
                replace(&entry.path, value).map_err(failed)
            })?;
            Ok(FileOutcome::Written)
        }
    }
}

/// The contents of all of them, on record, or the first failure.
fn contents(
    app: &App,
    config: &Config,
    resolver: &Resolver<'_>,
    entries: &[Entry<'_>],
) -> Result<Vec<Given>, CliError> {
    let mut wanted = Vec::with_capacity(entries.len());
    for entry in entries {
        wanted.push(match entry.copy(config)? {
            Some(copy) => copy,
            None => entry.original(app, config)?,
        });
    }
    let mut found = block_on(resolver.originals(wanted, Purpose::Use))??.answers;
    let contents = entries.iter().filter_map(|entry| {
        let answer = found.swap_remove(&entry.name)?;
        Some(answer.map_err(|error| failed(entry, error)))
    });
    let contents: Vec<Given> = contents.collect::<Result<_, _>>()?;
    record(app, config, entries.iter().zip(&contents))?;
    Ok(contents)
}

/// Records who gave which file, before anybody gets it.
pub(super) fn record<'r>(
    app: &App,
    config: &Config,
    read: impl IntoIterator<Item = (&'r Entry<'r>, &'r Given)>,
) -> Result<(), CliError> {
    let read = read.into_iter().map(|(entry, given)| {
        let path = entry.path.display().to_string();
        (given.provider.as_str(), path)
    });
    audit::files(app, config, read)
}

/// The same error, about the file and not about the name that it goes by.
pub(super) fn failed(entry: &Entry<'_>, error: ResolveError) -> CliError {
    match error {
        ResolveError::Provider {
            provider,
            mut error,
            ..
        } => {
            error.message = format!("{}: {}", entry.path.display(), error.message);
            CliError::Provider {
                provider,
                action: "give a file",
                error,
            }
        }
        error => error.into(),
    }
}

/// What stands at a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Exactly this file, private.
    Same,
    /// Nothing, another file, or a link.
    Other,
    Folder,
}

impl State {
    fn of(path: &Path, content: &SecretString) -> Self {
        let Ok(metadata) = path.symlink_metadata() else {
            return Self::Other;
        };
        if metadata.is_dir() {
            return Self::Folder;
        }
        let is_private = metadata.is_file()
            && Protection::of_path(path)
                .is_ok_and(|protection| protection.is_for_reading_and_writing_alone());
        let length = u64::try_from(content.expose_secret().len()).ok();
        if !is_private || Some(metadata.len()) != length {
            return Self::Other;
        }
        let before = std::fs::read(path).map(zeroize::Zeroizing::new);
        match before {
            Ok(before) if *before == content.expose_secret().as_bytes() => Self::Same,
            _ => Self::Other,
        }
    }
}

/// Replaces whatever stands there, a link included.
pub(super) fn replace(path: &Path, content: &SecretString) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fnox_system::create_private_folder(folder)?;
    }
    edit::write_atomically(path, content.expose_secret().as_bytes(), Rights::Private)
}
