//! The files of a log: `NAME`, which grows, and `NAME.NUMBER` for each that was full, under the number of its last record.
//!
//! The number never changes, so setting a file aside is one rename, and nothing else has to move.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use fnox_core::audit::Record;
use fnox_system::Protection;

use super::LogError;

/// The longest line that is read: names have limits, so this is far more than any record has.
const LONGEST: usize = 1024 * 1024;

/// Digits of a number, so that names sort as their numbers do.
const DIGITS: usize = 12;

/// A file that was full.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) path: PathBuf,
    /// Number of its last record.
    pub(super) last: u64,
    pub(super) bytes: u64,
}

/// `NAME.ENDING`
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".");
    name.push(ending);
    name.into()
}

/// The full files, oldest first.
pub(super) fn former(path: &Path) -> Result<Vec<Former>, LogError> {
    let failed = |source| LogError::Io {
        action: "list the folder of",
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Some(last) = number(path, &entry.path()) else {
            continue;
        };
        let metadata = entry.metadata().map_err(failed)?;
        found.push(Former {
            path: entry.path(),
            last,
            bytes: metadata.len(),
        });
    }
    found.sort_by_key(|former| former.last);
    Ok(found)
}

fn number(path: &Path, other: &Path) -> Option<u64> {
    let name = other.file_name()?.to_str()?;
    let number = name.strip_prefix(path.file_name()?.to_str()?)?;
    let number = number.strip_prefix('.')?;
    let is_number = number.len() >= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().ok()).flatten()
}

/// Sets the growing file aside. Its records, and the head, are on the disk.
pub(super) fn set_aside(path: &Path, last: u64) -> Result<(), LogError> {
    let former = beside(path, &format!("{last:0DIGITS$}"));
    let failed = |source| LogError::Io {
        action: "set aside",
        path: path.to_owned(),
        source,
    };
    // Never over another file: `rename` would replace it.
    if former.symlink_metadata().is_ok() {
        return Err(failed(io::Error::other(format!(
            "{} is there already",
            former.display()
        ))));
    }
    std::fs::rename(path, &former).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fnox_system::sync_folder(folder).map_err(failed)
}

/// Opens a file, which must be this user's own: a link could lead records anywhere.
pub(super) fn open(path: &Path) -> Result<File, LogError> {
    checked(path, fnox_system::open_lock_file)
}

fn checked(path: &Path, open: fn(&Path) -> io::Result<File>) -> Result<File, LogError> {
    let failed = |source| LogError::Io {
        action: "open",
        path: path.to_owned(),
        source,
    };
    let file = open(path).map_err(failed)?;
    let is_file = file.metadata().map_err(failed)?.is_file();
    if !is_file || !Protection::of(&file).map_err(failed)?.is_own() {
        return Err(failed(io::Error::other("it is no file of yours")));
    }
    Ok(file)
}

/// Every record of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, LogError> {
    let mut file = checked(path, fnox_system::open_no_link)?;
    read_from(path, &mut file, 0).map(|(records, _)| records)
}

/// The first record of a file, if it has one.
pub(super) fn first_record(path: &Path) -> Result<Option<Record>, LogError> {
    let file = checked(path, fnox_system::open_no_link)?;
    let mut line = String::new();
    let length = BufReader::new(file)
        .take(LONGEST as u64)
        .read_line(&mut line);
    length.map_err(|source| LogError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(line
        .ends_with('\n')
        .then(|| serde_json::from_str(&line).ok())
        .flatten())
}

/// The records from a place on, and where the last whole line ends.
pub(super) fn read_from(
    path: &Path,
    file: &mut File,
    begin: u64,
) -> Result<(Vec<Record>, u64), LogError> {
    let broken = |reason: String| LogError::Broken {
        path: path.to_owned(),
        reason,
    };
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(begin))
        .and_then(|_| file.read_to_end(&mut text))
        .map_err(|source| LogError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut records = Vec::new();
    for line in text[..whole].split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        if line.len() > LONGEST {
            return Err(broken("a line is longer than any record".to_owned()));
        }
        let record = serde_json::from_slice(line)
            .map_err(|error| broken(format!("line {} is no record: {error}", records.len() + 1)))?;
        records.push(record);
    }
    Ok((records, begin + whole as u64))
}
