//! One file that is changed as a whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fnox_system::Rights;

use super::diff;
use crate::error::CliError;

/// Larger than any file that a person or a program keeps there.
const LIMIT: u64 = 16 * 1024 * 1024;

/// A new content, and how to show what is new about it.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) text: String,
    /// Instead of the lines that differ, where those would show more than what is meant.
    pub(super) shown: Option<(String, String)>,
}

impl Edit {
    pub(super) fn of(text: String) -> Self {
        Self { text, shown: None }
    }
}

/// A change that was not made yet.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// Whether it must be executable.
    pub(super) is_program: bool,
    before: Option<String>,
    edit: Edit,
}

impl Change {
    /// What `edit` makes of a file, which may not exist.
    pub(super) fn plan(
        path: &Path,
        edit: impl FnOnce(&str) -> Result<Edit, CliError>,
    ) -> Result<Self, CliError> {
        // Behind a link stands the file that its owner keeps, for example in a repository of such files.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = read(&path)?;
        let edit = edit(before.as_deref().unwrap_or_default())?;
        Ok(Self {
            is_program: false,
            path,
            before,
            edit,
        })
    }

    /// Whether nothing changes.
    pub(super) fn is_none(&self) -> bool {
        self.before.as_ref() == Some(&self.edit.text)
    }

    pub(super) fn shown(&self) -> String {
        let path = self.path.display().to_string();
        if let Some((before, after)) = &self.edit.shown {
            return diff::changed(&path, before, after);
        }
        let before = self.before.as_deref().unwrap_or_default();
        diff::changed(&path, before, &self.edit.text)
    }

    /// Writes beside the file and renames. The name beside it is the lock of git (`git config`) and of kubectl (client-go,
    /// `clientcmd.lockFile`), so neither writes in between.
    pub(super) fn make(&self) -> Result<(), CliError> {
        let failed = |action: &'static str, path: &Path, source: io::Error| CliError::File {
            action,
            path: path.to_owned(),
            source,
        };
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fnox_config::trust::create_private_folder(folder)
            .map_err(|source| failed("create", folder, source))?;
        let mut name = self.path.as_os_str().to_owned();
        name.push(".lock");
        let lock = Lock::take(PathBuf::from(name)).map_err(|(path, source)| {
            failed("create (is another program writing?)", &path, source)
        })?;
        lock.write(&self.edit.text)
            .and_then(|()| fnox_system::give_rights(&lock.file, self.rights()))
            .and_then(|()| lock.file.sync_all())
            .map_err(|source| failed("write", &self.path, source))?;
        if read(&self.path)? != self.before {
            return Err(CliError::failed(format!(
                "{} has changed meanwhile; nothing was written",
                self.path.display()
            )));
        }
        lock.rename(&self.path)
            .and_then(|()| fnox_system::sync_folder(folder))
            .map_err(|source| failed("write", &self.path, source))
    }

    fn rights(&self) -> Rights<'_> {
        if self.path.exists() {
            Rights::Like(&self.path)
        } else if self.is_program {
            Rights::Program
        } else {
            Rights::Private
        }
    }
}

/// Reads a text file. `None`: it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<String>, CliError> {
    let failed = |source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > LIMIT => {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// A file that exists only here, until it becomes the real one. Gone when dropped.
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    fn take(path: PathBuf) -> Result<Self, (PathBuf, io::Error)> {
        match fnox_system::create_private_file(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err((path, error)),
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        (&self.file).write_all(text.as_bytes())
    }

    fn rename(&self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // After a rename there is nothing of this name, or another program's lock: that one is a file of its own.
        if fnox_system::is_same_file(&self.file, &self.path).is_ok_and(|is_own| is_own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn plan(path: &Path, text: &str) -> Change {
        Change::plan(path, |_| Ok(Edit::of(text.to_owned()))).unwrap()
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_behind_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old\n").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        plan(&link, "new\n").make().unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new\n");
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(plan(&link, "new\n").is_none());
    }

    #[test]
    fn what_changed_meanwhile_or_is_locked_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let change = plan(&path, "mine\n");
        fs::write(&path, "theirs\n").unwrap();
        assert!(change.make().unwrap_err().to_string().contains("meanwhile"));
        let change = plan(&path, "mine\n");
        let lock = folder.path().join("a.lock");
        fs::write(&lock, "").unwrap();
        assert!(change.make().is_err());
        assert!(lock.exists(), "somebody else's lock stays");
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs\n");
    }

    #[test]
    fn a_new_file_is_private_and_a_new_program_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x/y/file");
        let mut change = plan(&path, "1");
        change.make().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        change.is_program = true;
        change.make().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    }
}
