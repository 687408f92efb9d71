//! Connections to checked addresses: a resolver under the test's control, real listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::Host;
use fnox_gateway::destination::{AddressPolicy, Connected, Dialer, Limits, Resolver};
use fnox_gateway::{Reason, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Gives one answer after the other, and the last one for ever.
#[derive(Clone)]
struct Answers {
    answers: Arc<Vec<Vec<SocketAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Answers {
    fn of<const N: usize>(answers: [Vec<SocketAddr>; N]) -> Self {
        Self {
            answers: Arc::new(answers.into()),
            asked: Arc::default(),
        }
    }

    fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolver for Answers {
    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        match self.answers.get(turn).or(self.answers.last()) {
            Some(answer) => Ok(answer.clone()),
            None => Err(io::Error::other("no such name")),
        }
    }
}

/// Never answers.
struct Silent;

#[async_trait]
impl Resolver for Silent {
    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }
}

/// Says who it is to whoever connects.
async fn listener(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(name.as_bytes()).await.ok();
        }
    });
    address
}

/// Accepts nothing, and the port is nobody else's: it is bound and does not listen.
fn closed_port() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn policy(addresses: &[SocketAddr]) -> AddressPolicy {
    AddressPolicy::parse(addresses.iter().map(SocketAddr::to_string)).unwrap()
}

async fn dial(dialer: &Dialer, host: &str) -> Result<(String, SocketAddr), Refusal> {
    let host = Host::parse(host).unwrap();
    let Connected {
        mut stream,
        address,
    } = dialer.dial(&host, 443).await?;
    assert_eq!(stream.peer_addr().unwrap(), address);
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).await.unwrap();
    Ok((String::from_utf8(greeting.to_vec()).unwrap(), address))
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_checked_is_dialled() {
    let meant = listener("meant").await;
    let other = listener("other").await;
    let resolver = Answers::of([vec![meant], vec![other]]);
    let dialer = Dialer::new(policy(&[meant])).with_resolver(resolver.clone());

    let (greeting, address) = dial(&dialer, "api.example.com").await.unwrap();
    assert_eq!((greeting.as_str(), address), ("meant", meant));
    assert_eq!(resolver.count(), 1);

    // The name points elsewhere from now on (DNS rebinding).
    let refusal = dial(&dialer, "api.example.com").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PrivateAddress);
    assert_eq!(
        refusal.message,
        "`api.example.com` may not be reached: 127.0.0.1 is loopback (127.0.0.0/8, RFC 1122)"
    );
}

#[tokio::test]
async fn one_forbidden_address_among_the_answers_refuses_them_all() {
    let meant = listener("meant").await;
    for forbidden in ["10.0.0.1:443", "169.254.169.254:443", "[fd00:ec2::254]:443"] {
        let forbidden = forbidden.parse().unwrap();
        for answer in [vec![meant, forbidden], vec![forbidden, meant]] {
            let dialer = Dialer::new(policy(&[meant])).with_resolver(Answers::of([answer]));
            let refusal = dial(&dialer, "mixed.example.com").await.unwrap_err();
            assert_eq!(refusal.reason, Reason::PrivateAddress, "{forbidden}");
        }
    }
}

#[tokio::test]
async fn every_checked_address_is_tried() {
    let (_socket, closed) = closed_port();
    let closed_v6 = SocketAddr::new("::1".parse().unwrap(), closed.port());
    let meant = listener("meant").await;
    let dialer = Dialer::new(policy(&[closed, closed_v6, meant]))
        .with_resolver(Answers::of([vec![closed, closed_v6, closed, meant]]));
    let (_, address) = dial(&dialer, "several.example.com").await.unwrap();
    assert_eq!(address, meant);
}

#[tokio::test]
async fn no_more_addresses_are_tried_than_the_limit_says() {
    let (_socket, closed) = closed_port();
    let meant = listener("meant").await;
    let limits = Limits {
        attempts: 1,
        ..Limits::default()
    };
    let dialer = Dialer::new(policy(&[closed, meant]))
        .with_resolver(Answers::of([vec![closed, meant]]))
        .with_limits(limits);
    let refusal = dial(&dialer, "several.example.com").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Upstream);
    assert!(
        refusal.message.contains("refused") && !refusal.message.contains("addresses"),
        "{refusal}"
    );
}

