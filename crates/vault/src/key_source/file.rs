//! Wrapping keys in a file that only its owner can read.
//!
//! Others who can read the file can open the vault, so a file with a wider mode is refused, as is one that somebody
//! else owns, and a link. Changes replace the file as a whole: temporary file, fsync, rename, fsync of the folder.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fnox_core::seal::SealingKey;
use rustix::fs::{Mode, OFlags};
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
        if mode & 0o077 != 0 {
            return Err(self
                .error(format!("can be read by others (mode {mode:04o})"))
                .with_remedy(format!("chmod 600 {}", self.path.display())));
        }
        if metadata.len() >= LONGEST {
            return Err(self.error("is too long to be a file of keys"));
        }
        Ok(())
    }

    fn write(&self, keys: &[SealingKey]) -> Result<(), KeySourceError> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.exists() {
            use std::os::unix::fs::DirBuilderExt as _;
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(self.io("given a folder"))?;
        }
        // tempfile makes files 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(self.io("written"))?;
        file.write_all(format_keys(keys).expose_secret().as_bytes())
            .map_err(self.io("written"))?;
        file.as_file().sync_all().map_err(self.io("written"))?;
        file.persist(&self.path)
            .map_err(|error| self.io("replaced")(error.error))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(self.io("made durable"))
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

    fn can_rotate(&self) -> bool {
        true
    }

    async fn load(&self, _: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        self.blocking(Self::read).await
    }

    async fn add(&self, _: &str) -> Result<NewKey, KeySourceError> {
        self.blocking(|this| {
            let mut keys = this.read()?;
            let key = generate_key().map_err(|problem| this.error(problem))?;
            keys.push(key.clone());
            this.write(&keys)?;
            Ok(NewKey { key, stored: None })
        })
        .await
    }

    async fn retain(&self, keep: &str) -> Result<(), KeySourceError> {
        let keep = keep.to_owned();
        self.blocking(move |this| {
            let mut keys = this.read()?;
            let count = keys.len();
            keys.retain(|key| key.id() == keep);
            if keys.is_empty() {
                return Err(
                    this.error(format!("does not hold the key {keep}; nothing was dropped"))
                );
            }
            if keys.len() == count {
                Ok(())
            } else {
                this.write(&keys)
            }
        })
        .await
    }
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
        assert_eq!(FileKey::new(path.clone()).load(&[]).await.unwrap().len(), 1);
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
}
