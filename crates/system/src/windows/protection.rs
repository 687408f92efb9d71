//! Whose a file is, and who else may do what with it.

use std::fs::File;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, GENERIC_ALL, GENERIC_WRITE};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_FILE_OBJECT};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce, INHERIT_ONLY_ACE,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_APPEND_DATA, FILE_DELETE_CHILD, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_DATA, FILE_WRITE_ATTRIBUTES, FILE_WRITE_DATA,
    FILE_WRITE_EA, READ_CONTROL, WRITE_DAC, WRITE_OWNER,
};

use super::descriptor::Descriptor;
use super::sid::Sid;
use super::token::{owner_of_new_files, user};

/// Rights by which a file's content, a folder's entries, or these rights themselves are changed.
const CHANGE: u32 = FILE_WRITE_DATA
    | FILE_APPEND_DATA
    // With this one what is there can be turned into a link.
    | FILE_WRITE_ATTRIBUTES
    | FILE_WRITE_EA
    | FILE_DELETE_CHILD
    | DELETE
    | WRITE_DAC
    | WRITE_OWNER
    | GENERIC_WRITE
    | GENERIC_ALL;
/// Rights by which a file is read. GENERIC_READ is the highest bit.
const READ: u32 = FILE_READ_DATA | GENERIC_ALL | 0x8000_0000;

/// Kinds of entries of an access list (`winnt.h`). Others than these allow in forms that no file has, or are not known.
const ALLOWED: u8 = 0x0;
const ALLOWED_CALLBACK: u8 = 0x9;
const DENIED: [u8; 4] = [0x1, 0x6, 0xA, 0xC];

/// A file's or folder's owner and access list.
#[derive(Debug, Clone)]
pub struct Protection {
    owner: Sid,
    /// Who this process is, and who owns what it creates.
    own: [Sid; 2],
    /// Whoever an entry allows something, with what.
    allowed: Vec<(Sid, u32)>,
    /// Why others must be taken to have every right, if so.
    open: Option<&'static str>,
}

