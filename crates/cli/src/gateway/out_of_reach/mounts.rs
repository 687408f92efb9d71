//! The other ways to a file: where the same file system is mounted once more.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What is mounted where.
#[derive(Debug)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    device: String,
    /// The part of the file system that is mounted.
    root: PathBuf,
    point: PathBuf,
}

impl Mounts {
    /// What the system says; nothing where it does not.
    pub(super) fn read() -> Self {
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        Self(lines.filter_map(Mount::parse).collect())
    }

    /// Where else a path without links can be found.
    pub(super) fn others(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(own) = path.symlink_metadata() else {
            return Vec::new();
        };
        self.candidates(path)
            .into_iter()
            .filter(|other| {
                let found = other.symlink_metadata();
                found.is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()))
            })
            .collect()
    }

    fn candidates(&self, path: &Path) -> Vec<PathBuf> {
        // Of two mounts at one point the later one is seen.
        let own = self
            .0
            .iter()
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.as_os_str().len());
        let Some(own) = own else { return Vec::new() };
        let Ok(below) = path.strip_prefix(&own.point) else {
            return Vec::new();
        };
        let inner = joined(&own.root, below);
        self.0
            .iter()
            .filter(|mount| mount.device == own.device)
            .filter_map(|mount| Some(joined(&mount.point, inner.strip_prefix(&mount.root).ok()?)))
            .filter(|other| other != path)
            .collect()
    }
}

impl Mount {
    /// A line of `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`).
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ').skip(2);
        Some(Self {
            device: String::from_utf8(words.next()?.to_vec()).ok()?,
            root: unescaped(words.next()?),
            point: unescaped(words.next()?),
        })
    }
}

fn joined(folder: &Path, rest: &Path) -> PathBuf {
    // A join with nothing would end in a slash.
    if rest.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(rest)
    }
}

/// Blanks and the like are written as `\040`.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        if let Some(value) = octal.filter(|_| *byte == b'\\') {
            out.push(value);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    OsString::from_vec(out).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_mount_of_the_same_folder_is_another_way() {
        let mounts = Mounts::parse(
            b"20 1 8:1 / / rw - ext4 /dev/a rw\n\
              21 20 8:2 / /home rw - ext4 /dev/b rw\n\
              22 20 8:2 /u /srv/the\\040same rw - ext4 /dev/b rw\n\
              23 20 8:2 /v /srv/other rw - ext4 /dev/b rw\n",
        );
        assert_eq!(
            mounts.candidates(Path::new("/home/u/.netrc")),
            [Path::new("/srv/the same/.netrc")]
        );
        assert_eq!(
            mounts.candidates(Path::new("/srv/the same/key")),
            [Path::new("/home/u/key")]
        );
        assert!(mounts.candidates(Path::new("/etc/passwd")).is_empty());
    }

    #[test]
    fn what_is_not_there_has_no_other_place() {
        assert!(Mounts::read().others(Path::new("/no/such/file")).is_empty());
    }
}
