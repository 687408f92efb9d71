//! Users and groups, as Windows numbers them.

use std::fmt;
use std::io;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::PSID;

/// The system itself.
const SYSTEM: &str = "S-1-5-18";
/// The group of administrators.
const ADMINISTRATORS: &str = "S-1-5-32-544";
/// The service that owns the system's own files.
const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
/// In an access list: whoever owns the file.
const OWNER_RIGHTS: &str = "S-1-3-4";

/// A user or a group, such as `S-1-5-18`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sid(String);

impl Sid {
    /// Whether it is the system, its administrators or its installer.
    #[must_use]
    pub(crate) fn is_of_the_system(&self) -> bool {
        [SYSTEM, ADMINISTRATORS, TRUSTED_INSTALLER].contains(&self.0.as_str())
    }

    /// Whether an access list means the owner by it.
    pub(crate) fn is_owner_rights(&self) -> bool {
        self.0 == OWNER_RIGHTS
    }

    /// Copies what the system points to.
    ///
    /// # Safety
    /// `sid` points to a valid SID for the time of the call.
    pub(crate) unsafe fn from_system(sid: PSID) -> io::Result<Self> {
        if sid.is_null() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the system names nobody",
            ));
        }
        let mut text: *mut u16 = std::ptr::null_mut();
        // SAFETY: `sid` is valid by this function's own condition, and `text` a place for one pointer.
        if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `text` points to UTF-16 that ends with a zero.
        let sid = unsafe { text_at(text) };
        // SAFETY: the call before allocated `text` for LocalFree, and nothing refers to it any more.
        unsafe { LocalFree(text.cast()) };
        Ok(Self(sid))
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// # Safety
/// `text` points to UTF-16 that ends with a zero.
unsafe fn text_at(text: *const u16) -> String {
    let mut length = 0;
    // SAFETY: not yet past the zero, so inside of what `text` points to.
    while unsafe { *text.wrapping_add(length) } != 0 {
        length += 1;
    }
    // SAFETY: `length` units were just read.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}
