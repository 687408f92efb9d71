//! Text as the system takes it: UTF-16 that ends with a zero.

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt as _;

/// # Errors
/// If the text holds a zero itself: the system would take only what stands before it.
pub(crate) fn wide(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.encode_wide().collect();
    if units.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a zero byte in a name",
        ));
    }
    units.push(0);
    Ok(units)
}
