//! The task that owns the connection.
//!
//! A request is in one place at a time: in the channel, waiting for a connection, or in flight on one. When the
//! connection breaks, what was in flight either waits for the next one (nobody can have seen it, or it does no
//! harm twice) or fails with [`ClientError::Closed`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::connection::{self, Connection};
use super::job::Job;
use super::{ClientError, ClientOptions};
use crate::envelope::MessageRef;
use crate::frame::FrameError;
use crate::methods::{LeaseEvent, Method, Subscribe};

/// What handles tell the task.
pub(super) enum Command {
    /// Send this.
    Job(Job),
    /// Say when everything that was fired is answered.
    Settle(oneshot::Sender<()>),
}

/// Requests in flight; more wait their turn.
const MOST_IN_FLIGHT: usize = 1024;

/// Bytes that wait to be written; more frames wait their turn.
const MOST_QUEUED: usize = 64 * 1024;

/// Pause before a second attempt that nobody waits for. Doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The task.
pub(super) struct Driver {
    options: ClientOptions,
    commands: mpsc::UnboundedReceiver<Command>,
    events: broadcast::Sender<LeaseEvent>,
    /// To be written, oldest first.
    waiting: VecDeque<Job>,
    in_flight: HashMap<Uuid, Job>,
    settling: Vec<oneshot::Sender<()>>,
    /// Whether the vault was asked for events.
    subscribed: bool,
    /// When everything ends, once all handles are dropped.
    end: Option<Instant>,
    pause: Duration,
    /// Whether the vault answered anything over the connection of now.
    heard: bool,
}

impl Driver {
    pub(super) fn new(
        options: ClientOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        events: broadcast::Sender<LeaseEvent>,
    ) -> Self {
        Self {
            options,
            commands,
            events,
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
            settling: Vec::new(),
            subscribed: false,
            end: None,
            pause: FIRST_PAUSE,
            heard: false,
        }
    }

    /// Serves until all handles are dropped and what they fired is answered.
    pub(super) async fn run(mut self, first: Connection) {
        let mut connection = first;
        while let Err(reason) = self.serve(&mut connection).await {
            self.take_back(&reason);
            drop(connection);
            connection = match self.reconnect().await {
                Some(opened) => opened,
                None => break,
            };
        }
        for job in self.waiting.drain(..).chain(self.in_flight.into_values()) {
            job.finish(Err(ClientError::Closed));
        }
    }

    /// Serves one connection: until it breaks, or nothing is left to do.
    async fn serve(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        loop {
            self.queue_waiting(connection)?;
            self.tell_settled();
            if self.end.is_some() && self.waiting.is_empty() && self.in_flight.is_empty() {
                return Ok(());
            }
            let remaining = connection.out.remaining();
            tokio::select! {
                command = self.commands.recv(), if self.end.is_none() => self.take(command),
                frame = connection.reader.next() => {
                    self.hear(frame.map_err(|error| broken(&error))?)?;
                    while let frame @ Some(_) = connection.reader.buffered().map_err(|error| broken(&error))? {
                        self.hear(frame)?;
                    }
                }
                count = connection.writer.write(remaining), if !remaining.is_empty() => {
                    self.note_written(connection, count.map_err(|_| ClientError::Closed)?);
                }
                () = sleep_until(self.end), if self.end.is_some() => return Ok(()),
            }
        }
    }

    /// Takes a command, and all others that are there already, so that their frames share a write.
    fn take(&mut self, command: Option<Command>) {
        let mut next = command;
        if next.is_none() {
            self.end = Some(Instant::now() + self.options.background_timeout);
        }
        while let Some(command) = next {
            match command {
                Command::Job(job) => self.waiting.push_back(job),
                Command::Settle(done) => self.settling.push(done),
            }
            next = self.commands.try_recv().ok();
        }
    }

    fn queue_waiting(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        while connection.out.remaining().len() < MOST_QUEUED {
            let Some(job) = self.waiting.pop_front() else {
                break;
            };
            if job.is_abandoned() {
                continue;
            }
            if self.in_flight.len() >= MOST_IN_FLIGHT {
                self.waiting.push_front(job);
                // A vault that answers nobody is no better than none.
                return if self.in_flight.values().all(Job::is_abandoned) {
                    Err(ClientError::Closed)
                } else {
                    Ok(())
                };
            }
            connection.queue(job.id, &job.frame);
            self.in_flight.insert(job.id, job);
        }
        Ok(())
    }

    fn note_written(&mut self, connection: &mut Connection, count: usize) {
        let mut written = connection.next_written(count);
        while let Some(id) = written {
            if let Some(job) = self.in_flight.get_mut(&id) {
                job.mark_written();
            }
            written = connection.next_written(0);
        }
    }

