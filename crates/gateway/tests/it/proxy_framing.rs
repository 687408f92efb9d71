//! Where a request ends is said once; whatever says it twice does not become two requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fnox_core::Env;
use fnox_gateway::Reason;
use fnox_gateway::rule::PathGlob;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};

use crate::proxy_support::{HOST, Proxy, Sent, Setup, read_to_end, within};

/// Follows a request that some read to its end and others do not.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: api.example.com\r\n\r\n";

/// Writes to a tunnel and reads until the gateway ends it.
async fn ends(proxy: &Proxy, bytes: &str) -> String {
    let mut inside = proxy.inside().await;
    // The gateway may have had enough before the end.
    let _ = inside.write(bytes).await;
    String::from_utf8(inside.read_to_end().await).unwrap()
}

/// The targets of what the upstream received.
fn targets(proxy: &Proxy) -> Vec<String> {
    proxy.received().into_iter().map(|it| it.target).collect()
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_is_one_request() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        for lengths in [
            ["content-length: 5", "transfer-encoding: chunked"],
            ["transfer-encoding: chunked", "content-length: 5"],
        ] {
            let head = proxy.head("POST /first", &lengths);
            let answer = ends(&proxy, &format!("{head}0\r\n\r\n{SMUGGLED}")).await;
            // The connection ends after it (RFC 9112, section 6.1).
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
        for received in proxy.received() {
            assert_eq!((&*received.target, received.body_length), ("/first", 0));
            assert_eq!(received.header("content-length"), None);
        }
    }
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let proxy = Setup::new().start().await;
    for lengths in [
        &["content-length: 5", "content-length: 0"][..],
        &["content-length: 0", "content-length: 5"],
        &["content-length: 0, 5"],
        &["content-length: +0"],
        &["content-length: -1"],
        &["content-length: 0x0"],
        &["content-length:"],
        &["content-length: 18446744073709551616"],
    ] {
        let head = proxy.head("POST /first", lengths);
        let answer = ends(&proxy, &format!("{head}{SMUGGLED}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lengths:?} {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert!(proxy.received().is_empty());
}

/// RFC 9112, section 6.3, leaves it to the recipient.
#[tokio::test]
async fn equal_lengths_become_one() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let lengths = ["content-length: 5", "content-length: 5"];
        let head = proxy.head("POST /first", &lengths);
        let answer = proxy.inside().await.ask(head + "hello").await;
        assert_eq!(answer.status, 200, "{protocol} {answer:?}");
        let received = proxy.only();
        assert_eq!(received.body, b"hello");
        let headers = received.headers.iter();
        let lengths: Vec<&str> = headers
            .filter(|(name, _)| name == "content-length")
            .map(|(_, length)| length.as_str())
            .collect();
        assert_eq!(lengths, ["5"], "{protocol}");
    }
}

#[tokio::test]
async fn other_transfer_codings_are_refused() {
    let proxy = Setup::new().start().await;
    for codings in [
        &["transfer-encoding: gzip, chunked"][..],
        &["transfer-encoding: chunked, gzip"],
        &["transfer-encoding: chunked, identity"],
        &["transfer-encoding: identity"],
        &["transfer-encoding: xchunked"],
        &["transfer-encoding: \u{b}chunked"],
        &["transfer-encoding: chunked;q=1"],
        &["transfer-encoding : chunked"],
        &["transfer-encoding: gzip", "transfer-encoding: chunked"],
        &["transfer-encoding: chunked", "transfer-encoding: identity"],
        &["transfer_encoding: chunked"],
    ] {
        let head = proxy.head("POST /first", codings);
        let mut inside = proxy.inside().await;
        let answer = inside.ask(format!("{head}0\r\n\r\n{SMUGGLED}")).await;
        assert_eq!(answer.status, 400, "{codings:?} {answer:?}");
    }
    let old = "POST /first HTTP/1.0\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(ends(&proxy, old).await.starts_with("HTTP/1.1 400 "));
    assert!(!targets(&proxy).contains(&"/first".to_owned()));
}

#[tokio::test]
async fn line_ends_that_are_read_in_two_ways_split_nothing() {
    let proxy = Setup::new().start().await;
    for field in [
        // A folded line (RFC 9112, section 5.2).
        "x-a: b\r\n c",
        "x-a: b\r\n\tx-c: d",
        // CR alone (section 2.2), NUL, and no name.
        "x-a: b\rx-c: d",
        "x-a: b\0",
        ": b",
        "x-a",
        "x a: b",
    ] {
        let answer = ends(&proxy, &proxy.head("GET /", &[field])).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{field:?} {answer}");
    }
    assert!(proxy.received().is_empty());
    // LF alone ends a line, for the decision and for what is sent.
    let head = format!("GET / HTTP/1.1\nhost: {HOST}\nx-a: b\nx-forwarded-host: c\n\n");
    let answer = proxy.inside().await.ask(head).await;
    assert_eq!(answer.status, 400);
    let head = format!("GET / HTTP/1.1\nhost: {HOST}\nx-a: b\nx-c: d\n\n");
    if proxy.inside().await.ask(head).await.status == 200 {
        let received = proxy.only();
        assert_eq!(received.header("x-a"), Some("b"));
        assert_eq!(received.header("x-c"), Some("d"));
    }
}

#[tokio::test]
async fn chunks_that_are_read_in_two_ways_split_nothing() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        for chunks in [
            "5\nhello\r\n0\r\n\r\n",
            "5;a\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
        ] {
            let head = proxy.head("POST /first", &["transfer-encoding: chunked"]);
            let answer = ends(&proxy, &format!("{head}{chunks}{SMUGGLED}")).await;
            assert!(!answer.starts_with("HTTP/1.1 200 "), "{chunks:?} {answer}");
            assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        }
        assert!(!targets(&proxy).contains(&"/smuggled".to_owned()));
    }
}

