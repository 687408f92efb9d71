//! What a run has put where, kept on disk until it is taken away again.
//!
//! An agent that is killed cannot clean up. The next one reads here what it left: which files are its own to
//! remove, and which leases to give up. No value is ever in it. A lock keeps two agents from having one journal.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use fnox_core::Env;
use fnox_vault_wire::LeaseId;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::files::{DRAFT, Written, parent};

/// The journal's file in its folder.
const NAME: &str = "provisioned.json";

/// A journal that this process alone has.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    _lock: File,
}

/// What a run has put where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Leases that it holds.
    pub leases: Vec<LeaseId>,
    /// Files that it writes.
    pub files: Vec<PathBuf>,
    /// Folders that it makes for them, outermost first.
    pub folders: Vec<PathBuf>,
}

/// Where journals are kept unless somebody says otherwise.
///
/// # Errors
/// `Usage` if the environment does not tell.
pub fn default_folder(env: &Env) -> Result<PathBuf, AgentError> {
    // systemd.exec(5): several folders are separated by colons.
    if let Some(folders) = env.var("STATE_DIRECTORY") {
        let first = folders.split(':').next().unwrap_or(folders);
        return Ok(first.into());
    }
    let state = env
        .var("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(env.var("HOME")?).join(".local/state")));
    state
        .map(|folder| folder.join("fnox-agent"))
        .ok_or_else(|| AgentError::Usage {
            message: "there is no folder for what must be remembered".to_owned(),
            help: "name one with --state, or set HOME",
        })
}

impl Journal {
    /// Opens the journal of a folder, which is made if need be.
    ///
    /// # Errors
    /// `Busy` if another process has it; `File`.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| AgentError::file("make the folder", folder, &error))?;
        let lock_path = folder.join("lock");
        let failed = |error: std::io::Error| AgentError::file("lock", &lock_path, &error);
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: folder.join(NAME),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(AgentError::Busy(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// What an earlier run left behind, if anything.
    ///
    /// # Errors
    /// `File` if it cannot be read.
    pub fn read(&self) -> Result<Option<Record>, AgentError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AgentError::file("read", &self.path, &error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| AgentError::File {
                action: "read",
                path: self.path.clone(),
                reason: error.to_string(),
                help: Some("remove by hand what it names, and then the file"),
            })
    }

    /// Says what is about to be done. It is on disk when this returns.
    ///
    /// # Errors
    /// `File`; then nothing may be done.
    pub fn write(&self, record: &Record) -> Result<(), AgentError> {
        let failed = |error: std::io::Error| AgentError::file("write", &self.path, &error);
        let folder = parent(&self.path);
        let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        let mut draft = tempfile::Builder::new()
            .prefix(DRAFT)
            .tempfile_in(folder)
            .map_err(failed)?;
        draft.write_all(&text).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft
            .persist(&self.path)
            .map_err(|error| failed(error.error))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    /// Says that nothing is left.
    ///
    /// # Errors
    /// `File`.
    pub fn clear(&self) -> Result<(), AgentError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(AgentError::file("remove", &self.path, &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the files that an earlier run left behind, and gives its leases to whoever gives them up. The record
    /// stays until [`clear`](Self::clear).
    ///
    /// # Errors
    /// `File` if something cannot be removed.
    pub fn remove_remains(&self) -> Result<Vec<LeaseId>, AgentError> {
        let Some(record) = self.read()? else {
            return Ok(Vec::new());
        };
        for path in &record.files {
            remove_drafts(parent(path));
        }
        Written::earlier(record.files, record.folders).remove_all()?;
        Ok(record.leases)
    }
}

/// Removes what was not finished when its writer was killed.
fn remove_drafts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            let _gone_or_not_ours = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let folder = root.path().join("out");
        let record = Record {
            leases: Vec::new(),
            files: vec![folder.join("token"), folder.join("never-written")],
            folders: vec![folder.clone()],
        };
        Journal::open(&state).unwrap().write(&record).unwrap();
        fs::create_dir(&folder).unwrap();
        for name in ["token", ".fnox-agent-Xyz"] {
            fs::write(folder.join(name), "secret").unwrap();
        }
        let journal = Journal::open(&state).unwrap();
        assert_eq!(journal.read().unwrap(), Some(record.clone()));
        journal.remove_remains().unwrap();
        assert!(!folder.exists());
        journal.clear().unwrap();
        assert_eq!(journal.read().unwrap(), None);

        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("other"), "mine").unwrap();
        journal.write(&record).unwrap();
        journal.remove_remains().unwrap();
        assert_eq!(fs::read(folder.join("other")).unwrap(), b"mine");
    }

    #[test]
    fn two_agents_do_not_have_one_journal() {
        let state = tempfile::tempdir().unwrap();
        let first = Journal::open(state.path()).unwrap();
        let second = Journal::open(state.path()).unwrap_err();
        assert!(matches!(second, AgentError::Busy(_)), "{second}");
        drop(first);
        Journal::open(state.path()).unwrap();
    }

    #[test]
    fn the_folder_is_systemds_or_the_users() {
        let folder = |env: &[(&str, &str)]| default_folder(&env.iter().copied().collect());
        let home = ("HOME", "/home/coder");
        let systemd = ("STATE_DIRECTORY", "/var/lib/fnox-agent:/var/lib/other");
        let found = folder(&[home, systemd]).unwrap();
        assert_eq!(found, Path::new("/var/lib/fnox-agent"));
        let found = folder(&[home]).unwrap();
        assert_eq!(found, Path::new("/home/coder/.local/state/fnox-agent"));
        assert!(folder(&[]).is_err());
    }
}