impl Protection {
    /// Of an open file.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        let mut owner: PSID = std::ptr::null_mut();
        let mut list: *mut ACL = std::ptr::null_mut();
        let mut descriptor: PSECURITY_DESCRIPTOR = std::ptr::null_mut();
        // SAFETY: the handle is open, each pointer is a place for one pointer, and the others are not asked for.
        let status = unsafe {
            GetSecurityInfo(
                file.as_raw_handle(),
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut owner,
                std::ptr::null_mut(),
                &raw mut list,
                std::ptr::null_mut(),
                &raw mut descriptor,
            )
        };
        if status != ERROR_SUCCESS {
            return Err(io::Error::from_raw_os_error(status.cast_signed()));
        }
        // SAFETY: the call succeeded and allocated the descriptor for LocalFree.
        let descriptor = unsafe { Descriptor::from_system(descriptor) };
        let mut protection = Self {
            // SAFETY: `owner` points into the descriptor, which lives on.
            owner: unsafe { Sid::from_system(owner) }?,
            own: [user()?, owner_of_new_files()?],
            allowed: Vec::new(),
            open: None,
        };
        if list.is_null() {
            protection.open = Some("it has no access list");
        } else {
            // SAFETY: `list` points into the descriptor, which lives on.
            unsafe { protection.read(list) }?;
        }
        drop(descriptor);
        Ok(protection)
    }

    /// Of what has a name; of a link itself, not of what it leads to.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of_name(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .access_mode(READ_CONTROL)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path)?;
        Self::of_file(&file)
    }

    /// Who owns it: the system's name of the user, such as `S-1-5-18`.
    #[must_use]
    pub fn owner(&self) -> String {
        self.owner.to_string()
    }

    /// Whether the system itself owns it, or its administrators.
    #[must_use]
    pub fn is_of_the_system(&self) -> bool {
        self.owner.is_of_the_system()
    }

    /// Only root may take another user's word: never.
    #[must_use]
    pub fn is_of_whom_root_serves(&self, _: &Self) -> bool {
        false
    }

    /// Whether the user of this process owns it, or whoever owns what this process creates.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.contains(&self.owner)
    }

    /// Whether its owner alone may read and write it.
    #[must_use]
    pub fn is_for_reading_and_writing_alone(&self) -> bool {
        self.who_else_opens().is_none()
    }

    /// Somebody else who may change it, in words; none if nobody may.
    #[must_use]
    pub fn who_else_changes(&self) -> Option<String> {
        self.who_else(CHANGE)
    }

    /// Somebody else who may read or change it, in words; none if nobody may.
    #[must_use]
    pub fn who_else_opens(&self) -> Option<String> {
        self.who_else(CHANGE | READ)
    }

    fn who_else(&self, rights: u32) -> Option<String> {
        if let Some(reason) = self.open {
            return Some(format!("everybody ({reason})"));
        }
        let is_known =
            |sid: &Sid| self.own.contains(sid) || sid.is_of_the_system() || sid.is_owner_rights();
        self.allowed
            .iter()
            .find(|(sid, allowed)| allowed & rights != 0 && !is_known(sid))
            .map(|(sid, _)| sid.to_string())
    }

    /// Reads the entries. What denies is passed over: without it, a file is taken for more open than it is.
    ///
    /// # Safety
    /// `list` points to a valid access list.
    unsafe fn read(&mut self, list: *const ACL) -> io::Result<()> {
        // SAFETY: `list` is valid by this function's own condition.
        let count = unsafe { (*list).AceCount };
        for index in 0..u32::from(count) {
            let mut entry: *mut std::ffi::c_void = std::ptr::null_mut();
            // SAFETY: `list` is valid, and `entry` a place for one pointer.
            if unsafe { GetAce(list, index, &raw mut entry) } == 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: every entry begins with a header.
            let header = unsafe { entry.cast::<ACE_HEADER>().read_unaligned() };
            // It says what is created in the folder, not what the folder allows.
            let only_inherited = u32::from(header.AceFlags) & INHERIT_ONLY_ACE != 0;
            if DENIED.contains(&header.AceType) || only_inherited {
                continue;
            }
            if ![ALLOWED, ALLOWED_CALLBACK].contains(&header.AceType) {
                self.open = Some("its access list has an entry of a kind that fnox does not know");
                continue;
            }
            let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
            // SAFETY: both kinds have the shape of ACCESS_ALLOWED_ACE up to the SID.
            let mask = unsafe { (&raw const (*entry).Mask).read_unaligned() };
            // SAFETY: as before; only the address is taken.
            let sid = unsafe { &raw mut (*entry).SidStart };
            // SAFETY: the SID of such an entry begins at `SidStart`, and the list lives on.
            let sid = unsafe { Sid::from_system(sid.cast()) }?;
            self.allowed.push((sid, mask));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{create_private_file, create_private_folder};
    use super::*;

    #[test]
    fn a_private_file_is_the_users_and_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let file = create_private_file(&path).unwrap();
        let protection = Protection::of_file(&file).unwrap();
        assert!(protection.is_own());
        assert_eq!(protection.owner, user().unwrap());
        assert_eq!(protection.who_else_opens(), None);
        let again = create_private_file(&path).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_made_in_a_private_folder_is_private() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("above/folder");
        create_private_folder(&folder).unwrap();
        create_private_folder(&folder).unwrap();
        assert_eq!(Protection::of_name(&folder).unwrap().who_else_opens(), None);
        std::fs::write(folder.join("file"), "x").unwrap();
        let protection = Protection::of_name(&folder.join("file")).unwrap();
        assert!(protection.is_own());
        assert_eq!(protection.who_else_opens(), None);
    }

    #[test]
    fn a_list_that_lets_everybody_in_names_everybody() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let granted = std::process::Command::new("icacls")
            .arg(&path)
            .args(["/grant", "*S-1-1-0:(M)"])
            .status();
        if !granted.is_ok_and(|status| status.success()) {
            // A system without the program that changes access lists.
            return;
        }
        let protection = Protection::of_name(&path).unwrap();
        assert_eq!(protection.who_else_changes().as_deref(), Some("S-1-1-0"));
    }
}
