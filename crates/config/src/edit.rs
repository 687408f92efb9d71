//! Changing one entry of a file and leaving every other byte alone.
//!
//! An edit never re-serialises the file. It parses the text for the places of things, replaces just the
//! bytes of the entry, and parses the result again before anything is written. So comments, order, quoting and
//! line ends of everything else survive by construction. Saving writes a temporary file beside the original,
//! syncs it and renames it; a lock on the folder keeps two fnox processes from losing one another's edits.

mod list;
mod place;
mod rename;
mod splice;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::ProfileName;
use fnox_system::Rights;
use toml_edit::Value;

use crate::error::ConfigError;
use crate::file::FileConfig;
use crate::paths::Folders;
use crate::source::{FileKind, SourceFile};
use crate::trust::{self, TrustRecord};

/// What happens to one key of an entry.
#[derive(Debug, Clone)]
pub enum Change {
    /// The key gets this value.
    Set(Value),
    /// The key goes away.
    Remove,
}

impl Change {
    /// The key gets a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Set(Value::from(text))
    }
}

/// A file that is being edited, locked against other editors until it is dropped.
#[derive(Debug)]
pub struct Editor {
    path: PathBuf,
    /// As it was opened.
    before: String,
    text: String,
    kind: FileKind,
    is_new: bool,
    lock: Option<File>,
}

