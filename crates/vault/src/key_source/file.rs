//! Wrapping keys in a file that only its owner can read.
//!
//! Others who can read the file can open the vault, so a file with a wider mode is refused, as is one that somebody
//! else owns, and a link. Changes replace the file as a whole: temporary file, fsync, rename, fsync of the folder;
//! a lock on the folder keeps two processes from losing each other's key. A credential that systemd hands over
//! (`LoadCredential=`) is such a file too, one that cannot be changed.
//!
//! One file belongs to one vault: replacing the key drops every other key in it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fnox_core::seal::SealingKey;
use rustix::fs::{Access, FlockOperation, Mode, OFlags};
use zeroize::Zeroizing;

use super::local::{format_keys, generate_key, parse_keys};
use super::{KeySource, KeySourceError, NewKey, StoredKey};

/// No file of keys is longer.
const LONGEST: u64 = 64 * 1024;

/// Keys in a file (0600), made on first use.
#[derive(Debug, Clone)]
pub struct FileKey {
    path: PathBuf,
}

impl FileKey {
    /// The keys in the file at `path`. Nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn error(&self, problem: impl Into<String>) -> KeySourceError {
        KeySourceError::new(&self.describe(), problem)
    }

    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> KeySourceError + '_ {
        move |error| self.error(format!("cannot be {action}: {error}"))
    }

    fn read(&self) -> Result<Vec<SealingKey>, KeySourceError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(rustix::io::Errno::LOOP) => {
                return Err(self.error("is a link").with_remedy("name the file itself"));
            }
            Err(error) => return Err(self.io("opened")(error.into())),
        };
        self.check(&file)?;
        let mut text = Zeroizing::new(String::new());
        text.reserve_exact(usize::try_from(LONGEST).unwrap_or_default());
        file.take(LONGEST)
            .read_to_string(&mut text)
            .map_err(self.io("read"))?;
        parse_keys(&text).map_err(|problem| self.error(problem))
    }

    fn check(&self, file: &File) -> Result<(), KeySourceError> {
        let metadata = file.metadata().map_err(self.io("looked at"))?;
        if !metadata.is_file() {
            return Err(self.error("is not a file"));
        }
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(self
                .error(format!(
                    "belongs to user {}, not to user {own} who runs the vault",
                    metadata.uid()
                ))
                .with_remedy(format!("chown {own} {}", self.path.display())));
        }
        let mode = metadata.permissions().mode() & 0o777;
        // systemd gives a service's user its credential by an access control list; the group's bits are then
        // the list's mask (acl(5)), and the file is root's, who alone can have made the list.
        let by_list = mode == 0o440 && metadata.uid() == 0 && metadata.gid() == 0;
        if mode & 0o077 != 0 && !by_list {
            return Err(self
                .error(format!("can be read by others (mode {mode:04o})"))
                .with_remedy(format!("chmod 600 {}", self.path.display())));
        }
        if metadata.len() >= LONGEST {
            return Err(self.error("is too long to be a file of keys"));
        }
        Ok(())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Changes the keys, alone. `change` tells whether there is anything to write.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<SealingKey>) -> Result<bool, KeySourceError>,
    ) -> Result<(), KeySourceError> {
        make_folder(self.folder()).map_err(self.io("given a folder"))?;
        // The lock ends with the open folder.
        let folder = File::open(self.folder()).map_err(self.io("changed"))?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                self.error("is being changed by another process")
                    .with_remedy("repeat it")
            } else {
                self.io("locked")(error.into())
            }
        })?;
        let mut keys = self.read()?;
        if change(&mut keys)? {
            self.write(&keys)?;
            folder.sync_all().map_err(self.io("made durable"))?;
        }
        Ok(())
    }

    fn write(&self, keys: &[SealingKey]) -> Result<(), KeySourceError> {
        // tempfile makes files 0600.
        let mut file =
            tempfile::NamedTempFile::new_in(self.folder()).map_err(self.io("written"))?;
        file.write_all(format_keys(keys).expose_secret().as_bytes())
            .map_err(self.io("written"))?;
        file.as_file().sync_all().map_err(self.io("written"))?;
        file.persist(&self.path)
            .map_err(|error| self.io("replaced")(error.error))?;
        Ok(())
    }

    /// Runs blocking work on its own thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, KeySourceError> + Send + 'static,
    ) -> Result<T, KeySourceError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this))
            .await
            .unwrap_or_else(|_| Err(self.error("could not be used: its thread ended")))
    }
}

