//! A gateway on a free port between raw clients and the upstream's stand-in.
//!
//! Every name that tests use resolves to the stand-in, and it has a certificate for all of them: a request that wrongly
//! leaves is received, wherever it was meant to go.

mod clients;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fnox_core::{AgentId, Clock, Host, SecretString, SystemClock, VaultName};
use fnox_gateway::approval::Nobody;
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::{AddressPolicy, Dialer, Resolver};
use fnox_gateway::injection::aws::AwsKeys;
use fnox_gateway::placeholder::{PlaceholderBook, Placeholders, Shape};
use fnox_gateway::policy::Policy;
use fnox_gateway::proxy::{
    Client, ClientPassword, Credentials, Ended, Ender, Exchange, Gateway, Lent, Observer,
    OneClient, Options, Trust,
};
use fnox_gateway::reflection::ScanPolicy;
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use fnox_gateway::{Reason, Refusal};
use fnox_testkit::stand_in::{Received, Upstream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use self::clients::{
    Content, Sent, body, channel, connector, empty, over_http2, read_to_end, within,
};
pub(crate) use self::wire::{Answer, Wire};

/// What the destination gets.
pub(crate) const VALUE: &str = "ghp_RealValueThatNobodyMaySee0123456789";

/// The access key of requests that are signed for AWS, whose secret key is [`VALUE`].
pub(crate) const ACCESS_KEY: &str = "ASIAREALACCESSKEY234";

/// The lease by which it is had.
pub(crate) const LEASE: &str = "lease-of-the-test";

/// The destination of nearly all requests, at port 443.
pub(crate) const HOST: &str = "api.example.com";

/// Its authority in CONNECT.
pub(crate) const AUTHORITY: &str = "api.example.com:443";

/// Another host, which a rule reaches without a credential of its own.
pub(crate) const OTHER: &str = "other.example.org";

/// A host that no rule reaches.
pub(crate) const EVIL: &str = "evil.example.net";

/// Everything that the stand-in has a certificate for.
pub(crate) const NAMES: [&str; 5] = [HOST, OTHER, EVIL, "localhost", "127.0.0.1"];

/// What a client asks for with a WebSocket (RFC 6455, section 4.1).
pub(crate) const WEBSOCKET: [&str; 4] = [
    "connection: keep-alive, Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// What a gateway is to be like.
pub(crate) struct Setup {
    pub(crate) rules: Vec<Rule>,
    pub(crate) open: Vec<Hosts>,
    pub(crate) upstream: Upstream,
    pub(crate) resolver: Option<Box<dyn Resolver>>,
    pub(crate) private: Vec<String>,
    pub(crate) password: Option<ClientPassword>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) record: Arc<Captures>,
    /// What rules of these names put in instead of [`VALUE`].
    pub(crate) values: HashMap<String, String>,
}

impl Setup {
    /// With one rule: `TOKEN` is swapped into `authorization` for [`HOST`]. [`OTHER`] is reached without anything.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With that rule changed.
    pub(crate) fn with(change: impl FnOnce(&mut Rule)) -> Self {
        let mut rule = rule(HOST);
        change(&mut rule);
        Self {
            rules: vec![rule],
            open: vec![Hosts::parse(OTHER).unwrap()],
            upstream: Upstream::named(&NAMES),
            resolver: None,
            private: Vec::new(),
            password: None,
            clock: Arc::new(SystemClock),
            record: Arc::default(),
            values: HashMap::new(),
        }
    }

    /// With an upstream that speaks these protocols alone.
    pub(crate) fn speaking(mut self, protocols: &[&str]) -> Self {
        self.upstream = Upstream::speaking(protocols, &NAMES);
        self
    }

    /// With this clock.
    pub(crate) fn by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) async fn start(self) -> Proxy {
        let upstream: SocketAddr = ([127, 0, 0, 1], self.upstream.port()).into();
        let folder = tempfile::tempdir().unwrap();
        let file = self.upstream.write_authority(folder.path());
        let trust = Trust::system().with_file(&file).unwrap();
        let mut private = self.private;
        private.push(upstream.to_string());
        let resolver = self
            .resolver
            .unwrap_or_else(|| Box::new(Names::at(upstream)));
        let dialer =
            Dialer::new(AddressPolicy::parse(private).unwrap()).with_resolver(Boxed(resolver));
        let agent = AgentId::parse("agent").unwrap();
        let mut placeholders = Placeholders::default();
        let placeholder = placeholders.issue(
            &agent,
            &credential(),
            &Shape::of(&SecretString::from(VALUE)),
            None,
            &mut rand::rng(),
        );
        let placeholders = PlaceholderBook::from(placeholders);
        let seen = Arc::new(Seen::default());
        let (ender, lasts) = Ender::new();
        let credentials = Fixed {
            ended: lasts,
            record: self.record,
            values: self.values,
        };
        let client = Client::new(agent, Arc::new(credentials), Vec::new());
        let gateway = Gateway::new(Options {
            policy: Policy {
                rules: self.rules,
                allow_domains: self.open,
                ..Policy::default()
            },
            clients: Arc::new(OneClient::new(client, self.password)),
            placeholders: placeholders.clone(),
            authority: Authority::new(self.clock).unwrap(),
            dialer,
            trust,
            scan: ScanPolicy::default(),
            connections: 512,
            observer: Arc::clone(&seen) as Arc<dyn Observer>,
            approver: Arc::new(Nobody),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = gateway.certificate_pem();
        let serving = gateway.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        Proxy {
            address,
            gateway,
            authority,
            placeholder: placeholder.text().to_owned(),
            placeholders,
            upstream: self.upstream,
            seen,
            ender,
            task,
            _folder: folder,
        }
    }
}

/// A rule for a host, with [`VALUE`].
pub(crate) fn rule(hosts: &str) -> Rule {
    Rule::new("token", Hosts::parse(hosts).unwrap(), credential())
}

fn credential() -> CredentialRef {
    CredentialRef::Secret(VaultName::parse("TOKEN").unwrap())
}

/// A gateway that runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: Gateway,
    /// What clients of it must trust, in PEM.
    pub(crate) authority: String,
    /// What stands for [`VALUE`].
    pub(crate) placeholder: String,
    /// All that it knows.
    pub(crate) placeholders: PlaceholderBook,
    pub(crate) upstream: Upstream,
    seen: Arc<Seen>,
    ender: Ender,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// What the upstream received.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.upstream.received()
    }

    /// The only request that the upstream received.
    #[track_caller]
    pub(crate) fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }

    /// What the observer was told about requests.
    pub(crate) fn seen(&self) -> Vec<SeenExchange> {
        lock(&self.seen.exchanges).clone()
    }

    /// The reason of the only request that the observer was told about.
    #[track_caller]
    pub(crate) fn only_refusal(&self) -> Reason {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0).outcome.unwrap_err()
    }

    /// Why answers broke off, as the observer was told.
    pub(crate) fn broken_off(&self) -> Vec<Reason> {
        lock(&self.seen.broken_off).clone()
    }

    /// What the observer was told about connections without requests: the host and the problem.
    pub(crate) fn broken(&self) -> Vec<(String, String)> {
        lock(&self.seen.broken).clone()
    }

    /// `authorization` as clients send it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.placeholder)
    }

    /// `authorization` as an AWS client sends it that has the placeholder for an access key.
    pub(crate) fn signed(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260722/eu-central-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256, Signature=00",
            self.placeholder
        )
    }

    /// Withdraws the right to use [`VALUE`].
    pub(crate) fn revoke(&self) {
        self.ender
            .end(Refusal::new(Reason::Exhausted, "the lease was withdrawn"));
    }

    /// Ends the gateway and everything that goes through it.
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        // What waits for it in the upstream must not keep the upstream from ending.
        self.upstream.release();
    }
}

