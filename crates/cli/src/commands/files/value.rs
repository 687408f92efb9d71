//! `get`, `edit` and `remove` with `--file`.
//!
//! The entry stands in the global file, whatever project the command runs in. The file in its place is never touched: only
//! `fnox files write` does that.

use std::path::Path;

use fnox_config::Config;
use fnox_config::edit::Editor;
use fnox_config::spec::Capability;
use fnox_core::SecretString;
use fnox_providers::resolve::{Original, Purpose};

use super::entry::{self, Entry};
use super::stored::{Stored, store};
use super::{entries, failed, global};
use crate::app::{App, block_on};
use crate::args::RemoveArgs;
use crate::audit::{self, Changed};
use crate::commands::edit;
use crate::error::CliError;

/// Prints the content exactly.
pub(in crate::commands) fn get(app: &App, path: &Path) -> Result<(), CliError> {
    let config = global(app)?;
    let entry = one(app, &config, path)?;
    let resolver = app.resolver(&config);
    let contents = super::contents(app, &config, &resolver, std::slice::from_ref(&entry))?;
    contents.iter().try_for_each(|given| {
        let content = given.value.expose_secret();
        app.printer.raw(content)
    })
}

fn one<'c>(app: &App, config: &'c Config, path: &Path) -> Result<Entry<'c>, CliError> {
    let all = entries(app, config)?;
    let mut named = entry::chosen(app, all, &[path.to_owned()])?;
    // invariant: an error names a path that no entry has, and no two entries have one path.
    named
        .pop()
        .ok_or_else(|| CliError::usage("there is no such file"))
}

pub(in crate::commands) fn remove(
    app: &App,
    args: &RemoveArgs,
    path: &Path,
) -> Result<(), CliError> {
    let config = global(app)?;
    let entry = one(app, &config, path)?;
    let file = &entry.fields.location().file;
    let (key, place) = (entry.key, entry.definition()?);
    let mut editor = Editor::open(place.path(), place.kind.clone())?;
    editor.remove(&place.table(), key)?;
    if args.dry_run {
        let file = file.path.display();
        return app
            .printer
            .line(&format!("[dry-run] would remove {key} from {file}"));
    }
    let changed = [Changed::file(entry.path.display(), None::<&str>)];
    audit::changing(
        app,
        Some(&config),
        audit::Change::FileRemove,
        changed,
        || Ok(editor.save(&app.folders)?),
    )?;
    app.printer.done(&format!("Removed {key} (global)"));
    if let Some(source) = entry.fields.text("source") {
        let source = file.folder().join(source);
        let source = source.display();
        app.printer
            .note(&format!("{source}, which holds its ciphertext, stays."));
    }
    if entry.path.symlink_metadata().is_ok() {
        let path = entry.path.display();
        app.printer.note(&format!("{path} itself stays."));
    }
    Ok(())
}

/// The content in the person's editor.
pub(in crate::commands) fn edit(app: &App, path: &Path) -> Result<(), CliError> {
    let config = global(app)?;
    let entry = one(app, &config, path)?;
    let (key, place) = (entry.key, entry.definition()?);
    let provider = entry.provider(&config)?;
    if provider.capability == Capability::ReadsOnly {
        let (name, label) = (&provider.name, provider.spec.label);
        let reason =
            format!("`{key}` cannot be edited: its provider `{name}` ({label}) only reads");
        return Err(CliError::usage(reason));
    }
    let original = entry.original(app, &config)?;
    let before = read(app, &config, &entry, original.clone())?;
    let title = entry.path.file_name().unwrap_or_default();
    let title = title.to_string_lossy();
    let write = |content| {
        let stored = Stored {
            value: store(app, &config, provider, key, &original.reference, content)?,
            source: entry.fields.text("source").map(str::to_owned),
        };
        let mut editor = Editor::open(place.path(), place.kind.clone())?;
        if editor.text() != entry.fields.location().file.text {
            return Err(CliError::failed(format!(
                "{} was changed by somebody else in the meantime",
                place.path().display()
            )));
        }
        editor.set(&place.table(), key, &stored.changes())?;
        stored.write_source(app)?;
        Ok(editor.save(&app.folders)?)
    };
    let is_changed = edit::content(app, &title, &before, |content| {
        let changed = [Changed::file(entry.path.display(), Some(&provider.name))];
        let change = audit::Change::FileEdit;
        audit::changing(app, Some(&config), change, changed, || write(content))
    })?;
    if is_changed {
        app.printer.done(&format!("Set {key} (global)"));
    } else {
        app.printer.note("Nothing was changed.");
    }
    Ok(())
}

fn read(
    app: &App,
    config: &Config,
    entry: &Entry<'_>,
    original: Original,
) -> Result<SecretString, CliError> {
    let resolver = app.resolver(config);
    let found = block_on(resolver.originals(vec![original], Purpose::Use))??;
    let answer = found.answers.into_iter().next();
    let (_, answer) = answer.ok_or_else(|| CliError::usage("it has no provider"))?;
    let given = answer.map_err(|error| failed(entry, error))?;
    super::record(app, config, [(entry, &given)])?;
    Ok(given.value)
}
