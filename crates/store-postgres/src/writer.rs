//! The one writer of this vault, with group commit.
//!
//! Requests queue; the writer takes all that wait, up to a limit, and makes them in one transaction, so that many
//! share one flush of the server's log. The transaction first locks the audit log's head, which puts the writers
//! of all vaults in one line. Its round trips do not grow with the number of requests: begin and lock; all changes,
//! pipelined; records, head, notices and commit, pipelined.
//!
//! Begin and lock are awaited before anything else is sent: if one of them failed, what follows in the pipeline
//! would be committed statement by statement.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use fnox_core::audit::{Chain, ChainKeys, Entry, Record};
use fnox_core::clock::Clock;
use fnox_vault::Lease;
use fnox_vault::store::{Change, Foreign, QuestionChange, StoreError};
use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::audit;
use crate::change;
use crate::connection::Connections;
use crate::notice::{CHANNEL, Notices};
use crate::problem::{Failure, Trouble};
use crate::{questions, rows, texts, time};

/// Requests in one transaction: enough to share a flush, few enough to keep other vaults waiting shortly.
const BATCH: usize = 256;

/// Requests that may wait. Whoever comes then waits for a place.
const QUEUE: usize = 4096;

/// What to write.
#[derive(Debug)]
pub(crate) enum Work {
    /// Only the entries.
    Record,
    /// A change, with the entries.
    Change(Box<Change>),
    /// A change of the questions, with the entries.
    Question(Box<QuestionChange>),
    /// Drop what ended before.
    Forget(Timestamp),
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Leases that moved.
    pub(crate) leases: Vec<Lease>,
    /// Rows that were dropped.
    pub(crate) dropped: u64,
}

/// Hands requests to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    name: String,
}

impl Queue {
    /// Asks, and waits until it is durable or refused.
    pub(crate) async fn write(&self, work: Work, entries: Vec<Entry>) -> Result<Done, StoreError> {
        let ended = || Failure::Unavailable("its writer has ended".to_owned()).of(&self.name);
        let fits = entries.iter().all(texts::of_entry)
            && !matches!(&work, Work::Change(change) if !texts::of_change(change));
        if !fits {
            return Err(StoreError::Unsupported {
                store: self.name.clone(),
                action: "hold a text with a NUL character".to_owned(),
            });
        }
        let (answer, answered) = oneshot::channel();
        let job = Job {
            work,
            entries,
            answer,
        };
        self.jobs.send(job).await.map_err(|_| ended())?;
        answered
            .await
            .map_err(|_| ended())?
            .map_err(|trouble| trouble.of(&self.name))
    }
}

#[derive(Debug)]
struct Job {
    work: Work,
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<Done, Trouble>>,
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Writer {
    /// A pool of one connection.
    pub(crate) connections: Connections,
    /// Keys of the audit log, once the vault has given them.
    pub(crate) keys: watch::Receiver<Option<Arc<ChainKeys>>>,
    /// Gives records their times.
    pub(crate) clock: Arc<dyn Clock>,
    /// How this vault names itself in notices.
    pub(crate) origin: watch::Sender<Uuid>,
    /// Where this vault's engine hears of changes.
    pub(crate) foreign: broadcast::Sender<Foreign>,
    /// How long one transaction may take.
    pub(crate) limit: Duration,
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
    /// Nothing was changed, and the reason may lie in the data of one request: each may be tried alone.
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

type Outcomes = Vec<Result<Done, Trouble>>;

impl Writer {
    /// Starts the writer. It ends when the last [`Queue`] is dropped.
    pub(crate) fn start(self) -> Queue {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let name = self.connections.name().to_owned();
        tokio::spawn(self.run(queue));
        Queue { jobs, name }
    }

    async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            match self.write(&batch).await {
                Ok(outcomes) => {
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        let _ = job.answer.send(outcome);
                    }
                }
                Err(broken) if broken.kind == Kind::Partly && batch.len() > 1 => {
                    // One request's data must not fail the others.
                    for job in batch.drain(..) {
                        let outcome = match self.write(std::slice::from_ref(&job)).await {
                            Ok(mut outcomes) => outcomes.remove(0),
                            Err(broken) => Err(Trouble::Failed(broken.failure)),
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
                        let _ = job.answer.send(Err(broken.failure.clone().into()));
                    }
                }
            }
        }
    }

