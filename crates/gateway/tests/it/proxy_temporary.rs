//! Rules that come to a gateway that runs, and are over before it is.

use fnox_gateway::proxy::{NotAdded, TemporaryRule};
use fnox_gateway::rule::{Capture, Rule};
use fnox_gateway::{Reason, Refusal};
use http::Method;

use crate::proxy_support::{EVIL, OTHER, Proxy, Setup, WEBSOCKET, Wire, real_bearer, rule};

/// A rule of another name, for reading at a host that no rule reaches.
fn reading() -> Rule {
    let mut rule = rule(EVIL);
    "for a while".clone_into(&mut rule.name);
    rule.methods = vec![Method::GET];
    rule
}

fn over() -> Refusal {
    Refusal::new(Reason::Exhausted, "its time is over")
}

/// A tunnel to the host of [`reading`].
async fn inside(proxy: &Proxy) -> Wire {
    let authority = format!("{EVIL}:443");
    let tls = proxy.tls(&authority, EVIL, &["http/1.1"]);
    Wire::new(tls.await.unwrap())
}

/// A request with the placeholder to the host of [`reading`].
fn head(proxy: &Proxy, line: &str) -> String {
    let bearer = proxy.bearer();
    format!("{line} HTTP/1.1\r\nhost: {EVIL}\r\nauthorization: {bearer}\r\n\r\n")
}

#[tokio::test]
async fn a_rule_counts_from_its_beginning_to_its_end_also_on_a_connection_that_is_kept() {
    let proxy = Setup::new().start().await;
    let mut tunnel = inside(&proxy).await;
    let refused = tunnel.ask(head(&proxy, "GET /")).await;
    assert_eq!(refused.refusal(), Some("gateway::no_rule"));
    let added: TemporaryRule = proxy.gateway.add(reading()).unwrap();
    assert_eq!(tunnel.ask(head(&proxy, "GET /a")).await.status, 200);
    // It is for what it says, and nothing else.
    let refused = tunnel.ask(head(&proxy, "DELETE /a")).await;
    assert_eq!(refused.refusal(), Some("gateway::not_allowed"));
    let received = proxy.only();
    assert_eq!(received.header("authorization"), Some(&*real_bearer()));
    added.end(over());
    let refused = tunnel.ask(head(&proxy, "GET /b")).await;
    assert_eq!(refused.refusal(), Some("gateway::no_rule"));
    assert_eq!(proxy.received().len(), 1);
    // The others have not changed.
    let mut other = proxy.inside().await;
    assert_eq!(other.ask(proxy.head("GET /", &[])).await.status, 200);
}

#[tokio::test]
async fn what_is_on_its_way_by_it_ends_with_it() {
    let proxy = Setup::new().start().await;
    let added = proxy.gateway.add(reading()).unwrap();
    let mut socket = inside(&proxy).await;
    let bearer = format!("authorization: {}", proxy.bearer());
    let fields = [&WEBSOCKET[..], &[&bearer]].concat().join("\r\n");
    let ask = format!("GET /upgrade HTTP/1.1\r\nhost: {EVIL}\r\n{fields}\r\n\r\n");
    assert_eq!(socket.ask(ask).await.status, 101);
    socket.write("before").await.unwrap();
    assert_eq!(socket.read_until("before").await, "before");
    // Without a credential, but by the rule.
    let mut plain = inside(&proxy).await;
    let fields = WEBSOCKET.join("\r\n");
    let ask = format!("GET /upgrade HTTP/1.1\r\nhost: {EVIL}\r\n{fields}\r\n\r\n");
    assert_eq!(plain.ask(ask).await.status, 101);
    // By another rule.
    let mut other = proxy.inside().await;
    let answer = other.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    assert_eq!(answer.status, 101);
    added.end(over());
    assert!(socket.read_to_end().await.is_empty());
    assert!(plain.read_to_end().await.is_empty());
    other.write("still").await.unwrap();
    assert_eq!(other.read_until("still").await, "still");
}

#[tokio::test]
async fn what_leaves_without_it_goes_on_without_it() {
    let proxy = Setup::new().start().await;
    let mut added = rule(OTHER);
    "for a while".clone_into(&mut added.name);
    let added = proxy.gateway.add(added).unwrap();
    let authority = format!("{OTHER}:443");
    let tls = proxy.tls(&authority, OTHER, &["http/1.1"]);
    let mut plain = Wire::new(tls.await.unwrap());
    let fields = WEBSOCKET.join("\r\n");
    let ask = format!("GET /upgrade HTTP/1.1\r\nhost: {OTHER}\r\n{fields}\r\n\r\n");
    assert_eq!(plain.ask(ask).await.status, 101);
    drop(added);
    plain.write("still").await.unwrap();
    assert_eq!(plain.read_until("still").await, "still");
}

#[tokio::test]
async fn what_a_gateway_cannot_hold_to_is_not_added() {
    let proxy = Setup::new().start().await;
    let changed = |change: fn(&mut Rule)| {
        let mut rule = reading();
        change(&mut rule);
        proxy.gateway.add(rule).map(drop)
    };
    assert_eq!(
        changed(|rule| rule.max_uses = Some(1)),
        Err(NotAdded::Counted)
    );
    assert_eq!(
        changed(|rule| {
            rule.capture = Some(Capture {
                members: vec!["token".to_owned()],
                hosts: Vec::new(),
            });
        }),
        Err(NotAdded::Counted)
    );
    assert_eq!(
        changed(|rule| rule.ca_file = Some("/no/such/file".into())),
        Err(NotAdded::Authority)
    );
    assert_eq!(
        changed(|rule| "token".clone_into(&mut rule.name)),
        Err(NotAdded::Name)
    );
    let mut tunnel = inside(&proxy).await;
    let refused = tunnel.ask(head(&proxy, "GET /")).await;
    assert_eq!(refused.refusal(), Some("gateway::no_rule"));
}
