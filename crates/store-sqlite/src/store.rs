//! The store as the vault sees it.

mod traits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::clock::{Clock, SystemClock};
use fnox_vault::store::{AuditLog, KeyRingStore, LeaseStore, SecretStore, StoreError, Stores};
use jiff::Timestamp;
use rusqlite::Connection;

use crate::backup;
use crate::cache::Cache;
use crate::connection;
use crate::format::VAULT;
use crate::place::Lock;
use crate::problem::{Failure, name_of};
use crate::readers::Readers;
use crate::writer::{Batch, Writer};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Whether the file, and its folder, are created if they are not there.
    pub create: bool,
    /// Gives audit records their times.
    pub clock: Arc<dyn Clock>,
    /// How many bytes of sealed secrets are kept in memory.
    pub cache_bytes: usize,
    /// How many requests may read from the disk at once.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            create: false,
            clock: Arc::new(SystemClock),
            cache_bytes: 64 * 1024 * 1024,
            readers: 4,
        }
    }
}

/// All four stores in one SQLite file. Copies share it; it is closed with the last.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

// The order of the fields is the order in which they are dropped: the writer ends and the readers close
// before the lock is given to somebody else.
#[derive(Debug)]
struct Inner {
    writer: Writer,
    readers: Arc<Readers>,
    cache: Arc<Cache>,
    path: PathBuf,
    name: String,
    _lock: Lock,
}

impl SqliteStore {
    /// Opens the store in `path`, checks it, and brings it to the newest format.
    ///
    /// Does not return before that is done; large files take seconds.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fnox_store_sqlite::{SqliteOptions, SqliteStore};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let options = SqliteOptions { create: true, ..SqliteOptions::default() };
    /// let store = SqliteStore::open(&folder.path().join("vault.db"), options)?;
    /// let stores = store.stores();
    /// # drop(stores);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another vault has it open, [`StoreError::Foreign`] if it is another
    /// program's, [`StoreError::Newer`], [`StoreError::Corrupt`], [`StoreError::Unavailable`] if it cannot
    /// be opened or others could have changed it.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let (db, lock) = connection::open_file(&VAULT, path, options.create, &*options.clock)?;
        let cache = Arc::new(Cache::new(options.cache_bytes));
        let observer = Box::new(Arc::clone(&cache));
        let writer = Writer::start(db, path.to_owned(), options.clock, observer)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers: Arc::new(Readers::new(path.to_owned(), options.readers)),
                cache,
                path: path.to_owned(),
                name: name_of(path),
                _lock: lock,
            }),
        })
    }

    /// This store in all four places.
    #[must_use]
    pub fn stores(&self) -> Stores {
        let this = Arc::new(self.clone());
        Stores {
            secrets: Arc::clone(&this) as Arc<dyn SecretStore>,
            leases: Arc::clone(&this) as Arc<dyn LeaseStore>,
            audit: Some(Arc::clone(&this) as Arc<dyn AuditLog>),
            ring: this as Arc<dyn KeyRingStore>,
        }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// When the file was restored from a backup, or replaced by an older copy, if nobody asked yet. All
    /// leases, tokens and sessions in it have ended then.
    ///
    /// # Errors
    /// As every write.
    pub async fn take_restored_flag(&self) -> Result<Option<Timestamp>, StoreError> {
        self.write(|batch| connection::take_restored(batch.db))
            .await
    }

    /// Writes a consistent copy to `to`, a new file of this user alone, while the store serves. Answers with
    /// its size.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is such a file already or it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        let from = self.inner.path.clone();
        let to = to.to_owned();
        tokio::task::spawn_blocking(move || backup::write(&from, &to))
            .await
            .map_err(|_| Failure::Closed.at(&self.inner.name))?
    }

    /// Puts the backup `from` in the place of the store `to`. Every lease in it has ended, every token is
    /// withdrawn and every session closed: what was spent or withdrawn after the backup does not come back.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if a vault has `to` open; as [`Self::open`] if `from` is not a whole vault.
    /// After an error `to` is as it was.
    pub fn restore(from: &Path, to: &Path, clock: &dyn Clock) -> Result<(), StoreError> {
        backup::restore(&VAULT, from, to, clock.now())
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.inner.writer.submit(work).await
    }
}
