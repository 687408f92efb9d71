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

use super::{Message, Reply, folder};
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
    listener: UnixListener,
    approvals: Arc<Approvals>,
}

impl Office {
    /// Opens one if a rule asks.
    ///
    /// # Errors
    /// If there can be no socket.
    pub(crate) fn open(
        policy: &Policy,
        folders: &Folders,
        clock: Arc<dyn Clock>,
        patience: Duration,
        printer: Printer,
    ) -> Result<Option<Self>, CliError> {
        if policy.rules.iter().all(|rule| rule.approve != Approve::Ask) {
            return Ok(None);
        }
        let path = folder(folders).join(format!("{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path, &UnixOptions::default())
            .map_err(|error| CliError::failed(error.to_string()))?;
        let asked = move |pending: &Pending| tell(printer, pending);
        Ok(Some(Self {
            listener,
            approvals: Arc::new(Approvals::new(clock, patience, asked)),
        }))
    }

    /// Who is asked.
    pub(crate) fn approver(office: Option<&Self>) -> Arc<dyn Approver> {
        match office {
            Some(office) => office.approvals.clone(),
            None => Arc::new(Nobody),
        }
    }

    /// Takes answers until the future is dropped. One at a time: people are slow.
    pub(crate) async fn serve(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let served = self.serve_one(stream, &peer);
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

    async fn serve_one(&self, stream: Stream, peer: &Peer) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        (&mut stream).take(MESSAGE).read_line(&mut line).await?;
        let reply = match serde_json::from_str(&line)? {
            Message::Pending => {
                let pending = self.approvals.pending();
                Reply::Pending(pending.iter().map(PendingRequest::from).collect())
            }
            Message::Answer { .. } if !is_a_person(peer) => Reply::NotAPerson,
            Message::Answer { id, answer } => match self.approvals.answer(&id, answer.into()) {
                Ok(question) => Reply::Answered(question.to_string()),
                Err(_) => Reply::Unknown,
            },
        };
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    }
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

fn tell(printer: Printer, pending: &Pending) {
    printer.note(&format!(
        "A person must agree: {} [{}]\nIn another terminal: fnox agent approve {id}, or fnox agent deny {id}",
        pending.question,
        pending.question.rule,
        id = pending.id
    ));
}
