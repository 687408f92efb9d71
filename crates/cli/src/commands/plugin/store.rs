//! The folder of plugins, and its lock.
//!
//! A plugin is written whole beside its place and renamed into it; then the lock says so. Who is killed in between leaves
//! files that are not those of the lock, and these are not run.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_leases::ledger::file;
use fnox_leases::ledger::lock::{Lock as Exclusive, introduction};
use fnox_providers::plugins::{self, LOCK, Lock};
use fnox_system::Rights;

use super::failed;
use super::fetch::Fetched;
use crate::app::{App, block_on};
use crate::error::CliError;

/// How long one command waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// What begins the names of folders that are not plugins yet, or no more. No plugin's name begins so.
const ASIDE: &str = ".aside-";

#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn new(app: &App) -> Self {
        Self {
            folder: app.folders.plugins.clone(),
        }
    }

    /// Where a plugin is.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What is installed.
    pub(super) fn read(&self) -> Result<Lock, CliError> {
        plugins::read_lock(&self.folder).map_err(|error| failed(error.to_string()))
    }

    /// Changes what is installed, alone.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Lock) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let stored = |error: &dyn std::fmt::Display| failed(error.to_string());
        file::private_folder(&self.folder).map_err(|error| stored(&error))?;
        let busy = self.folder.join(".busy");
        let holder = introduction("plugin");
        let alone = Exclusive::acquire(&busy, PATIENCE, &holder);
        let _alone = block_on(alone)?.map_err(|error| stored(&error))?;
        self.sweep();
        let mut lock = self.read()?;
        change(&mut lock)?;
        let text = serde_json::to_string_pretty(&lock).map_err(|error| stored(&error))?;
        let path = self.folder.join(LOCK);
        file::replace(&path, &(text + "\n")).map_err(|error| stored(&error))?;
        self.sweep();
        Ok(())
    }

    /// Puts fetched files in a plugin's place. Call it within [`Self::change`].
    pub(super) fn replace(&self, name: &str, fetched: &Fetched) -> Result<(), CliError> {
        let new = self.aside("new");
        let written = write(&new, fetched).and_then(|()| {
            self.set_aside(name)?;
            std::fs::rename(&new, self.place(name))
        });
        written.map_err(|source| CliError::File {
            action: "write",
            path: self.place(name),
            source,
        })
    }

    /// Removes a plugin's files. Call it within [`Self::change`].
    pub(super) fn remove(&self, name: &str) -> Result<(), CliError> {
        self.set_aside(name).map_err(|source| CliError::File {
            action: "remove",
            path: self.place(name),
            source,
        })
    }

    fn set_aside(&self, name: &str) -> io::Result<()> {
        match std::fs::rename(self.place(name), self.aside("old")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn aside(&self, word: &str) -> PathBuf {
        let number: u64 = rand::random();
        self.folder.join(format!("{ASIDE}{word}-{number:016x}"))
    }

    /// Removes what is aside, also what others left behind that were killed.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(ASIDE)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::debug!("{} stays: {error}", entry.path().display());
            }
        }
    }
}

/// Writes files into a new folder, for nobody but this user.
fn write(folder: &Path, fetched: &Fetched) -> io::Result<()> {
    fnox_system::create_private_folder(folder)?;
    for (path, content) in &fetched.files.0 {
        let is_program = fetched.programs.contains(path);
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fnox_system::create_private_folder(parent)?;
        }
        let mut file = fnox_system::create_private_file(&path)?;
        file.write_all(content)?;
        if is_program {
            fnox_system::give_rights(&file, Rights::OwnProgram)?;
        }
        file.sync_all()?;
    }
    Ok(())
}
