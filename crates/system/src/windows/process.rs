//! Processes by their numbers, and this one's stderr.

use std::io;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

pub(crate) fn process_exists(id: u32) -> bool {
    // SAFETY: the call has no conditions.
    let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, id) };
    if handle.is_null() {
        let code = io::Error::last_os_error().raw_os_error();
        // Another user's process is one too.
        return code.map(i32::cast_unsigned) == Some(ERROR_ACCESS_DENIED);
    }
    // SAFETY: the call succeeded, and nobody else closes the handle.
    let process = unsafe { OwnedHandle::from_raw_handle(handle) };
    // SAFETY: the handle is open. One that has ended is signalled.
    let waited = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) };
    waited == WAIT_TIMEOUT
}

pub(crate) fn stderr() -> io::Result<OwnedHandle> {
    io::stderr().as_handle().try_clone_to_owned()
}
