//! The file as the server sees it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::VaultName;
use fnox_core::audit::{ChainKeys, Head, Record};
use fnox_core::clock::{Clock, SystemClock};
use fnox_server::StoreError;
use fnox_server::store::sql::SqlError;
use fnox_server::store::{AuditFilter, Database, ScannedRecord, Work};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{of_server, transaction};
use crate::connection;
use crate::format::SERVER;
use crate::place::Lock;
use crate::problem::{Failure, name_of};
use crate::readers::Readers;
use crate::writer::{Batch, Observer, Writer};
use crate::{audit, backup};

/// How long a restoration is of interest: longer than any token of a CI system is taken.
const OF_INTEREST: Duration = Duration::from_hours(24);

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct SqliteDatabaseOptions {
    /// Whether the file, and its folder, are created if they are not there.
    pub create: bool,
    /// Gives audit records their times.
    pub clock: Arc<dyn Clock>,
    /// How many requests may read from the disk at once.
    pub readers: usize,
}

impl Default for SqliteDatabaseOptions {
    fn default() -> Self {
        Self {
            create: false,
            clock: Arc::new(SystemClock),
            readers: 4,
        }
    }
}

/// The team server's database in one SQLite file. Copies share it; it is closed with the last.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    inner: Arc<Inner>,
}

// The order of the fields is the order in which they are dropped: the writer ends and the readers close
// before the lock is given to somebody else.
#[derive(Debug)]
struct Inner {
    writer: Writer,
    readers: Arc<Readers>,
    changes: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
    /// The restoration that was told of.
    told: Mutex<Option<Timestamp>>,
    path: PathBuf,
    name: String,
    _lock: Lock,
}