#[async_trait]
impl KeySource for FileKey {
    fn describe(&self) -> String {
        format!("file:{}", self.path.display())
    }

    /// Not if the file is read-only, as a credential of systemd is, or its folder.
    fn can_rotate(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) => {
                metadata.permissions().mode() & 0o200 != 0
                    && rustix::fs::access(self.folder(), Access::WRITE_OK | Access::EXEC_OK).is_ok()
            }
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    async fn load(&self, _: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        self.blocking(Self::read).await
    }

    async fn add(&self, _: &str) -> Result<NewKey, KeySourceError> {
        self.blocking(|this| {
            let key = generate_key().map_err(|problem| this.error(problem))?;
            this.change(|keys| {
                keys.push(key.clone());
                Ok(true)
            })?;
            Ok(NewKey { key, stored: None })
        })
        .await
    }

    async fn retain(&self, keep: &str) -> Result<(), KeySourceError> {
        let keep = keep.to_owned();
        self.blocking(move |this| {
            // Nothing is locked or written if there is nothing to drop: the file may be read-only.
            let held = this.read()?;
            if !held.is_empty() && held.iter().all(|key| key.id() == keep) {
                return Ok(());
            }
            this.change(|keys| {
                keys.retain(|key| key.id() == keep);
                if keys.is_empty() {
                    let problem = format!("does not hold the key {keep}; nothing was dropped");
                    return Err(this.error(problem));
                }
                Ok(true)
            })
        })
        .await
    }
}

/// Makes a folder with those above it, each 0700 and durable in the one above.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.as_os_str().is_empty() || folder.exists() {
        return Ok(());
    }
    let above = match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_folder(above)?;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(above)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_made_on_first_use_and_holds_two_keys_while_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let source = FileKey::new(folder.path().join("new/vault.key"));
        assert!(source.load(&[]).await.unwrap().is_empty());
        let first = source.add("v").await.unwrap().key;
        let second = source.add("v").await.unwrap().key;
        let mode = std::fs::metadata(&source.path)
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(source.load(&[]).await.unwrap().len(), 2);
        source.retain(second.id()).await.unwrap();
        source.retain(second.id()).await.unwrap();
        let left = source.load(&[]).await.unwrap();
        assert_eq!((left.len(), left[0].id()), (1, second.id()));
        assert!(
            source.retain(first.id()).await.is_err(),
            "the last key is never dropped"
        );
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused_as_is_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.key");
        std::fs::write(&path, "00".repeat(32)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = FileKey::new(path.clone()).load(&[]).await.unwrap_err();
        assert!(error.to_string().contains("mode 0640"), "{error}");
        assert!(error.remedy.unwrap().starts_with("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        let source = FileKey::new(path.clone());
        assert_eq!(source.load(&[]).await.unwrap().len(), 1);
        assert!(!source.can_rotate(), "a credential of systemd");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            FileKey::new(link)
                .load(&[])
                .await
                .unwrap_err()
                .to_string()
                .contains("is a link")
        );
        assert!(
            FileKey::new(folder.path().to_path_buf())
                .load(&[])
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn two_processes_do_not_change_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let source = FileKey::new(folder.path().join("vault.key"));
        source.add("v").await.unwrap();
        let other = File::open(folder.path()).unwrap();
        rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
        let error = source.add("v").await.unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        assert_eq!(source.load(&[]).await.unwrap().len(), 1);
        drop(other);
        source.add("v").await.unwrap();
        assert_eq!(source.load(&[]).await.unwrap().len(), 2);
    }

    #[tokio::test]
    #[ignore = "needs root"]
    async fn a_file_of_somebody_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.key");
        std::fs::write(&path, "00".repeat(32)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let error = FileKey::new(path).load(&[]).await.unwrap_err();
        assert!(error.to_string().contains("user 12345"), "{error}");
    }
}