    async fn write(&self, batch: &[Job]) -> Result<Outcomes, Broken> {
        let mut connection = None;
        let outcomes = tokio::time::timeout(self.limit, self.attempt(&mut connection, batch))
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

    /// What was committed without this vault's knowledge has to reach its engine all the same. If it is
    /// committed already, the engine finds it by reading everything anew; if that is still to come, the
    /// notice of it bears a name that is not this vault's any more.
    fn look_again(&self) {
        self.origin.send_replace(Uuid::now_v7());
        let _ = self.foreign.send(Foreign::Unknown);
    }

    async fn attempt(
        &self,
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
        match connection {
            Some(client) => self.transact(client, head, batch).await,
            None => Err(Failure::Unavailable("no connection".to_owned()).into()),
        }
    }

    async fn transact(
        &self,
        client: &ClientWrapper,
        head: tokio_postgres::Row,
        batch: &[Job],
    ) -> Result<Outcomes, Broken> {
        let outcomes = join_all(batch.iter().map(|job| perform(client, &job.work))).await;
        let mut accepted = Vec::new();
        let mut notices = Notices::default();
        for (job, outcome) in batch.iter().zip(&outcomes) {
            match outcome {
                Ok(done) => {
                    accepted.push(job);
                    notices
                        .leases
                        .extend(done.leases.iter().map(|lease| lease.id));
                    match &job.work {
                        Work::Change(change) => notices.add_change(change),
                        Work::Question(_) => notices.questions = true,
                        Work::Record | Work::Forget(_) => {}
                    }
                }
                Err(Trouble::Refused(_)) => {}
                Err(Trouble::Failed(failure)) => {
                    let kind = match failure {
                        Failure::Unavailable(_) | Failure::NotWritten(_) => Kind::Whole,
                        Failure::Corrupt(_) | Failure::Unfit(_) => Kind::Partly,
                    };
                    let failure = failure.clone();
                    return Err(Broken { failure, kind });
                }
            }
        }
        let records = self.chain(&head, &accepted)?;
        let origin = *self.origin.borrow();
        finish(client, records, notices.payloads(origin)).await?;
        Ok(outcomes)
    }

    /// The records of what was accepted, with the chain as it is afterwards. `None` if there are none.
    fn chain(
        &self,
        head: &tokio_postgres::Row,
        accepted: &[&Job],
    ) -> Result<Option<(Vec<Record>, Chain)>, Broken> {
        if accepted.iter().all(|job| job.entries.is_empty()) {
            return Ok(None);
        }
        let keys = self.keys.borrow().clone().ok_or_else(|| {
            Failure::Unavailable("the audit log's keys were not given yet".to_owned())
        })?;
        let mut chain = match rows::head(head)? {
            None => Chain::empty(keys.current().clone()),
            Some(head) => {
                if keys.find(&head.key_id).is_none() {
                    // Another vault has changed the key, and its notice has not been followed yet.
                    let _ = self.foreign.send(Foreign::RingChanged);
                    return Err(Failure::Unavailable(format!(
                        "the audit log has a key that this vault does not have yet: {}",
                        head.key_id.escape_debug()
                    ))
                    .into());
                }
                Chain::resume(&keys, &head)
                    .map_err(|forged| Failure::Corrupt(forged.to_string()))?
            }
        };
        let now = time::storable(self.clock.now());
        let records = accepted
            .iter()
            .flat_map(|job| &job.entries)
            .map(|entry| chain.append(entry.clone(), now))
            .collect();
        Ok(Some((records, chain)))
    }
}

/// Opens a transaction and waits for the head's lock.
async fn begin(client: &ClientWrapper) -> Result<tokio_postgres::Row, Broken> {
    let lock = client
        .prepare_cached(
            "SELECT sequence, time, mac, key_id, seal FROM fnox_vault.audit_head FOR UPDATE",
        )
        .await?;
    let (begun, head) = join(
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
        client.query_opt(&lock, &[]),
    )
    .await;
    begun?;
    Ok(head?.ok_or_else(|| Failure::Corrupt("the audit log's head is gone".to_owned()))?)
}

async fn perform(client: &ClientWrapper, work: &Work) -> Result<Done, Trouble> {
    match work {
        Work::Record => Ok(Done::default()),
        Work::Change(change) => Ok(Done {
            leases: change::apply(client, change).await?,
            dropped: 0,
        }),
        Work::Question(change) => {
            questions::apply(client, change).await?;
            Ok(Done::default())
        }
        Work::Forget(before) => {
            let statement = client.prepare_cached(FORGET).await?;
            let row = client
                .query_one(&statement, &[&time::stored(*before)])
                .await?;
            let dropped: i64 = rows::column(&row, "dropped")?;
            Ok(Done {
                leases: Vec::new(),
                dropped: u64::try_from(dropped).unwrap_or(0),
            })
        }
    }
}

const FORGET: &str = "
    WITH l AS (DELETE FROM fnox_vault.lease WHERE state <> 'active' AND expires_at < $1 RETURNING 1),
         t AS (DELETE FROM fnox_vault.token WHERE expires_at < $1 RETURNING 1),
         s AS (DELETE FROM fnox_vault.session WHERE expires_at < $1 RETURNING 1),
         q AS (DELETE FROM fnox_vault.question WHERE expires_at < $1)
    SELECT (SELECT count(*) FROM l) + (SELECT count(*) FROM t) + (SELECT count(*) FROM s) AS dropped";

/// Records, head, notices and commit, in one round trip. A statement that fails turns the commit into a
/// rollback, and its own error is seen here; only a connection that breaks leaves open what happened.
async fn finish(
    client: &ClientWrapper,
    records: Option<(Vec<Record>, Chain)>,
    payloads: Vec<String>,
) -> Result<(), Broken> {
    // Prepared before anything is sent, so that the commit stays last.
    let insert = client.prepare_cached(audit::INSERT).await?;
    let set_head = client.prepare_cached(audit::SET_HEAD).await?;
    let notify = client
        .prepare_cached("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
        .await?;
    let audited = async {
        let Some((records, chain)) = &records else {
            return Ok(());
        };
        let columns = audit::Columns::of(records);
        let head = audit::HeadColumns::of(&chain.head());
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
        if payloads.is_empty() {
            return Ok(());
        }
        client
            .query(&notify, &[&CHANNEL, &payloads])
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