#[tokio::test]
async fn an_address_that_hangs_does_not_keep_the_next_one_waiting() {
    // A listener whose queue is full drops what comes: connections to it hang.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let hanging = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(
        Duration::from_millis(300),
        tokio::net::TcpStream::connect(hanging),
    )
    .await
    {
        queue.push(stream);
    }
    let meant = listener("meant").await;
    let limits = Limits {
        // Longer than any test run: only trying the next one beside it can end this.
        connection: Duration::from_hours(1),
        stagger: Duration::from_millis(1),
        ..Limits::default()
    };
    let dialer = Dialer::new(policy(&[hanging, meant]))
        .with_resolver(Answers::of([vec![hanging, meant]]))
        .with_limits(limits);
    let (_, address) = dial(&dialer, "slow.example.com").await.unwrap();
    assert_eq!(address, meant);
}

#[tokio::test]
async fn of_localhost_the_listed_address_is_taken() {
    let meant = listener("meant").await;
    let v6 = SocketAddr::new("::1".parse().unwrap(), meant.port());
    let dialer =
        Dialer::new(policy(&[meant])).with_resolver(Answers::of([vec![v6, meant], vec![v6]]));
    assert_eq!(dial(&dialer, "localhost").await.unwrap().1, meant);
    let refusal = dial(&dialer, "localhost").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PrivateAddress);

    // A resolver that lets it point elsewhere is not believed.
    let elsewhere = "10.0.0.1:443".parse().unwrap();
    let dialer = Dialer::new(policy(&[meant])).with_resolver(Answers::of([vec![meant, elsewhere]]));
    let refusal = dial(&dialer, "app.localhost").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PrivateAddress);
}

#[tokio::test]
async fn addresses_are_dialled_without_asking_the_resolver() {
    let meant = listener("meant").await;
    let resolver = Answers::of([]);
    let dialer = Dialer::new(policy(&[meant])).with_resolver(resolver.clone());
    assert_eq!(dial(&dialer, &meant.to_string()).await.unwrap().1, meant);
    let refusal = dial(&dialer, "127.0.0.1:1").await.unwrap_err();
    assert_eq!(
        refusal.message,
        "127.0.0.1 is loopback (127.0.0.0/8, RFC 1122)"
    );
    // The port that the scheme says, where the host names none.
    let refusal = dial(&dialer, "10.0.0.1").await.unwrap_err();
    assert!(refusal.to_string().contains("10.0.0.1:443"), "{refusal}");
    assert_eq!(resolver.count(), 0);
}

#[tokio::test]
async fn an_ipv4_address_dressed_as_ipv6_is_dialled_as_what_it_is() {
    let meant = listener("meant").await;
    let dressed = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), meant.port());
    let dialer = Dialer::new(policy(&[meant])).with_resolver(Answers::of([vec![dressed]]));
    assert_eq!(dial(&dialer, "mapped.example.com").await.unwrap().1, meant);
}

#[tokio::test]
async fn names_without_an_address_are_said_to_have_none() {
    let nothing = Dialer::new(AddressPolicy::default()).with_resolver(Answers::of([vec![]]));
    let refusal = dial(&nothing, "empty.example.com").await.unwrap_err();
    assert_eq!(refusal.message, "`empty.example.com` has no address");

    let unknown = Dialer::new(AddressPolicy::default()).with_resolver(Answers::of([]));
    let refusal = dial(&unknown, "unknown.example.com").await.unwrap_err();
    assert_eq!(
        refusal.message,
        "cannot resolve `unknown.example.com`: no such name"
    );

    let limits = Limits {
        resolution: Duration::from_millis(1),
        ..Limits::default()
    };
    let silent = Dialer::new(AddressPolicy::default())
        .with_resolver(Silent)
        .with_limits(limits);
    let refusal = dial(&silent, "silent.example.com").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Upstream);
    assert!(refusal.message.contains("timed out"), "{refusal}");
}

#[tokio::test]
async fn the_machine_s_own_resolver_is_asked_by_default() {
    let meant = listener("meant").await;
    let dialer = Dialer::new(policy(&[meant]));
    let host = format!("localhost:{}", meant.port());
    assert_eq!(dial(&dialer, &host).await.unwrap().1, meant);
}
