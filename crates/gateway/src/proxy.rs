//! A gateway that runs: clients come in, requests go out, credentials go into them on the way.
//!
//! A client connects, proves who it is, and binds its connection to a destination by CONNECT (or sends single requests to
//! this machine in absolute form). Inside the tunnel it speaks TLS with the gateway's own [`Authority`], so that each
//! request is seen, decided about and counted by itself, also on a connection that is kept.

mod captured;
mod capturing;
mod carried;
mod client;
mod client_password;
mod connection;
mod ending;
mod exchange;
mod filling;
#[doc(hidden)]
pub mod fuzzing;
mod listener;
mod preface;
mod reflected;
mod refused;
mod session;
mod temporary;
mod trace;
mod tunnel;
mod untold;
mod upstream;
mod upstream_stream;
mod upstreams;
mod uses;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::{AgentId, Host, SecretString};
use http::{Method, StatusCode};
use tokio::task::JoinSet;

use self::captured::Captured;
use self::carried::CarriedByAll;
pub use self::client::{Client, Clients, Credentials, Lent, OneClient};
pub use self::client_password::{ClientPassword, USER};
use self::connection::Entrance;
pub use self::ending::{Ended, Ender};
pub use self::listener::Listener;
use self::temporary::ChangingPolicy;
pub use self::temporary::{NotAdded, TemporaryRule};
pub use self::upstream::Trust;
use self::upstreams::Upstreams;
use self::uses::Uses;
use crate::approval::Approver;
use crate::authority::Authority;
use crate::destination::Dialer;
use crate::placeholder::PlaceholderBook;
use crate::policy::Policy;
use crate::reflection::ScanPolicy;
use crate::refusal::Refusal;
use crate::rule::CredentialRef;

/// Pause after an error of `accept`, such as "too many open files".
const PAUSE: Duration = Duration::from_millis(50);

/// Is told of everything that passes and of everything that does not.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A request was answered by its destination, or refused.
    fn exchanged(&self, exchange: &Exchange<'_>);

    /// An answer of which [`Self::exchanged`] was told broke off, because its coding turned out to be broken when a part of it
    /// had left. The outcome says why.
    fn broken_off(&self, exchange: &Exchange<'_>) {
        let _ = exchange;
    }

    /// A connection ended before there was a request: a client that does not believe in the authority, or no TLS.
    fn broken(&self, host: &Host, problem: &str);

    /// A value goes out that is not looked for in answers, because it is shorter than
    /// [`SHORTEST_VALUE`](crate::reflection::SHORTEST_VALUE). Told each time.
    fn too_short(&self, credential: &CredentialRef) {
        let _ = credential;
    }
}

/// What became of one request. None of it is secret.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Who asked.
    pub agent: &'a AgentId,
    /// Where it went, or would have gone.
    pub host: &'a Host,
    /// What was asked.
    pub method: &'a Method,
    /// The path, as far as the request could be read; without the query.
    pub path: &'a str,
    /// The rules whose credentials went into it.
    pub rules: &'a [String],
    /// What the destination answered, or why it was not asked, or why its answer did not pass.
    pub outcome: Result<StatusCode, &'a Refusal>,
}

/// What a gateway is made of.
#[derive(Debug)]
pub struct Options {
    /// What may leave.
    pub policy: Policy,
    /// Who the clients are, and where their values come from.
    pub clients: Arc<dyn Clients>,
    /// What they hold instead of credentials.
    pub placeholders: PlaceholderBook,
    /// Whom clients believe.
    pub authority: Authority,
    /// How destinations are reached.
    pub dialer: Dialer,
    /// How destinations are judged.
    pub trust: Trust,
    /// How answers are searched for values.
    pub scan: ScanPolicy,
    /// How many clients may be connected at a time; more of them wait.
    pub connections: usize,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Who is asked.
    pub approver: Arc<dyn Approver>,
}

/// A gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

/// What all connections of a gateway share.
struct Shared {
    policy: ChangingPolicy,
    clients: Arc<dyn Clients>,
    placeholders: PlaceholderBook,
    authority: Authority,
    observer: Arc<dyn Observer>,
    approver: Arc<dyn Approver>,
    scan: ScanPolicy,
    connections: usize,
    uses: Uses,
    captured: Captured,
    carried: CarriedByAll,
    upstreams: Upstreams,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Gateway {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// If a rule's `ca_file` cannot be read; the error names it.
    pub fn new(options: Options) -> io::Result<Self> {
        let policy = options.policy.with_captured();
        let files = policy.rules.iter();
        let files = files.filter_map(|rule| Some((rule.name.as_str(), rule.ca_file.clone()?)));
        let upstreams = Upstreams::new(options.dialer, options.trust, files)?;
        Ok(Self {
            shared: Arc::new(Shared {
                uses: Uses::of(&policy),
                captured: Captured::default(),
                carried: CarriedByAll::default(),
                policy: policy.into(),
                clients: options.clients,
                placeholders: options.placeholders,
                authority: options.authority,
                observer: options.observer,
                approver: options.approver,
                scan: options.scan,
                connections: options.connections,
                upstreams,
            }),
        })
    }

    /// The certificate that clients must trust, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.shared.authority.certificate_pem()
    }

    /// The same certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        self.shared.authority.certificate_der()
    }

    /// Serves clients until the future is dropped, and all of their connections with it.
    pub async fn serve(&self, listener: impl Into<Listener>) {
        self.serve_all(listener.into(), None).await;
    }

    /// The same for a listener that one agent's programs alone can reach: who presents no password there presents this
    /// one. Programs need not know of the gateway then; a jail can lead their connections to it.
    pub async fn serve_for(&self, listener: impl Into<Listener>, password: SecretString) {
        self.serve_all(listener.into(), Some(password)).await;
    }

    async fn serve_all(&self, listener: Listener, password: Option<SecretString>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < self.shared.connections => match accepted {
                    Ok(stream) => {
                        let entrance = Entrance {
                            shared: Arc::clone(&self.shared),
                            password: password.clone(),
                        };
                        connections.spawn(connection::serve(entrance, stream));
                    }
                    Err(error) => {
                        tracing::debug!("the gateway cannot take a connection: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
}
