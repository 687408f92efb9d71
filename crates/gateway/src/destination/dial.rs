//! From a host to a connection, through the check of every address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::Host;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::AddressPolicy;
use crate::{Reason, Refusal};

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, each with `port`, the preferred ones first.
    ///
    /// # Errors
    /// Whatever kept the answer away, a name that does not exist included.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the machine: hosts file, DNS and whatever else it is configured for, in its order (RFC 6724).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

/// How long a connection may take to come about.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the resolver to answer.
    pub resolution: Duration,
    /// For one address to accept.
    pub connection: Duration,
    /// After this the next address is tried too, while the ones before may still accept (RFC 8305, section 5).
    pub stagger: Duration,
    /// As many addresses are tried. All are checked; a name with hundreds of them is not to make the gateway
    /// knock at all of their doors.
    pub attempts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resolution: Duration::from_secs(10),
            connection: Duration::from_secs(10),
            stagger: Duration::from_millis(250),
            attempts: 16,
        }
    }
}

/// A connection, and the checked address that it goes to.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: TcpStream,
    /// Where it goes.
    pub address: SocketAddr,
}

/// Opens connections to checked addresses.
#[derive(Clone)]
pub struct Dialer {
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolver>,
    limits: Limits,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Dialer")
            .field("policy", &self.policy)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Dials what `policy` lets, with the machine's resolver and the usual limits.
    #[must_use]
    pub fn new(policy: AddressPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            resolver: Arc::new(SystemResolver),
            limits: Limits::default(),
        }
    }

    /// Asks `resolver` instead.
    #[must_use]
    pub fn with_resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Waits as long as `limits` say instead.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What decides on addresses; pooled connections are asked about again.
    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Connects to `host`, at its port or else at `default_port`.
    ///
    /// The name is resolved once. **One forbidden address among the answers refuses them all**: an honest name
    /// does not mix public and private addresses, and whoever mixes them hopes that the next attempt, or the next
    /// program, takes the other one. Only for `localhost`, whose addresses nobody outside chooses (RFC 6761,
    /// section 6.3), the allowed ones are taken and the others left: its `::1` need not be listed beside
    /// `127.0.0.1`.
    ///
    /// # Errors
    /// [`Reason::PrivateAddress`] as [`AddressPolicy::check`] says it, [`Reason::Upstream`] if the name has no
    /// address or none of them accepts.
    pub async fn dial(&self, host: &Host, default_port: u16) -> Result<Connected, Refusal> {
        let port = host.port().unwrap_or(default_port);
        let addresses = match host.ip() {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => self.resolve(host, port).await?,
        };
        let checked = self.check(host, addresses)?;
        self.connect(host, checked).await
    }

    async fn resolve(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, Refusal> {
        let name = host.name();
        let answer = timeout(self.limits.resolution, self.resolver.resolve(&name, port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match answer {
            Ok(addresses) if addresses.is_empty() => {
                Err(unreachable(format!("`{name}` has no address")))
            }
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(unreachable(format!("cannot resolve `{name}`: {error}"))),
        }
    }

    /// Every address, or the first refusal.
    fn check(&self, host: &Host, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
        let is_localhost = is_localhost(host);
        let mut checked = Vec::with_capacity(addresses.len());
        let mut refused = None;
        for address in addresses {
            let address = canonical(address);
            match self.policy.check(address) {
                Ok(()) if checked.contains(&address) => {}
                Ok(()) => checked.push(address),
                Err(_) if is_localhost && address.ip().is_loopback() => {
                    refused = refused.or_else(|| self.policy.check(address).err());
                }
                Err(refusal) => return Err(of_name(host, refusal)),
            }
        }
        match refused {
            Some(refusal) if checked.is_empty() => Err(of_name(host, refusal)),
            _ => Ok(checked),
        }
    }

    /// The first address that accepts. A new one is begun when the last has failed or let [`Limits::stagger`] go
    /// by; what has been begun goes on until one of them accepts.
    async fn connect(&self, host: &Host, checked: Vec<SocketAddr>) -> Result<Connected, Refusal> {
        let count = checked.len().min(self.limits.attempts.max(1));
        let mut waiting = alternate_families(checked).into_iter().take(count);
        let mut begun = FuturesUnordered::new();
        let mut last_error = io::Error::from(io::ErrorKind::NotFound);
        begun.extend(waiting.next().map(|address| self.attempt(address)));
        loop {
            tokio::select! {
                biased;
                ended = begun.next() => match ended {
                    Some(Ok(connected)) => return Ok(connected),
                    Some(Err(error)) => {
                        last_error = error;
                        begun.extend(waiting.next().map(|address| self.attempt(address)));
                    }
                    None => break,
                },
                () = sleep(self.limits.stagger), if waiting.len() > 0 => {
                    begun.extend(waiting.next().map(|address| self.attempt(address)));
                }
            }
        }
        let tried = match count {
            1 => String::new(),
            _ => format!(" at any of {count} addresses"),
        };
        Err(unreachable(format!(
            "cannot connect to `{host}`{tried}: {last_error}"
        )))
    }

    async fn attempt(&self, address: SocketAddr) -> io::Result<Connected> {
        let stream = timeout(self.limits.connection, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // Small writes are requests and answers: they must not wait for each other.
        stream.set_nodelay(true)?;
        Ok(Connected { stream, address })
    }
}

/// The same address without IPv4 dressed as IPv6, so that what is dialled is what was judged.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // As it was: it may name an interface.
        IpAddr::V6(_) => address,
    }
}

/// The first address's family first, then in turn (RFC 8305, section 4), so that a broken family costs one wait.
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = addresses.len();
    let starts_with_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == starts_with_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

fn is_localhost(host: &Host) -> bool {
    let name = host.name();
    name == "localhost" || name.ends_with(".localhost")
}

fn of_name(host: &Host, mut refusal: Refusal) -> Refusal {
    if host.ip().is_none() {
        refusal.message = format!("`{}` may not be reached: {}", host.name(), refusal.message);
    }
    refusal
}

fn unreachable(message: String) -> Refusal {
    Refusal::new(Reason::Upstream, message)
}
