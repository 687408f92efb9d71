//! The daemon's process: who is answered, and when it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{Clock as _, SystemClock};
use fnox_vault_wire::Peer;
use fnox_vault_wire::Stream;
use fnox_vault_wire::transport::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cache::{Cache, Moment};
use super::connection::frames;
use super::error::DaemonFailure;
use super::place::{Place, own_uid};
use super::protocol::{Answer, Refusal, Request, Status, VERSION, parse_request};
use super::renewal::{self, Renewals};
use crate::error::CliError;
use crate::vault::running::{Asked, Signals};

/// Connections at a time. One more is closed at once, and its client resolves without the daemon.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may be silent, within a request or between two.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// How long answers that are on their way may take after the end has come.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// How often it is looked whether values or the daemon itself are over.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    cache: Mutex<Cache>,
    renewals: Mutex<Renewals>,
    /// There are more leases to renew.
    renewals_came: Notify,
    clock: SystemClock,
    idle_timeout: Duration,
    last_used: Mutex<Moment>,
    watches_session: AtomicBool,
    stop: Notify,
}

/// A daemon that listens.
#[derive(Debug)]
pub(crate) struct Daemon {
    listener: UnixListener,
    shared: Arc<Shared>,
}

impl Daemon {
    /// Takes the place.
    pub(crate) fn start(place: &Place, idle_timeout: Duration) -> Result<Self, CliError> {
        let listener = place.listen()?;
        let cache = Cache::new().map_err(|error| DaemonFailure::NotStarted {
            reason: error.to_string(),
        })?;
        let clock = SystemClock;
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                cache: Mutex::new(cache),
                renewals: Mutex::default(),
                renewals_came: Notify::new(),
                idle_timeout,
                last_used: Mutex::new(Moment::now(&clock)),
                watches_session: AtomicBool::new(false),
                stop: Notify::new(),
                clock,
            }),
        })
    }

    /// Answers until a client or a signal ends it, or until nobody has asked for long enough.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let Self { listener, shared } = self;
        let mut signals = Signals::receive()?;
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut watch = Box::pin(watch(Arc::clone(&shared)));
        let mut idle = Box::pin(idle(Arc::clone(&shared)));
        let mut renew = Box::pin(renew(Arc::clone(&shared)));
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((Stream::Unix(stream), Peer::Unix { uid, .. })) if uid == own_uid() => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                        let shared = Arc::clone(&shared);
                        connections.spawn(async move {
                            serve(&shared, stream).await;
                            drop(place);
                        });
                    }
                    Ok((_, peer)) => tracing::warn!("refused a connection of another user: {peer:?}"),
                    Err(error) => {
                        tracing::warn!("a connection could not be accepted: {error}");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = &mut watch => {}
                () = &mut renew => {}
                () = &mut idle => {
                    tracing::info!("nobody has asked for long enough");
                    break;
                }
                () = shared.stop.notified() => break,
                asked = signals.next() => match asked {
                    Asked::End => break,
                    Asked::Reload => {
                        shared.clear("a hang-up");
                    }
                },
            }
        }
        // The socket goes first, so that nobody new comes; whoever asks now resolves on its own.
        drop(listener);
        shared.clear("the end");
        let drained = async { while connections.join_next().await.is_some() {} };
        let _over_anyway = timeout(DRAIN_LIMIT, drained).await;
        Ok(())
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::now(&self.clock)
    }

    fn renewals(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self, why: &str) -> usize {
        let count = self.cache().clear();
        self.renewals().clear();
        tracing::info!("forgot {count} values: {why}");
        count
    }

    fn answer(&self, request: Request) -> Answer {
        let now = self.now();
        match request {
            Request::Find { keys } => {
                self.touch(now);
                let mut cache = self.cache();
                let found = cache.find(&keys, now);
                Answer::Found {
                    generation: cache.generation(),
                    values: found.values,
                    more: found.more,
                }
            }
            Request::Keep {
                generation,
                entries,
            } => {
                self.touch(now);
                let count = self.cache().keep(generation, entries, now);
                Answer::Kept { count }
            }
            Request::Clear { names: None } => Answer::Cleared {
                count: self.clear("asked to"),
            },
            Request::Clear { names: Some(names) } => {
                let names: Vec<_> = names.into_iter().map(|name| name.0).collect();
                let count = self.cache().clear_names(&names);
                Answer::Cleared { count }
            }
            Request::Renew { leases } => {
                self.touch(now);
                let count = self.renewals().note(leases, self.clock.now());
                self.renewals_came.notify_one();
                Answer::Noted { count }
            }
            Request::Status => Answer::Status(self.status(now)),
            Request::Stop => Answer::Stopping,
        }
    }

    fn status(&self, now: Moment) -> Status {
        let mut cache = self.cache();
        cache.drop_old(now);
        Status {
            pid: std::process::id(),
            fnox_version: env!("CARGO_PKG_VERSION").to_owned(),
            versions: vec![VERSION],
            values: cache.len(),
            idle_timeout_seconds: self.idle_timeout.as_secs(),
            memory_locked: cache.is_locked(),
            watches_session: self.watches_session.load(Ordering::Relaxed),
        }
    }

    fn touch(&self, now: Moment) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn is_idle(&self) -> bool {
        let last = *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.after(self.idle_timeout).is_over(self.now())
    }
}

