//! Opening files without following links, and locks.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use windows_sys::Win32::Foundation::{ERROR_DELETE_PENDING, ERROR_SHARING_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_HIDDEN, FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OPEN_REPARSE_POINT,
};

/// The file that stands for the lock of its folder.
const FOLDER_LOCK: &str = ".fnox.lock";

pub(crate) fn open_no_link(path: &Path) -> io::Result<File> {
    no_link(OpenOptions::new().read(true), path)
}

pub(crate) fn open_lock_file(path: &Path) -> io::Result<File> {
    match super::create_private_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            no_link(OpenOptions::new().read(true).write(true), path)
        }
        made => made,
    }
}

fn no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)?;
    if file.metadata()?.file_type().is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link"));
    }
    Ok(file)
}

/// Who has the file open has the lock. The system removes it with its last handle, also of a process that was killed.
pub(crate) fn try_lock_folder(path: &Path) -> Result<File, TryLockError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .share_mode(0)
        .attributes(FILE_ATTRIBUTE_HIDDEN)
        .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
        .open(path.join(FOLDER_LOCK))
        .map_err(|error| {
            let code = error.raw_os_error().map(i32::cast_unsigned);
            match code {
                Some(ERROR_SHARING_VIOLATION | ERROR_DELETE_PENDING) => TryLockError::WouldBlock,
                _ => TryLockError::Error(error),
            }
        })
}

pub(crate) fn open_folder_lock(path: &Path) -> io::Result<File> {
    open_lock_file(&path.join("fnox.lock"))
}

pub(crate) fn text_of_bytes(bytes: Vec<u8>) -> io::Result<OsString> {
    String::from_utf8(bytes)
        .map(OsString::from)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The system runs what has the right name; these are the ones that it runs without another program.
pub(crate) fn is_program(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("exe"))
        && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_nothing_is_left_of_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let held = try_lock_folder(root.path()).unwrap();
        let refused = try_lock_folder(root.path()).unwrap_err();
        assert!(matches!(refused, TryLockError::WouldBlock));
        drop(held);
        assert!(!root.path().join(FOLDER_LOCK).exists());
        try_lock_folder(root.path()).unwrap();
    }

    #[test]
    fn a_lock_file_is_made_once_and_opened_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = open_lock_file(&path).unwrap();
        first.lock().unwrap();
        let second = open_lock_file(&path).unwrap();
        assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
    }
}
