//! What the user has allowed: `trusted.json` of the state folder.
//!
//! Two kinds of permission, which do not imply one another. A *file* is allowed with its present content,
//! although others could have written it. A *folder* is allowed to be loaded by the shell hook as soon as
//! somebody enters it, whatever its files hold from then on: who can write them can already run programs as
//! the user. Paths are canonical, so a link to a trusted folder is trusted and a folder in a trusted folder is
//! not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fnox_system::Rights;
use serde::{Deserialize, Serialize};

use super::{create_private_folder, digest, io};
use crate::error::ConfigError;
use crate::paths::Folders;

/// The user's permissions.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRecord {
    /// Absolute path → BLAKE3 of the content that was allowed.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, String>,
    /// Absolute paths.
    #[serde(default)]
    pub folders: BTreeSet<PathBuf>,
}

impl TrustRecord {
    /// Where the record is kept.
    #[must_use]
    pub fn path(folders: &Folders) -> PathBuf {
        folders.state.join("trusted.json")
    }

    /// Reads the record. Without a file nothing is allowed.
    ///
    /// # Errors
    /// [`ConfigError::Io`]
    pub fn load(folders: &Folders) -> Result<Self, ConfigError> {
        let path = Self::path(folders);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).map_err(|error| io("read", &path, error.into()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(io("read", &path, source)),
        }
    }

    /// Changes the record in one step; two at a time do not undo one another's change.
    ///
    /// # Errors
    /// [`ConfigError::Io`]; the record is then as it was.
    pub fn change<T>(
        folders: &Folders,
        change: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, ConfigError> {
        let path = Self::path(folders);
        let failed = |source| io("write", &path, source);
        create_private_folder(&folders.state).map_err(failed)?;
        let alone = fnox_system::open_folder_lock(&folders.state).map_err(failed)?;
        alone.lock().map_err(failed)?;
        let mut record = Self::load(folders)?;
        let outcome = change(&mut record);
        record.write(&folders.state, &path).map_err(failed)?;
        Ok(outcome)
    }

    /// Allows the new content of a file whose former content was allowed.
    ///
    /// # Errors
    /// [`ConfigError::Io`]
    pub(crate) fn follow(
        folders: &Folders,
        path: &Path,
        before: &str,
        after: &str,
    ) -> Result<(), ConfigError> {
        let before = digest(before);
        let is_allowed = |record: &Self| record.files.get(path) == Some(&before);
        if is_allowed(&Self::load(folders)?) {
            Self::change(folders, |record| {
                if is_allowed(record) {
                    record.files.insert(path.to_owned(), digest(after));
                }
            })?;
        }
        Ok(())
    }

    /// Whether the shell hook may load what stands in a folder.
    #[must_use]
    pub fn trusts_folder(&self, folder: &Path) -> bool {
        // A folder that cannot be looked at is not one that somebody allowed.
        !self.folders.is_empty()
            && folder
                .canonicalize()
                .is_ok_and(|folder| self.folders.contains(&folder))
    }

    fn write(&self, folder: &Path, path: &Path) -> std::io::Result<()> {
        let mut temporary =
            fnox_system::create_temporary(&mut tempfile::Builder::new(), folder, Rights::Private)?;
        temporary.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fnox_core::Env;

    use super::*;

    fn folders(root: &Path) -> Folders {
        let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
        Folders::from_env(&env)
    }

    #[test]
    fn a_folder_is_trusted_by_any_name_and_those_in_it_are_not() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let project = root.path().join("project");
        std::fs::create_dir_all(project.join("vendor")).unwrap();
        std::os::unix::fs::symlink(&project, root.path().join("link")).unwrap();
        let canonical = project.canonicalize().unwrap();
        TrustRecord::change(&folders, |record| record.folders.insert(canonical)).unwrap();
        let record = TrustRecord::load(&folders).unwrap();
        assert!(record.trusts_folder(&project));
        assert!(record.trusts_folder(&root.path().join("link")));
        assert!(record.trusts_folder(&project.join("vendor/..")));
        assert!(!record.trusts_folder(&project.join("vendor")));
        assert!(!record.trusts_folder(root.path()));
        assert!(!record.trusts_folder(&root.path().join("gone")));
    }

    #[test]
    fn the_record_is_private_and_changes_at_the_same_time_are_all_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let folders = &folders;
                scope.spawn(move || {
                    let path = PathBuf::from(format!("/{number}"));
                    TrustRecord::change(folders, |record| record.folders.insert(path)).unwrap();
                });
            }
        });
        let path = TrustRecord::path(&folders);
        assert_eq!(TrustRecord::load(&folders).unwrap().folders.len(), 8);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_record_of_files_alone_is_read() {
        let record: TrustRecord = serde_json::from_str(r#"{"files":{"/a":"00"}}"#).unwrap();
        assert_eq!((record.files.len(), record.folders.len()), (1, 0));
    }

    #[test]
    fn a_record_that_cannot_be_read_allows_nothing_and_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        create_private_folder(&folders.state).unwrap();
        std::fs::write(TrustRecord::path(&folders), "{").unwrap();
        TrustRecord::load(&folders).unwrap_err();
        TrustRecord::change(&folders, |record| record.folders.insert("/a".into())).unwrap_err();
        let kept = std::fs::read_to_string(TrustRecord::path(&folders)).unwrap();
        assert_eq!(kept, "{");
    }
}
