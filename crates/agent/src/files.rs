//! Files with secrets in them: all of them, or none.
//!
//! A file is written under a temporary name that only this user may read from its first byte, and gets its own
//! name when all are written. Nothing that stands there already is replaced, and nobody else may be able to write
//! any folder on the way: who can, could lead the value elsewhere. That holds for an [`Owner`] too, who gets the files
//! and no folder: one who could rename a folder would have root give him a file wherever he likes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fnox_core::SecretBytes;
use tempfile::NamedTempFile;

use crate::error::AgentError;
use crate::owner::Owner;

/// What temporary names begin with.
pub(crate) const DRAFT: &str = ".fnox-agent-";

/// Files that were written, and the folders made for them. Dropping it removes them all.
#[derive(Debug, Default)]
pub struct Written {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Whose the files are; this user's otherwise.
    owner: Option<Owner>,
}

impl Written {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet; what will be written is to be somebody's.
    #[must_use]
    pub fn of(owner: Option<Owner>) -> Self {
        Self {
            files: Vec::new(),
            folders: Vec::new(),
            owner,
        }
    }

    /// What an earlier run left behind.
    pub(crate) fn earlier(files: Vec<PathBuf>, folders: Vec<PathBuf>) -> Self {
        Self {
            files,
            folders,
            owner: None,
        }
    }

    /// Writes new files. If one fails, none of them is left.
    ///
    /// # Errors
    /// `File`, with the path that failed.
    pub fn write(&mut self, contents: &[(PathBuf, SecretBytes)]) -> Result<(), AgentError> {
        for (path, _) in contents {
            must_be_absent(path)?;
        }
        let mut drafts = Vec::with_capacity(contents.len());
        for (path, content) in contents {
            self.make_folder(parent(path))?;
            drafts.push((path, self.draft(path, content)?));
        }
        for (path, draft) in drafts {
            // Not over what has come there in the meantime.
            draft.persist_noclobber(path).map_err(|failed| {
                if failed.error.kind() == std::io::ErrorKind::AlreadyExists {
                    exists(path)
                } else {
                    AgentError::file("write", path, &failed.error)
                }
            })?;
            self.files.push(path.clone());
        }
        Ok(())
    }

    /// Puts another content in the place of a file of ours.
    ///
    /// # Errors
    /// `File`; then the old content stands.
    pub fn replace(&self, path: &Path, content: &SecretBytes) -> Result<(), AgentError> {
        secure_folder(parent(path))?;
        self.draft(path, content)?
            .persist(path)
            .map(drop)
            .map_err(|failed| AgentError::file("write", path, &failed.error))
    }

    /// Removes one file.
    ///
    /// # Errors
    /// `File`; it is tried again when all are removed.
    pub fn remove_one(&mut self, path: &Path) -> Result<(), AgentError> {
        remove(path)?;
        self.files.retain(|file| file != path);
        Ok(())
    }

    /// Removes all, as far as that goes.
    ///
    /// # Errors
    /// The first `File` that could not be removed.
    pub fn remove_all(&mut self) -> Result<(), AgentError> {
        let mut outcome = Ok(());
        for path in std::mem::take(&mut self.files) {
            if let Err(error) = remove(&path) {
                self.files.push(path);
                outcome = outcome.and(Err(error));
            }
        }
        for folder in std::mem::take(&mut self.folders).iter().rev() {
            // One that holds something else by now stays.
            let _ = fs::remove_dir(folder);
        }
        outcome
    }

    /// Leaves everything where it is.
    pub(crate) fn leave(mut self) {
        self.files.clear();
        self.folders.clear();
    }

    fn make_folder(&mut self, folder: &Path) -> Result<(), AgentError> {
        for missing in missing_folders(folder) {
            let failed =
                |error: std::io::Error| AgentError::file("make the folder", &missing, &error);
            let made = fs::DirBuilder::new().mode(0o700).create(&missing);
            made.map_err(failed)?;
            self.folders.push(missing.clone());
            if self.owner.is_some() {
                // The way to the file, and nothing else; whatever the umask says.
                let through = fs::Permissions::from_mode(0o711);
                fs::set_permissions(&missing, through).map_err(failed)?;
            }
        }
        secure_folder(folder)
    }

    /// A file that has no name of its own yet.
    fn draft(&self, path: &Path, content: &SecretBytes) -> Result<NamedTempFile, AgentError> {
        let failed = |error: std::io::Error| AgentError::file("write", path, &error);
        // Mode 0600 (tempfile), and O_EXCL, so that nobody has it open.
        let mut file = tempfile::Builder::new()
            .prefix(DRAFT)
            .tempfile_in(parent(path))
            .map_err(failed)?;
        file.write_all(content.expose_secret()).map_err(failed)?;
        if let Some(owner) = self.owner {
            let (user, group) = (Some(owner.user), Some(owner.group));
            std::os::unix::fs::fchown(file.as_file(), user, group).map_err(failed)?;
        }
        Ok(file)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _a_failure_is_under_way = self.remove_all();
    }
}

