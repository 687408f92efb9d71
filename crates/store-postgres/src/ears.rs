//! A connection that only listens to `NOTIFY`.
//!
//! While it is down nothing is heard: whoever listens has to assume after every reconnection that anything may have
//! changed. A connection that is dead without saying so is found by a question every few seconds.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Interval, interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use crate::problem::{Failure, problem};

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

/// What is listened to.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    /// How to connect.
    pub(crate) config: Config,
    /// Its name.
    pub(crate) name: &'static str,
    /// How long connecting or an answer may take.
    pub(crate) limit: Duration,
}

/// A connection that listens.
#[derive(Debug)]
pub(crate) struct Ears {
    channel: Channel,
    client: Client,
    payloads: mpsc::Receiver<String>,
    questions: Interval,
    _driver: Owned,
}

impl Ears {
    /// Connects; from now on nothing is missed.
    pub(crate) async fn open(channel: Channel) -> Result<Self, Failure> {
        let limit = channel.limit;
        timeout(limit, Self::connect(channel))
            .await
            .unwrap_or_else(|_| {
                let problem = "the server did not answer in time".to_owned();
                Err(Failure::Unavailable(problem))
            })
    }

    /// Waits for payloads, at least one. `None` once the connection is dead.
    pub(crate) async fn payloads(&mut self) -> Option<Vec<String>> {
        let mut heard = loop {
            tokio::select! {
                payload = self.payloads.recv() => break vec![payload?],
                _ = self.questions.tick() => {
                    let question = self.client.simple_query("");
                    if !matches!(timeout(self.channel.limit, question).await, Ok(Ok(_))) {
                        return None;
                    }
                }
            }
        };
        while let Ok(payload) = self.payloads.try_recv() {
            heard.push(payload);
        }
        Some(heard)
    }

    /// Connects once more, however long that takes.
    pub(crate) async fn again(self) -> Self {
        let channel = self.channel.clone();
        drop(self);
        let mut wait = WAITS.0;
        loop {
            match Self::open(channel.clone()).await {
                Ok(ears) => return ears,
                Err(failure) => {
                    tracing::warn!(?failure, "changes by others cannot be heard");
                    sleep(wait).await;
                    wait = (wait * 2).min(WAITS.1);
                }
            }
        }
    }

    async fn connect(channel: Channel) -> Result<Self, Failure> {
        let (client, mut connection) = channel.config.connect(NoTls).await?;
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
        client
            .batch_execute(&format!("LISTEN {}", channel.name))
            .await?;
        Ok(Self {
            channel,
            client,
            payloads,
            questions: interval(QUESTION),
            _driver: driver,
        })
    }
}
