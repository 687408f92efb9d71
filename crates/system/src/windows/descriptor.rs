//! Security descriptors: made from text, and freed.

use std::ffi::OsStr;
use std::io;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES};

use super::text::wide;

/// A security descriptor that the system allocated.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// Takes over what the system allocated.
    ///
    /// # Safety
    /// The pointer is valid, was allocated for `LocalFree`, and nobody else frees it.
    pub(crate) unsafe fn from_system(descriptor: PSECURITY_DESCRIPTOR) -> Self {
        Self(descriptor)
    }

    /// Reads the language of security descriptors, such as `D:P(A;;FA;;;SY)`.
    pub(crate) fn from_text(text: &str) -> io::Result<Self> {
        let text = wide(OsStr::new(text))?;
        let mut descriptor: PSECURITY_DESCRIPTOR = std::ptr::null_mut();
        // SAFETY: `text` ends with a zero, `descriptor` is a place for one pointer, and no size is asked for.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                std::ptr::null_mut(),
            )
        };
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded and allocated for LocalFree.
        Ok(unsafe { Self::from_system(descriptor) })
    }

    /// The descriptor as the system takes it. It must not outlive this.
    pub(crate) fn as_ptr(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }

    /// What is passed on when something is created. It must not outlive the descriptor.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: whoever made this said that it is ours to free with LocalFree.
        unsafe { LocalFree(self.0) };
    }
}
