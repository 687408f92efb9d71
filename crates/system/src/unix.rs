//! Owners and modes.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::Rights;

/// Whose a file or folder is, and who else may do what with it.
#[derive(Debug, Clone)]
pub struct Protection {
    owner: u32,
    own: u32,
    mode: u32,
}

impl Protection {
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of_metadata(&metadata))
    }

    pub(crate) fn of_name(path: &Path) -> io::Result<Self> {
        std::fs::symlink_metadata(path).map(|metadata| Self::of_metadata(&metadata))
    }

    fn of_metadata(metadata: &Metadata) -> Self {
        Self {
            owner: metadata.uid(),
            own: rustix::process::geteuid().as_raw(),
            mode: metadata.mode() & 0o7777,
        }
    }

    /// Who owns it: the user's number.
    #[must_use]
    pub fn owner(&self) -> String {
        self.owner.to_string()
    }

    /// Whether the user of this process owns it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.owner == self.own
    }

    /// Whether root owns it.
    #[must_use]
    pub fn is_of_the_system(&self) -> bool {
        self.owner == 0
    }

    /// Whether both have the same owner, and this process is root.
    #[must_use]
    pub fn is_of_whom_root_serves(&self, other: &Self) -> bool {
        self.own == 0 && self.owner == other.owner
    }

    /// Whether its owner alone may read and write it, and nobody run it.
    #[must_use]
    pub fn is_for_reading_and_writing_alone(&self) -> bool {
        self.mode == 0o600
    }

    /// What lets everybody change it; none if nothing does. Members of its group do not count.
    #[must_use]
    pub fn who_else_changes(&self) -> Option<String> {
        (self.mode & 0o002 != 0).then(|| self.shown_mode())
    }

    /// What lets anybody else read or change it; none if nothing does.
    #[must_use]
    pub fn who_else_opens(&self) -> Option<String> {
        (self.mode & 0o077 != 0).then(|| self.shown_mode())
    }

    fn shown_mode(&self) -> String {
        format!("mode {:04o}", self.mode)
    }
}

pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

pub(crate) fn create_temporary(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
    rights: Rights<'_>,
) -> io::Result<NamedTempFile> {
    // The umask still applies to what a file is made with: the usual rights are what a text editor would give it.
    let made_with = match rights {
        Rights::Usual => 0o666,
        _ => 0o600,
    };
    let file = builder
        .permissions(Permissions::from_mode(made_with))
        .tempfile_in(folder)?;
    give_rights(file.as_file(), rights)?;
    Ok(file)
}

pub(crate) fn give_rights(file: &File, rights: Rights<'_>) -> io::Result<()> {
    let permissions = match rights {
        Rights::Private | Rights::Usual => None,
        Rights::OwnProgram => Some(Permissions::from_mode(0o700)),
        Rights::Program => Some(Permissions::from_mode(0o755)),
        Rights::Like(path) => path.metadata().ok().map(|metadata| metadata.permissions()),
    };
    permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))
}

pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

pub(crate) fn open_no_link(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

pub(crate) fn open_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

pub(crate) fn try_lock_folder(path: &Path) -> Result<File, TryLockError> {
    let folder = File::open(path).map_err(TryLockError::Error)?;
    folder.try_lock()?;
    Ok(folder)
}

pub(crate) fn open_folder_lock(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub(crate) fn create_private_subfolder(
    builder: &mut tempfile::Builder<'_, '_>,
    folder: &Path,
) -> io::Result<PathBuf> {
    let made = builder
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)?;
    Ok(made.keep())
}

pub(crate) fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, there) = (file.metadata()?, path.metadata()?);
    Ok(ours.ino() == there.ino() && ours.dev() == there.dev())
}

pub(crate) fn stamp(metadata: &Metadata) -> [i64; 5] {
    [
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size().cast_signed(),
        metadata.ino().cast_signed(),
        metadata.dev().cast_signed(),
    ]
}

pub(crate) fn require_writable_folder(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

pub(crate) fn process_exists(id: u32) -> bool {
    rustix::process::Pid::from_raw(id.cast_signed()).is_some_and(|process| {
        match rustix::process::test_kill_process(process) {
            // Another user's process is one too.
            Ok(()) | Err(rustix::io::Errno::PERM) => true,
            Err(_) => false,
        }
    })
}

pub(crate) fn stderr() -> io::Result<OwnedFd> {
    io::stderr().as_fd().try_clone_to_owned()
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[expect(clippy::unnecessary_wraps, reason = "other systems refuse some")]
pub(crate) fn text_of_bytes(bytes: Vec<u8>) -> io::Result<OsString> {
    Ok(OsString::from_vec(bytes))
}

pub(crate) fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(mode: u32) -> Protection {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))
            .unwrap();
        Protection::of_file(file.as_file()).unwrap()
    }

    #[test]
    fn a_mode_tells_who_else_reads_and_who_else_writes() {
        let told = |mode| {
            let protection = protection(mode);
            (
                protection.who_else_opens().is_some(),
                protection.who_else_changes().is_some(),
            )
        };
        assert_eq!(told(0o600), (false, false));
        assert_eq!(told(0o640), (true, false));
        assert_eq!(told(0o660), (true, false));
        assert_eq!(told(0o602), (true, true));
        let everybody = protection(0o666).who_else_changes();
        assert_eq!(everybody.as_deref(), Some("mode 0666"));
    }

    #[test]
    fn a_link_is_neither_opened_nor_locked_nor_replaced() {
        let root = tempfile::tempdir().unwrap();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        open_no_link(&link).unwrap_err();
        open_lock_file(&link).unwrap_err();
        let refused = create_private_file(&link).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(target).unwrap(), "kept");
    }

    #[test]
    fn a_folder_is_locked_once() {
        let root = tempfile::tempdir().unwrap();
        let held = try_lock_folder(root.path()).unwrap();
        let refused = try_lock_folder(root.path()).unwrap_err();
        assert!(matches!(refused, TryLockError::WouldBlock));
        drop(held);
        try_lock_folder(root.path()).unwrap();
    }
}
