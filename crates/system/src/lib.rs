//! What fnox asks of the operating system about files: whose they are, who else may use them, and that what it makes is
//! for the user alone from the first moment.
//!
//! Each function means the same everywhere. On Unix it is about owners and modes, on Windows about owners and access
//! lists. Whatever cannot be found out is an error, never "nobody else".
//!
//! On Windows "anybody else" leaves out whom the system obeys anyway: the system itself, its administrators, and the
//! installer of its own files. They are what root is elsewhere.
//!
//! The only crate of the workspace with `unsafe`: calls of Windows, each with the reason why it is sound. The rest of
//! the crate, all that runs on Unix, is compiled without.
#![cfg_attr(unix, forbid(unsafe_code))]

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as system;
#[cfg(windows)]
use self::windows as system;

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub use self::system::Protection;
#[cfg(windows)]
pub use self::windows::{Job, is_elevated};

impl Protection {
    /// Of an open file.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Self> {
        Self::of_file(file)
    }

    /// Of what has a name; of a link itself, not of what it leads to.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        Self::of_name(path)
    }
}

/// Creates a file for the user alone and opens it for reading and writing.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is something of that name, a link among others; what else the system says.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let file = fnox_system::create_private_file(&folder.path().join("key"))?;
/// let protection = fnox_system::Protection::of(&file)?;
/// assert!(protection.is_own() && protection.who_else_opens().is_none());
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn create_private_file(path: &Path) -> io::Result<File> {
    system::create_private_file(path)
}

/// Who may use a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights<'a> {
    /// The user alone.
    Private,
    /// Whoever may use any new file of the folder.
    Usual,
    /// The user alone may read, change and run it.
    OwnProgram,
    /// Everybody may read and run it, as far as the folder lets them.
    Program,
    /// As far as the system can keep it: whoever may use the file of this name, if there is one; else the user alone.
    Like(&'a Path),
}

/// Creates a temporary file with the rights that it is to keep under another name.
///
/// # Errors
/// What the system says.
pub fn create_temporary(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
    rights: Rights<'_>,
) -> io::Result<NamedTempFile> {
    system::create_temporary(builder, folder, rights)
}

/// Gives a private file the rights that it is to keep.
///
/// On Windows it stays private: rights are those that a file is created with.
///
/// # Errors
/// What the system says.
pub fn give_rights(file: &File, rights: Rights<'_>) -> io::Result<()> {
    system::give_rights(file, rights)
}

/// Creates a folder for the user alone, and those above it that are missing. One that is there stays as it is:
/// [`Protection`] tells whose it is.
///
/// On Windows, what is created in it inherits its access list.
///
/// # Errors
/// What the system says.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    system::create_private_folder(path)
}

/// Takes a folder of this user from everybody else.
///
/// # Errors
/// What the system says.
pub fn close_folder(path: &Path) -> io::Result<()> {
    system::close_folder(path)
}

/// Opens a file for reading: not what a link leads to, and without waiting for who writes a named pipe.
///
/// # Errors
/// What the system says; one if it is a link.
pub fn open_no_link(path: &Path) -> io::Result<File> {
    system::open_no_link(path)
}

/// Opens a file for a lock, or creates it for the user alone; not what a link leads to.
///
/// # Errors
/// What the system says; one if it is a link.
pub fn open_lock_file(path: &Path) -> io::Result<File> {
    system::open_lock_file(path)
}

/// Takes the lock of a folder if nobody holds it. It ends with what is answered.
///
/// On Unix the folder itself is locked. Windows locks no folders: a file in it stands for that, and is there as long as
/// the lock.
///
/// # Errors
/// [`std::fs::TryLockError::WouldBlock`] if somebody holds it; what the system says.
pub fn try_lock_folder(path: &Path) -> Result<File, std::fs::TryLockError> {
    system::try_lock_folder(path)
}

/// Opens what stands for the lock of a folder of this user's: the folder itself, on Windows a file in it that stays.
///
/// Not to be mixed with [`try_lock_folder`]: on Windows the two are different files.
///
/// # Errors
/// What the system says.
pub fn open_folder_lock(path: &Path) -> io::Result<File> {
    system::open_folder_lock(path)
}

/// Creates a folder of an unpredictable name for the user alone, in a folder that is for the user alone already.
///
/// # Errors
/// What the system says.
pub fn create_private_subfolder(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
) -> io::Result<PathBuf> {
    system::create_private_subfolder(builder, folder)
}

/// Whether an open file is the one of this name.
///
/// # Errors
/// What the system says.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    system::is_same_file(file, path)
}

/// Numbers that differ when a file was changed or replaced, as far as the system tells: times, size, and which file.
pub fn stamp(metadata: &Metadata) -> [i64; 5] {
    system::stamp(metadata)
}

/// Fails if this process may create nothing in a folder.
///
/// # Errors
/// What the system says.
pub fn require_writable_folder(path: &Path) -> io::Result<()> {
    system::require_writable_folder(path)
}

/// Whether there is a process with this number, whosever it is.
#[must_use]
pub fn process_exists(id: u32) -> bool {
    system::process_exists(id)
}

/// Whether what this process writes to stderr ends in a file.
#[must_use]
pub fn stderr_is_file() -> bool {
    system::stderr()
        .and_then(|stderr| File::from(stderr).metadata())
        .is_ok_and(|metadata| metadata.is_file())
}

/// Has a folder's entries on the disk. Windows does that by itself.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// Bytes as an argument or a path: on Unix any, on Windows text in UTF-8.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if this system cannot express them.
pub fn text_of_bytes(bytes: Vec<u8>) -> io::Result<OsString> {
    system::text_of_bytes(bytes)
}

/// Whether a file can be run, as far as its rights, or on Windows its name, tell.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    system::is_program(path)
}
