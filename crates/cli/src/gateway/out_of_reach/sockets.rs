//! Unix sockets that somebody listens at: no namespace holds those that have a path, and who answers there may be the
//! engine of all containers, an agent of keys, or a database.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// Those that this process can see, now. Later ones are not known.
pub(super) fn bound() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    let mut found: Vec<PathBuf> = paths(&table)
        .filter(|path| {
            path.symlink_metadata()
                .is_ok_and(|file| file.file_type().is_socket())
        })
        .map(Path::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The last column of the table (`proc_net_unix(5)`); abstract names begin with `@`.
fn paths(table: &[u8]) -> impl Iterator<Item = &Path> {
    let lines = table.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let at = line.windows(2).position(|pair| pair == b" /")?;
        Some(Path::new(OsStr::from_bytes(&line[at + 1..])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_abstract_names_and_from_none() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/a socket\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 20002\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20003 @/tmp/abstract\n";
        let found: Vec<_> = paths(table).collect();
        assert_eq!(found, [Path::new("/run/a socket")]);
    }

    #[test]
    fn who_listens_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(bound().contains(&path));
    }
}
