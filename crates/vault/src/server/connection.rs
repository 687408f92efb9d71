//! One connection: hello, requests, answers, events, end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fnox_vault_wire::envelope::EventFrame;
use fnox_vault_wire::frame::{self, FrameReader};
use fnox_vault_wire::hello::{ClientHello, ServerHello};
use fnox_vault_wire::methods::{Identity as Whoami, LeaseEvent};
use fnox_vault_wire::transport::{ReadHalf, Stream, WriteHalf};
use fnox_vault_wire::{Code, LeaseId, Peer, TokenId, WireError};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::broadcast;
use tokio::time::timeout;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::authentication::{Admission, authenticate};
use super::dispatch::{self, Reply};
use super::ending::{Activity, ending};
use super::spent::Spent;
use super::{Shared, origin};
use crate::engine::Event;
use crate::identity::Identity;

/// What a stranger may send: a hello with a token.
///
/// With the header that is 4 KiB in memory.
const MAX_HELLO: usize = 4092;
/// How long an unanswered write may take before the other end counts as gone.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How long what administrators ask for may take.
const LONG: Duration = Duration::from_hours(6);
/// Answers are written together up to so many bytes.
const WRITE_SIZE: usize = 256 * 1024;

/// Who is at the other end, for as long as the connection lives.
#[derive(Debug)]
pub(super) struct Caller {
    pub identity: Identity,
    /// It has just subscribed.
    pub wants_events: AtomicBool,
    pub activity: Activity,
    /// What a gateway may still give back.
    pub spent: Spent,
}

