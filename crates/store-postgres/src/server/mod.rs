//! What the team server keeps, in one PostgreSQL database that several servers share.
//!
//! Everything lies in one schema, `fnox_server`. Every server has one writer with one connection ([`writer`]), and
//! the lock of one row, the audit log's head, puts all writers in one line. Reads see one committed state each. What
//! was committed reaches the other servers by `NOTIFY`.
//!
//! Guarantees: those of [`Database`]. A database that was put back to an older state is found where that can be
//! found ([`history`]); otherwise the operator has to tell with [`PostgresDatabase::mark_restored`].
//!
//! Left out: TLS, as for the vault's store.

mod audit;
mod history;
mod problem;
mod statements;
mod value;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use fnox_core::audit::{Chain, ChainKeys, Head, Record};
use fnox_core::clock::Clock;
use fnox_server::StoreError;
use fnox_server::store::{AuditFilter, Database, ScannedRecord, Work};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_postgres::IsolationLevel;
use uuid::Uuid;

use self::history::{Known, Place, is_fresh};
use self::statements::Statements;
use self::writer::{Queue, Task, Writer};
use crate::PostgresOptions;
use crate::audit::number;
use crate::connection::Connections;
use crate::ears::{Channel, Ears, Owned};
use crate::problem::Failure;
use crate::store::warn_of_lost_writes;
use crate::{place, schema, time};

/// Where servers tell each other that something was committed. The payload is who did it.
const CHANNEL: &str = "fnox_server";

/// How many connections read the audit log at once.
const AUDITORS: usize = 2;

/// How long a restoration is of interest: longer than any token of a CI system is taken.
const OF_INTEREST: Duration = Duration::from_hours(24);

/// The team server's data in one PostgreSQL database, which other servers may use at the same time.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// For the audit log.
    connections: Connections,
    /// For reading what gives rights: each connection is looked at when it is used first.
    readers: Connections,
    queue: Queue,
    keys: watch::Sender<Option<Arc<ChainKeys>>>,
    changes: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
    /// The restoration that was told of last.
    told: Mutex<Option<Timestamp>>,
    limit: Duration,
    _listener: Owned,
}