/// One connection. Whatever is wrong with it ends it and nothing else.
async fn serve(shared: &Shared, stream: UnixStream) {
    let (mut reader, mut writer) = frames(stream);
    loop {
        let answer = match timeout(SILENCE_LIMIT, reader.next()).await {
            Ok(Ok(Some(frame))) => match parse_request(frame) {
                Ok(request) => shared.answer(request),
                Err(refusal) => refusal.answer(),
            },
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!("a connection ended: {error}");
                let _gone =
                    timeout(SILENCE_LIMIT, writer.write(&Refusal::Malformed.answer())).await;
                return;
            }
        };
        let is_last = matches!(answer, Answer::Stopping | Answer::Error { .. });
        let is_end = matches!(answer, Answer::Stopping);
        let written = timeout(SILENCE_LIMIT, writer.write(&answer)).await;
        if is_end {
            shared.stop.notify_one();
        }
        if is_last || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// Forgets what is over, and ends when nobody has asked for long enough. Looks at the clocks often, because a timer
/// stands still while the machine sleeps.
async fn idle(shared: Arc<Shared>) {
    let pause = LOOK_AGAIN.min(shared.idle_timeout);
    while !shared.is_idle() {
        sleep(pause).await;
        shared.cache().drop_old(shared.now());
    }
}

/// Has leases renewed before they end. Never ends.
async fn renew(shared: Arc<Shared>) {
    let mut work = JoinSet::new();
    loop {
        let now = shared.clock.now();
        for renewal in shared.renewals().take_due(now) {
            work.spawn(renewal::carry_out(renewal));
        }
        let next = shared.renewals().next(now);
        let pause = next.map_or(LOOK_AGAIN, |next| next.min(LOOK_AGAIN));
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.renewals_came.notified() => {}
            Some(_) = work.join_next(), if !work.is_empty() => {}
        }
    }
}

/// Forgets everything when the machine sleeps or the screen is locked. Never ends.
async fn watch(shared: Arc<Shared>) {
    let forget = |why: &str| {
        shared.clear(why);
    };
    let found = |is_there| shared.watches_session.store(is_there, Ordering::Relaxed);
    if let Err(error) = super::logind::watch(forget, found).await {
        tracing::info!("nobody tells when the machine sleeps or the screen is locked: {error}");
    }
    shared.watches_session.store(false, Ordering::Relaxed);
    std::future::pending::<()>().await;
}
