//! The client: many callers, one connection.
//!
//! A [`Client`] is a handle; a task in the background owns the connection. Requests of all callers are
//! pipelined on it and answered in any order. When it breaks, the next request opens another. A request is sent
//! a second time only if the first time not all of it was handed to the operating system, so nothing is done
//! twice; [`Client::fire`] is the exception, for what does no harm when it is repeated.
//!
//! Requests and answers are overwritten in memory once they are used. Every call has a time limit. Answers that
//! nobody asked for end the connection.

mod connection;
mod driver;
mod error;
mod job;
mod provider;

use std::fmt;
use std::time::Duration;

use fnox_core::SecretString;
use tokio::sync::{broadcast, mpsc, oneshot};

pub use self::error::ClientError;
pub use self::provider::{
    CredentialGuard, CredentialProvider, CredentialRequest, ProviderError, StaticProvider,
    VaultProvider,
};

use self::driver::{Command, Driver};
use self::job::Job;
use crate::methods::{Call, LeaseEvent, Subscribe};
use crate::transport::Connector;

/// Events that a slow subscriber may be behind before it loses some.
const EVENT_BACKLOG: usize = 1024;

/// How to be a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where the vault is.
    pub connector: Connector,
    /// Who the caller is, where that does not follow from the connection.
    pub token: Option<SecretString>,
    /// How long connecting and the hello may take together: 5 s.
    pub connect_timeout: Duration,
    /// How long one call may take, connecting included: 30 s.
    pub request_timeout: Duration,
    /// How long to go on trying with what was [fired](Client::fire): 60 s.
    pub background_timeout: Duration,
    /// Go by TCP to any address, in clear.
    pub allow_any_address: bool,
}

impl ClientOptions {
    /// The usual time limits, no token.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self {
            connector,
            token: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            background_timeout: Duration::from_mins(1),
            allow_any_address: false,
        }
    }

    /// With a token.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }
}

/// A vault to call. Clones share one connection, which is closed when the last is dropped and what was fired is
/// answered.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
    events: broadcast::Sender<LeaseEvent>,
    place: std::sync::Arc<str>,
    request_timeout: Duration,
    background_timeout: Duration,
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// If nobody answers, or the vault refuses.
    pub async fn connect(options: ClientOptions) -> Result<Self, ClientError> {
        let connection = connection::open(&options).await?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let client = Self {
            commands,
            events: events.clone(),
            place: options.connector.to_string().into(),
            request_timeout: options.request_timeout,
            background_timeout: options.background_timeout,
        };
        tokio::spawn(Driver::new(options, receiver, events).run(connection));
        Ok(client)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The vault's, or why there is no answer.
    pub async fn call<P: Call>(&self, params: &P) -> Result<P::Result, ClientError>
    where
        P::Result: 'static,
    {
        self.call_with_limit(params, self.request_timeout).await
    }

    /// Asks with another time limit.
    ///
    /// # Errors
    /// The vault's, or why there is no answer.
    pub async fn call_with_limit<P: Call>(
        &self,
        params: &P,
        limit: Duration,
    ) -> Result<P::Result, ClientError>
    where
        P::Result: 'static,
    {
        let (job, answer) = Job::call(params, None)?;
        self.ask(job, answer, limit).await
    }

    /// Asks; an answer that comes when nobody waits for it any more is given to `orphan`, which can undo what was
    /// done.
    ///
    /// # Errors
    /// The vault's, or why there is no answer.
    pub async fn call_or_else<P: Call>(
        &self,
        params: &P,
        orphan: impl FnOnce(P::Result) + Send + 'static,
    ) -> Result<P::Result, ClientError>
    where
        P::Result: 'static,
    {
        let (job, answer) = Job::call(params, Some(Box::new(orphan)))?;
        self.ask(job, answer, self.request_timeout).await
    }

    /// Sends without waiting, for `Drop`: the request is kept until the vault has answered it, over new
    /// connections if need be, and that it could not be delivered is logged. Only for requests that do no harm
    /// when they arrive twice.
    pub fn fire<P: Call>(&self, params: &P) {
        let until = tokio::time::Instant::now() + self.background_timeout;
        let sent = Job::fire(params, until).map(|job| self.commands.send(Command::Job(job)));
        if !matches!(sent, Ok(Ok(()))) {
            let method = P::METHOD.name();
            tracing::warn!(method, "a request could not be sent to the vault");
        }
    }

    /// Waits until everything that was fired so far is answered, or given up.
    pub async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.commands.send(Command::Settle(done)).is_ok() {
            let _the_driver_ended = settled.await;
        }
    }

    /// Hears of leases from now on, also over new connections.
    ///
    /// # Errors
    /// If the vault refuses, or does not answer.
    pub async fn subscribe(&self) -> Result<LeaseEvents, ClientError> {
        // First, so that nothing is missed between the answer and now.
        let receiver = self.events.subscribe();
        self.call(&Subscribe {}).await?;
        Ok(LeaseEvents {
            receiver,
            _connected: self.clone(),
        })
    }

    /// Where the vault is, as a [`Connector`] is written.
    pub fn place(&self) -> &str {
        &self.place
    }

    async fn ask<R>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<R, ClientError>>,
        limit: Duration,
    ) -> Result<R, ClientError> {
        if self.commands.send(Command::Job(job)).is_err() {
            return Err(ClientError::Closed);
        }
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ClientError::Closed),
            Err(_) => Err(ClientError::TimedOut),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// What a subscriber hears. It keeps the connection open as a handle does.
#[derive(Debug)]
pub struct LeaseEvents {
    receiver: broadcast::Receiver<LeaseEvent>,
    _connected: Client,
}

impl LeaseEvents {
    /// Waits for the next event; `None` if there will be no more. [`LeaseEvent::Lagged`] says that some were missed, and
    /// with 0 that nobody knows how many because the connection was lost: ask for the state anew.
    pub async fn next(&mut self) -> Option<LeaseEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(LeaseEvent::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
