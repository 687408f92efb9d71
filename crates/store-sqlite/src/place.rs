//! The file, its folder, its lock, and the mark beside it.
//!
//! The file is the user's alone: it is created 0600 in a 0700 folder, and refused when somebody else owns it,
//! could read it or could put another in its place.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fnox_vault::store::StoreError;

use crate::problem::{io, name_of};

/// Whether a file is there, and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was there.
    Existing,
    /// It is there now, empty.
    Created,
}

/// Makes sure that the file is there and the user's alone.
pub(crate) fn prepare(path: &Path, create: bool) -> Result<Found, StoreError> {
    let folder = folder_of(path);
    if create && !folder.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| io(path, "creating its folder", &error))?;
        sync_folder(folder.parent().unwrap_or(folder), path)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) => {
            must_be_ours(path, &found)?;
            must_be_guarded(path, folder)?;
            // A creation that was cut short leaves an empty file.
            let is_new = create && found.len() == 0;
            Ok(if is_new {
                Found::Created
            } else {
                Found::Existing
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            must_be_guarded(path, folder)?;
            create_private(path)?;
            sync_folder(folder, path)?;
            Ok(Found::Created)
        }
        Err(error) => Err(io(path, "opening", &error)),
    }
}

/// Creates an empty file of this user alone. Fails if there is one.
pub(crate) fn create_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| io(path, "creating", &error))
}

/// Makes what was created or renamed in a folder durable.
pub(crate) fn sync_folder(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io(path, "syncing its folder", &error))
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A path beside the file: its name with something after it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Refuses a file that is not a file, or that others own or can open.
pub(crate) fn must_be_ours(path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
    let problem = if !found.file_type().is_file() {
        "it is not a regular file".to_owned()
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        format!("it belongs to another user (uid {})", found.uid())
    } else if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        format!("other users can open it (mode {mode:04o}); chmod 600 if they have not")
    } else {
        return Ok(());
    };
    Err(refused(path, problem))
}

fn must_be_guarded(path: &Path, folder: &Path) -> Result<(), StoreError> {
    let found = fs::metadata(folder).map_err(|error| io(path, "opening its folder", &error))?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw() || found.uid() == 0;
    let is_sticky = found.mode() & 0o1000 != 0;
    if is_ours && (found.mode() & 0o022 == 0 || is_sticky) {
        return Ok(());
    }
    let mode = found.mode() & 0o7777;
    let problem = format!(
        "other users can replace files in its folder {} (mode {mode:04o})",
        folder.display()
    );
    Err(refused(path, problem))
}

fn refused(path: &Path, problem: String) -> StoreError {
    StoreError::Unavailable {
        store: name_of(path),
        problem,
    }
}

/// How long a lock is asked for. A process that has just ended may still be closing its files, and a program that
/// it was starting has a copy of its descriptors until it runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The right to be the only process on a file. It dies with its holder, so a crash leaves no stale lock.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store at `path`.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let place = beside(path, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(&place)
            .map_err(|error| io(path, "opening its lock file", &error))?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                    // Asked again, rather than waited for: a lock that is held for good must be told.
                    std::thread::park_timeout(PATIENCE / 40);
                }
                Err(TryLockError::WouldBlock) => return Err(held(path, &mut file)),
                Err(TryLockError::Error(error)) => {
                    return Err(io(path, "taking its lock", &error));
                }
            }
        }
        // Only told to those who find it held; a full disk must not keep the lock from being taken.
        let _ = file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Somebody has the lock, and may have written down who it is.
fn held(path: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    let _ = file.take(32).read_to_string(&mut holder);
    let is_id = !holder.is_empty() && holder.bytes().all(|it| it.is_ascii_digit());
    StoreError::Locked {
        store: name_of(path),
        holder: if is_id { holder } else { "unknown".to_owned() },
    }
}

/// How far a file had come when it was last seen, told by a small file beside it: an older copy that
/// somebody put in its place is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which history.
    pub(crate) epoch: [u8; 16],
    /// How many transactions.
    pub(crate) changes: i64,
}

impl Mark {
    /// Reads the mark of the store at `path`. `None` if there is none, or none that can be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(beside(path, ".mark")).ok()?;
        let mut lines = text.lines();
        if !MARKS.contains(&lines.next()?) {
            return None;
        }
        let epoch = uuid::Uuid::try_parse(lines.next()?).ok()?;
        Some(Self {
            epoch: epoch.into_bytes(),
            changes: lines.next()?.parse().ok()?,
        })
    }

    /// Writes the mark of the store at `path`, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = beside(path, ".mark.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(&temporary)?;
        let epoch = uuid::Uuid::from_bytes(self.epoch);
        write!(file, "{}\n{epoch}\n{}\n", MARKS[0], self.changes)?;
        file.sync_data()?;
        fs::rename(&temporary, beside(path, ".mark"))
    }
}

/// What a mark begins with: as it is written, and as it was when there were only vaults.
const MARKS: [&str; 2] = ["fnox store mark v1", "fnox vault mark v1"];
