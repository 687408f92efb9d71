//! Runs whose credentials nobody else gets.
//!
//! A run holds a lock for as long as it lasts, and its records name the run: so what a killed one left behind is told from
//! what is in use, whatever processes came and went since.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::LedgerError;
use super::lock::Lock;
use super::{Ledger, file, random_hex};

/// Between the ledger's name and the run's.
const MARK: &str = ".run-";
const SUFFIX: &str = ".lock";

/// A run that lasts until this is dropped.
#[derive(Debug)]
pub struct Run {
    id: String,
    path: PathBuf,
    lock: Option<Lock>,
}

impl Run {
    /// What its records name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.lock.take());
        // No other run ever has this name.
        let _ = fs::remove_file(&self.path);
    }
}

impl Ledger {
    /// Begins a run.
    ///
    /// # Errors
    /// [`LedgerError`] if there can be no lock.
    pub fn begin_run(&self) -> Result<Run, LedgerError> {
        file::private_folder(&self.folder)?;
        let id = random_hex();
        let path = self.run_lock(&id);
        let lock = Lock::try_acquire(&path, &self.holder)?;
        Ok(Run { id, path, lock })
    }

    /// Whether a run is over: it ended, or its process was killed.
    ///
    /// # Errors
    /// [`LedgerError`] if its lock cannot be tried.
    pub fn is_over(&self, run: &str) -> Result<bool, LedgerError> {
        is_free(&self.run_lock(run), &self.holder)
    }

    /// Removes the locks of runs that were killed.
    pub(super) fn forget_runs(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let prefix = format!("{}{MARK}", self.stem);
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_run = name.starts_with(&prefix) && name.ends_with(SUFFIX);
            if is_run && is_free(&entry.path(), &self.holder).unwrap_or(false) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn run_lock(&self, run: &str) -> PathBuf {
        self.folder
            .join(format!("{}{MARK}{run}{SUFFIX}", self.stem))
    }
}

/// Whether nobody holds a lock. One that is not there is not made.
fn is_free(path: &Path, holder: &str) -> Result<bool, LedgerError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(true);
    }
    Ok(Lock::try_acquire(path, holder)?.is_some())
}
