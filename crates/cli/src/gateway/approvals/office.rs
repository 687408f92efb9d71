//! A gateway's end: it lists what waits and takes answers.

use std::sync::Arc;
use std::time::Duration;

use fnox_config::Folders;
use fnox_core::Clock;
use fnox_gateway::approval::{Approvals, Approver, Nobody, Pending};
use fnox_gateway::policy::Policy;
use fnox_gateway::rule::Approve;
use fnox_vault_wire::transport::{Peer, Stream, UnixListener, UnixOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::channel::{Channel, Relay};
use super::{Message, Place, Reply, folder};
use crate::error::CliError;
use crate::exec::standing;
use crate::gateway::documents::PendingRequest;
use crate::output::Printer;

/// Most bytes of a message.
const MESSAGE: u64 = 4096;

/// How long one takes at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The questions of a gateway, and where they are answered.
#[derive(Debug)]
pub(crate) struct Office {
    /// Where this machine's people answer, if they may.
    listener: Option<UnixListener>,
    relay: Relay,
    approvals: Arc<Approvals>,
}

/// What an office needs.
pub(crate) struct Terms<'a> {
    pub(crate) folders: &'a Folders,
    pub(crate) clock: Arc<dyn Clock>,
    /// For how long a request is held.
    pub(crate) patience: Duration,
    pub(crate) printer: Printer,
    /// Where people are asked.
    pub(crate) places: Vec<Place>,
    /// The way to each of the places that is not this machine.
    pub(crate) channels: Vec<Arc<dyn Channel>>,
}

impl Office {
    /// Opens one if a rule asks.
    ///
    /// # Errors
    /// If there can be no socket.
    pub(crate) fn open(policy: &Policy, terms: Terms<'_>) -> Result<Option<Self>, CliError> {
        if policy.rules.iter().all(|rule| rule.approve != Approve::Ask) {
            return Ok(None);
        }
        let Terms {
            folders,
            clock,
            patience,
            printer,
            places,
            channels,
        } = terms;
        let is_here = places.contains(&Place::Terminal);
        let listener = is_here.then(|| listen(folders)).transpose()?;
        let (asking, asked) = mpsc::unbounded_channel();
        let relay = Relay {
            channels,
            asked,
            printer,
        };
        let tell = move |pending: &Pending| {
            tell(printer, pending, is_here);
            // Without a relay there is nobody else to tell.
            let _ = asking.send(pending.clone());
        };
        let how = move |id: &str| {
            let ways: Vec<String> = places.iter().map(|place| place.how(id)).collect();
            ways.join(" or ")
        };
        Ok(Some(Self {
            listener,
            relay,
            approvals: Arc::new(Approvals::new(clock, patience, tell, how)),
        }))
    }

    /// Who is asked.
    pub(crate) fn approver(office: Option<&Self>) -> Arc<dyn Approver> {
        match office {
            Some(office) => office.approvals.clone(),
            None => Arc::new(Nobody),
        }
    }

    /// Takes answers until the future is dropped.
    pub(crate) async fn serve(self) {
        let Self {
            listener,
            relay,
            approvals,
        } = self;
        let here = async {
            if let Some(listener) = listener {
                serve_terminal(&listener, &approvals).await;
            }
        };
        tokio::join!(here, relay.run(&approvals));
    }
}

fn listen(folders: &Folders) -> Result<UnixListener, CliError> {
    let path = folder(folders).join(format!("{}.sock", std::process::id()));
    UnixListener::bind(&path, &UnixOptions::default())
        .map_err(|error| CliError::failed(error.to_string()))
}

/// Takes answers, one at a time: people are slow.
async fn serve_terminal(listener: &UnixListener, approvals: &Approvals) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let served = serve_one(approvals, stream, &peer);
                if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, served).await {
                    tracing::debug!("an answer did not arrive: {error}");
                }
            }
            Err(error) => {
                tracing::debug!("answers cannot be taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_one(approvals: &Approvals, stream: Stream, peer: &Peer) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(MESSAGE).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line)? {
        Message::Pending => {
            let pending = approvals.pending();
            Reply::Pending(pending.iter().map(PendingRequest::from).collect())
        }
        Message::Answer { .. } if !is_a_person(peer) => Reply::NotAPerson,
        Message::Answer { id, answer } => match approvals.answer(&id, answer.into()) {
            Ok(question) => Reply::Answered(question.to_string()),
            Err(_) => Reply::Unknown,
        },
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

/// Whether an answer comes from the user's own process that this one did not start: a program cannot answer for the person
/// as long as it does not hide where it comes from. Only a sandbox makes sure of it.
fn is_a_person(peer: &Peer) -> bool {
    match peer {
        Peer::Unix { uid, pid, .. } => {
            let is_own = *uid == rustix::process::getuid().as_raw();
            is_own && pid.is_none_or(|pid| !standing::is_below_this(pid))
        }
        _ => false,
    }
}

fn tell(printer: Printer, pending: &Pending, is_here: bool) {
    let id = &pending.id;
    let here = if is_here {
        format!("\nIn another terminal: fnox agent approve {id}, or fnox agent deny {id}")
    } else {
        String::new()
    };
    printer.note(&format!(
        "A person must agree: {} [{}]{here}",
        pending.question, pending.question.rule
    ));
}
