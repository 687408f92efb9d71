//! Which file a name means.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES,
    GetFileInformationByHandle,
};

pub(crate) fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let there = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path)?;
    Ok(identity(file)? == identity(&there)?)
}

/// Volume and number.
fn identity(file: &File) -> io::Result<(u32, u32, u32)> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and `found` a place for the structure.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((
        found.dwVolumeSerialNumber,
        found.nFileIndexHigh,
        found.nFileIndexLow,
    ))
}

pub(crate) fn stamp(metadata: &Metadata) -> [i64; 5] {
    [
        metadata.last_write_time().cast_signed(),
        metadata.creation_time().cast_signed(),
        metadata.file_size().cast_signed(),
        i64::from(metadata.file_attributes()),
        0,
    ]
}
