//! The one writer of this server, with group commit.
//!
//! Changes queue; the writer takes all that wait, up to a limit, and makes them in one transaction, so that many share
//! one flush of the database's log. The transaction first locks the audit log's head, which puts the writers of all
//! servers in one line: what one change has read, nobody changes before the commit. Changes are made one after the
//! other, each behind a savepoint of its own, so that one that fails takes nothing of the others with it.
//!
//! Records, head, notice and commit leave together. If the connection breaks then, nobody knows what happened: it is
//! told as not available, and whoever waits for changes is told to look.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use fnox_core::audit::{Chain, ChainKeys, Entry, Head, Record};
use fnox_core::clock::Clock;
use fnox_server::store::Work;
use fnox_server::store::sql::SqlError;
use futures_util::FutureExt as _;
use futures_util::future::join;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::CHANNEL;
use super::history::{self, Known};
use super::problem;
use super::statements::Statements;
use super::{audit, history::is_fresh};
use crate::audit::HeadColumns;
use crate::connection::Connections;
use crate::problem::Failure;
use crate::{texts, time};

/// Changes in one transaction: enough to share a flush, few enough to keep other servers waiting shortly, and no more
/// savepoints than PostgreSQL keeps in shared memory (64).
const BATCH: usize = 64;

/// Changes that may wait. Whoever comes then waits for a place.
const QUEUE: usize = 4096;

/// What to do.
pub(super) enum Task {
    /// Only look whether this is still the same database.
    Look,
    /// A change.
    Change(Work),
}

struct Job {
    task: Task,
    answer: oneshot::Sender<Result<(), Failure>>,
}

/// Hands changes to the writer.
#[derive(Debug, Clone)]
pub(super) struct Queue(mpsc::Sender<Job>);

