//! Refusing configuration that somebody else could have written.
//!
//! A configuration file can run commands: a lease's `create_command`, a login command. So a file that
//! fnox found by itself, or that another file imports, is read only if it belongs to the user, to root, or,
//! for root, to whoever owns the working folder, and if others cannot write it. A person may overrule
//! that for the file's present content with `fnox trust PATH`; a changed file is refused again.

mod record;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use fnox_system::Protection;

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
        let (text, file) = open_and_read(path)?;
        let protection = Protection::of(&file).map_err(|source| io("read", path, source))?;
        if let Some(reason) = self.suspicion(&protection)
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

    fn suspicion(&self, file: &Protection) -> Option<String> {
        let is_of_whom_root_serves = || {
            File::open(self.cwd)
                .and_then(|folder| Protection::of(&folder))
                .is_ok_and(|cwd| file.is_of_whom_root_serves(&cwd))
        };
        if !file.is_own() && !file.is_of_the_system() && !is_of_whom_root_serves() {
            return Some(format!("it belongs to another user (uid {})", file.owner()));
        }
        let what = file.who_else_changes()?;
        Some(format!("everybody may write to it ({what})"))
    }
}

/// Reads a file that the user named.
///
/// # Errors
/// [`ConfigError::Io`], [`ConfigError::TooLarge`] or [`ConfigError::NotUtf8`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    open_and_read(path).map(|(text, _)| text)
}

/// The text, and the file that was opened: not whatever has the name a moment later.
fn open_and_read(path: &Path) -> Result<(String, File), ConfigError> {
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
    (&file)
        .take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io("read", path, source))?;
    let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok((text, file))
}

/// Creates a folder and those above it; the last one is for this user only.
///
/// # Errors
/// What the system says.
pub fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    fnox_system::create_private_folder(folder)
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
