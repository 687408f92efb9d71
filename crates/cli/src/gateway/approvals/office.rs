//! A gateway's end: it lists what waits and takes answers.

use std::sync::Arc;
use std::time::Duration;

use fnox_config::Folders;
use fnox_core::Clock;
use fnox_gateway::approval::{Approvals, Approver, Nobody, NotAnswered, Pending, Question};
use fnox_gateway::policy::Policy;
use fnox_gateway::rule::Approve;
use fnox_vault_wire::transport::{Peer, Stream, UnixListener, UnixOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::channel::{Channel, Relay, named};
use super::{Message, Place, Reply, Said, folder};
use crate::error::CliError;
use crate::exec::standing;
use crate::gateway::documents::PendingQuestion;
use crate::output::Printer;

/// Most bytes of a message.
const MESSAGE: u64 = 4096;

/// How long one takes at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a gateway that ends takes to have questions taken back elsewhere.
const FAREWELL: Duration = Duration::from_secs(5);

/// The questions of a gateway, and where they are answered.
#[derive(Debug)]
pub(crate) struct Office {
    /// Where this machine's people answer, if they may.
    listener: Option<UnixListener>,
    relay: Relay,
    approvals: Arc<Approvals>,
    asker: Asker,
}

/// Whose word is no person's at this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Programs that the gateway started.
    #[default]
    Programs,
    /// Besides them, whoever started the gateway, with all that they start: an agent that speaks with it asks in its own
    /// name, and has a shell of its own.
    Parent,
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
    /// Whose word is no person's.
    pub(crate) asker: Asker,
    /// Whether anything is asked besides what rules ask.
    pub(crate) asks: bool,
}

impl Office {
    /// Opens one if somebody asks, and there is a place where people are.
    ///
    /// # Errors
    /// If there can be no socket.
    pub(crate) fn open(policy: &Policy, terms: Terms<'_>) -> Result<Option<Self>, CliError> {
        let is_asked = policy.rules.iter().any(|rule| rule.approve == Approve::Ask);
        if terms.places.is_empty() || !is_asked && !terms.asks {
            return Ok(None);
        }
        let Terms {
            folders,
            clock,
            patience,
            printer,
            places,
            channels,
            asker,
            asks: _,
        } = terms;
        let is_here = places.contains(&Place::Terminal);
        let listener = is_here.then(|| listen(folders)).transpose()?;
        let (asking, asked) = mpsc::unbounded_channel();
        let relay = Relay {
            channels,
            asked,
            printer,
        };
        let told = places.clone();
        let tell = move |pending: &Pending| {
            tell(printer, pending, &told);
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
            asker,
        }))
    }

    /// Who is asked.
    pub(crate) fn approver(office: Option<&Self>) -> Arc<dyn Approver> {
        match office {
            Some(office) => office.approvals.clone(),
            None => Arc::new(Nobody),
        }
    }

    /// The questions themselves.
    pub(crate) fn approvals(&self) -> Arc<Approvals> {
        Arc::clone(&self.approvals)
    }

    /// Takes answers until the questions are [closed](Approvals::close), and then takes back what waits elsewhere, for as long
    /// as that may take. What cannot be taken back ends there by itself.
    pub(crate) async fn serve(self) {
        let Self {
            listener,
            relay,
            approvals,
            asker,
        } = self;
        let here = async {
            if let Some(listener) = listener {
                serve_terminal(&listener, &approvals, asker).await;
            }
        };
        let serving = async { tokio::join!(here, relay.run(&approvals)) };
        let ended = async {
            approvals.closed().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            _ = serving => {}
            () = ended => tracing::debug!("not every question was taken back in time"),
        }
    }
}

fn listen(folders: &Folders) -> Result<UnixListener, CliError> {
    let path = folder(folders).join(format!("{}.sock", std::process::id()));
    UnixListener::bind(&path, &UnixOptions::default())
        .map_err(|error| CliError::failed(error.to_string()))
}

/// Takes answers, one at a time: people are slow.
async fn serve_terminal(listener: &UnixListener, approvals: &Approvals, asker: Asker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = approvals.closed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let served = serve_one(approvals, stream, &peer, asker);
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

async fn serve_one(
    approvals: &Approvals,
    stream: Stream,
    peer: &Peer,
    asker: Asker,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(MESSAGE).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line)? {
        Message::Pending => {
            let pending = approvals.pending();
            Reply::Pending(pending.iter().map(PendingQuestion::from).collect())
        }
        Message::Answer { .. } if !is_a_person(peer, asker) => Reply::NotAPerson,
        Message::Answer { id, answer } => answered(approvals, &id, answer),
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

/// What comes of an answer.
fn answered(approvals: &Approvals, id: &str, said: Said) -> Reply {
    let pending = approvals.pending();
    let Some(pending) = pending.iter().find(|pending| pending.id == id) else {
        return Reply::Unknown;
    };
    let said = match &pending.question {
        Question::Request(_) => Ok(said),
        Question::Access(_) => said.of_use(),
    };
    let said = match said {
        Ok(said) => said,
        Err(reason) => return Reply::Unfit(reason),
    };
    match approvals.answer(id, said.into()) {
        Ok(question) => Reply::Answered(question.to_string()),
        Err(NotAnswered::Unknown(_)) => Reply::Unknown,
        Err(error @ NotAnswered::Unfit) => Reply::Unfit(error.to_string()),
    }
}

/// Whether an answer comes from a process of the user that is none of the asker's: a program cannot answer for the person
/// as long as it does not hide where it comes from. Only a sandbox makes sure of it.
fn is_a_person(peer: &Peer, asker: Asker) -> bool {
    match peer {
        Peer::Unix { uid, pid, .. } => {
            let is_own = *uid == rustix::process::getuid().as_raw();
            let is_asker = |pid| {
                standing::is_below_this(pid)
                    || asker == Asker::Parent && standing::is_below_parent(pid)
            };
            is_own && pid.is_none_or(|pid| !is_asker(pid))
        }
        _ => false,
    }
}

fn tell(printer: Printer, pending: &Pending, places: &[Place]) {
    let id = &pending.id;
    let ways = places.iter().map(|place| format!("\n{}", place.told(id)));
    let here: String = ways.collect();
    match &pending.question {
        question @ Question::Request(_) => printer.note(&format!(
            "A person must agree: {}{here}",
            named(question)
        )),
        // Of the agent itself, which waits for the answer: with `--quiet` too.
        Question::Access(access) => printer.say(&format!(
            "The agent `{}` asks for {access}, for a while.\nIts reason, in its own words: \"{}\"{here}",
            access.agent, access.reason
        )),
    }
}