/// `authorization` as the destination gets it.
pub(crate) fn real_bearer() -> String {
    format!("Bearer {VALUE}")
}

/// What an observer was told of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenExchange {
    pub(crate) host: String,
    pub(crate) method: String,
    pub(crate) rules: Vec<String>,
    pub(crate) outcome: Result<u16, Reason>,
}

#[derive(Debug, Default)]
struct Seen {
    exchanges: Mutex<Vec<SeenExchange>>,
    broken_off: Mutex<Vec<Reason>>,
    broken: Mutex<Vec<(String, String)>>,
}

impl Observer for Seen {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        lock(&self.exchanges).push(SeenExchange {
            host: exchange.host.to_string(),
            method: exchange.method.to_string(),
            rules: exchange.rules.to_vec(),
            outcome: match &exchange.outcome {
                Ok(status) => Ok(status.as_u16()),
                Err(refusal) => Err(refusal.reason),
            },
        });
    }

    fn broken_off(&self, exchange: &Exchange<'_>) {
        let refusal = exchange.outcome.unwrap_err();
        lock(&self.broken_off).push(refusal.reason);
    }

    fn broken(&self, host: &Host, problem: &str) {
        lock(&self.broken).push((host.to_string(), problem.to_owned()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`VALUE`] for everything that has no value of its own, until it is withdrawn.
#[derive(Debug)]
struct Fixed {
    ended: Ended,
    record: Arc<Captures>,
    values: HashMap<String, String>,
}

/// What was captured and used again, as long as it can be recorded.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    told: Mutex<Vec<String>>,
    is_full: AtomicBool,
}

impl Captures {
    pub(crate) fn told(&self) -> Vec<String> {
        lock(&self.told).clone()
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    fn record(&self, text: String) -> Result<(), Refusal> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Refusal::new(Reason::Credential, "the record is full"));
        }
        lock(&self.told).push(text);
        Ok(())
    }
}

impl Fixed {
    fn lend<V>(&self, value: V) -> Result<Lent<V>, Refusal> {
        match self.ended.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(Lent {
                value,
                ended: Some(self.ended.clone()),
                lease: Some(LEASE.to_owned()),
            }),
        }
    }
}

#[async_trait]
impl Credentials for Fixed {
    async fn value(&self, rule: &Rule, _host: &Host) -> Result<Lent, Refusal> {
        let value = self.values.get(&rule.name).map_or(VALUE, String::as_str);
        self.lend(SecretString::from(value))
    }

    async fn aws_keys(&self, _rule: &Rule, _host: &Host) -> Result<Lent<AwsKeys>, Refusal> {
        self.lend(AwsKeys {
            access_key_id: SecretString::from(ACCESS_KEY),
            secret_access_key: SecretString::from(VALUE),
            session_token: None,
        })
    }

    async fn captured(&self, rule: &Rule, host: &Host, members: &[&str]) -> Result<(), Refusal> {
        let members = members.join(",");
        let text = format!("{} {} {members}", rule.name, host);
        self.record.record(text)
    }

    async fn uses_captured(&self, rule: &Rule, host: &Host) -> Result<(), Refusal> {
        self.record.record(format!("{} {host}", rule.name))
    }
}

/// The same addresses for every name, whatever the port. The test may change them meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Names(Arc<Mutex<Vec<SocketAddr>>>);

impl Names {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(vec![address])))
    }

    pub(crate) fn rebind(&self, addresses: Vec<SocketAddr>) {
        *lock(&self.0) = addresses;
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lock(&self.0).clone())
    }
}

struct Boxed(Box<dyn Resolver>);

#[async_trait]
impl Resolver for Boxed {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.0.resolve(name, port).await
    }
}
