//! What takes long goes through piece by piece, and is looked at on its way.

use fnox_gateway::injection::Injection;
use fnox_gateway::rule::Rule;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Frame, Incoming};

use crate::proxy_support::{
    HOST, Proxy, Setup, VALUE, WEBSOCKET, channel, empty, read_to_end, real_bearer, within,
};

/// The next piece of an answer.
async fn piece(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let piece = within(body.frame()).await?.unwrap().into_data().unwrap();
        // The end may be one of nothing.
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_sent() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let request = proxy.request1("GET", "/hold").body(empty()).unwrap();
        let mut http1 = proxy.http1().await;
        let one = within(http1.send_request(request)).await.unwrap();
        let request = proxy.request2("GET", "/hold").body(empty()).unwrap();
        let mut http2 = proxy.http2().await;
        let other = within(http2.send_request(request)).await.unwrap();
        let mut bodies = [one.into_body(), other.into_body()];
        for body in &mut bodies {
            assert_eq!(piece(body).await.unwrap(), "data: 0\n\n", "{protocol}");
        }
        proxy.upstream.release();
        for body in &mut bodies {
            assert_eq!(piece(body).await.unwrap(), "data: 1\n\n", "{protocol}");
            assert_eq!(piece(body).await, None, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_websocket_has_its_credential_in_the_handshake() {
    let proxy = Setup::new().start().await;
    let mut socket = proxy.inside().await;
    let answer = socket.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    for message in ["hello", "and more"] {
        socket.write(message).await.unwrap();
        assert_eq!(socket.read_until(message).await, message);
    }
    let received = proxy.only();
    assert_eq!(received.header("authorization"), Some(&*real_bearer()));
    assert_eq!(
        received.header("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(received.header("connection"), Some("Upgrade"));
    assert_eq!(received.version, "HTTP/1.1");
}

#[tokio::test]
async fn a_placeholder_in_a_websocket_stays_one() {
    let proxy = Setup::new().start().await;
    let mut socket = proxy.inside().await;
    socket.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    let (start, end) = proxy.placeholder.split_at(10);
    socket.write(start).await.unwrap();
    assert_eq!(socket.read_until(start).await, start);
    socket.write(format!("{end}.")).await.unwrap();
    assert_eq!(socket.read_until(".").await, format!("{end}."));
    socket
        .write(format!("{},", proxy.placeholder))
        .await
        .unwrap();
    let echo = socket.read_until(",").await;
    assert!(!echo.contains(VALUE));
}

/// A frame of a client (RFC 6455, section 5.2), with a mask of zeros.
fn websocket_frame(first: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[tokio::test]
async fn a_placeholder_in_fragments_of_a_websocket_stays_one() {
    let proxy = Setup::new().start().await;
    let mut socket = proxy.inside().await;
    socket.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    let (start, end) = proxy.placeholder.split_at(10);
    // A text that goes on, and its end (RFC 6455, section 5.4).
    socket.write(websocket_frame(0x01, start)).await.unwrap();
    let last = websocket_frame(0x80, &format!("{end}."));
    socket.write(last).await.unwrap();
    let echo = socket.read_until(".").await;
    assert!(echo.contains(start), "{echo:?}");
    assert!(echo.ends_with(&format!("{end}.")), "{echo:?}");
    assert!(!echo.contains(VALUE));
}

#[tokio::test]
async fn a_websocket_ends_with_the_gateway() {
    let mut proxy = Setup::new().start().await;
    let mut socket = proxy.inside().await;
    socket.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    let request = proxy.request2("GET", "/hold").body(empty()).unwrap();
    let mut http2 = proxy.http2().await;
    let mut events = within(http2.send_request(request))
        .await
        .unwrap()
        .into_body();
    assert_eq!(piece(&mut events).await.unwrap(), "data: 0\n\n");
    proxy.stop().await;
    assert!(socket.read_to_end().await.is_empty());
    assert!(within(events.frame()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_websocket_that_the_upstream_refuses_is_an_answer_like_others() {
    let proxy = Setup::new().start().await;
    let mut inside = proxy.inside().await;
    let answer = inside.ask(proxy.head("GET /status/403", &WEBSOCKET)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.field("upgrade"), None);
    assert_eq!(inside.ask(proxy.head("GET /", &[])).await.status, 200);
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let proxy = Setup::new().speaking(&["http/1.1"]).start().await;
    let mut inside = proxy.inside().await;
    let answer = inside.ask(proxy.head("GET /upgrade", &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::upstream"), "{answer:?}");
    let request = proxy.request2("GET", "/upgrade").body(empty()).unwrap();
    let response = proxy.http2().await.send_request(request).await.unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn only_websockets_are_upgrades() {
    let proxy = Setup::new().speaking(&["http/1.1"]).start().await;
    let fields = [
        "connection: upgrade, http2-settings",
        "upgrade: h2c",
        "http2-settings: AAMAAABkAARAAAAAAAIAAAAA",
    ];
    let answer = proxy.inside().await.ask(proxy.head("GET /", &fields)).await;
    assert_eq!(answer.status, 200);
    let received = proxy.only();
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(received.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_remote_call_has_trailers_both_ways() {
    let proxy = Setup::new().start().await;
    let (pieces, body) = channel();
    let request = proxy
        .request2("POST", "/trailers")
        .header("te", "trailers")
        .header("content-type", "application/grpc");
    let mut http2 = proxy.http2().await;
    let answer = http2.send_request(request.body(body).unwrap());
    let send = async {
        for piece in ["first", "second"] {
            pieces.send(Frame::data(piece.into())).await.unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("42"));
        pieces.send(Frame::trailers(trailers)).await.unwrap();
        drop(pieces);
    };
    let (answer, ()) = within(async { tokio::join!(answer, send) }).await;
    let answer = read_to_end(answer.unwrap()).await;
    assert_eq!(answer.bytes, "hello");
    assert_eq!(answer.trailers["grpc-status"], "0");
    let received = proxy.only();
    assert_eq!(received.body, b"firstsecond");
    assert_eq!(
        received.trailers,
        [("x-checksum".to_owned(), "42".to_owned())]
    );
    assert_eq!(received.header("te"), Some("trailers"));
    assert_eq!(received.header("authorization"), Some(&*real_bearer()));
    assert_eq!(received.version, "HTTP/2.0");
}

#[tokio::test]
async fn a_remote_call_that_fails_at_once_has_a_head_and_nothing_else() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let request = proxy.request2("POST", "/head-only");
        let mut http2 = proxy.http2().await;
        let answer = within(http2.send_request(request.body(empty()).unwrap())).await;
        let answer = answer.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "16");
        assert!(answer.body().is_end_stream(), "{protocol}");
    }
}

/// A rule that puts its credential into a body.
fn into_body(rule: &mut Rule) {
    rule.injection = Injection::Json {
        pointer: "/auth/token".to_owned(),
    };
}

/// A chunked request with a body of these pieces, each in a chunk and a TLS record of its own.
async fn in_chunks(proxy: &Proxy, pieces: &[&str]) -> u16 {
    let mut inside = proxy.inside().await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    inside.write(head).await.unwrap();
    for piece in pieces {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        inside.write(chunk).await.unwrap();
        tokio::task::yield_now().await;
    }
    inside.ask("0\r\n\r\n").await.status
}

#[tokio::test]
async fn a_placeholder_split_over_chunks_is_replaced_where_a_rule_says_so() {
    let proxy = Setup::with(into_body).start().await;
    let (start, end) = proxy.placeholder.split_at(7);
    let pieces = ["{\"auth\": {\"tok", "en\": \"", start, end, "\"}}"];
    assert_eq!(in_chunks(&proxy, &pieces).await, 200);
    let received = proxy.only();
    let body = format!("{{\"auth\": {{\"token\": \"{VALUE}\"}}}}");
    assert_eq!(String::from_utf8_lossy(&received.body), body);
    let length = received.header("content-length").map(str::to_owned);
    assert!(length.is_none_or(|it| it == body.len().to_string()));
    assert_eq!(proxy.seen()[0].rules, ["token"]);
}

#[tokio::test]
async fn a_placeholder_split_over_frames_is_replaced_where_a_rule_says_so() {
    let proxy = Setup::with(into_body).start().await;
    let (start, end) = proxy.placeholder.split_at(7);
    let (pieces, body) = channel();
    let request = proxy.request2("POST", "/");
    let request = request.header("content-type", "application/json");
    let mut request = request.body(body).unwrap();
    request.headers_mut().remove("authorization");
    let mut http2 = proxy.http2().await;
    let answer = http2.send_request(request);
    let send = async {
        for piece in ["{\"auth\": {\"tok", "en\": \"", start, end, "\"}}"] {
            let piece = piece.to_owned();
            pieces.send(Frame::data(piece.into())).await.unwrap();
        }
        drop(pieces);
    };
    let (answer, ()) = within(async { tokio::join!(answer, send) }).await;
    assert_eq!(answer.unwrap().status(), 200);
    let body = format!("{{\"auth\": {{\"token\": \"{VALUE}\"}}}}");
    assert_eq!(String::from_utf8_lossy(&proxy.only().body), body);
}

#[tokio::test]
async fn a_placeholder_in_a_body_that_no_rule_looks_into_does_not_leave() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let (start, end) = proxy.placeholder.split_at(7);
        let pieces = ["{\"token\": \"", start, end, "\"}"];
        assert_eq!(in_chunks(&proxy, &pieces).await, 403, "{protocol}");
        for received in proxy.received() {
            let body = String::from_utf8_lossy(&received.body).into_owned();
            assert!(!body.contains(&proxy.placeholder), "{protocol}: {body}");
        }
    }
}

#[tokio::test]
async fn a_placeholder_twice_or_elsewhere_in_a_body_does_not_leave() {
    let proxy = Setup::with(into_body).start().await;
    let placeholder = &*proxy.placeholder;
    for pieces in [
        &[
            "{\"auth\": {\"token\": \"",
            placeholder,
            placeholder,
            "\"}}",
        ][..],
        &[
            "{\"auth\": {\"token\": \"x\"}, \"copy\": \"",
            placeholder,
            "\"}",
        ],
        &["{\"auth\": {\"token\": \"", placeholder],
    ] {
        assert_eq!(in_chunks(&proxy, pieces).await, 403, "{pieces:?}");
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn what_decides_on_a_request_may_not_come_after_its_body() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let placeholder = HeaderValue::from_str(&proxy.placeholder).unwrap();
        for (name, value) in [
            ("authorization", HeaderValue::from_static("Bearer x")),
            ("x-copy", placeholder),
        ] {
            let (pieces, body) = channel();
            let request = proxy.request2("POST", "/").header("trailer", name);
            let mut http2 = proxy.http2().await;
            let answer = http2.send_request(request.body(body).unwrap());
            let send = async {
                pieces.send(Frame::data("x".into())).await.unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert(name, value);
                pieces.send(Frame::trailers(trailers)).await.unwrap();
                drop(pieces);
            };
            let (answer, ()) = within(async { tokio::join!(answer, send) }).await;
            let answer = read_to_end(answer.unwrap()).await;
            assert!(answer.refusal().is_some(), "{protocol} {name}: {answer:?}");
        }
        for received in proxy.received() {
            assert!(received.trailers.is_empty(), "{received:?}");
        }
    }
}
