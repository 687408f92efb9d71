//! The one thread that writes.
//!
//! Requests wait in a queue. The writer takes all that wait, makes each change, gives their audit records
//! number, time and MAC, and commits them together: one sync of the disk for many requests. Only then is each
//! of them answered. If the commit fails, all of them are told so, and the chain goes back to what is stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fnox_core::VaultName;
use fnox_core::audit::{Chain, ChainKeys, Entry};
use fnox_core::clock::Clock;
use fnox_vault::store::StoreError;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::place::Mark;
use crate::problem::{Failure, name_of};
use crate::{audit, connection};

/// How many requests share one commit at most.
const BATCH: usize = 512;

/// How long a commit waits for others at most.
const LONGEST_MOMENT: Duration = Duration::from_micros(500);

/// How often the mark beside the file is rewritten at most.
const MARK_PAUSE: Duration = Duration::from_secs(1);

/// Hears of every batch before those that asked for it are answered.
pub(crate) trait Observer: Send {
    /// A batch ended: `touched` may not be what they were, and if it was stored, everything else may not either.
    fn batch_ended(&self, touched: &[VaultName], was_stored: bool);
}

/// The way to the thread. Dropping it lets the thread finish what waits, and waits for its end.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    store: Arc<str>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        db: Connection,
        path: PathBuf,
        clock: Arc<dyn Clock>,
        observer: Box<dyn Observer>,
    ) -> Result<Self, StoreError> {
        let store: Arc<str> = name_of(&path).into();
        let seen = connection::mark(&db).map_err(|failure| failure.at(&store))?;
        let (queue, requests) = channel();
        let mut thread = Thread {
            db,
            path,
            store: Arc::clone(&store),
            observer,
            log: Log::default(),
            mark: seen,
            written: None,
            marked_at: clock.monotonic(),
            crowd: 0,
            cost: Duration::ZERO,
            clock,
        };
        thread.write_mark();
        let handle = std::thread::Builder::new()
            .name("fnox-sqlite-writer".to_owned())
            .spawn(move || thread.run(&requests))
            .map_err(|error| StoreError::Unavailable {
                store: store.to_string(),
                problem: format!("starting the writer: {error}"),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(handle),
            store,
        })
    }

    /// Has `work` done by the writer, and waits until it is durable.
    pub(crate) async fn submit<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Task {
            work: Some(work),
            done: None,
            answer,
        });
        let closed = || Failure::Closed.at(&self.store);
        self.queue
            .as_ref()
            .ok_or_else(closed)?
            .send(job)
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself; there is nothing left to do for it here.
            let _ = thread.join();
        }
    }
}

/// What a request may use while it is carried out.
pub(crate) struct Batch<'a> {
    /// The connection, inside the batch's transaction.
    pub(crate) db: &'a mut Connection,
    log: &'a mut Log,
    now: Timestamp,
    touched: &'a mut Vec<VaultName>,
    /// How many of the connection's changes were taken back.
    undone: u64,
}

