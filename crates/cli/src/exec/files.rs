//! Secrets that a program gets as files.
//!
//! Each run has a folder of its own, 0700 and with an unpredictable name, below the run-time folder; the
//! files in it are 0600 from their first byte and are never written through a link. The folder goes away with
//! the run. If fnox is killed, a small helper removes it at once ([`super::guard`]); if that was killed too,
//! the next run finds the folder's lock free and sweeps it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fnox_config::Folders;
use fnox_core::SecretString;
use fnox_leases::delivery::file::remove_left_behind;
use fnox_system::{Protection, create_private_file};
use jiff::{SignedDuration, Timestamp};

use super::guard::Guard;
use crate::error::CliError;

/// Folder of the runs' folders.
pub(super) const RUNS: &str = "exec";
/// Folder of the files that stay.
const FILES: &str = "files";
/// Held by the run that a folder belongs to.
pub(super) const LOCK: &str = ".lock";

/// A run's folder. Removed when dropped.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    lock: Option<File>,
    guard: Option<Guard>,
}

impl PrivateFolder {
    /// Makes a folder that this process alone looks after.
    pub(crate) fn create(folders: &Folders) -> io::Result<Self> {
        let base = private_base(folders, RUNS)?;
        // Whoever sweeps holds this lock alone, so a folder is never seen before its own lock is taken.
        let nobody_sweeps = fnox_system::open_folder_lock(&base)?;
        nobody_sweeps.lock_shared()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("").rand_bytes(24);
        let path = fnox_system::create_private_subfolder(&mut builder, &base)?;
        let lock = create_private_file(&path.join(LOCK))?;
        lock.lock()?;
        Ok(Self {
            path,
            lock: Some(lock),
            guard: None,
        })
    }

    /// Makes a folder that goes away even if this process is killed.
    pub(crate) fn guarded(folders: &Folders) -> io::Result<Self> {
        let mut folder = Self::create(folders)?;
        folder.guard = Some(Guard::start(&folder.path)?);
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file and answers its path.
    pub(crate) fn write(&mut self, name: &str, value: &SecretString) -> io::Result<PathBuf> {
        self.write_bytes(name, value.expose_secret().as_bytes())
    }

    /// The same with bytes that are no text.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn write_bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        create_private_file(&path)?.write_all(bytes)?;
        Ok(path)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Not every Windows removes a folder with an open file in it. Who finds the lock free removes the same.
        drop(self.lock.take_if(|_| cfg!(windows)));
        // If this fails the guard, or the next run, tries again.
        let _ = fs::remove_dir_all(&self.path);
        drop(self.guard.take());
    }
}

/// How long a file stays that no end of a program removes.
const STAYS: SignedDuration = SignedDuration::from_hours(24);