impl Caller {
    pub(super) fn whoami(&self) -> Whoami {
        Whoami {
            role: self.identity.role,
            agent: self.identity.agent.as_ref().map(ToString::to_string),
            peer: self.identity.peer.to_string(),
            token_id: self.identity.token(),
            expires_at: self.identity.expires_at,
        }
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(shared: &Arc<Shared>, stream: Stream, peer: Peer, admission: &Admission) {
    let _counted = shared.engine.connection();
    let (reader, mut writer) = stream.into_split();
    let mut frames = FrameReader::new(reader, MAX_HELLO);
    // Heard from here on, so that nothing is missed between the check of the token and the first request.
    let withdrawn = shared.engine.withdrawn_tokens();
    let greeting = timeout(
        shared.limits.hello,
        greet(shared, &mut frames, &mut writer, &peer, admission),
    )
    .await;
    let Ok(Some(identity)) = greeting else {
        tracing::debug!("{} did not get past the hello", origin(&peer));
        return;
    };
    frames.set_limit(frame::MAX_FRAME);
    let ended = identity.token().map(|token| shared.tokens.enter(token));
    let connection = Connection {
        shared,
        caller: Arc::new(Caller {
            spent: Spent::by(identity.role),
            identity,
            wants_events: AtomicBool::new(false),
            activity: Activity::default(),
        }),
        frames,
        writer,
        events: None,
        in_flight: FuturesUnordered::new(),
        out: Out::default(),
    };
    connection.run(withdrawn).await;
    drop(ended);
}

/// The hello both ways. Whoever is refused is told why, once.
async fn greet(
    shared: &Shared,
    frames: &mut FrameReader<ReadHalf>,
    writer: &mut WriteHalf,
    peer: &Peer,
    admission: &Admission,
) -> Option<Identity> {
    let outcome = match frames.next().await {
        Ok(None) => return None,
        Ok(Some(bytes)) => ClientHello::parse(bytes).map_err(|malformed| {
            let text = format!("this is not a hello with protocol and version: {malformed}");
            WireError::new(Code::InvalidRequest, text)
        }),
        Err(error) => Err(WireError::new(Code::InvalidRequest, error.to_string())),
    };
    let hello = outcome.and_then(|hello| match hello.check() {
        Ok(()) => Ok(hello),
        Err(text) => Err(WireError::new(Code::InvalidRequest, text)),
    });
    let protocol = hello
        .as_ref()
        .map_or("fnox-vault", |hello| hello.protocol.as_str())
        .to_owned();
    let outcome = match hello {
        Ok(hello) => authenticate(&shared.engine, admission, peer, hello.token.as_ref()).await,
        Err(error) => Err(error),
    };
    let answer = match &outcome {
        Ok(_) => ServerHello::accepting(&protocol),
        Err(error) => ServerHello::refusing(&protocol, error.clone()),
    };
    let mut bytes = Vec::new();
    frame::encode_into(&mut bytes, &answer).ok()?;
    writer.write_all(&bytes).await.ok()?;
    outcome.ok()
}

/// An open connection.
struct Connection<'a> {
    shared: &'a Arc<Shared>,
    caller: Arc<Caller>,
    frames: FrameReader<ReadHalf>,
    writer: WriteHalf,
    events: Option<broadcast::Receiver<Arc<Event>>>,
    in_flight: FuturesUnordered<BoxFuture<'static, Reply>>,
    out: Out,
}

/// What happened next on a connection.
enum Next {
    Frame,
    Reply(Reply),
    Event(Option<LeaseEvent>),
    End,
}

impl Connection<'_> {
    async fn run(mut self, withdrawn: broadcast::Receiver<TokenId>) {
        let (shared, caller) = (Arc::clone(self.shared), Arc::clone(&self.caller));
        caller.activity.touch(shared.engine.monotonic());
        let ended = ending(&shared, &caller, withdrawn);
        tokio::pin!(ended);
        loop {
            let may_read = self.in_flight.len() < self.shared.limits.in_flight;
            let next = tokio::select! {
                biased;
                Some(reply) = self.in_flight.next(), if !self.in_flight.is_empty() => Next::Reply(reply),
                frame = self.frames.next(), if may_read => match frame {
                    Ok(Some(bytes)) => {
                        let job = dispatch::read(self.shared, &self.caller, bytes);
                        take_up(&mut self.in_flight, &mut self.out, job, (self.shared, &self.caller));
                        Next::Frame
                    }
                    Ok(None) => Next::End,
                    Err(error) => {
                        let error = WireError::new(Code::InvalidRequest, error.to_string());
                        self.out.push(&dispatch::failure(Uuid::nil(), error));
                        let _ = self.write().await;
                        Next::End
                    }
                },
                event = heard(self.events.as_mut()) => self.event(event),
                () = &mut ended => Next::End,
            };
            match next {
                Next::Frame => {
                    caller.activity.touch(shared.engine.monotonic());
                    // Frames that came in the same read are read before anything is written.
                    self.take_up_buffered();
                }
                Next::Reply(reply) => {
                    self.out.push(&reply);
                    while self.out.bytes.len() < WRITE_SIZE
                        && let Some(Some(reply)) = self.in_flight.next().now_or_never()
                    {
                        self.out.push(&reply);
                    }
                }
                Next::Event(None) => continue,
                Next::Event(Some(event)) => {
                    let _ = frame::encode_into(&mut self.out.bytes, &EventFrame { event: &event });
                }
                Next::End => break,
            }
            // Before the answer goes out: every event after it is heard.
            if self.events.is_none() && self.caller.wants_events.load(Ordering::Acquire) {
                self.events = Some(self.shared.engine.events());
            }
            caller
                .activity
                .set_waiting(self.events.is_some() || !self.in_flight.is_empty());
            if self.write().await.is_err() {
                break;
            }
        }
        self.finish().await;
    }

    /// What is under way is finished, and what it would have delivered is given back.
    async fn finish(mut self) {
        let patience = self.shared.limits.request;
        let _ = timeout(patience, async {
            while let Some(reply) = self.in_flight.next().await {
                if let Some(lease) = reply.spends {
                    give_back(self.shared, &self.caller, lease).await;
                }
            }
        })
        .await;
    }

    fn take_up_buffered(&mut self) {
        while self.in_flight.len() < self.shared.limits.in_flight
            && self.out.bytes.len() < WRITE_SIZE
            && let Ok(Some(bytes)) = self.frames.buffered()
        {
            let job = dispatch::read(self.shared, &self.caller, bytes);
            take_up(
                &mut self.in_flight,
                &mut self.out,
                job,
                (self.shared, &self.caller),
            );
        }
    }

