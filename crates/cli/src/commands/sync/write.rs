//! Copies into the files that define their secrets.

use std::path::Path;

use fnox_config::Folders;
use fnox_config::edit::{Change, Editor};
use fnox_core::ProviderName;
use indexmap::IndexMap;
use jiff::Timestamp;
use toml_edit::{InlineTable, Value};

use super::Fresh;
use crate::error::CliError;

/// Tries every edit, then makes them.
pub(super) fn run(
    folders: &Folders,
    fresh: &[Fresh<'_>],
    target: &ProviderName,
    now: Timestamp,
) -> Result<(), CliError> {
    let mut files: IndexMap<&Path, Vec<&Fresh<'_>>> = IndexMap::new();
    for entry in fresh {
        let path = entry.candidate.place.path();
        files.entry(path).or_default().push(entry);
    }
    // One editor at a time: each holds the lock of its folder.
    for (path, edits) in &files {
        edited(path, edits, target, now)?;
    }
    for (path, edits) in &files {
        edited(path, edits, target, now)?.save(folders)?;
    }
    Ok(())
}

fn edited(
    path: &Path,
    edits: &[&Fresh<'_>],
    target: &ProviderName,
    now: Timestamp,
) -> Result<Editor, CliError> {
    let Some(first) = edits.first() else {
        return Err(CliError::usage("there is nothing to write"));
    };
    let mut editor = Editor::open(path, first.candidate.place.kind.clone())?;
    if editor.text() != first.candidate.secret.location.file.text {
        return Err(CliError::failed(format!(
            "{} was changed by somebody else in the meantime: run `fnox sync` again",
            path.display()
        )));
    }
    for Fresh { candidate, stored } in edits {
        let copy = copy(target, stored, now);
        let changes = [("sync", Change::Set(Value::InlineTable(copy)))];
        let name = candidate.secret.name.as_str();
        editor.set(&candidate.place.table(), name, &changes)?;
    }
    Ok(editor)
}

/// `sync` of an entry.
pub(super) fn copy(target: &ProviderName, stored: &str, now: Timestamp) -> InlineTable {
    let mut copy = InlineTable::new();
    copy.insert("provider", target.as_str().into());
    copy.insert("value", stored.into());
    copy.insert("at", now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    copy
}
