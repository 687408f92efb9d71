//! The policy of a running server: read again when its file changes. A file that is broken, or that somebody else could
//! have written, changes nothing, and people are told once.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fnox_system::Protection;

use super::decide::Policy;
use super::finding::PolicyError;
use super::read::MOST_BYTES;
use crate::settings::IssuerSettings;

/// A policy and the file that it came from.
#[derive(Debug)]
pub struct WatchedPolicy {
    path: PathBuf,
    issuers: Vec<IssuerSettings>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Arc<Policy>,
    /// The file when it was read last; `None`: it was not there.
    stamp: Option<Stamp>,
}

/// What changes when a file is written or replaced. The time of the inode's change is part of it, because `touch` and
/// `cp -p` can put the other one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedPolicy {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`PolicyError`]: a server does not start without a policy that it understands, and that nobody else wrote.
    pub fn open(path: &Path, issuers: &[IssuerSettings]) -> Result<Self, PolicyError> {
        // The stamp is older than the text: what is written in between is read again, never missed.
        let stamp = Stamp::of(path);
        let policy = read(path, issuers)?;
        Ok(Self {
            path: path.to_owned(),
            issuers: issuers.to_vec(),
            state: Mutex::new(State {
                policy: Arc::new(policy),
                stamp,
            }),
        })
    }

    /// The policy in force. Hold it for one decision, not longer.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.state().policy)
    }

    /// Reads the file again if it is not the one that was read last; `None` if it is. It blocks for as long as the
    /// file's disk does.
    ///
    /// # Errors
    /// [`PolicyError`] if the new file is broken, gone or open to others: the policy before it stays in force.
    pub fn reload_if_changed(&self) -> Option<Result<(), PolicyError>> {
        let stamp = Stamp::of(&self.path);
        if stamp == self.state().stamp {
            return None;
        }
        let read = read(&self.path, &self.issuers);
        let mut state = self.state();
        state.stamp = stamp;
        Some(read.map(|policy| state.policy = Arc::new(policy)))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every write is one assignment, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn read(path: &Path, issuers: &[IssuerSettings]) -> Result<Policy, PolicyError> {
    let origin = path.display().to_string();
    let unreadable = |error: std::io::Error| PolicyError::unreadable(&origin, &error);
    let file = File::open(path).map_err(unreadable)?;
    if let Some(reason) = suspicion(&file).map_err(unreadable)? {
        return Err(PolicyError::untrusted(&origin, &reason));
    }
    let mut text = String::new();
    file.take(MOST_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Policy::parse(&text, issuers).map_err(|error| error.of(&origin))
}

/// Why somebody else could have written the file, if so: the same as of `server.toml`. It is asked of the opened file,
/// not of whatever has the name a moment later.
fn suspicion(file: &File) -> std::io::Result<Option<String>> {
    let protection = Protection::of(file)?;
    let is_of_whom_root_serves = || {
        File::open(".")
            .and_then(|folder| Protection::of(&folder))
            .is_ok_and(|folder| protection.is_of_whom_root_serves(&folder))
    };
    if !protection.is_own() && !protection.is_of_the_system() && !is_of_whom_root_serves() {
        let owner = protection.owner();
        return Ok(Some(format!("it belongs to another user (uid {owner})")));
    }
    Ok(protection
        .who_else_changes()
        .map(|what| format!("everybody may write to it ({what})")))
}
