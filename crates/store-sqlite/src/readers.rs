//! Connections that only read, each used by one request at a time, away from the asynchronous threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_vault::store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::connection;
use crate::problem::{Failure, name_of};

/// A few connections, opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    /// At most `count` connections.
    pub(crate) fn new(path: PathBuf, count: usize) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            permits: Semaphore::new(count.max(1)),
        }
    }

    /// Reads with one of the connections.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        self.read_alone(move |db| work(db)).await
    }

    /// Reads with one of the connections, which nobody else can use meanwhile.
    pub(crate) async fn read_alone<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let gone = |_| Failure::Closed.at(&name_of(&self.path));
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| Failure::Closed.at(&name_of(&self.path)))?;
        let this = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || this.with_one(work)).await;
        result
            .map_err(gone)?
            .map_err(|failure| failure.at(&name_of(&self.path)))
    }

    fn with_one<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let mut db = match idle {
            Some(db) => db,
            None => connection::open_reader(&self.path)?,
        };
        let result = work(&mut db);
        // A connection on which the disk failed is not used again, nor one that would go on seeing the past.
        let is_sound = result.as_ref().err().is_none_or(Failure::is_its_own) && db.is_autocommit();
        if is_sound {
            self.idle().push(db);
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
