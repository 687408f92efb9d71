//! Edits, all of which are tried before the first is made.

use std::path::Path;

use fnox_config::Folders;
use fnox_config::edit::{Change, Editor};
use indexmap::IndexMap;

use super::Fresh;
use super::files::FreshFile;
use crate::commands::definition::Definition;
use crate::error::CliError;

/// What changes in one file of the configuration.
#[derive(Default)]
struct Edits<'a> {
    secrets: Vec<&'a Fresh<'a>>,
    files: Vec<&'a FreshFile<'a>>,
}

/// Tries every edit, then makes them.
pub(super) fn all(
    folders: &Folders,
    fresh: &[Fresh<'_>],
    fresh_files: &[FreshFile<'_>],
) -> Result<(), CliError> {
    let mut all: IndexMap<&Path, Edits<'_>> = IndexMap::new();
    for it in fresh {
        let path = it.candidate.place.path();
        all.entry(path).or_default().secrets.push(it);
    }
    for it in fresh_files {
        let path = it.candidate.place.path();
        all.entry(path).or_default().files.push(it);
    }
    // One editor at a time: each holds the lock of its folder.
    for edits in all.values() {
        edited(edits)?;
    }
    for edits in all.values() {
        let editor = edited(edits)?;
        for it in &edits.files {
            it.write_source()?;
        }
        editor.save(folders)?;
    }
    Ok(())
}

fn edited(edits: &Edits<'_>) -> Result<Editor, CliError> {
    let of_secret = edits.secrets.first().map(|it| {
        let candidate = &it.candidate;
        (&candidate.place, &candidate.secret.location)
    });
    let of_file = edits.files.first().map(|it| {
        let candidate = &it.candidate;
        (&candidate.place, candidate.entry.fields.location())
    });
    let Some((place, location)) = of_secret.or(of_file) else {
        return Err(CliError::usage("there is nothing to write"));
    };
    let mut editor = Editor::open(place.path(), place.kind.clone())?;
    if editor.text() != location.file.text {
        return Err(changed_meanwhile(place.path()));
    }
    for it in &edits.secrets {
        secret(&mut editor, it)?;
    }
    for it in &edits.files {
        it.require_unchanged_source()?;
        let place: &Definition = &it.candidate.place;
        let key = it.candidate.entry.key;
        editor.set(&place.table(), key, &it.stored.changes())?;
    }
    Ok(editor)
}

fn secret(
    editor: &mut Editor,
    Fresh {
        candidate, stored, ..
    }: &Fresh<'_>,
) -> Result<(), CliError> {
    let name = candidate.secret.name.as_str();
    let mut table = candidate.place.table();
    table.push(name);
    let key = if editor.has(&table, "ref") {
        "ref"
    } else {
        "value"
    };
    let has_copy = editor.has(&table, "sync");
    table.pop();
    let mut changes = vec![(key, Change::text(stored))];
    if has_copy {
        changes.push(("sync", Change::Remove));
    }
    Ok(editor.set(&table, name, &changes)?)
}

pub(super) fn changed_meanwhile(path: &Path) -> CliError {
    CliError::Failed {
        message: format!(
            "{} was changed by somebody else in the meantime",
            path.display()
        ),
        code: "cli::check_failed",
    }
}
