//! The files of `as_file` secrets in a shell.
//!
//! Each shell has a folder of its own in the run-time folder, 0700 and with an unpredictable name that begins with
//! the shell's process id and start. It goes when the last such secret leaves the shell; what a shell left behind
//! that was killed is removed by the next one that loads anything.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fnox_config::Folders;
use fnox_core::SecretString;
use fnox_system::Rights;
use serde::{Deserialize, Serialize};

use crate::exec::files::{is_private_folder, private_base};
use crate::exec::processes;

/// Folder of the shells' folders.
const SHELLS: &str = "shell";

/// One shell, told apart from a later process with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShellProcess {
    id: u32,
    /// When it started, as the system counts; 0 where the system does not tell.
    started: u64,
}

impl ShellProcess {
    /// The process with this id. `None`: there is none.
    pub(crate) fn of(id: u32) -> Option<Self> {
        fnox_system::process_exists(id).then(|| Self {
            id,
            started: processes::of(id.cast_signed()).map_or(0, |process| process.started),
        })
    }

    fn is_alive(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }
}

/// A shell's folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FilesFolder {
    path: PathBuf,
    shell: ShellProcess,
}

impl FilesFolder {
    /// Makes a folder for a shell, and removes those of shells that are gone.
    pub(crate) fn create(folders: &Folders, shell: ShellProcess) -> io::Result<Self> {
        let base = private_base(folders, SHELLS)?;
        sweep(&base);
        let prefix = format!("{}.{}.", shell.id, shell.started);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).rand_bytes(24);
        let path = fnox_system::create_private_subfolder(&mut builder, &base)?;
        Ok(Self { path, shell })
    }

    /// Whether it is this shell's and still there. A shell that was started inside another one inherits that
    /// one's session, and must leave its files alone.
    pub(crate) fn is_of(&self, shell: Option<&ShellProcess>) -> bool {
        Some(&self.shell) == shell && is_private_folder(&self.path)
    }

    /// Whether it is still there, whosever it is.
    pub(crate) fn exists(&self) -> bool {
        is_private_folder(&self.path)
    }

    /// Where a secret's file is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a secret's file, in place of an older one in one step.
    pub(crate) fn write(&self, name: &str, value: &SecretString) -> io::Result<PathBuf> {
        let mut builder = tempfile::Builder::new();
        let mut draft = fnox_system::create_temporary(&mut builder, &self.path, Rights::Private)?;
        draft.write_all(value.expose_secret().as_bytes())?;
        let path = self.file(name);
        draft.persist(&path)?;
        Ok(path)
    }

    /// Removes a secret's file.
    pub(crate) fn remove_file(&self, name: &str) {
        // What cannot be removed now goes with the folder.
        let _ = fs::remove_file(self.file(name));
    }

    /// Removes the folder with all files.
    pub(crate) fn remove(&self) {
        if is_private_folder(&self.path) {
            // If this fails, the next shell tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let is_left_behind = owner(&entry.file_name().to_string_lossy())
            .is_some_and(|shell| !shell.is_alive())
            && is_private_folder(&entry.path());
        if is_left_behind {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn owner(name: &str) -> Option<ShellProcess> {
    let mut parts = name.split('.');
    Some(ShellProcess {
        id: parts.next()?.parse().ok()?,
        started: parts.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use fnox_core::Env;

    use super::*;

    fn folders(root: &Path) -> Folders {
        let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
        Folders::from_env(&env)
    }

    #[test]
    fn files_are_private_replaced_in_one_step_and_go_with_their_folder() {
        let root = tempfile::tempdir().unwrap();
        let shell = ShellProcess::of(std::process::id()).unwrap();
        let folder = FilesFolder::create(&folders(root.path()), shell.clone()).unwrap();
        let path = folder.write("KEY", &"one".into()).unwrap();
        assert_eq!(folder.write("KEY", &"two".into()).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(folder.path.metadata().unwrap().mode() & 0o777, 0o700);
        assert!(folder.is_of(Some(&shell)) && !folder.is_of(None));
        folder.remove();
        assert!(!folder.exists() && !folder.is_of(Some(&shell)));
    }

    #[test]
    fn folders_of_dead_shells_are_swept_and_others_are_not() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let alive = ShellProcess::of(std::process::id()).unwrap();
        // The number of this process, which another one had before.
        let dead = ShellProcess {
            started: alive.started + 1,
            ..alive.clone()
        };
        let dead = FilesFolder::create(&folders, dead).unwrap();
        dead.write("KEY", &"old".into()).unwrap();
        let other = FilesFolder::create(&folders, alive.clone()).unwrap();
        assert!(!dead.exists());
        FilesFolder::create(&folders, alive).unwrap();
        assert!(other.exists());
    }
}