impl PostgresDatabase {
    /// Connects, looks at the schema, and starts writing and listening, on the present tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Newer`] and [`StoreError::Foreign`] for what is in the database, [`StoreError::Unavailable`] if
    /// the server cannot be reached, and for a URL that is none or asks for TLS. None of them names a password.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let place =
            place::Place::parse(url, &options, &schema::SERVER).map_err(problem::of_shared)?;
        let connect = |size| Connections::new(&place, size, &options).map_err(problem::of_shared);
        let connections = connect(AUDITORS)?;
        let readers = connect(options.readers)?;
        let writing = connect(1)?;
        let failed = |failure| problem::of_failure(failure, connections.name());
        {
            let mut client = connections.client().await.map_err(failed)?;
            schema::SERVER
                .prepare(&mut client, connections.name(), options.migrate)
                .await
                .map_err(problem::of_shared)?;
            warn_of_lost_writes(&client).await;
            let entering = history::enter(&mut client, false, options.clock.now());
            limited(options.call_limit(), entering)
                .await
                .map_err(failed)?;
        }
        let (origin, own_name) = watch::channel(Uuid::now_v7());
        let (counter, changes) = watch::channel(0);
        let (keys, keys_given) = watch::channel(None);
        let ears = Ears::open(Channel {
            config: place.config.clone(),
            name: CHANNEL,
            limit: options.connect_limit,
        });
        let ears = ears.await.map_err(failed)?;
        let listener = Owned::spawn(listen(ears, own_name, counter.clone()));
        let writer = Writer {
            connections: writing,
            keys: keys_given,
            clock: Arc::clone(&options.clock),
            origin,
            changes: counter,
            limit: options.call_limit(),
            known: Known::default(),
        };
        Ok(Self {
            connections,
            readers,
            queue: writer.start(),
            keys,
            changes,
            clock: options.clock.clone(),
            told: Mutex::default(),
            limit: options.call_limit(),
            _listener: listener,
        })
    }

    /// When the database was put back to an older state, if this server was not told yet. All sessions, approvals and
    /// grants in it have ended. Tokens of CI systems from before must not be taken: that they were used may be
    /// forgotten.
    ///
    /// Every server that uses the database is told once, at its start or while it runs; at a start for a day.
    ///
    /// # Errors
    /// As every read.
    pub async fn take_restored_flag(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self.restored_at().await?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if at == *told {
            return Ok(None);
        }
        *told = at;
        let earliest = self.clock.now() - OF_INTEREST;
        Ok(at.filter(|at| *at >= earliest))
    }

    /// When the database was put back to an older state last, if it ever was.
    ///
    /// # Errors
    /// As every read.
    pub async fn restored_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT restored_at FROM history WHERE id = 1";
        let found = self.connections.query_one(sql, &[]).await;
        let Some(row) = found.map_err(problem::of_shared)? else {
            return Ok(None);
        };
        let at: Option<i64> = crate::rows::column(&row, "restored_at")
            .map_err(|unreadable| self.failed(unreadable.into()))?;
        Ok(at.map(time::read))
    }

    /// Whether PostgreSQL was started after anything was written here. Only then can its files have been put back from a
    /// copy that cannot be told from the database itself (see [`history`]): whoever starts a server may want to know.
    ///
    /// # Errors
    /// As every read.
    pub async fn may_be_a_copy(&self) -> Result<bool, StoreError> {
        let found = self.connections.query_one(history::QUIET_SINCE_START, &[]);
        let row = found.await.map_err(problem::of_shared)?;
        let quiet = row.and_then(|row| crate::rows::column(&row, "quiet").ok());
        Ok(quiet.unwrap_or(false))
    }

    /// Ends all sessions, approvals and unused grants, because the database was put back to an older state in a way
    /// that cannot be seen from within. Servers that run ask for it, and refuse older tokens of CI systems a moment
    /// later.
    ///
    /// # Errors
    /// As every write.
    pub async fn mark_restored(&self) -> Result<(), StoreError> {
        let marking = async {
            let mut client = self.connections.client().await?;
            history::enter(&mut client, true, self.clock.now()).await
        };
        limited(self.limit, marking)
            .await
            .map_err(|failure| self.failed(failure))
    }

    async fn ask(&self, task: Task) -> Result<(), StoreError> {
        let asked = self.queue.ask(task).await;
        asked.map_err(|failure| self.failed(failure))
    }

    fn failed(&self, failure: Failure) -> StoreError {
        problem::of_failure(failure, self.connections.name())
    }

    /// Reads once. `None` if the connection had died while nobody used it, as after a restart of the server.
    async fn attempt(&self, work: &Work) -> Result<Option<()>, Failure> {
        let mut client = self.readers.client().await?;
        let outcome = self.read_on(&mut client, work).await;
        let dead = client.is_closed();
        if outcome.is_err() && is_fresh(&client) {
            // It may not have been looked at, so it is not used again.
            drop(Object::take(client));
        }
        match outcome {
            Err(_) if dead => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    async fn read_on(&self, client: &mut Object, work: &Work) -> Result<(), Failure> {
        if is_fresh(client) && Place::look(client).await?.is_another() {
            // No right that has ended is shown before it has ended here too.
            self.queue.ask(Task::Look).await?;
        }
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let mut statements = Statements::on(&transaction);
        let outcome = work(&mut statements).await;
        // Dropped, the transaction is rolled back without anybody waiting for it.
        outcome
            .and_then(|_| statements.end())
            .map(|_| ())
            .map_err(problem::failure)
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn describe(&self) -> String {
        self.connections.name().to_owned()
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError> {
        let corrupt = |problem: String| self.failed(Failure::Corrupt(problem));
        let mut head = self.audit_head().await?;
        if head.is_none() && !self.audit_scan(0, 1).await?.is_empty() {
            // Another server may have written the first record between the two questions.
            head = self.audit_head().await?;
            if head.is_none() {
                return Err(corrupt("the audit log has records and no head".to_owned()));
            }
        }
        if let Some(head) = head {
            Chain::resume(&keys, &head).map_err(|forged| corrupt(forged.to_string()))?;
        }
        self.keys.send_replace(Some(Arc::new(keys)));
        self.ask(Task::Look).await
    }

    async fn write(&self, work: Work) -> Result<(), StoreError> {
        self.ask(Task::Change(work)).await
    }

    async fn take_restored(&self) -> Result<Option<Timestamp>, StoreError> {
        self.take_restored_flag().await
    }

    async fn read(&self, work: Work) -> Result<(), StoreError> {
        let reading = async {
            for _ in 0..2 {
                if let Some(()) = self.attempt(&work).await? {
                    return Ok(());
                }
            }
            Err(Failure::Unavailable("the connection broke".to_owned()))
        };
        limited(self.limit, reading)
            .await
            .map_err(|failure| self.failed(failure))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        let found = self.connections.query_one(audit::HEAD, &[]).await;
        match found.map_err(problem::of_shared)? {
            Some(row) => audit::head(&row).map_err(|unreadable| self.failed(unreadable.into())),
            None => Ok(None),
        }
    }

    async fn audit_scan(&self, after: u64, limit: usize) -> Result<Vec<ScannedRecord>, StoreError> {
        // Numbers below 1 are nobody's but an intruder's; they are found too.
        let after = if after == 0 { i64::MIN } else { number(after) };
        let found = self
            .connections
            .query(&audit::scan(), &[&after, &crate::audit::limited(limit)])
            .await
            .map_err(problem::of_shared)?;
        Ok(found.iter().map(audit::scanned).collect())
    }

    async fn audit_query(
        &self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let Some((sql, conditions)) = audit::question(filter, limit) else {
            return Ok(Vec::new());
        };
        self.connections
            .query(&sql, &conditions.parameters())
            .await
            .map_err(problem::of_shared)?
            .iter()
            .map(|row| audit::record(row).map_err(|unreadable| self.failed(unreadable.into())))
            .collect()
    }
}

/// Gives up when the time for one call is over. What was begun is rolled back by dropping it.
async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let problem = "the server did not answer in time".to_owned();
        Err(Failure::Unavailable(problem))
    })
}

/// Counts what others committed. Own commits were counted when they were made.
async fn listen(mut ears: Ears, own: watch::Receiver<Uuid>, changes: watch::Sender<u64>) {
    loop {
        while let Some(payloads) = ears.payloads().await {
            let own = own.borrow().simple().to_string();
            if payloads.iter().any(|payload| *payload != own) {
                changes.send_modify(|count| *count += 1);
            }
        }
        ears = ears.again().await;
        // While it was away anything may have been committed.
        changes.send_modify(|count| *count += 1);
    }
}