/// Fails if something stands there.
pub(crate) fn must_be_absent(path: &Path) -> Result<(), AgentError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(AgentError::file("look at", path, &error)),
        Ok(_) => Err(exists(path)),
    }
}

/// The folders that must be made, outermost first.
pub(crate) fn missing_folders(folder: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|folder| fs::symlink_metadata(folder).is_err())
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

/// The folder of a file.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(AgentError::file("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Fails if anybody but root and this user can change what the path leads to.
fn secure_folder(folder: &Path) -> Result<(), AgentError> {
    let failed = |error: std::io::Error| AgentError::file("use the folder", folder, &error);
    let real = folder.canonicalize().map_err(failed)?;
    let owners = [0, rustix::process::geteuid().as_raw()];
    for ancestor in real.ancestors() {
        let about = fs::metadata(ancestor).map_err(failed)?;
        let writable = about.mode() & 0o022 != 0;
        // In a sticky folder others add names, and cannot touch ours (unlink(2)).
        let sticky = about.mode() & 0o1000 != 0 && ancestor != real;
        if !owners.contains(&about.uid()) || (writable && !sticky) {
            return Err(AgentError::File {
                action: "use the folder",
                path: ancestor.to_owned(),
                reason: "others can write it".to_owned(),
                help: Some(
                    "choose a folder that belongs to root or to this user, and `chmod go-w` it",
                ),
            });
        }
    }
    Ok(())
}

fn exists(path: &Path) -> AgentError {
    AgentError::File {
        action: "write",
        path: path.to_owned(),
        reason: "it exists already, and fnox-agent did not write it".to_owned(),
        help: Some("move it away, or name another path in the manifest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn files_are_for_this_user_and_go_with_their_folders() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/token");
        let mut written = Written::new();
        written.write(&[(path.clone(), secret("one"))]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&root.path().join("a")), 0o700);
        assert_eq!(mode(&root.path().join("a/b")), 0o700);
        written.replace(&path, &secret("two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        written.remove_all().unwrap();
        assert!(names(root.path()).is_empty());
    }

    /// Only root can give files away: who runs this as another user sees that it fails, and leaves nothing.
    #[test]
    fn files_of_somebody_else_are_his_alone_and_their_folders_are_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/token");
        let owner = Owner {
            user: 12_345,
            group: 12_346,
        };
        let mut written = Written::of(Some(owner));
        let outcome = written.write(&[(path.clone(), secret("one"))]);
        if !rustix::process::geteuid().is_root() {
            assert!(outcome.is_err());
            drop(written);
            assert!(names(root.path()).is_empty());
            return;
        }
        outcome.unwrap();
        let of = |path: &Path| {
            let about = fs::metadata(path).unwrap();
            (about.uid(), about.gid())
        };
        assert_eq!((of(&path), mode(&path)), ((12_345, 12_346), 0o600));
        let folder = root.path().join("a");
        assert_eq!((of(&folder), mode(&folder)), ((0, 0), 0o711));
        written.replace(&path, &secret("two")).unwrap();
        assert_eq!((of(&path), mode(&path)), ((12_345, 12_346), 0o600));
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // A folder of his own is none to write in for root.
        let home = root.path().join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(12_345), Some(12_346)).unwrap();
        let told = written.write(&[(home.join("token"), secret("x"))]);
        let told = told.unwrap_err().to_string();
        assert!(told.contains("others can write it"), "{told}");
        assert!(names(&home).is_empty());
        written.remove_all().unwrap();
        assert_eq!(names(root.path()), ["home"]);
    }

    #[test]
    fn a_failure_leaves_nothing_behind_and_touches_nothing_of_others() {
        let root = tempfile::tempdir().unwrap();
        let first = root.path().join("new/first");
        let kept = root.path().join("kept");
        fs::write(&kept, "mine").unwrap();
        let second = [(first.clone(), secret("1")), (kept.clone(), secret("2"))];
        let mut written = Written::new();
        let told = written.write(&second).unwrap_err().to_string();
        assert!(told.contains("did not write it"), "{told}");
        // A folder in the way of a file, found only when others are written.
        let below = [(first, secret("1")), (kept.join("below"), secret("2"))];
        assert!(written.write(&below).is_err());
        drop(written);
        assert_eq!(names(root.path()), ["kept"]);
        assert_eq!(fs::read(&kept).unwrap(), b"mine");
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        for path in [open.join("token"), open.join("deeper/token")] {
            let mut written = Written::new();
            let told = written.write(&[(path, secret("x"))]).unwrap_err();
            assert!(told.to_string().contains("others can write it"), "{told}");
            assert!(told.help().is_some());
        }
        assert!(names(&open).is_empty());
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        let mut written = Written::new();
        assert!(written.write(&[(link.join("token"), secret("x"))]).is_err());
        assert!(names(&open).is_empty());
    }
}