    /// Writes everything that is ready. Uses of which not one byte went out are given back.
    async fn write(&mut self) -> Result<(), std::io::Error> {
        let mut written = 0;
        let outcome = loop {
            if written == self.out.bytes.len() {
                break Ok(());
            }
            match timeout(WRITE_LIMIT, self.writer.write(&self.out.bytes[written..])).await {
                Ok(Ok(0)) => break Err(std::io::ErrorKind::WriteZero.into()),
                Ok(Ok(count)) => written += count,
                Ok(Err(error)) => break Err(error),
                Err(_) => break Err(std::io::ErrorKind::TimedOut.into()),
            }
        };
        let spends = std::mem::take(&mut self.out.spends);
        if outcome.is_err() {
            for (begin, lease) in spends {
                if begin >= written {
                    give_back(self.shared, &self.caller, lease).await;
                }
            }
        }
        self.out.clear();
        outcome
    }

    fn event(&self, event: Result<Arc<Event>, broadcast::error::RecvError>) -> Next {
        use broadcast::error::RecvError;
        match event {
            Ok(event) => Next::Event(event.for_subscriber(&self.caller.identity).cloned()),
            Err(RecvError::Lagged(missed)) => Next::Event(Some(LeaseEvent::Lagged { missed })),
            Err(RecvError::Closed) => Next::End,
        }
    }
}

/// Gives back a use of which nothing was delivered.
async fn give_back(shared: &Shared, caller: &Caller, lease: LeaseId) {
    if let Err(error) = shared.engine.undelivered(&caller.identity, lease).await {
        tracing::warn!(
            "a use of lease {lease} was not delivered, and could not be given back: {error}"
        );
    }
}

/// The next event, for whoever subscribed.
async fn heard(
    events: Option<&mut broadcast::Receiver<Arc<Event>>>,
) -> Result<Arc<Event>, broadcast::error::RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// Answers a request at once if it can be, else keeps it under way.
fn take_up(
    in_flight: &mut FuturesUnordered<BoxFuture<'static, Reply>>,
    out: &mut Out,
    job: dispatch::Job,
    (shared, caller): (&Arc<Shared>, &Arc<Caller>),
) {
    let dispatch::Job {
        id,
        is_long,
        mut work,
    } = job;
    if let Some(reply) = (&mut work).now_or_never() {
        out.push(&reply);
        return;
    }
    let limit = if is_long { LONG } else { shared.limits.request };
    let (shared, caller) = (Arc::clone(shared), Arc::clone(caller));
    in_flight.push(Box::pin(async move {
        if let Ok(reply) = timeout(limit, &mut work).await {
            return reply;
        }
        // What was begun is finished: whether it became durable must not depend on patience.
        tokio::spawn(async move {
            if let Some(lease) = work.await.spends {
                give_back(&shared, &caller, lease).await;
            }
        });
        dispatch::failure(id, crate::error::VaultError::TimedOut.into())
    }));
}

/// Answers that are ready, one after another.
#[derive(Default)]
struct Out {
    bytes: Zeroizing<Vec<u8>>,
    /// Uses that the bytes spend, with the place where each answer begins.
    spends: Vec<(usize, LeaseId)>,
    /// Whether one of the answers holds a secret.
    is_secret: bool,
}

impl Out {
    fn push(&mut self, reply: &Reply) {
        if let Some(lease) = reply.spends {
            self.spends.push((self.bytes.len(), lease));
        }
        self.is_secret |= reply.is_secret;
        let needed = self.bytes.len() + reply.frame.len();
        if needed > self.bytes.capacity() {
            // Growing in place would leave a copy of what is there behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(&reply.frame);
    }

    /// Forgets what was written, overwrites it if it was secret, and keeps the buffer unless it has grown large.
    fn clear(&mut self) {
        use zeroize::Zeroize as _;
        if std::mem::take(&mut self.is_secret) {
            self.bytes.as_mut_slice().zeroize();
        }
        if self.bytes.capacity() > WRITE_SIZE {
            self.bytes = Zeroizing::new(Vec::new());
        } else {
            self.bytes.clear();
        }
    }
}
