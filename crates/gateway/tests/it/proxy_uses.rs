//! Uses are counted by the requests that leave, neither more nor fewer.

use std::net::SocketAddr;

use fnox_gateway::Reason;
use fnox_testkit::stand_in::Upstream;
use futures_util::future::join_all;

use crate::proxy_support::{NAMES, Names, Proxy, Setup, empty, read_to_end, within};

/// How many answers have this status.
fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|it| **it == status).count()
}

/// After 1000 requests with 100 uses.
#[track_caller]
fn exactly_a_hundred_left(proxy: &Proxy, statuses: &[u16]) {
    assert_eq!(statuses.len(), 1000);
    assert_eq!(count(statuses, 200), 100);
    assert_eq!(count(statuses, 429), 900);
    assert_eq!(proxy.received().len(), 100);
    let seen = proxy.seen();
    assert_eq!(seen.len(), 1000);
    let refused = seen
        .iter()
        .filter(|it| it.outcome == Err(Reason::Exhausted));
    assert_eq!(refused.count(), 900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_http1_requests_at_once_get_a_hundred_uses() {
    let setup = Setup::with(|rule| rule.max_uses = Some(100));
    let proxy = setup.start().await;
    let clients = join_all((0..100).map(|_| proxy.http1())).await;
    let statuses = join_all(clients.into_iter().map(async |mut client| {
        let mut statuses = Vec::new();
        for _ in 0..10 {
            client.ready().await.unwrap();
            let request = proxy.request1("GET", "/").body(empty()).unwrap();
            let response = within(client.send_request(request)).await.unwrap();
            statuses.push(read_to_end(response).await.status);
        }
        statuses
    }));
    exactly_a_hundred_left(&proxy, &statuses.await.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_http2_requests_at_once_get_a_hundred_uses() {
    let setup = Setup::with(|rule| rule.max_uses = Some(100));
    let proxy = setup.start().await;
    let clients = join_all((0..10).map(|_| proxy.http2())).await;
    let statuses = join_all((0..1000).map(async |number| {
        let mut client = clients[number % 10].clone();
        let request = proxy.request2("GET", "/").body(empty()).unwrap();
        read_to_end(within(client.send_request(request)).await.unwrap())
            .await
            .status
    }));
    exactly_a_hundred_left(&proxy, &statuses.await);
}

/// The status of a request to this path.
async fn ask(proxy: &Proxy, target: &str) -> u16 {
    proxy
        .inside()
        .await
        .ask(proxy.head(&format!("GET {target}"), &[]))
        .await
        .status
}

#[tokio::test]
async fn a_use_that_reached_nobody_is_given_back() {
    let mut setup = Setup::with(|rule| rule.max_uses = Some(1));
    let upstream = SocketAddr::from(([127, 0, 0, 1], setup.upstream.port()));
    // Bound and not listening: the port is nobody else's.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    // It has a certificate that nobody believes.
    let stranger = Upstream::named(&NAMES);
    let names = Names::at(closed);
    setup.resolver = Some(Box::new(names.clone()));
    setup.private.push("127.0.0.1".to_owned());
    let proxy = setup.start().await;
    assert_eq!(ask(&proxy, "/").await, 502);
    names.rebind(vec![([127, 0, 0, 1], stranger.port()).into()]);
    assert_eq!(ask(&proxy, "/").await, 502);
    names.rebind(vec![([10, 0, 0, 1], 443).into()]);
    assert_eq!(ask(&proxy, "/").await, 403);
    names.rebind(vec![upstream]);
    assert_eq!(ask(&proxy, "/").await, 200);
    assert_eq!(ask(&proxy, "/").await, 429);
    assert_eq!(proxy.received().len(), 1);
}

#[tokio::test]
async fn a_use_is_spent_by_a_request_that_got_no_answer() {
    for protocol in ["http/1.1", "h2"] {
        let setup = Setup::with(|rule| rule.max_uses = Some(2));
        let proxy = setup.speaking(&[protocol]).start().await;
        assert_eq!(ask(&proxy, "/hang-up").await, 502);
        assert_eq!(ask(&proxy, "/hang-up").await, 502);
        assert_eq!(ask(&proxy, "/").await, 429);
        assert_eq!(proxy.received().len(), 2, "{protocol}");
    }
}

#[tokio::test]
async fn a_refused_request_costs_nothing() {
    let setup = Setup::with(|rule| rule.max_uses = Some(1));
    let proxy = setup.start().await;
    for head in [
        proxy.head("TRACE /", &[]),
        proxy.head("GET /../x", &[]),
        proxy.head("GET /", &[&format!("x-copy: {}", proxy.placeholder)]),
    ] {
        assert!(proxy.inside().await.ask(head).await.refusal().is_some());
    }
    assert_eq!(ask(&proxy, "/").await, 200);
    assert_eq!(ask(&proxy, "/").await, 429);
}

#[tokio::test]
async fn who_is_too_fast_hears_how_long_to_wait() {
    let rate = Some(fnox_core::Rate::parse("1/h").unwrap());
    let proxy = Setup::with(|rule| rule.rate = rate).start().await;
    assert_eq!(ask(&proxy, "/").await, 200);
    let head = proxy.head("GET /", &[]);
    let refused = proxy.inside().await.ask(head).await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

/// Waits until the upstream has so many requests.
async fn arrived(proxy: &Proxy, requests: usize) {
    within(async {
        while proxy.received().len() < requests {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_its_client_gave_up_is_spent_and_seen() {
    for protocol in ["http/1.1", "h2"] {
        let setup = Setup::with(|rule| rule.max_uses = Some(2));
        let proxy = setup.speaking(&[protocol]).start().await;
        // A connection that ends.
        let mut inside = proxy.inside().await;
        inside.write(proxy.head("GET /wait", &[])).await.unwrap();
        arrived(&proxy, 1).await;
        drop(inside);
        // A stream that is reset (RFC 9113, section 5.4.2).
        let mut http2 = proxy.http2().await;
        let request = proxy.request2("GET", "/wait").body(empty()).unwrap();
        tokio::select! {
            answer = http2.send_request(request) => panic!("{answer:?}"),
            () = arrived(&proxy, 2) => {}
        }
        within(async {
            while proxy.seen().len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for seen in proxy.seen() {
            assert_eq!(seen.rules, ["token"]);
            assert_eq!(seen.outcome, Err(Reason::Abandoned));
        }
        assert_eq!(ask(&proxy, "/").await, 429);
        assert_eq!(proxy.received().len(), 2, "{protocol}");
    }
}
