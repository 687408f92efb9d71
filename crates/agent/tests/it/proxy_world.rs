//! A gateway over a test's vault, the API behind it, and the agent's proxy before it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_core::{Clock, Host, SystemClock, VaultName};
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::{AddressPolicy, Dialer};
use fnox_gateway::placeholder::{PlaceholderBook, Shape};
use fnox_gateway::policy::Policy;
use fnox_gateway::proxy::{Exchange, Gateway, Observer, Options, Trust};
use fnox_gateway::reflection::ScanPolicy;
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use fnox_gateway::vault::{Variable, VaultClients};
use fnox_testkit::stand_in::Upstream;
use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Running};
use fnox_vault_wire::methods::Role;
use fnox_vault_wire::transport::TcpListener;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

use crate::world::{SOON, World, until_written};

/// Everything between a program and the API.
pub(crate) struct ProxyWorld {
    pub world: World,
    pub upstream: Upstream,
    pub proxy: Option<Running>,
    gateway_address: SocketAddr,
    gateway: JoinHandle<()>,
    pub(crate) port: u16,
    /// Whether the gateway's door is this guest's alone.
    alone: bool,
    /// What the gateway takes for the time.
    pub clock: Arc<SetClock>,
}

/// The machine's clock, and what somebody has set it to.
#[derive(Debug, Default)]
pub(crate) struct SetClock(Mutex<SignedDuration>);

