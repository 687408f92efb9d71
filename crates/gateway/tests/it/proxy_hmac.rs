//! Requests that are signed with a key that the client does not hold, as the destination verifies them.

use fnox_gateway::injection::Injection;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderName;
use sha2::Sha256;

use crate::proxy_support::{HOST, Setup, VALUE};

/// With what is signed, and where its time goes.
fn setup(signed: &str) -> Setup {
    Setup::with(|rule| {
        let Ok(Injection::Hmac(signing)) = Injection::parse("hmac-sha256:x-signature:v1={}") else {
            panic!("an HMAC");
        };
        let timestamp = signed
            .contains("{timestamp}")
            .then(|| HeaderName::from_static("x-time"));
        rule.injection = Injection::Hmac(signing.over(signed, timestamp).unwrap());
    })
}

/// A request without a placeholder: a client does not send the key that it signs with.
fn head(line: &str, fields: &[&str]) -> String {
    let mut head = format!("{line} HTTP/1.1\r\nhost: {HOST}\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// What a destination that shares the key expects.
fn expected(message: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(VALUE.as_bytes()).unwrap();
    let mac = mac.chain_update(message.as_bytes()).finalize();
    format!("v1={}", hex::encode(mac.into_bytes()))
}

#[tokio::test]
async fn what_leaves_is_signed_and_the_clients_own_signature_is_not_sent() {
    let proxy = setup("{timestamp}.{method}.{host}.{target}.{body}")
        .start()
        .await;
    let mut inside = proxy.inside().await;
    let fields = [
        "content-length: 5",
        "x-signature: v1=made-with-a-placeholder",
        "x-time: 1",
    ];
    let answer = inside.ask(head("POST /a?b=c", &fields) + "hello").await;
    assert_eq!(answer.status, 200);
    let received = proxy.only();
    let time = received.header("x-time").unwrap().to_owned();
    assert!(time.parse::<u64>().unwrap() > 1_700_000_000, "{time}");
    let message = format!("{time}.POST.api.example.com./a?b=c.hello");
    assert_eq!(
        received.header("x-signature"),
        Some(expected(&message).as_str())
    );
    let all = format!("{received:?}");
    assert!(
        !all.contains(VALUE) && !all.contains("placeholder"),
        "{all}"
    );
}

#[tokio::test]
async fn a_request_without_a_body_is_signed_too() {
    let proxy = setup("{method} {path} {query} {body-sha256}").start().await;
    let mut inside = proxy.inside().await;
    assert_eq!(inside.ask(head("GET /a?x=1", &[])).await.status, 200);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let message = format!("GET /a x=1 {empty}");
    let received = proxy.only();
    assert_eq!(
        received.header("x-signature"),
        Some(expected(&message).as_str())
    );
}

#[tokio::test]
async fn a_second_signature_of_the_client_is_refused() {
    let proxy = setup("{target}").start().await;
    let mut inside = proxy.inside().await;
    let fields = ["x-signature: a", "x-signature: b"];
    let answer = inside.ask(head("GET /", &fields)).await;
    assert_eq!(answer.refusal(), Some("gateway::ambiguous"));
    assert!(proxy.received().is_empty());
}