impl Editor {
    /// Opens a file for editing; one that does not exist counts as empty.
    ///
    /// # Errors
    /// [`ConfigError`] if the file or its folder cannot be read, or somebody else holds the lock.
    pub fn open(path: &Path, kind: FileKind) -> Result<Self, ConfigError> {
        // The target of a link is edited, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new("/"));
        let io = |action, source| ConfigError::Io {
            action,
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(|source| io("write", source))?;
        let lock = lock_folder(folder).map_err(|source| io("write", source))?;
        let is_new = !path.exists();
        let text = if is_new {
            String::new()
        } else {
            trust::read(&path)?
        };
        let editor = Self {
            path,
            before: text.clone(),
            text,
            kind,
            is_new,
            lock,
        };
        editor.parsed(&editor.text)?;
        Ok(editor)
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Changes keys of an entry such as `["secrets"]` / `API_KEY`; creates entry and table if need be.
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn set(
        &mut self,
        table: &[&str],
        entry: &str,
        changes: &[(&str, Change)],
    ) -> Result<(), ConfigError> {
        let next =
            splice::set(&self.text, table, entry, changes).map_err(|reason| self.syntax(reason))?;
        self.replace(next)
    }

    /// Removes an entry. `false`: there was none.
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn remove(&mut self, table: &[&str], entry: &str) -> Result<bool, ConfigError> {
        match splice::remove(&self.text, table, entry).map_err(|reason| self.syntax(reason))? {
            None => Ok(false),
            Some(next) => self.replace(next).map(|()| true),
        }
    }

    /// Gives an entry another name where it stands, with its comments; one that is written in an unusual way goes to the
    /// end of its table. `false`: there was none.
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn rename(&mut self, table: &[&str], entry: &str, new: &str) -> Result<bool, ConfigError> {
        let Some(keys) = self.entry(table, entry) else {
            return Ok(false);
        };
        let next = rename::in_place(&self.text, table, entry, new);
        if let Some(next) = next.map_err(|reason| self.syntax(reason))? {
            return self.replace(next).map(|()| true);
        }
        let changes: Vec<(&str, Change)> = keys
            .iter()
            .map(|(key, value)| (key.as_str(), Change::Set(value.clone())))
            .collect();
        self.remove(table, entry)?;
        self.set(table, new, &changes)?;
        Ok(true)
    }

    /// Sets a key of a table itself, for example `default_provider` of the top level (`&[]`).
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn set_key(&mut self, table: &[&str], key: &str, value: &Value) -> Result<(), ConfigError> {
        let next =
            splice::set_key(&self.text, table, key, value).map_err(|reason| self.syntax(reason))?;
        self.replace(next)
    }

    /// Adds a table to a list of an entry, such as `keys` of `["providers"]` / `secure`. The list is made if need be, in the
    /// form in which the entry is written.
    ///
    /// # Errors
    /// [`ConfigError`] if there is no such entry, or the result would not be a valid configuration; the text is then as
    /// before.
    pub fn push_table(
        &mut self,
        table: &[&str],
        entry: &str,
        key: &str,
        pairs: &[(&str, Value)],
    ) -> Result<(), ConfigError> {
        let place = list::Place { table, entry, key };
        let next = list::push(&self.text, place, pairs).map_err(|reason| self.syntax(reason))?;
        self.replace(next)
    }

    /// Removes a table of a list by its number from 0. `false`: there was none.
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn remove_table(
        &mut self,
        table: &[&str],
        entry: &str,
        key: &str,
        index: usize,
    ) -> Result<bool, ConfigError> {
        let place = list::Place { table, entry, key };
        match list::remove(&self.text, place, index).map_err(|reason| self.syntax(reason))? {
            None => Ok(false),
            Some(next) => self.replace(next).map(|()| true),
        }
    }

    /// Sets a text in a table of a list by its number from 0. `false`: there is none.
    ///
    /// # Errors
    /// [`ConfigError`] if the result would not be a valid configuration; the text is then as before.
    pub fn set_in_table(
        &mut self,
        table: &[&str],
        entry: &str,
        (key, index): (&str, usize),
        (name, text): (&str, &str),
    ) -> Result<bool, ConfigError> {
        let place = list::Place { table, entry, key };
        let next = list::set(&self.text, place, index, name, &Value::from(text));
        match next.map_err(|reason| self.syntax(reason))? {
            None => Ok(false),
            Some(next) => self.replace(next).map(|()| true),
        }
    }

    /// Replaces the whole text.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not a valid configuration; the text is then as before.
    pub fn replace_text(&mut self, text: String) -> Result<(), ConfigError> {
        self.replace(text)
    }

    /// Whether a table has an entry.
    #[must_use]
    pub fn has(&self, table: &[&str], entry: &str) -> bool {
        place::entry_exists(&self.text, table, entry)
    }

    /// The keys of an entry with their values, in order; `None` if there is no such entry, or it is no table.
    #[must_use]
    pub fn entry(&self, table: &[&str], entry: &str) -> Option<Vec<(String, Value)>> {
        let document: toml_edit::DocumentMut = self.text.parse().ok()?;
        let table = place::table_at(document.as_table(), table)?;
        let keys = table.get(entry)?.as_table_like()?.iter();
        let values = keys.filter_map(|(key, item)| {
            let mut value = item.clone().into_value().ok()?;
            value.decor_mut().clear();
            Some((key.to_owned(), value))
        });
        Some(values.collect())
    }

    /// Where a profile's secrets stand in this file: `[profiles.P]` itself if the entry is there, else
    /// `[profiles.P.secrets]`; in the profile's own file and for the base, `[secrets]`.
    #[must_use]
    pub fn secrets_table(&self, profile: Option<&ProfileName>, entry: &str) -> Vec<String> {
        let own = |name: &str| vec![name.to_owned()];
        let Some(profile) =
            profile.filter(|profile| self.kind != FileKind::Profile((*profile).clone()))
        else {
            let direct = ["profiles", "default"];
            if !self.has(&["secrets"], entry) && self.has(&direct, entry) {
                return direct.iter().map(ToString::to_string).collect();
            }
            return own("secrets");
        };
        let direct = ["profiles", profile.as_str()];
        let mut path: Vec<String> = direct.iter().map(ToString::to_string).collect();
        if !self.has(&direct, entry) {
            path.push("secrets".to_owned());
        }
        path
    }

    /// Writes the file. One that was [trusted](crate::trust) as it was opened is so as it is now.
    ///
    /// # Errors
    /// [`ConfigError::Io`], or [`ConfigError::TooLarge`] for what would not be read again; the file is then as before.
    pub fn save(self, folders: &Folders) -> Result<(), ConfigError> {
        let size = u64::try_from(self.text.len()).unwrap_or(u64::MAX);
        if size > trust::SIZE_LIMIT {
            return Err(ConfigError::TooLarge {
                path: self.path.clone(),
                size,
                limit: trust::SIZE_LIMIT,
            });
        }
        // Nobody else writes it while this holds the lock.
        if self.lock.is_some() {
            sweep(&self.path);
        }
        let rights = if self.is_new {
            Rights::Usual
        } else {
            Rights::Like(&self.path)
        };
        write_atomically(&self.path, self.text.as_bytes(), rights).map_err(|source| {
            ConfigError::Io {
                action: "write",
                path: self.path.clone(),
                source,
            }
        })?;
        // What was allowed as it was is the user's own work now.
        TrustRecord::follow(folders, &self.path, &self.before, &self.text)
    }

    fn replace(&mut self, next: String) -> Result<(), ConfigError> {
        self.parsed(&next)?;
        self.text = next;
        Ok(())
    }

    fn parsed(&self, text: &str) -> Result<FileConfig, ConfigError> {
        FileConfig::parse(self.source(text.to_owned()))
    }

    fn source(&self, text: String) -> Arc<SourceFile> {
        Arc::new(SourceFile {
            path: self.path.clone(),
            text,
            kind: self.kind.clone(),
            imported_by: None,
        })
    }

    fn syntax(&self, reason: String) -> ConfigError {
        ConfigError::Syntax {
            location: crate::source::Location {
                file: self.source(self.text.clone()),
                span: 0..0,
            },
            reason,
        }
    }
}

/// Replaces a file as a whole or not at all: temporary file in the same folder, sync, rename.
///
/// # Errors
/// What the system says; the old file is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8], rights: Rights<'_>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let prefix = temporary_prefix(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    let mut temporary = fnox_system::create_temporary(&mut builder, folder, rights)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    fnox_system::sync_folder(folder)
}

/// What the temporary files of a file end with.
const TEMPORARY_SUFFIX: &str = ".fnox-tmp";

/// What they begin with.
fn temporary_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.", name.trim_start_matches('.'))
}

/// Removes what those who wrote a file left behind when they were killed: each is a copy of all of it.
fn sweep(path: &Path) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let prefix = temporary_prefix(path);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(TEMPORARY_SUFFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn lock_folder(folder: &Path) -> std::io::Result<Option<File>> {
    const TRIES: u32 = 100;
    for attempt in 0..TRIES {
        match fnox_system::try_lock_folder(folder) {
            Ok(lock) => return Ok(Some(lock)),
            Err(std::fs::TryLockError::WouldBlock) if attempt + 1 < TRIES => {
                std::thread::park_timeout(std::time::Duration::from_millis(50));
            }
            Err(std::fs::TryLockError::WouldBlock) => break,
            // Some network file systems have no locks, and not every folder can be opened.
            Err(std::fs::TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::WouldBlock,
        "another fnox process has been editing a file of this folder for 5 s",
    ))
}