impl Queue {
    /// Asks, and waits until it is durable or failed.
    pub(super) async fn ask(&self, task: Task) -> Result<(), Failure> {
        let ended = || Failure::Unavailable("its writer has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Job { task, answer })
            .await
            .map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

/// Writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// A pool of one connection.
    pub(super) connections: Connections,
    /// Keys of the audit log, once they were given.
    pub(super) keys: watch::Receiver<Option<Arc<ChainKeys>>>,
    /// Gives records their times.
    pub(super) clock: Arc<dyn Clock>,
    /// How this server names itself in notices.
    pub(super) origin: watch::Sender<Uuid>,
    /// Who waits for changes.
    pub(super) changes: watch::Sender<u64>,
    /// How long one transaction may take.
    pub(super) limit: Duration,
    /// What is known of the database.
    pub(super) known: Known,
}

/// A batch that was not written.
#[derive(Debug)]
struct Broken {
    failure: Failure,
    kind: Kind,
}

/// How a batch was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing was changed.
    Whole,
    /// Nothing was changed, and the reason may lie in the entries of one change: each may be tried alone.
    Partly,
    /// The connection broke after the commit was sent.
    Unknown,
}

impl<T: Into<Failure>> From<T> for Broken {
    fn from(failure: T) -> Self {
        Self {
            failure: failure.into(),
            kind: Kind::Whole,
        }
    }
}

type Outcomes = Vec<Result<(), Failure>>;

/// What a batch did, before it is committed.
#[derive(Debug, Default)]
struct Made {
    outcomes: Outcomes,
    entries: Vec<Entry>,
    changed: bool,
}

impl Writer {
    /// Starts the writer. It ends when the last [`Queue`] is dropped.
    pub(super) fn start(self) -> Queue {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(self.run(queue));
        Queue(jobs)
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            match self.write(&batch).await {
                Ok(outcomes) => {
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        let _ = job.answer.send(outcome);
                    }
                }
                Err(broken) if broken.kind == Kind::Partly && batch.len() > 1 => {
                    // One change's entries must not fail the others.
                    for job in batch.drain(..) {
                        let outcome = match self.write(std::slice::from_ref(&job)).await {
                            Ok(mut outcomes) => outcomes.remove(0),
                            Err(broken) => Err(broken.failure),
                        };
                        let _ = job.answer.send(outcome);
                    }
                }
                Err(broken) => {
                    tracing::warn!(problem = ?broken.failure, "PostgreSQL did not take changes");
                    // Whoever waits behind would wait for the same failure.
                    while let Ok(job) = queue.try_recv() {
                        batch.push(job);
                    }
                    for job in batch.drain(..) {
                        let _ = job.answer.send(Err(broken.failure.clone()));
                    }
                }
            }
        }
    }

    async fn write(&mut self, batch: &[Job]) -> Result<Outcomes, Broken> {
        let mut connection = None;
        let limit = self.limit;
        let outcomes = tokio::time::timeout(limit, self.attempt(&mut connection, batch))
            .await
            .unwrap_or_else(|_| {
                Err(Broken {
                    failure: Failure::Unavailable("the server did not answer in time".to_owned()),
                    kind: Kind::Unknown,
                })
            });
        if let Err(broken) = &outcomes {
            // It may be in the middle of a transaction, which the server rolls back once it is closed.
            drop(connection.map(Object::take));
            if broken.kind == Kind::Unknown {
                self.look_again();
            }
        }
        outcomes
    }

    /// What was committed without this server's knowledge is to be seen all the same. If it is committed already, who
    /// waits for changes finds it now; if that is still to come, its notice bears a name that is not this server's
    /// any more.
    fn look_again(&self) {
        self.origin.send_replace(Uuid::now_v7());
        self.changes.send_modify(|count| *count += 1);
    }

    async fn attempt(
        &mut self,
        connection: &mut Option<Object>,
        batch: &[Job],
    ) -> Result<Outcomes, Broken> {
        let client = connection.insert(self.connections.client().await?);
        let head = match begin(client).await {
            Err(_) if client.is_closed() => {
                // It died while nobody used it, and nothing was asked of it yet.
                drop(connection.take().map(Object::take));
                begin(connection.insert(self.connections.client().await?)).await?
            }
            begun => begun?,
        };
        let Some(client) = connection else {
            return Err(Failure::Unavailable("no connection".to_owned()).into());
        };
        if is_fresh(client) {
            self.known.reconnected();
        }
        self.transact(client, head, batch).await
    }

    async fn transact(
        &mut self,
        client: &Object,
        head: tokio_postgres::Row,
        batch: &[Job],
    ) -> Result<Outcomes, Broken> {
        let head = audit::head(&head)?;
        let mut chain = self.chain(head.as_ref())?;
        let mut known = self.known.clone();
        let mut entries = Vec::new();
        let settles = known.doubts(head.as_ref());
        if settles {
            let now = self.clock.now();
            entries.extend(history::settle(client, &mut known, head.as_ref(), now).await?);
        }
        let single = batch.len() == 1 && !settles;
        let made = make(client, batch, single).await?;
        let changed = made.changed || !entries.is_empty();
        entries.extend(made.entries);
        if single && made.outcomes.iter().all(Result::is_err) {
            client.batch_execute("ROLLBACK").await?;
            return Ok(made.outcomes);
        }
        let now = time::storable(self.clock.now());
        let records: Vec<Record> = entries
            .into_iter()
            .map(|entry| chain.append(entry, now))
            .collect();
        if records.is_empty() && !changed {
            client.batch_execute("COMMIT").await?;
        } else {
            let origin = *self.origin.borrow();
            let head = chain.head();
            finish(client, &records, &head, origin).await?;
            known.went_on(&head);
            self.changes.send_modify(|count| *count += 1);
        }
        self.known = known;
        Ok(made.outcomes)
    }

    /// The chain of the audit log, from where it ends.
    fn chain(&self, head: Option<&Head>) -> Result<Chain, Broken> {
        let keys = self.keys.borrow().clone().ok_or_else(|| {
            Failure::Unavailable("the audit log's keys were not given yet".to_owned())
        })?;
        let Some(head) = head else {
            return Ok(Chain::empty(keys.current().clone()));
        };
        Ok(Chain::resume(&keys, head).map_err(|forged| Failure::Corrupt(forged.to_string()))?)
    }
}

