//! Who this process is.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{
    GetTokenInformation, TOKEN_ELEVATION, TOKEN_INFORMATION_CLASS, TOKEN_OWNER, TOKEN_QUERY,
    TOKEN_USER, TokenElevation, TokenOwner, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::sid::Sid;

/// The user as whom this process runs.
///
/// # Errors
/// What the system says.
pub(crate) fn user() -> io::Result<Sid> {
    let answer = ask(TokenUser)?;
    // SAFETY: the answer to `TokenUser` begins with a TOKEN_USER, and the memory is aligned for it.
    let user = unsafe { answer.as_ptr().cast::<TOKEN_USER>().read() };
    // SAFETY: the SID stands in `answer`, which lives on.
    unsafe { Sid::from_system(user.User.Sid) }
}

/// Who owns what this process creates: the user, or the administrators if it runs as one of them.
pub(crate) fn owner_of_new_files() -> io::Result<Sid> {
    let answer = ask(TokenOwner)?;
    // SAFETY: the answer to `TokenOwner` begins with a TOKEN_OWNER, and the memory is aligned for it.
    let owner = unsafe { answer.as_ptr().cast::<TOKEN_OWNER>().read() };
    // SAFETY: the SID stands in `answer`, which lives on.
    unsafe { Sid::from_system(owner.Owner) }
}

/// Whether this process has an administrator's rights.
///
/// # Errors
/// What the system says.
pub fn is_elevated() -> io::Result<bool> {
    let answer = ask(TokenElevation)?;
    // SAFETY: the answer to `TokenElevation` is a TOKEN_ELEVATION, and the memory is aligned for it.
    let elevation = unsafe { answer.as_ptr().cast::<TOKEN_ELEVATION>().read() };
    Ok(elevation.TokenIsElevated != 0)
}

/// One answer about this process's token, in memory that is aligned for any of its structures.
fn ask(what: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    // SAFETY: the call has no conditions.
    let process = unsafe { GetCurrentProcess() };
    let mut handle: HANDLE = std::ptr::null_mut();
    // SAFETY: `process` is the pseudo handle of this process, and `handle` a place for one handle.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut handle) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and nobody else closes the handle.
    let token = unsafe { OwnedHandle::from_raw_handle(handle) };
    // A SID has 68 bytes at most.
    let mut answer = vec![0_u64; 32];
    let room = u32::try_from(answer.len() * size_of::<u64>()).unwrap_or(u32::MAX);
    let mut needed = 0;
    let into = answer.as_mut_ptr().cast::<c_void>();
    // SAFETY: `into` has `room` bytes, and the token is open for TOKEN_QUERY.
    let asked =
        unsafe { GetTokenInformation(token.as_raw_handle(), what, into, room, &raw mut needed) };
    if asked == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}