impl SqliteDatabase {
    /// Opens the database in `path`, checks it, and brings it to the newest format.
    ///
    /// Does not return before that is done; large files take seconds.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use fnox_server::Store;
    /// use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let options = SqliteDatabaseOptions { create: true, ..SqliteDatabaseOptions::default() };
    /// let database = SqliteDatabase::open(&folder.path().join("server.db"), options)?;
    /// let store = Store::new(Arc::new(database));
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Foreign`] if it is another
    /// program's, [`StoreError::Newer`], [`StoreError::Corrupt`], [`StoreError::Unavailable`] if it cannot
    /// be opened or others could have changed it.
    pub fn open(path: &Path, options: SqliteDatabaseOptions) -> Result<Self, StoreError> {
        let (db, lock) = connection::open_file(&SERVER, path, options.create, &*options.clock)
            .map_err(of_server)?;
        let (counter, changes) = watch::channel(0);
        let observer = Box::new(Changes(counter));
        let writer = Writer::start(db, path.to_owned(), Arc::clone(&options.clock), observer)
            .map_err(of_server)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers: Arc::new(Readers::new(path.to_owned(), options.readers)),
                changes,
                clock: options.clock,
                told: Mutex::default(),
                path: path.to_owned(),
                name: name_of(path),
                _lock: lock,
            }),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// When the file was restored from a backup, or replaced by an older copy: all sessions, approvals and grants in
    /// it have ended then. Told once, as long as it is of interest: CI tokens from before may have been used after
    /// the copy was made, so a server takes none of them, also when it was started anew since.
    ///
    /// # Errors
    /// As every read.
    pub async fn take_restored_flag(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self.restored_at().await?;
        let mut told = self
            .inner
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if at == *told {
            return Ok(None);
        }
        *told = at;
        let earliest = self.inner.clock.now() - OF_INTEREST;
        Ok(at.filter(|at| *at >= earliest))
    }

    /// When the file was restored last, if it ever was.
    ///
    /// # Errors
    /// As every read.
    pub async fn restored_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.look(connection::restored).await
    }

    /// Writes a consistent copy to `to`, a new file of this user alone, while the database serves. Answers with
    /// its size.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is such a file already or it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        let from = self.inner.path.clone();
        let to = to.to_owned();
        tokio::task::spawn_blocking(move || backup::write(&from, &to))
            .await
            .map_err(|_| of_server(Failure::Closed.at(&self.inner.name)))?
            .map_err(of_server)
    }

    /// The same for a database that this process has not open, also while a server has: nothing of it is changed.
    ///
    /// # Errors
    /// As [`Self::backup`], and [`StoreError::Foreign`] if it is another program's.
    pub fn copy(from: &Path, to: &Path) -> Result<u64, StoreError> {
        backup::must_be_of(&SERVER, from)
            .and_then(|()| backup::write(from, to))
            .map_err(of_server)
    }

    /// Puts the backup `from` in the place of the database `to`. Every session in it has ended, with every
    /// approval and every grant: what was used or withdrawn after the backup does not come back.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if a server has `to` open; as [`Self::open`] if `from` is not a whole database.
    /// After an error `to` is as it was.
    pub fn restore(from: &Path, to: &Path, clock: &dyn Clock) -> Result<(), StoreError> {
        backup::restore(&SERVER, from, to, clock.now()).map_err(of_server)
    }

    async fn submit<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.inner.writer.submit(work).await.map_err(of_server)
    }

    async fn look<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        self.inner.readers.read(work).await.map_err(of_server)
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn describe(&self) -> String {
        self.inner.name.clone()
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError> {
        self.submit(move |batch| batch.unlock(keys)).await
    }

    async fn write(&self, work: Work) -> Result<(), StoreError> {
        self.submit(move |batch| carry_out(batch, &work)).await
    }

    async fn read(&self, work: Work) -> Result<(), StoreError> {
        self.inner
            .readers
            .read_alone(move |db| answer(db, &work))
            .await
            .map_err(of_server)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.clone()
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        self.look(audit::head).await
    }

    async fn audit_scan(&self, after: u64, limit: usize) -> Result<Vec<ScannedRecord>, StoreError> {
        let found = self
            .look(move |db| audit::scan(db, after, limit))
            .await?
            .into_iter()
            .map(|scanned| ScannedRecord {
                position: scanned.position,
                record: scanned.record,
            });
        Ok(found.collect())
    }

    async fn audit_query(
        &self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let filter = filter.clone();
        self.look(move |db| audit::filter(db, &filter, limit)).await
    }
}

/// Counts commits.
struct Changes(watch::Sender<u64>);

impl Observer for Changes {
    fn batch_ended(&self, _touched: &[VaultName], was_stored: bool) {
        if was_stored {
            self.0.send_modify(|count| *count += 1);
        }
    }
}

/// Runs work inside the writer's transaction. If it fails, it has changed nothing, and the others of the batch go on.
fn carry_out(batch: &mut Batch<'_>, work: &Work) -> Result<(), Failure> {
    let begun = batch.begin()?;
    let result = transaction::run(batch.db, work).and_then(|entries| {
        batch.must_be_unlocked(&entries)?;
        entries.iter().try_for_each(transaction::must_fit)?;
        batch.record(entries)
    });
    match result {
        Ok(()) => batch.keep(begun),
        // The disk failed: the batch is given up with all in it.
        Err(failure) if !failure.is_its_own() => Err(failure),
        Err(failure) => {
            batch.undo(&begun)?;
            Err(failure)
        }
    }
}

/// Runs work that only asks, over one state of the file.
fn answer(db: &mut Connection, work: &Work) -> Result<(), Failure> {
    db.execute_batch("BEGIN")?;
    let result = transaction::run(db, work);
    // Nothing was changed. A connection on which this fails is not used again.
    let ended = db.execute_batch("ROLLBACK");
    let entries = result?;
    ended?;
    if entries.is_empty() {
        return Ok(());
    }
    Err(Failure::Work(SqlError::Unfit(
        "records of a question".to_owned(),
    )))
}
