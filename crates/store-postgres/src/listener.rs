//! Hears what other vaults changed, over a connection of its own.
//!
//! While the connection is down nothing is heard, so after every reconnection the engine is told to read everything
//! anew. A connection that is dead without saying so is found by a question every few seconds.

use std::future::poll_fn;
use std::time::Duration;

use fnox_vault::store::Foreign;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use uuid::Uuid;

use crate::connection::Connections;
use crate::notice::{CHANNEL, Notices};
use crate::problem::{Failure, problem};
use crate::rows::{self, LEASE};

/// How often the connection is asked whether it lives.
const QUESTION: Duration = Duration::from_secs(5);

/// The first and the longest wait before connecting again.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Payloads that may wait to be read.
const WAITING: usize = 1024;

/// A task that ends with its owner.
#[derive(Debug)]
pub(crate) struct Owned(JoinHandle<()>);

impl Owned {
    /// Starts a task.
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens.
#[derive(Debug)]
pub(crate) struct Listener {
    /// How to connect.
    pub(crate) config: Config,
    /// Reads what changed.
    pub(crate) connections: Connections,
    /// How this vault names itself in notices.
    pub(crate) origin: watch::Receiver<Uuid>,
    /// Where the engine hears of it.
    pub(crate) foreign: broadcast::Sender<Foreign>,
    /// How long connecting or an answer may take.
    pub(crate) limit: Duration,
}

impl Listener {
    /// Connects, so that nothing is missed from now on, and goes on listening.
    pub(crate) async fn start(self) -> Result<Owned, Failure> {
        let ears = self.connect().await?;
        Ok(Owned::spawn(self.run(ears)))
    }

    async fn run(self, mut ears: Ears) {
        loop {
            self.listen(&mut ears).await;
            drop(ears);
            let mut wait = WAITS.0;
            ears = loop {
                match self.connect().await {
                    Ok(ears) => break ears,
                    Err(failure) => {
                        tracing::warn!(?failure, "changes of other vaults cannot be heard");
                        sleep(wait).await;
                        wait = (wait * 2).min(WAITS.1);
                    }
                }
            };
            let _ = self.foreign.send(Foreign::Unknown);
        }
    }

    /// Passes on what is heard, until the connection is dead.
    async fn listen(&self, ears: &mut Ears) {
        let mut questions = interval(QUESTION);
        loop {
            tokio::select! {
                payload = ears.payloads.recv() => {
                    let Some(payload) = payload else { return };
                    let own = *self.origin.borrow();
                    let mut notices = Notices::default();
                    notices.hear(&payload, own);
                    while let Ok(payload) = ears.payloads.try_recv() {
                        notices.hear(&payload, own);
                    }
                    self.pass_on(notices).await;
                }
                _ = questions.tick() => {
                    if !matches!(timeout(self.limit, ears.client.simple_query("")).await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    async fn pass_on(&self, mut notices: Notices) {
        let mut changes = Vec::new();
        if !notices.leases.is_empty() && !notices.unknown {
            notices.leases.sort_unstable();
            notices.leases.dedup();
            let ids: Vec<Uuid> = notices.leases.iter().map(|id| id.0).collect();
            let sql = format!("SELECT {LEASE} FROM fnox_vault.lease WHERE id = ANY($1)");
            match self.connections.query(&sql, &[&ids]).await {
                Ok(found) => match rows::leases(&found) {
                    Ok(leases) => changes.push(Foreign::Leases(leases)),
                    Err(_) => notices.unknown = true,
                },
                Err(_) => notices.unknown = true,
            }
        }
        if notices.unknown {
            changes = vec![Foreign::Unknown];
        }
        changes.extend(notices.tokens.into_iter().map(Foreign::TokenRevoked));
        changes.extend(notices.sessions.into_iter().map(Foreign::SessionClosed));
        changes.extend(notices.secrets.into_iter().map(Foreign::SecretChanged));
        if notices.ring {
            changes.push(Foreign::RingChanged);
        }
        for change in changes {
            // Nobody may be listening yet.
            let _ = self.foreign.send(change);
        }
    }

    async fn connect(&self) -> Result<Ears, Failure> {
        timeout(self.limit, self.open_ears())
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Unavailable(
                    "the server did not answer in time".to_owned(),
                ))
            })
    }

    async fn open_ears(&self) -> Result<Ears, Failure> {
        let (client, mut connection) = self.config.connect(NoTls).await?;
        let (heard, payloads) = mpsc::channel(WAITING);
        let driver = Owned::spawn(async move {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(notification))) => {
                        if heard.send(notification.payload().to_owned()).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(
                            problem = problem(&error),
                            "the listening connection ended"
                        );
                        return;
                    }
                    None => return,
                }
            }
        });
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Ears {
            client,
            payloads,
            _driver: driver,
        })
    }
}

/// A connection that listens.
#[derive(Debug)]
struct Ears {
    client: Client,
    payloads: mpsc::Receiver<String>,
    _driver: Owned,
}