    /// An answer or an event.
    fn hear(&mut self, frame: Option<&[u8]>) -> Result<(), ClientError> {
        let frame = frame.ok_or(ClientError::Closed)?;
        let message = MessageRef::parse(frame)
            .map_err(|error| ClientError::protocol(format!("in an answer: {error}")))?;
        let Some(id) = message.id else {
            self.spread(&message);
            return Ok(());
        };
        let outcome = match (message.ok, message.result, message.error) {
            (true, Some(result), None) => Ok(result),
            (false, None, Some(error)) => Err(ClientError::Remote(error)),
            _ => {
                return Err(ClientError::protocol(
                    "an answer without its result or error",
                ));
            }
        };
        if id.is_nil() {
            // The vault could not read a request, and cannot say which.
            return outcome.map_or_else(Err, |_| Err(ClientError::protocol("a result for nobody")));
        }
        let Some(job) = self.in_flight.remove(&id).filter(|job| job.written) else {
            return Err(ClientError::protocol(
                "an answer to a request that was not made",
            ));
        };
        self.pause = FIRST_PAUSE;
        self.heard = true;
        if job.method == Method::Subscribe && outcome.is_ok() {
            self.subscribed = true;
        }
        job.finish(outcome);
        Ok(())
    }

    fn spread(&self, message: &MessageRef<'_>) {
        let event = message.event.map(|event| serde_json::from_str(event.get()));
        if let Some(Ok(event)) = event {
            // Without subscribers it is nobody's.
            drop(self.events.send(event));
        } else {
            tracing::debug!("the vault sent an event that this version does not know");
        }
    }

    /// Sorts what was in flight when the connection broke.
    fn take_back(&mut self, reason: &ClientError) {
        let mut again = Vec::new();
        for (_, mut job) in self.in_flight.drain() {
            if job.may_go_again() {
                job.written = false;
                again.push(job);
            } else {
                job.finish(Err(reason.clone()));
            }
        }
        // Ids are of version 7: their order is the order of asking.
        again.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
        for job in again {
            self.waiting.push_front(job);
        }
    }

    /// Waits until there is a reason to connect, and connects. `None` when everything is over.
    async fn reconnect(&mut self) -> Option<Connection> {
        // A vault that closes every connection at once is not to be asked without a pause.
        let mut failed = !std::mem::take(&mut self.heard);
        loop {
            self.drop_overdue();
            self.tell_settled();
            if !self.await_reason(failed).await {
                return None;
            }
            match connection::open(&self.options).await {
                Ok(connection) => {
                    self.resubscribe();
                    return Some(connection);
                }
                Err(error) => self.fail_waiting(&error),
            }
            failed = true;
        }
    }

    /// Somebody who waits is a reason to connect at once. What nobody waits for is one after a pause.
    async fn await_reason(&mut self, failed: bool) -> bool {
        loop {
            let background = !self.waiting.is_empty() || self.wants_events();
            let somebody_waits = self.waiting.iter().any(|job| job.again_until.is_none());
            if somebody_waits && !failed {
                return true;
            }
            if self
                .end
                .is_some_and(|end| !background || end <= Instant::now())
            {
                return false;
            }
            let pause = Instant::now() + self.pause;
            tokio::select! {
                command = self.commands.recv(), if self.end.is_none() => {
                    self.take(command);
                    self.tell_settled();
                    if self.waiting.iter().any(|job| job.again_until.is_none()) {
                        return true;
                    }
                }
                () = tokio::time::sleep_until(pause), if background => {
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                    return true;
                }
            }
        }
    }

    fn wants_events(&self) -> bool {
        self.subscribed && self.events.receiver_count() > 0
    }

    /// Asks for events again, before anything else, and says that some may be missing.
    fn resubscribe(&mut self) {
        if !std::mem::take(&mut self.subscribed) || self.events.receiver_count() == 0 {
            return;
        }
        let until = Instant::now() + self.options.background_timeout;
        if let Ok(job) = Job::fire(&Subscribe {}, until) {
            self.subscribed = true;
            self.waiting.push_front(job);
        }
        let _nobody_listens = self.events.send(LeaseEvent::Lagged { missed: 0 });
    }

    /// No connection: whoever waits hears it now.
    fn fail_waiting(&mut self, error: &ClientError) {
        for job in std::mem::take(&mut self.waiting) {
            if job.again_until.is_some() {
                self.waiting.push_back(job);
            } else {
                job.finish(Err(error.clone()));
            }
        }
    }

    fn drop_overdue(&mut self) {
        let now = Instant::now();
        for job in std::mem::take(&mut self.waiting) {
            if job.again_until.is_some_and(|until| until <= now) {
                job.finish(Err(ClientError::TimedOut));
            } else if !job.is_abandoned() {
                self.waiting.push_back(job);
            }
        }
    }

    fn tell_settled(&mut self) {
        if self.settling.is_empty() {
            return;
        }
        let busy = self
            .waiting
            .iter()
            .chain(self.in_flight.values())
            .any(|job| job.again_until.is_some());
        if !busy {
            for done in self.settling.drain(..) {
                let _nobody_waits = done.send(());
            }
        }
    }
}

fn broken(error: &FrameError) -> ClientError {
    match error {
        FrameError::Io(_) | FrameError::Truncated => ClientError::Closed,
        other => ClientError::protocol(format!("in an answer: {other}")),
    }
}

async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
