//! What the server keeps, and how every change of it is one transaction with its audit record.
//!
//! [`Store`] has one method for each thing that the server does to its data. Each is a few statements, written once
//! ([`sql`]) and run by a [`Database`]: SQLite or PostgreSQL. States move by one conditional statement each; the audit
//! record is written in the same transaction; the answer comes after the commit.
//!
//! A [`Refusal`] is an answer too: nothing was changed but the audit log, which tells of it, unless there simply was no
//! such thing.

mod approvals;
mod audit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod grants;
mod housekeeping;
mod names;
mod questions;
mod record;
mod secrets;
mod sessions;
pub mod sql;
mod tokens;
mod users;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fnox_core::audit::{ChainKeys, Entry, Head, Outcome, Record};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

pub use self::approvals::{Asked, Decided, NewApproval, NewDecision};
pub use self::audit::{AuditFilter, ScannedRecord};
pub use self::error::{Refusal, StoreError};
pub use self::grants::{NewGrant, Redeemed};
pub use self::housekeeping::Ended;
pub use self::names::KnownName;
pub use self::questions::UsedYes;
pub use self::record::{
    ApprovalRecord, Condition, GrantRecord, QuestionRecord, SecretPlace, SecretRecord,
    SessionRecord, UserRecord,
};
pub use self::secrets::NewSecret;
pub use self::sessions::{NewSession, Replay};
use self::sql::{SqlError, Transaction};
pub use self::users::UserChange;

/// What a transaction does. It may be run again if its first run did not commit.
pub type Work = Box<
    dyn for<'t> Fn(&'t mut (dyn Transaction + 't)) -> BoxFuture<'t, Result<Vec<Entry>, SqlError>>
        + Send
        + Sync,
>;

/// A transaction as a statement's function gets it.
type Tx<'t> = &'t mut (dyn Transaction + 't);

/// One change: what it did, or why it did not.
type Change<T, D> =
    for<'t> fn(Tx<'t>, &'t mut Entry, &'t D) -> BoxFuture<'t, Result<Result<T, Refusal>, SqlError>>;

/// What was done to any number of things, with their entries.
type Swept<T> = (T, Vec<Entry>);

/// A change of any number of things.
type Sweep<T, D> = for<'t> fn(Tx<'t>, &'t D) -> BoxFuture<'t, Result<Swept<T>, SqlError>>;

/// A question.
type Find<T, D> = for<'t> fn(Tx<'t>, &'t D) -> BoxFuture<'t, Result<T, SqlError>>;

/// Runs transactions.
///
/// Obligations of every implementation, tested by one suite over all of them:
/// - Writing transactions are strictly one after the other, also between several servers on one database.
/// - What returned `Ok` is durable, with its entries in the audit log, before `write` returns.
/// - What returned an error has changed nothing; others that shared its commit are not harmed by its data.
/// - Errors heal by themselves: once the disk has room or the database is back, the next call works.
/// - A database that was restored from a copy, or replaced by an older one, gives no right back: sessions, approvals
///   and grants have ended in it.
#[async_trait]
pub trait Database: Send + Sync + std::fmt::Debug {
    /// Where it is, for people; no passwords.
    fn describe(&self) -> String;

    /// Whether other servers use it too.
    fn is_shared(&self) -> bool;

    /// Gives the writer of the audit log its keys, before anything is written.
    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError>;

    /// Runs a transaction that may change something.
    async fn write(&self, work: Work) -> Result<(), StoreError>;

    /// Runs a transaction that only reads; it returns no entries. It may see a state a moment old, never a half one.
    async fn read(&self, work: Work) -> Result<(), StoreError>;

    /// When the database was put back to an older state, if this server was not told yet: while it runs, that can only
    /// happen to a database that others reach too.
    async fn take_restored(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// Counts up whenever something was committed, here or by another server.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Where the audit log ends.
    async fn audit_head(&self) -> Result<Option<Head>, StoreError>;

    /// Records of the audit log in the order of their stored positions, from the first one after `after`, at most
    /// `limit`: what is really there, for verification.
    async fn audit_scan(&self, after: u64, limit: usize) -> Result<Vec<ScannedRecord>, StoreError>;

    /// Records that fit, in the order of their numbers.
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;
}

/// What the server keeps. Copies share it.
#[derive(Debug, Clone)]
pub struct Store {
    database: Arc<dyn Database>,
}

impl Store {
    /// What is in a database. Its audit log must have been unlocked.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.database
    }

    /// Runs a change. `work` answers with what it did or why it did not, and completes the entry, which is recorded
    /// either way.
    async fn change<T, D>(&self, entry: Entry, data: D, work: Change<T, D>) -> Result<T, StoreError>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let done = Arc::new(Mutex::new(None));
        let place = Arc::clone(&done);
        let data = Arc::new(data);
        let run: Work = Box::new(move |transaction| {
            let mut entry = entry.clone();
            let place = Arc::clone(&place);
            let data = Arc::clone(&data);
            Box::pin(async move {
                let outcome = work(transaction, &mut entry, &data).await?;
                if let Err(refusal) = &outcome {
                    refusal.describe(&mut entry);
                }
                let is_recorded = !matches!(outcome, Err(Refusal::Missing));
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                // Anybody can ask for what is not there, and each record costs a sync of the disk.
                Ok(if is_recorded { vec![entry] } else { Vec::new() })
            })
        });
        self.database.write(run).await?;
        let outcome = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(refusal)) => Err(StoreError::Refused(refusal)),
            None => Err(self.silent()),
        }
    }

    /// Runs a change that concerns any number of things, each with an entry of its own; without any, nothing is
    /// recorded.
    async fn sweep<T, D>(&self, data: D, work: Sweep<T, D>) -> Result<T, StoreError>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let done = Arc::new(Mutex::new(None));
        let place = Arc::clone(&done);
        let data = Arc::new(data);
        let run: Work = Box::new(move |transaction| {
            let place = Arc::clone(&place);
            let data = Arc::clone(&data);
            Box::pin(async move {
                let (value, entries) = work(transaction, &data).await?;
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(entries)
            })
        });
        self.database.write(run).await?;
        let value = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| self.silent())
    }

    /// Runs a transaction that only reads.
    async fn find<T, D>(&self, data: D, work: Find<T, D>) -> Result<T, StoreError>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let found = Arc::new(Mutex::new(None));
        let place = Arc::clone(&found);
        let data = Arc::new(data);
        let run: Work = Box::new(move |transaction| {
            let place = Arc::clone(&place);
            let data = Arc::clone(&data);
            Box::pin(async move {
                let value = work(transaction, &data).await?;
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(Vec::new())
            })
        });
        self.database.read(run).await?;
        let value = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| self.silent())
    }

    fn silent(&self) -> StoreError {
        StoreError::Unavailable {
            store: self.database.describe(),
            problem: "it answered without doing anything".to_owned(),
        }
    }

    /// Records what happened where nothing is changed.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be made durable.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let run: Work = Box::new(move |_| {
            let entries = entries.clone();
            Box::pin(async move { Ok(entries) })
        });
        self.database.write(run).await
    }
}

impl Refusal {
    /// Turns an entry that was made for a success into one of this refusal.
    fn describe(&self, entry: &mut Entry) {
        entry.outcome = Outcome::Denied;
        entry.reason = Some(self.to_string());
        if let Some(event) = self.event() {
            event.clone_into(&mut entry.event);
        }
    }
}
