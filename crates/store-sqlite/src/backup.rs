//! Copies of the file, and putting one back.

use std::fs;
use std::path::Path;

use fnox_vault::store::StoreError;
use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::connection;
use crate::format::Format;
use crate::place::{self, Found, Lock, beside, folder_of};
use crate::problem::{Failure, io, name_of};

/// Writes a consistent copy of the store `from` to the new file `to`, and tells its size.
pub(crate) fn write(from: &Path, to: &Path) -> Result<u64, StoreError> {
    let db = connection::open_reader(from).map_err(|failure| failure.at(&name_of(from)))?;
    let file = place::create_private(to)?;
    let result = copy(&db, to)
        .map_err(|failure| failure.at(&name_of(to)))
        .and_then(|()| durable(&file, to));
    if result.is_err() {
        // It is not whole, and it is ours: it was not there before.
        let _ = fs::remove_file(to);
    }
    result
}

/// Fails if a file is not of this format.
pub(crate) fn must_be_of(format: &Format, from: &Path) -> Result<(), StoreError> {
    let store = name_of(from);
    let db = connection::open_reader(from).map_err(|failure| failure.at(&store))?;
    connection::must_be_of(format, &db, &store)
}

/// Puts the backup `from` in the place of the store `to`, with every right in it ended.
pub(crate) fn restore(
    format: &Format,
    from: &Path,
    to: &Path,
    now: Timestamp,
) -> Result<(), StoreError> {
    let found = fs::metadata(from).map_err(|error| io(from, "opening", &error))?;
    if !found.is_file() {
        return Err(StoreError::Foreign {
            store: name_of(from),
            problem: "it is not a regular file".to_owned(),
        });
    }
    if to.exists() {
        place::prepare(to, false)?;
    } else {
        fs::metadata(folder_of(to)).map_err(|error| io(to, "opening its folder", &error))?;
    }
    let lock = Lock::take(to)?;
    let temporary = beside(to, ".restore");
    // One that was cut short; the lock says that nobody is at it.
    let _ = fs::remove_file(&temporary);
    let result =
        prepare_copy(format, from, &temporary, now).and_then(|()| put_in_place(&temporary, to));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    drop(lock);
    result
}

fn prepare_copy(
    format: &Format,
    from: &Path,
    temporary: &Path,
    now: Timestamp,
) -> Result<(), StoreError> {
    let store = name_of(from);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)
        .map_err(|error| Failure::from(error).at(&store))?;
    connection::must_be_of(format, &source, &store)?;
    connection::must_be_whole(&source, &store, "PRAGMA integrity_check(1)")?;
    let file = place::create_private(temporary)?;
    copy(&source, temporary).map_err(|failure| failure.at(&name_of(temporary)))?;
    drop(source);
    let mut db = connection::open_writer(format, temporary, Found::Existing)?;
    let finish = |db: &mut Connection| -> Result<(), Failure> {
        connection::mark_restored(format, db, now)?;
        one_file(db)
    };
    finish(&mut db).map_err(|failure| failure.at(&name_of(temporary)))?;
    drop(db);
    durable(&file, temporary).map(|_| ())
}

/// Renames the copy over the store. A write-ahead log that the old file left would be applied to the new one,
/// so it is written home first.
fn put_in_place(temporary: &Path, to: &Path) -> Result<(), StoreError> {
    if to.exists()
        && let Ok(mut db) = Connection::open_with_flags(
            to,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    {
        // A store too broken for this is one that nobody misses.
        let _ = one_file(&mut db);
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(to, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(to, "removing its old log", &error));
            }
            _ => {}
        }
    }
    place::sync_folder(folder_of(to), to)?;
    fs::rename(temporary, to).map_err(|error| io(to, "putting the backup in its place", &error))?;
    place::sync_folder(folder_of(to), to)?;
    // The mark of what was here before does not fit any more. If this is cut short, the next opening ends
    // every right once more, which changes nothing.
    let db = connection::open_reader(to).map_err(|failure| failure.at(&name_of(to)))?;
    let mark = connection::mark(&db).map_err(|failure| failure.at(&name_of(to)))?;
    mark.write(to)
        .map_err(|error| io(to, "writing the mark beside it", &error))
}

/// Copies all pages in one step: a copy in several steps would begin anew after every commit of the writer.
fn copy(from: &Connection, to: &Path) -> Result<(), Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags)?;
    let backup = Backup::new(from, &mut target)?;
    if backup.step(-1)? != StepResult::Done {
        return Err(Failure::Batch {
            reason: "another program holds the file's lock".to_owned(),
        });
    }
    drop(backup);
    one_file(&mut target)
}

/// Writes the write-ahead log home and removes it.
fn one_file(db: &mut Connection) -> Result<(), Failure> {
    db.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    Ok(())
}

fn durable(file: &fs::File, path: &Path) -> Result<u64, StoreError> {
    file.sync_all()
        .map_err(|error| io(path, "syncing", &error))?;
    place::sync_folder(folder_of(path), path)?;
    file.metadata()
        .map(|found| found.len())
        .map_err(|error| io(path, "measuring", &error))
}