/// Opens a transaction and waits for the head's lock. Both are awaited before anything else is sent: if one of them
/// failed, what follows would be committed statement by statement.
async fn begin(client: &ClientWrapper) -> Result<tokio_postgres::Row, Broken> {
    let lock = client
        .prepare_cached(&format!("{} FOR UPDATE", audit::HEAD))
        .await?;
    let (begun, head) = join(
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
        client.query_opt(&lock, &[]),
    )
    .await;
    begun?;
    Ok(head?.ok_or_else(|| Failure::Corrupt("the audit log's head is gone".to_owned()))?)
}

/// Makes the changes, one after the other. A single one needs no savepoint: it stands or falls with the transaction.
async fn make(client: &Object, batch: &[Job], single: bool) -> Result<Made, Broken> {
    let mut made = Made::default();
    let mut open = false;
    for job in batch {
        let Task::Change(work) = &job.task else {
            made.outcomes.push(Ok(()));
            continue;
        };
        if !single {
            client
                .batch_execute(if open { NEXT } else { FIRST })
                .await?;
            open = true;
        }
        match perform(client, work).await {
            Ok((entries, changed)) => {
                made.entries.extend(entries);
                made.changed |= changed;
                made.outcomes.push(Ok(()));
            }
            Err(error) => {
                if !single {
                    client.batch_execute(BACK).await?;
                }
                made.outcomes.push(Err(problem::failure(error)));
            }
        }
    }
    Ok(made)
}

const FIRST: &str = "SAVEPOINT change";
const NEXT: &str = "RELEASE SAVEPOINT change; SAVEPOINT change";
const BACK: &str = "ROLLBACK TO SAVEPOINT change";

/// Makes one change. Answers with its entries, and whether it may have changed anything.
async fn perform(client: &Object, work: &Work) -> Result<(Vec<Entry>, bool), SqlError> {
    let mut statements = Statements::on(client);
    let done = async { work(&mut statements).await };
    // A fault in one change must not end the writer, and with it every change to come.
    let entries = AssertUnwindSafe(done).catch_unwind().await.map_err(|_| {
        SqlError::Unavailable("the change ended with a fault of the program".to_owned())
    })??;
    let changed = statements.end()?;
    if !entries.iter().all(texts::of_entry) {
        let problem = "a text of the audit record has a NUL character".to_owned();
        return Err(SqlError::Unfit(problem));
    }
    Ok((entries, changed))
}

/// Records, head, notice and commit, in one round trip. A statement that fails turns the commit into a rollback, and
/// its own error is seen here; only a connection that breaks leaves open what happened.
async fn finish(
    client: &ClientWrapper,
    records: &[Record],
    head: &Head,
    origin: Uuid,
) -> Result<(), Broken> {
    // Prepared before anything is sent, so that the commit stays last.
    let insert = client.prepare_cached(audit::INSERT).await?;
    let set_head = client.prepare_cached(audit::SET_HEAD).await?;
    let notify = client.prepare_cached("SELECT pg_notify($1, $2)").await?;
    let audited = async {
        if records.is_empty() {
            return Ok(());
        }
        let columns = audit::Columns::of(records);
        let head = HeadColumns::of(head);
        let parameters = columns.parameters();
        let head_parameters = head.parameters();
        let (inserted, moved) = join(
            client.execute(&insert, &parameters),
            client.execute(&set_head, &head_parameters),
        )
        .await;
        inserted?;
        moved.map(|_| ())
    };
    let notified = async {
        let origin = origin.simple().to_string();
        client
            .query(&notify, &[&CHANNEL, &origin])
            .await
            .map(|_| ())
    };
    let ((audited, notified), committed) =
        join(join(audited, notified), client.batch_execute("COMMIT")).await;
    for outcome in [audited, notified, committed] {
        outcome.map_err(|error| {
            let told = error.as_db_error().is_some();
            let failure = Failure::from(error);
            let kind = match failure {
                Failure::Unfit(_) => Kind::Partly,
                _ if told => Kind::Whole,
                _ => Kind::Unknown,
            };
            Broken { failure, kind }
        })?;
    }
    Ok(())
}
