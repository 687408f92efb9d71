//! Reading and replacing files so that neither a crash nor another user can spoil them.
//!
//! A file is written under a temporary name, flushed to the disk and renamed, and then its folder is
//! flushed: after a crash either the old text is there or the new one, never half of one. Everything is
//! 0600 in a 0700 folder.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use fnox_system::{Protection, Rights};
use zeroize::Zeroizing;

use super::error::LedgerError;

/// Largest file that is read as a ledger or a key.
const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// Reads a whole file of this user. `None`: there is none.
///
/// # Errors
/// [`LedgerError::Io`]; [`LedgerError::Unsafe`] for a link, another user's file, or an absurd size.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, LedgerError> {
    // A named pipe in the file's place must not make fnox wait for its writer.
    let mut file = match fnox_system::open_no_link(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LedgerError::io("read", path, error)),
    };
    let metadata = file
        .metadata()
        .map_err(|error| LedgerError::io("read", path, error))?;
    let refuse = |reason: String| LedgerError::Unsafe {
        path: path.to_owned(),
        reason,
    };
    if !metadata.is_file() {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    let protection = Protection::of(&file).map_err(|error| LedgerError::io("read", path, error))?;
    if !protection.is_own() {
        return Err(refuse(format!("it belongs to user {}", protection.owner())));
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(refuse(format!("it has {} bytes", metadata.len())));
    }
    // Reserved beforehand: a buffer that grows leaves copies of its text behind.
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(size + 1));
    file.read_to_string(&mut text)
        .map_err(|error| LedgerError::io("read", path, error))?;
    Ok(Some(text))
}

/// Fails unless nobody but this user may read or write the file.
///
/// # Errors
/// [`LedgerError::Unsafe`] with what lets others in.
pub fn require_private(path: &Path) -> Result<(), LedgerError> {
    let protection =
        Protection::of_path(path).map_err(|error| LedgerError::io("read", path, error))?;
    if let Some(others) = protection.who_else_opens() {
        return Err(LedgerError::Unsafe {
            path: path.to_owned(),
            reason: format!("others may use it ({others})"),
        });
    }
    Ok(())
}

/// Makes the folder, 0700, or closes an existing one of this user to others.
///
/// # Errors
/// [`LedgerError::Io`]; [`LedgerError::Unsafe`] if it belongs to another user.
pub fn private_folder(path: &Path) -> Result<(), LedgerError> {
    let io = |error| LedgerError::io("make the folder", path, error);
    fnox_system::create_private_folder(path).map_err(io)?;
    let metadata = fs::symlink_metadata(path).map_err(io)?;
    let refuse = |reason: String| LedgerError::Unsafe {
        path: path.to_owned(),
        reason,
    };
    if !metadata.is_dir() {
        return Err(refuse("it is not a folder".to_owned()));
    }
    let protection = Protection::of_path(path).map_err(io)?;
    if !protection.is_own() {
        return Err(refuse(format!("it belongs to user {}", protection.owner())));
    }
    if protection.who_else_opens().is_some() {
        fnox_system::close_folder(path).map_err(io)?;
    }
    Ok(())
}

/// Replaces the file's text in one step that survives a crash.
///
/// # Errors
/// [`LedgerError::Io`]; the old text is then still there.
pub fn replace(path: &Path, text: &str) -> Result<(), LedgerError> {
    let temporary = write_temporary(path, text)?;
    temporary
        .persist(path)
        .map_err(|error| LedgerError::io("write", path, error.error))?;
    flush_folder(path)
}

/// Creates the file unless it exists. Nobody ever sees half of it. Whether this call made it.
///
/// # Errors
/// [`LedgerError::Io`]
pub fn create(path: &Path, text: &str) -> Result<bool, LedgerError> {
    let temporary = write_temporary(path, text)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => flush_folder(path).map(|()| true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(LedgerError::io("write", path, error.error)),
    }
}

/// Removes what writers of this file left behind when they were killed. Call it under the file's lock.
pub fn sweep(path: &Path) {
    let (Some(folder), prefix) = (path.parent(), temporary_prefix(path)) else {
        return;
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write_temporary(path: &Path, text: &str) -> Result<tempfile::NamedTempFile, LedgerError> {
    let io = |error| LedgerError::io("write", path, error);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let prefix = temporary_prefix(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    let mut temporary =
        fnox_system::create_temporary(&mut builder, folder, Rights::Private).map_err(io)?;
    temporary.write_all(text.as_bytes()).map_err(io)?;
    temporary.as_file().sync_all().map_err(io)?;
    Ok(temporary)
}

fn temporary_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.")
}

fn flush_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fnox_system::sync_folder(folder)
        .map_err(|error| LedgerError::io("flush the folder", folder, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        assert!(read(&path).unwrap().is_none());
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_str(), "two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_the_first_one_creates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(create(&path, "one").unwrap());
        assert!(!create(&path, "two").unwrap());
        assert_eq!(read(&path).unwrap().unwrap().as_str(), "one");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("x"), folder.path().join("y"));
        fs::write(&target, "y").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn an_open_folder_is_closed_and_a_readable_key_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("leases");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&inner).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().mode() & 0o777, 0o700);

        let key = inner.join("key");
        create(&key, "k").unwrap();
        require_private(&key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let text = require_private(&key).unwrap_err().to_string();
        assert!(text.contains("mode 0640"), "{text}");
    }

    #[test]
    fn leftovers_of_a_killed_writer_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        replace(&path, "one").unwrap();
        fs::write(folder.path().join(".x.toml.abc.tmp"), "half").unwrap();
        fs::write(folder.path().join(".y.toml.abc.tmp"), "other").unwrap();
        sweep(&path);
        assert!(!folder.path().join(".x.toml.abc.tmp").exists());
        assert!(folder.path().join(".y.toml.abc.tmp").exists() && path.exists());
    }
}