#[tokio::test]
async fn a_body_in_broken_chunks_is_the_requests_fault() {
    let chunked = ["transfer-encoding: chunked"];
    for protocol in ["http/1.1", "h2"] {
        let setup = Setup::with(|rule| rule.max_uses = Some(1));
        let proxy = setup.speaking(&[protocol]).start().await;
        for chunks in [
            "2\nab\r\n0\r\n\r\n",
            "0x2\r\nab\r\n0\r\n\r\n",
            "-2\r\nab\r\n0\r\n\r\n",
        ] {
            let head = proxy.head("POST /first", &chunked);
            let answer = proxy.inside().await.ask(head + chunks).await;
            assert_eq!(answer.status, 400, "{chunks:?} {answer:?}");
            assert_eq!(answer.refusal(), Some("gateway::ambiguous"));
        }
        assert_eq!(proxy.upstream.connections(), 0);
        // They cost no use, since nothing of them left. What breaks off on its way does.
        let mut inside = proxy.inside().await;
        let head = proxy.head("POST /second", &chunked);
        inside.write(head + "2\r\nab\r\n").await.unwrap();
        within(async {
            while proxy.upstream.connections() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let answer = inside.ask("x\r\n").await;
        assert_eq!(answer.refusal(), Some("gateway::ambiguous"), "{protocol}");
        let answer = proxy.inside().await.ask(proxy.head("GET /", &[])).await;
        assert_eq!(answer.status, 429, "{protocol}");
        let seen = proxy.seen();
        let mut broken = seen.iter().filter(|it| it.method == "POST");
        assert!(broken.all(|it| it.outcome == Err(Reason::Ambiguous)));
    }
}

#[tokio::test]
async fn the_end_of_one_request_is_the_start_of_the_next() {
    let proxy = Setup::new().start().await;
    let first = proxy.head("POST /first", &["transfer-encoding: chunked"]);
    let second = proxy.head("POST /second", &["content-length: 5"]);
    let third = proxy.head("GET /third", &["connection: close"]);
    let bytes = format!("{first}2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n{second}hello{third}");
    let answers = ends(&proxy, &bytes).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    let received = proxy.received();
    let received: Vec<_> = received.iter().map(|it| (&*it.target, &*it.body)).collect();
    let expected: [(&str, &[u8]); 3] = [("/first", b"abc"), ("/second", b"hello"), ("/third", b"")];
    assert_eq!(received, expected);
}

#[tokio::test]
async fn fields_after_chunks_arrive() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let fields = ["transfer-encoding: chunked", "trailer: x-checksum"];
        let head = proxy.head("POST /", &fields);
        let mut inside = proxy.inside().await;
        let answer = inside
            .ask(format!("{head}3\r\nabc\r\n0\r\nx-checksum: 42\r\n\r\n"))
            .await;
        assert_eq!(answer.status, 200);
        let trailers = proxy.only().trailers;
        assert_eq!(
            trailers,
            [("x-checksum".to_owned(), "42".to_owned())],
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn a_client_that_waits_to_send_its_body_is_told_to_go_on() {
    let proxy = Setup::new().start().await;
    let fields = ["expect: 100-continue", "content-length: 5"];
    let mut inside = proxy.inside().await;
    let answer = inside.ask(proxy.head("POST /", &fields)).await;
    assert_eq!(answer.status, 100);
    let answer = inside.ask("hello").await;
    assert_eq!(answer.status, 200);
    assert_eq!(proxy.only().body, b"hello");
}

#[tokio::test]
async fn a_client_that_waits_to_send_its_body_is_told_that_it_need_not() {
    let paths = vec![PathGlob::parse("/allowed").unwrap()];
    let proxy = Setup::with(|rule| rule.paths = paths).start().await;
    let fields = ["expect: 100-continue", "content-length: 5"];
    let answer = proxy
        .inside()
        .await
        .ask(proxy.head("POST /", &fields))
        .await;
    assert_eq!(answer.status, 403);
    assert!(proxy.received().is_empty());
}

const MEBIBYTE: u64 = 1024 * 1024;

/// What all on the way may hold back.
const HELD: u64 = 64 * MEBIBYTE;

/// Bytes of a large body: far more than that.
fn large_length() -> u64 {
    let env = Env::of_process();
    let mebibytes = env
        .var("FNOX_TEST_BODY_MEBIBYTES")
        .map_or(256, |number| number.parse().unwrap());
    mebibytes * MEBIBYTE
}

/// That many bytes; says how many of them were taken.
fn large() -> (Arc<AtomicU64>, Sent) {
    let length = large_length();
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let pieces = futures_util::stream::poll_fn(move |_| {
        let piece_length = u64::try_from(piece.len()).unwrap();
        let is_left = counter.fetch_add(piece_length, Ordering::AcqRel) < length;
        std::task::Poll::Ready(is_left.then(|| Ok(Frame::data(piece.clone()))))
    });
    (taken, StreamBody::new(pieces).boxed_unsync())
}

/// Waits until no more is taken, and says how much was.
async fn settled(taken: &AtomicU64) -> u64 {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = taken.load(Ordering::Acquire);
        if now == last && now > 0 {
            return now;
        }
        last = now;
    }
}

async fn upload(upstream: &str, is_http2: bool) {
    let proxy = Setup::new().speaking(&[upstream]).start().await;
    let (taken, body) = large();
    let sent = if is_http2 {
        let mut client = proxy.http2().await;
        let request = proxy.request2("POST", "/stall").body(body).unwrap();
        tokio::spawn(async move { client.send_request(request).await })
    } else {
        let mut client = proxy.http1().await;
        let request = proxy
            .request1("POST", "/stall")
            .header("content-length", large_length());
        let request = request.body(body).unwrap();
        tokio::spawn(async move { client.send_request(request).await })
    };
    // The upstream reads nothing yet, so what was taken is what all on the way have in memory.
    let held = within(settled(&taken)).await;
    assert!(held < HELD, "{held} bytes are held");
    proxy.upstream.release();
    // However long it takes.
    let answer = read_to_end(sent.await.unwrap().unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(proxy.only().body_length, large_length());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_body_over_http1_is_not_held() {
    upload("http/1.1", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_body_over_http2_is_not_held() {
    upload("h2", true).await;
}

#[tokio::test]
async fn a_client_in_the_middle_of_a_large_body_hears_of_its_refusal() {
    let paths = vec![PathGlob::parse("/allowed").unwrap()];
    let proxy = Setup::with(|rule| rule.paths = paths).start().await;
    // More than the buffers of sockets hold, and not more than is worth reading.
    let body = vec![b'x'; 3 * 1024 * 1024];
    for _ in 0..10 {
        let mut inside = proxy.inside().await;
        let length = format!("content-length: {}", body.len());
        inside
            .write(proxy.head("POST /forbidden", &[&length]))
            .await
            .unwrap();
        let answer = inside.ask(&body).await;
        assert_eq!(answer.refusal(), Some("gateway::not_allowed"));
        // The rest of the body is no request.
        let length = ["content-length: 2"];
        let answer = inside
            .ask(proxy.head("POST /allowed", &length) + "ok")
            .await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn an_upstream_that_answers_early_is_heard() {
    for protocol in ["h2", "http/1.1"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        // Over HTTP/1.1 the upstream closes with the answer (RFC 9112, section 9.6): now and then that is found while
        // the body is written.
        for _ in 0..30 {
            let (_, body) = large();
            let request = proxy.request2("POST", "/unread").body(body).unwrap();
            let mut client = proxy.http2().await;
            let response = within(client.send_request(request)).await.unwrap();
            assert_eq!(response.status(), 413, "{protocol}");
            let answer = read_to_end(response).await;
            assert_eq!(answer.bytes, b"too large"[..], "{protocol}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_is_not_waited_for() {
    let proxy = Setup::new().speaking(&["http/1.1"]).start().await;
    let (_, body) = large();
    let request = proxy.request2("POST", "/hang-up").body(body).unwrap();
    let mut client = proxy.http2().await;
    let response = within(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 502);
}
