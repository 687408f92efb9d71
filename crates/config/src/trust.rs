//! Refusing configuration that somebody else could have written.
//!
//! A configuration file can run commands: a lease's `create_command`, a login command. So a file that
//! fnox found by itself, or that another file imports, is read only if it belongs to the user, to root, or,
//! for root, to whoever owns the working folder, and if others cannot write it. A person may overrule
//! that for the file's present content with `fnox trust PATH`; a changed file is refused again.

mod record;

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

use crate::error::ConfigError;
use crate::paths::Folders;

pub use self::record::TrustRecord;

/// Largest configuration file in bytes.
pub const SIZE_LIMIT: u64 = 4 * 1024 * 1024;

/// Decides which files are read.
#[derive(Debug)]
pub struct Trust<'a> {
    folders: &'a Folders,
    cwd: &'a Path,
}

impl<'a> Trust<'a> {
    /// Trust as seen from a working folder.
    #[must_use]
    pub fn new(folders: &'a Folders, cwd: &'a Path) -> Self {
        Self { folders, cwd }
    }

    /// Reads a file that fnox found or that another file imports.
    ///
    /// # Errors
    /// [`ConfigError::Untrusted`], and everything [`read`] can answer.
    pub fn read_checked(&self, path: &Path) -> Result<String, ConfigError> {
        let (text, metadata) = open_and_read(path)?;
        if let Some(reason) = self.suspicion(&metadata)
            && self.trusted_digest(path)?.as_deref() != Some(digest(&text).as_str())
        {
            return Err(ConfigError::Untrusted {
                path: path.to_owned(),
                reason,
            });
        }
        Ok(text)
    }

    /// Records that a file may be read as it is now, whoever owns it.
    ///
    /// # Errors
    /// [`ConfigError::Io`] if the file cannot be read or the record not written.
    pub fn trust(&self, path: &Path) -> Result<(), ConfigError> {
        let path = path
            .canonicalize()
            .map_err(|source| io("read", path, source))?;
        let text = read(&path)?;
        TrustRecord::change(self.folders, |record| {
            record.files.insert(path, digest(&text));
        })
    }

    fn trusted_digest(&self, path: &Path) -> Result<Option<String>, ConfigError> {
        let path = path
            .canonicalize()
            .map_err(|source| io("read", path, source))?;
        Ok(TrustRecord::load(self.folders)?.files.remove(&path))
    }

    #[cfg(unix)]
    fn suspicion(&self, metadata: &Metadata) -> Option<String> {
        use std::os::unix::fs::MetadataExt as _;
        let me = rustix::process::geteuid().as_raw();
        let owner = metadata.uid();
        let owner_of_cwd = || self.cwd.metadata().ok().map(|metadata| metadata.uid());
        if owner != me && owner != 0 && !(me == 0 && owner_of_cwd() == Some(owner)) {
            return Some(format!("it belongs to another user (uid {owner})"));
        }
        if metadata.mode() & 0o002 != 0 {
            return Some(format!(
                "everybody may write to it (mode {:04o})",
                metadata.mode() & 0o7777
            ));
        }
        None
    }

    #[cfg(not(unix))]
    fn suspicion(&self, _: &Metadata) -> Option<String> {
        None
    }
}

/// Reads a file that the user named.
///
/// # Errors
/// [`ConfigError::Io`], [`ConfigError::TooLarge`] or [`ConfigError::NotUtf8`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    open_and_read(path).map(|(text, _)| text)
}

fn open_and_read(path: &Path) -> Result<(String, Metadata), ConfigError> {
    // The metadata is of the opened file, not of whatever has the name a moment later.
    let file = File::open(path).map_err(|source| io("read", path, source))?;
    let metadata = file.metadata().map_err(|source| io("read", path, source))?;
    if metadata.is_dir() {
        return Err(io("read", path, std::io::ErrorKind::IsADirectory.into()));
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            size: metadata.len(),
            limit: SIZE_LIMIT,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io("read", path, source))?;
    let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok((text, metadata))
}

/// Creates a folder and those above it; the last one is for this user only.
///
/// # Errors
/// What the system says.
pub fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> ConfigError {
    ConfigError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
