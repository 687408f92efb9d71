//! Being told to end: by a service manager, a terminal, or a test.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::AgentError;

/// Tells when to end. Copies tell the same.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Makes a [`Stop`] tell so. Dropped, it never will.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Stop {
    /// One that somebody else pulls.
    #[must_use]
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// One that `SIGTERM`, `SIGINT` and `SIGHUP` pull.
    ///
    /// # Errors
    /// If the system does not let it listen.
    pub fn on_signals() -> Result<Self, AgentError> {
        let listen = |kind| {
            signal(kind).map_err(|source| AgentError::System {
                what: "listen to signals",
                source,
            })
        };
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let (trigger, stop) = Self::new();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            trigger.pull();
            trigger.0.closed().await;
        });
        Ok(stop)
    }

    /// Waits until it is time to end.
    pub async fn requested(&self) {
        if self.0.clone().wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does something unless it is time to end first.
    ///
    /// # Errors
    /// Its own, or `Stopped`.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, AgentError>>,
    ) -> Result<T, AgentError> {
        tokio::select! {
            biased;
            () = self.requested() => Err(AgentError::Stopped),
            outcome = work => outcome,
        }
    }
}

impl Trigger {
    /// Says that it is time to end.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}
