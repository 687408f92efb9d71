//! Files and folders that only the user may open, from the moment they exist.
//!
//! Their access list is protected: nothing is inherited from the folder above. A folder's own list is inherited by
//! what is created in it, so temporary files and ledgers in it are as private.

use std::fs::File;
use std::io;
use std::os::windows::io::FromRawHandle as _;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, SetFileSecurityW,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, DELETE, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE,
};

use tempfile::NamedTempFile;

use crate::Rights;

use super::descriptor::Descriptor;
use super::protection::Protection;
use super::sid::Sid;
use super::text::wide;
use super::token::user;

/// Creates a file for the user alone and opens it for reading and writing.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is something of that name, a link among others; what else the system says.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    let user = user()?;
    let descriptor = Descriptor::from_text(&format!("O:{user}D:P(A;;FA;;;{user})"))?;
    let attributes = descriptor.attributes();
    let path = wide(path.as_os_str())?;
    // SAFETY: `path` ends with a zero, and `attributes` with its descriptor live until after the call.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            GENERIC_READ | GENERIC_WRITE | DELETE,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            &raw const attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            std::ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and nobody else closes the handle.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Creates a folder for the user alone, and those above it that are missing as the system would.
///
/// A folder that is there already stays as it is: [`Protection`](super::Protection) tells whose it is.
///
/// # Errors
/// What the system says.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    let descriptor = folder_of(&user()?)?;
    let attributes = descriptor.attributes();
    let name = wide(path.as_os_str())?;
    // SAFETY: `name` ends with a zero, and `attributes` with its descriptor live until after the call.
    if unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) } == 0 {
        let error = io::Error::last_os_error();
        // Another process was faster.
        return if path.is_dir() { Ok(()) } else { Err(error) };
    }
    Ok(())
}

/// A file that replaces a private one is private. One that replaces another inherits from its folder: what else its
/// access list said is lost.
pub(crate) fn create_temporary(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
    rights: Rights<'_>,
) -> io::Result<NamedTempFile> {
    let is_private = match rights {
        Rights::Private | Rights::OwnProgram => true,
        Rights::Usual | Rights::Program => false,
        Rights::Like(path) => match Protection::of_name(path) {
            Ok(protection) => protection.who_else_opens().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        },
    };
    if is_private {
        builder.make_in(folder, create_private_file)
    } else {
        builder.tempfile_in(folder)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(crate) fn give_rights(_: &File, _: Rights<'_>) -> io::Result<()> {
    Ok(())
}

/// Takes a folder from everybody but this user. What is in it keeps its own list.
///
/// # Errors
/// What the system says.
pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    let descriptor = folder_of(&user()?)?;
    let name = wide(path.as_os_str())?;
    let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: `name` ends with a zero, and the descriptor lives until after the call.
    if unsafe { SetFileSecurityW(name.as_ptr(), what, descriptor.as_ptr()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What is created in a private folder inherits its access list.
pub(crate) fn create_private_subfolder(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
) -> io::Result<PathBuf> {
    builder.tempdir_in(folder).map(tempfile::TempDir::keep)
}

/// An access list does not tell what a policy forbids besides: the way to know is to create something.
pub(crate) fn require_writable_folder(path: &Path) -> io::Result<()> {
    tempfile::tempfile_in(path).map(drop)
}

/// Of a folder whose entries inherit from it.
fn folder_of(user: &Sid) -> io::Result<Descriptor> {
    Descriptor::from_text(&format!("O:{user}D:P(A;OICI;FA;;;{user})"))
}