/// Writes a private file that stays after this process, for `get` and `export`, which have no end of
/// their own to remove it at. Its folder is below the run-time folder, which a log-out empties where there is one; what is
/// older than a day goes when the next file is written.
pub(crate) fn write_persistent(
    folders: &Folders,
    now: Timestamp,
    name: &str,
    value: &SecretString,
) -> Result<PathBuf, CliError> {
    let below = |folder: &Path, source| CliError::File {
        action: "write a private file below",
        path: folder.to_owned(),
        source,
    };
    let base = private_base(folders, FILES).map_err(|source| below(&folders.runtime, source))?;
    sweep_persistent(folders, now);
    let prefix = format!("{name}-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).rand_bytes(16);
    let folder = fnox_system::create_private_subfolder(&mut builder, &base)
        .map_err(|source| below(&base, source))?;
    let path = folder.join(name);
    let bytes = value.expose_secret().as_bytes();
    match create_private_file(&path).and_then(|mut file| file.write_all(bytes)) {
        Ok(()) => Ok(path),
        Err(source) => {
            discard(&path);
            Err(CliError::File {
                action: "write the private file",
                path,
                source,
            })
        }
    }
}

/// Removes a file that [`write_persistent`] wrote and that nobody was told of.
pub(crate) fn discard(path: &Path) {
    if let Some(folder) = path.parent() {
        // What is left goes when it is old.
        let _ = fs::remove_dir_all(folder);
    }
}

fn sweep_persistent(folders: &Folders, now: Timestamp) {
    let bases = roots(folders).map(|root| root.join(FILES));
    let entries = bases.iter().flat_map(fs::read_dir).flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_old = written(&path).is_some_and(|written| now.duration_since(written) >= STAYS);
        if is_old && is_private_folder(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn written(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(path.metadata().ok()?.modified().ok()?).ok()
}

/// Removes folders of runs that are dead. Costs one look if there is none.
pub(crate) fn sweep(folders: &Folders) {
    for root in roots(folders) {
        let base = root.join(RUNS);
        let Ok(entries) = fs::read_dir(&base) else {
            continue;
        };
        let mut entries = entries.flatten().peekable();
        if entries.peek().is_none() {
            continue;
        }
        let Ok(alone) = fnox_system::open_folder_lock(&base) else {
            continue;
        };
        if alone.try_lock().is_err() {
            continue;
        }
        for entry in entries {
            let path = entry.path();
            let is_dead = match File::open(path.join(LOCK)) {
                Ok(lock) => lock.try_lock().is_ok(),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if is_dead && is_private_folder(&path) {
                remove_left_behind(&path);
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Whether a path is a folder, not a link, that belongs to this user alone.
pub(crate) fn is_private_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir()
            && Protection::of_path(path).is_ok_and(|protection| {
                protection.is_own() && protection.who_else_opens().is_none()
            })
    })
}

/// The run-time folder; the state folder where there is none to write to, as after `su`.
fn roots(folders: &Folders) -> [PathBuf; 2] {
    [folders.runtime.clone(), folders.state.join("run")]
}

/// A folder of this user alone in one of them.
pub(crate) fn private_base(folders: &Folders, name: &str) -> io::Result<PathBuf> {
    let mut last = None;
    for root in roots(folders) {
        match private_subfolder(&root, name) {
            Ok(path) => return Ok(path),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

fn private_subfolder(root: &Path, name: &str) -> io::Result<PathBuf> {
    fnox_config::trust::create_private_folder(root)?;
    // Before anything is made in it: it may be a link to somewhere else.
    require_private(root)?;
    let path = root.join(name);
    fnox_system::create_private_folder(&path)?;
    require_private(&path)?;
    Ok(path)
}

fn require_private(folder: &Path) -> io::Result<()> {
    if is_private_folder(folder) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is not a folder of this user alone (mode 0700)",
            folder.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use fnox_core::Env;

    use super::*;

    fn folders(root: &Path) -> Folders {
        let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
        Folders::from_env(&env)
    }

    #[test]
    fn files_are_private_and_go_with_their_folder() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let mut folder = PrivateFolder::create(&folders).unwrap();
        let path = folder.write("KEY", &"content".into()).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            path.parent().unwrap().metadata().unwrap().mode() & 0o777,
            0o700
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        sweep(&folders);
        assert!(path.exists(), "a living run's folder is not swept");
        drop(folder);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn a_dead_runs_folder_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let stale = folders.runtime.join(RUNS).join("stale");
        fs::create_dir_all(&stale).unwrap();
        fs::write(stale.join(LOCK), "").unwrap();
        fs::write(stale.join("KEY"), "content").unwrap();
        fs::set_permissions(&stale, fs::Permissions::from_mode(0o700)).unwrap();
        sweep(&folders);
        assert!(!stale.exists());
    }

    #[test]
    fn what_stays_goes_after_a_day() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let write = |now, value: &str| {
            let path = write_persistent(&folders, now, "KEY", &value.into()).unwrap();
            let at = written(path.parent().unwrap()).unwrap();
            (path, at)
        };
        let (first, at) = write(Timestamp::UNIX_EPOCH, "first");
        write(at + STAYS - SignedDuration::from_nanos(1), "second");
        assert_eq!(fs::read_to_string(&first).unwrap(), "first");
        write(at + STAYS, "third");
        assert!(!first.exists());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        fs::create_dir_all(&folders.runtime).unwrap();
        fs::set_permissions(&folders.runtime, fs::Permissions::from_mode(0o755)).unwrap();
        let error = PrivateFolder::create(&folders).unwrap_err();
        assert!(error.to_string().contains("0700"), "{error}");
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let elsewhere = root.path().join("elsewhere");
        fnox_config::trust::create_private_folder(&elsewhere).unwrap();
        fnox_config::trust::create_private_folder(&folders.runtime).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folders.runtime.join(RUNS)).unwrap();
        assert!(PrivateFolder::create(&folders).is_err());
    }
}