impl Batch<'_> {
    /// Fails early if these entries cannot be recorded: before anything is written.
    pub(crate) fn must_be_unlocked(&self, entries: &[Entry]) -> Result<(), Failure> {
        if entries.is_empty() || self.log.chain.is_some() {
            Ok(())
        } else {
            Err(Failure::LogIsLocked)
        }
    }

    /// Records entries.
    pub(crate) fn record(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let chain = self.log.chain.as_mut().ok_or(Failure::LogIsLocked)?;
        self.log.is_ahead = true;
        let appended = audit::append(self.db, chain, entries, self.now);
        self.log.is_stale |= appended.is_err();
        appended
    }

    /// How many changes there are.
    pub(crate) fn changes(&self) -> u64 {
        self.db.total_changes() - self.undone
    }

    /// Begins something that can be taken back by itself.
    pub(crate) fn begin(&mut self) -> Result<Undoable, Failure> {
        self.db.prepare_cached("SAVEPOINT work")?.execute([])?;
        Ok(Undoable {
            changes: self.db.total_changes(),
        })
    }

    /// Keeps what was done since.
    pub(crate) fn keep(&mut self, _since: Undoable) -> Result<(), Failure> {
        self.db.prepare_cached("RELEASE work")?.execute([])?;
        Ok(())
    }

    /// Takes back what was done since. If that fails, the whole batch does.
    pub(crate) fn undo(&mut self, since: &Undoable) -> Result<(), Failure> {
        // After some errors SQLite has rolled everything back already (sqlite.org/lang_transaction.html, section 3);
        // then the batch is given up.
        self.db.prepare_cached("ROLLBACK TO work")?.execute([])?;
        self.db.prepare_cached("RELEASE work")?.execute([])?;
        self.undone += self.db.total_changes() - since.changes;
        Ok(())
    }

    /// Gives the log its keys.
    pub(crate) fn unlock(&mut self, keys: ChainKeys) -> Result<(), Failure> {
        // Under other keys the head is sealed anew with the next record.
        if self.log.is_ahead {
            if let Some(chain) = &self.log.chain {
                audit::store_head(self.db, &chain.head())?;
            }
            self.log.is_ahead = false;
        }
        self.log.chain = Some(audit::chain(self.db, &keys)?);
        self.log.keys = Some(keys);
        Ok(())
    }

    /// Tells that a secret is not what it was.
    pub(crate) fn touch(&mut self, name: &VaultName) {
        self.touched.push(name.clone());
    }
}

/// Where something began that can be taken back.
#[must_use]
#[derive(Debug)]
pub(crate) struct Undoable {
    changes: u64,
}

/// The growing end of the audit log.
#[derive(Debug, Default)]
struct Log {
    keys: Option<ChainKeys>,
    chain: Option<Chain>,
    /// Whether there are records after the stored head.
    is_ahead: bool,
    /// Whether the chain may be ahead of what is stored.
    is_stale: bool,
}

trait Job: Send {
    /// Does the work and keeps the result. An error if the whole batch must be given up, with the reason.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure>;
    /// Answers, once the batch is durable or was given up.
    fn answer(self: Box<Self>, store: &str, committed: Option<&Gone>);
}

struct Task<T, F> {
    work: Option<F>,
    done: Option<Result<T, Failure>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let before = batch.changes();
        let result = work(batch);
        let verdict = match &result {
            Ok(_) => Ok(()),
            Err(failure) => {
                let has_left_no_trace = failure.is_its_own()
                    && batch.changes() == before
                    && !batch.db.is_autocommit()
                    && !batch.log.is_stale;
                if has_left_no_trace {
                    Ok(())
                } else {
                    Err(failure.of_the_batch())
                }
            }
        };
        self.done = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, store: &str, committed: Option<&Gone>) {
        let result = match (self.done, committed) {
            (Some(Err(failure)), None) => Err(failure.at(store)),
            (Some(Ok(value)), None) => Ok(value),
            // A refusal may rest on what another request of the batch did, which is gone.
            (Some(Err(failure)), Some(gone)) if !failure.is_a_refusal() => {
                Err(gone.told(failure.at(store)))
            }
            (_, Some(gone)) => Err(gone.told(StoreError::Unavailable {
                store: store.to_owned(),
                problem: gone.reason.clone(),
            })),
            (None, None) => Err(Failure::Closed.at(store)),
        };
        // Whoever asked may have gone away; what was done is done.
        let _ = self.answer.send(result);
    }
}

/// Why a batch was given up.
struct Gone {
    reason: String,
    /// Whether nothing of it can come back.
    has_stored_nothing: bool,
}

impl Gone {
    /// The error of a request that was in the batch.
    fn told(&self, error: StoreError) -> StoreError {
        if self.has_stored_nothing {
            error.with_nothing_changed()
        } else {
            error
        }
    }
}

struct Thread {
    db: Connection,
    path: PathBuf,
    store: Arc<str>,
    clock: Arc<dyn Clock>,
    observer: Box<dyn Observer>,
    log: Log,
    mark: Mark,
    written: Option<Mark>,
    marked_at: Duration,
    /// How many shared the last commit, and what it cost.
    crowd: usize,
    cost: Duration,
}

