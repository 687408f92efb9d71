//! Connections: how they are opened, what is checked first, and the steps from older formats.

use std::path::Path;

use fnox_core::clock::Clock;
use fnox_vault::store::StoreError;
use jiff::Timestamp;
use refinery::{Migration, Runner};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::format::Format;
use crate::place::{self, Found, Lock, Mark};
use crate::problem::{Failure, name_of};
use crate::time;

/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;

/// Takes the place of a file, opens it for writing, and ends every right in it if it is an older copy that somebody
/// put there.
pub(crate) fn open_file(
    format: &Format,
    path: &Path,
    create: bool,
    clock: &dyn Clock,
) -> Result<(Connection, Lock), StoreError> {
    let found = place::prepare(path, create)?;
    let lock = Lock::take(path)?;
    let mut db = open_writer(format, path, found)?;
    if found == Found::Existing {
        notice_older_copy(format, path, &mut db, clock)
            .map_err(|failure| failure.at(&name_of(path)))?;
    }
    Ok((db, lock))
}

fn notice_older_copy(
    format: &Format,
    path: &Path,
    db: &mut Connection,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let here = mark(db)?;
    let is_as_left = match Mark::read(path) {
        Some(seen) => seen.epoch == here.epoch && seen.changes <= here.changes,
        None => is_unused(format, db)?,
    };
    if is_as_left {
        return Ok(());
    }
    tracing::warn!(
        store = %name_of(path),
        "the file is not the one that was here last: {}", format.rights
    );
    mark_restored(format, db, clock.now())
}

/// Opens the connection that writes, checks the file and brings it to the newest format.
pub(crate) fn open_writer(
    format: &Format,
    path: &Path,
    found: Found,
) -> Result<Connection, StoreError> {
    let store = name_of(path);
    let mut db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|it| it.at(&store))?;
    if found == Found::Existing {
        must_be_of(format, &db, &store)?;
        must_be_whole(&db, &store, "PRAGMA quick_check(1)")?;
    }
    durable(&db).map_err(|failure| failure.at(&store))?;
    migrate(format, &mut db, &store)?;
    Ok(db)
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Failure> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

fn open(path: &Path, mode: OpenFlags) -> Result<Connection, Failure> {
    // Each connection stays with one thread at a time, so SQLite need not lock it.
    let db = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    // A file that somebody else wrote must not run functions or change the schema behind our back
    // (sqlite.org/security.html).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// Makes a commit durable before it returns, and what is deleted unreadable.
fn durable(db: &Connection) -> Result<(), Failure> {
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::TooFar {
            what: "a write-ahead log on this file system",
        });
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    // fsync(2) of macOS leaves the data in the disk's own cache; F_FULLFSYNC does not. Other systems have no such
    // difference, and SQLite none either (sqlite.org/pragma.html#pragma_fullfsync).
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -16_384)?;
    // Fewer, larger checkpoints: each costs two more syncs. The log is then written anew from its beginning,
    // and a sync in place costs less than one of a file that grows: so not too large either.
    db.pragma_update(None, "wal_autocheckpoint", 2000)?;
    db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(())
}

/// Refuses files of another kind, and those of a newer format.
pub(crate) fn must_be_of(format: &Format, db: &Connection, store: &str) -> Result<(), StoreError> {
    let pragma = |name: &str| -> Result<i32, StoreError> {
        db.pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| Failure::from(error).at(store))
    };
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| Failure::from(error).at(store))?;
    let id = pragma("application_id")?;
    if id != format.application_id {
        let problem = match Format::of_application(id) {
            Some(other) => format!("it is {}", other.name),
            None if tables == 0 => "the file is empty".to_owned(),
            None => "it is another program's SQLite database".to_owned(),
        };
        return Err(StoreError::Foreign {
            store: store.to_owned(),
            problem,
        });
    }
    let found: Option<i64> = db
        .query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .map_err(|error| Failure::from(error).at(store))?;
    match found.and_then(|found| u32::try_from(found).ok()) {
        Some(found) if found > format.newest() => Err(StoreError::Newer {
            store: store.to_owned(),
            found,
            known: format.newest(),
        }),
        _ => Ok(()),
    }
}

/// Refuses a damaged file. `check` is one of SQLite's checks, limited to one finding.
pub(crate) fn must_be_whole(db: &Connection, store: &str, check: &str) -> Result<(), StoreError> {
    let finding: String = db
        .query_row(check, [], |row| row.get(0))
        .map_err(|error| Failure::from(error).at(store))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        store: store.to_owned(),
        problem: "the file is damaged".to_owned(),
    })
}

fn migrate(format: &Format, db: &mut Connection, store: &str) -> Result<(), StoreError> {
    let failed = |error: refinery::error::Error| StoreError::Unavailable {
        store: store.to_owned(),
        problem: format!("bringing it to format {}: {error}", format.newest()),
    };
    let mut migrations = Vec::with_capacity(format.migrations.len());
    for (name, sql) in format.migrations {
        migrations.push(Migration::unapplied(name, sql).map_err(failed)?);
    }
    Runner::new(&migrations).run(db).map_err(failed)?;
    let begin = |db: &Connection| -> rusqlite::Result<()> {
        if !db.prepare("SELECT 1 FROM history")?.exists([])? {
            let epoch = uuid::Uuid::new_v4();
            db.execute(
                "INSERT INTO history (id, epoch, changes) VALUES (1, ?, 0)",
                [epoch.as_bytes().as_slice()],
            )?;
        }
        Ok(())
    };
    begin(db).map_err(|error| Failure::from(error).at(store))
}

/// The file's history and how far it has come.
pub(crate) fn mark(db: &Connection) -> Result<Mark, Failure> {
    Ok(
        db.query_row("SELECT epoch, changes FROM history", [], |row| {
            Ok(Mark {
                epoch: row.get(0)?,
                changes: row.get(1)?,
            })
        })?,
    )
}

/// Whether anybody could have been given a right, or anything was recorded.
pub(crate) fn is_unused(format: &Format, db: &Connection) -> Result<bool, Failure> {
    let used: Option<i64> = db
        .query_row(format.is_used, [], |row| row.get(0))
        .optional()?;
    Ok(used.is_none())
}

/// Ends every right in a file that was restored, and begins a history of its own for it.
pub(crate) fn mark_restored(
    format: &Format,
    db: &mut Connection,
    now: Timestamp,
) -> Result<(), Failure> {
    let transaction = db.transaction()?;
    (format.end_rights)(&transaction, time::nearest(now))?;
    transaction.execute(
        "UPDATE history SET epoch = ?, changes = changes + 1, restored_at = ?",
        params![
            uuid::Uuid::new_v4().as_bytes().as_slice(),
            time::stored(now)?
        ],
    )?;
    transaction.commit()?;
    Ok(())
}

/// When the file was restored last, if it was.
pub(crate) fn restored(db: &Connection) -> Result<Option<Timestamp>, Failure> {
    let at: Option<i64> = db.query_row("SELECT restored_at FROM history", [], |row| row.get(0))?;
    at.map(|at| time::of("restored_at", at)).transpose()
}

/// The same, for the last time.
pub(crate) fn take_restored(db: &Connection) -> Result<Option<Timestamp>, Failure> {
    let at = restored(db)?;
    if at.is_some() {
        db.execute("UPDATE history SET restored_at = NULL", [])?;
    }
    Ok(at)
}