impl SetClock {
    /// Sets the wall clock. No time passes.
    pub(crate) fn set(&self, off: SignedDuration) {
        *self.0.lock().unwrap() = off;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn exchanged(&self, _: &Exchange<'_>) {}
    fn broken(&self, _: &Host, _: &str) {}
}

impl ProxyWorld {
    pub(crate) fn new() -> Self {
        Self::of(false)
    }

    /// A guest that the gateway knows by its door (`[[guests]]`), so that it has no token.
    pub(crate) fn behind_its_own_door() -> Self {
        Self::of(true)
    }

    fn of(alone: bool) -> Self {
        let world = World::new();
        let upstream = Upstream::start();
        let clock = Arc::new(SetClock::default());
        let door = Door {
            place: "127.0.0.1:0",
            alone,
            clock: &clock,
        };
        let (gateway, gateway_address) = start_gateway(&world, &upstream, &door);
        let mut all = Self {
            world,
            upstream,
            proxy: None,
            gateway_address,
            gateway,
            port: free_port(),
            alone,
            clock,
        };
        all.start(None);
        all
    }

    /// Starts the proxy, and waits for what it writes.
    pub(crate) fn start(&mut self, gateway: Option<&str>) {
        self.port = free_port();
        let gateway = gateway.map_or_else(|| self.gateway_place(), str::to_owned);
        let listen = format!("127.0.0.1:{}", self.port);
        let (env_file, certificate) = (self.env_file(), self.certificate());
        let arguments = [
            "--gateway",
            &gateway,
            "--listen",
            &listen,
            "--env-file",
            env_file.to_str().unwrap(),
            "--certificate-file",
            certificate.to_str().unwrap(),
        ];
        let proxy = if self.alone {
            let without_token = [&["proxy", "--gateway-only"], &arguments[..]].concat();
            self.world.sandbox.run(without_token)
        } else {
            self.world.agent("proxy", &arguments)
        };
        let mut running = proxy.start();
        until_written(&env_file, &mut running);
        self.proxy = Some(running);
    }

    pub(crate) fn gateway_place(&self) -> String {
        format!("tcp:{}", self.gateway_address)
    }

    pub(crate) fn env_file(&self) -> PathBuf {
        self.world.sandbox.root().join("proxy.env")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.world.sandbox.root().join("proxy.pem")
    }

    /// A program of the guest: what it knows is in the proxy's file.
    pub(crate) fn program(&self, script: &str) -> Invocation {
        let script = format!("set -a; . {}; set +a; {script}", self.env_file().display());
        self.world.sandbox.run_program("sh", ["-c", &script])
    }

    /// A request to the API with the placeholder.
    pub(crate) fn call(&self, path: &str) -> Invocation {
        self.program(&format!(
            "curl -sS -N -H \"Authorization: Bearer $API_TOKEN\" {}",
            self.upstream.url(path)
        ))
    }

    /// A download that takes a minute, and whose answer has begun.
    pub(crate) fn download(&self) -> Running {
        let file = self.world.sandbox.project().join("download");
        let script = format!(
            "curl -sS -N -o {} -H \"Authorization: Bearer $API_TOKEN\" {}",
            file.display(),
            self.upstream.url("/drip/600")
        );
        let download = self.program(&script).start();
        until("the download", SOON, || {
            file.metadata().is_ok_and(|about| about.len() > 0)
        });
        download
    }

    /// The gateway's process ends.
    pub(crate) fn end_gateway(&self) {
        self.gateway.abort();
    }

    /// Another one begins at the same place.
    pub(crate) fn restart_gateway(&mut self) {
        let place = self.gateway_address.to_string();
        let door = Door {
            place: &place,
            alone: self.alone,
            clock: &self.clock,
        };
        (self.gateway, _) = start_gateway(&self.world, &self.upstream, &door);
    }
}

/// Where a gateway is met, and how.
struct Door<'a> {
    place: &'a str,
    alone: bool,
    clock: &'a Arc<SetClock>,
}

fn start_gateway(
    world: &World,
    upstream: &Upstream,
    door: &Door<'_>,
) -> (JoinHandle<()>, SocketAddr) {
    let hosts = Hosts::with_port("localhost", upstream.port()).unwrap();
    let credential = CredentialRef::Secret(VaultName::parse("api-token").unwrap());
    let mut rule = Rule::new("api", hosts, credential.clone());
    rule.ca_file = Some(upstream.write_authority(world.sandbox.root()));
    let private = format!("127.0.0.1:{}", upstream.port());
    let book = PlaceholderBook::default();
    let variable = Variable {
        name: "API_TOKEN".to_owned(),
        credential,
        shape: Shape::token("", 40),
        beside: None,
    };
    let token = world.token("gateway", Role::Gateway);
    let place = door.place;
    let of_guest = door.alone.then(|| world.token("coder-1", Role::Agent));
    world.runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let clients = VaultClients::connect(
            world.connector(),
            token,
            Arc::clone(door.clock) as Arc<dyn Clock>,
            book.clone(),
            vec![variable],
        );
        let gateway = Gateway::new(Options {
            policy: Policy {
                rules: vec![rule],
                ..Policy::default()
            },
            clients: Arc::new(clients.await.unwrap()),
            placeholders: book,
            authority: Authority::new(clock).unwrap(),
            dialer: Dialer::new(AddressPolicy::parse([private]).unwrap()),
            trust: Trust::system(),
            scan: ScanPolicy::default(),
            connections: 64,
            approver: Arc::new(fnox_gateway::approval::Nobody),
            observer: Arc::new(Nobody),
        })
        .unwrap();
        let listener = TcpListener::bind(place.parse().unwrap()).await.unwrap();
        let address = listener.local_addr();
        let listener = fnox_vault_wire::Listener::Tcp(listener);
        let serving = tokio::spawn(async move {
            match of_guest {
                Some(token) => gateway.serve_for(listener, token).await,
                None => gateway.serve(listener).await,
            }
        });
        (serving, address)
    })
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Answers the first request with a session, and each CONNECT with 200 and then nothing.
pub(crate) struct HungGateway {
    pub place: String,
}

impl HungGateway {
    pub(crate) fn start(session: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("tcp:{}", listener.local_addr().unwrap());
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0_u8; 4096];
                let length = stream.read(&mut head).unwrap();
                let answer = if head[..length].starts_with(b"CONNECT") {
                    "HTTP/1.1 200 OK\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{session}")
                };
                stream.write_all(answer.as_bytes()).unwrap();
                if head.starts_with(b"CONNECT") {
                    open.push(stream);
                }
            }
        });
        Self { place }
    }
}