impl Thread {
    fn run(&mut self, requests: &Receiver<Box<dyn Job>>) {
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            let first = if self.written == Some(self.mark) {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                requests.recv_timeout(MARK_PAUSE)
            };
            match first {
                Ok(job) => jobs.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !jobs.is_empty() {
                self.gather(requests, &mut jobs);
                self.crowd = jobs.len();
                let begun = Instant::now();
                self.batch(&mut jobs);
                self.cost = begun.elapsed();
            }
            if self.clock.monotonic().saturating_sub(self.marked_at) >= MARK_PAUSE {
                self.write_mark();
            }
        }
        self.write_mark();
        // Leaves one whole file behind; without it the next opening does the same.
        let _ = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }

    /// Takes what waits. Those that were answered together come back one after the other: giving them a
    /// moment, short beside what a commit costs, lets them share the next one too. Whoever is alone never waits.
    fn gather(&self, requests: &Receiver<Box<dyn Job>>, jobs: &mut Vec<Box<dyn Job>>) {
        let deadline = Instant::now() + (self.cost / 8).min(LONGEST_MOMENT);
        while jobs.len() < BATCH {
            let next = match requests.try_recv() {
                Ok(job) => Some(job),
                Err(_) if jobs.len() >= self.crowd => None,
                Err(_) => {
                    let moment = deadline.saturating_duration_since(Instant::now());
                    requests.recv_timeout(moment).ok()
                }
            };
            match next {
                Some(job) => jobs.push(job),
                None => break,
            }
        }
    }

    fn batch(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let mut touched = Vec::new();
        let mut was_stored = false;
        let gone = match self.attempt(jobs, &mut touched) {
            Ok(stored) => {
                was_stored = stored;
                None
            }
            Err(failure) => {
                if !self.db.is_autocommit() {
                    // If this fails too, the next BEGIN does, and says so.
                    let _ = self.db.execute_batch("ROLLBACK");
                }
                self.log.is_stale = true;
                tracing::warn!(store = %self.store, problem = %failure, "a batch was not stored");
                Some(Gone {
                    reason: failure.reason(),
                    has_stored_nothing: failure.has_stored_nothing(),
                })
            }
        };
        self.observer.batch_ended(&touched, was_stored);
        for job in jobs.drain(..) {
            job.answer(&self.store, gone.as_ref());
        }
    }

    /// Carries a batch out. Tells whether there was anything to store.
    fn attempt(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        touched: &mut Vec<VaultName>,
    ) -> Result<bool, Failure> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        if self.log.is_stale {
            if let Some(keys) = &self.log.keys {
                self.log.chain = Some(audit::chain(&self.db, keys)?);
            }
            self.mark = connection::mark(&self.db)?;
            self.log.is_ahead = false;
            self.log.is_stale = false;
        }
        let written = self.db.total_changes();
        let mut batch = Batch {
            db: &mut self.db,
            log: &mut self.log,
            now: self.clock.now(),
            touched,
            undone: 0,
        };
        for job in jobs.iter_mut() {
            job.run(&mut batch)?;
        }
        if batch.changes() == written {
            self.db.execute_batch("ROLLBACK")?;
            return Ok(false);
        }
        if let Some(chain) = self.log.chain.as_ref().filter(|_| self.log.is_ahead) {
            audit::store_head(&self.db, &chain.head())?;
        }
        self.db
            .prepare_cached("UPDATE history SET changes = ?")?
            .execute([self.mark.changes + 1])?;
        self.db.execute_batch("COMMIT").map_err(Failure::Commit)?;
        self.log.is_ahead = false;
        self.mark.changes += 1;
        Ok(true)
    }

    /// Tells how far the file has come. A mark that cannot be written is tried again; an old mark is no
    /// danger, it only sees less.
    fn write_mark(&mut self) {
        self.marked_at = self.clock.monotonic();
        if self.written == Some(self.mark) {
            return;
        }
        match self.mark.write(&self.path) {
            Ok(()) => self.written = Some(self.mark),
            Err(error) => {
                tracing::warn!(store = %self.store, %error, "the mark beside the store was not written");
            }
        }
    }
}
