//! Clients that want too much, or nothing, for too long.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::proxy_support::{AUTHORITY, HOST, Proxy, Setup, Wire, empty, read_to_end, within};

/// That the gateway is there for others.
async fn serves(proxy: &Proxy) {
    let answer = proxy
        .inside()
        .await
        .ask(proxy.head("GET /after", &[]))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn heads_of_http1_end_somewhere() {
    let proxy = Setup::new().start().await;
    let large = format!("x-large: {}", "a".repeat(300 * 1024));
    let many = vec!["x: y"; 5000];
    for fields in [&[&*large][..], &many] {
        let answer = proxy.inside().await.ask(proxy.head("GET /", fields)).await;
        assert!([413, 431].contains(&answer.status), "{answer:?}");
    }
    // Outside of tunnels too.
    let answer = proxy.wire().await.ask(proxy.head("GET /", &[&large])).await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let target = format!("GET /{}", "a".repeat(60 * 1024));
    let answer = proxy.inside().await.ask(proxy.head(&target, &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::too_large"));
    assert!(proxy.received().is_empty());
    serves(&proxy).await;
}

#[tokio::test]
async fn a_head_without_end_is_not_read_to_it() {
    let proxy = Setup::new().start().await;
    let mut inside = proxy.inside().await;
    inside.write("GET / HTTP/1.1\r\nx-endless: ").await.unwrap();
    let piece = vec![b'a'; 64 * 1024];
    // Long before the loop ends, nobody reads any more.
    let mut is_closed = false;
    for _ in 0..1024 {
        is_closed = is_closed || within(inside.write(&piece)).await.is_err();
    }
    assert!(is_closed);
    serves(&proxy).await;
}

#[tokio::test]
async fn heads_of_http2_end_somewhere() {
    let proxy = Setup::new().start().await;
    let mut http2 = proxy.http2().await;
    let mut request = proxy.request2("GET", "/");
    for number in 0..100 {
        request = request.header(format!("x-{number}"), "a".repeat(1024));
    }
    let response = within(http2.send_request(request.body(empty()).unwrap())).await;
    assert_eq!(response.unwrap().status(), 431);
    assert!(proxy.received().is_empty());
    // The connection is of use after that.
    let request = proxy.request2("GET", "/").body(empty()).unwrap();
    let response = within(http2.send_request(request)).await.unwrap();
    assert_eq!(read_to_end(response).await.status, 200);
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client begins with (RFC 9113, section 3.4).
fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// A literal field that is not indexed (RFC 7541, section 6.2.2), with a name of the static table.
fn literal(name: u8, value: &str) -> Vec<u8> {
    // invariant: names below 15 and values below 127 take a byte
    let mut bytes = vec![name, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// `GET https://api.example.com/` and `authorization`, which is 23 in the static table.
fn fields(proxy: &Proxy) -> Vec<u8> {
    let mut bytes = vec![0x82, 0x87, 0x84];
    bytes.extend(literal(1, HOST));
    let value = proxy.bearer();
    bytes.extend_from_slice(&[0x0f, 23 - 15, u8::try_from(value.len()).unwrap()]);
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// Writes to a tunnel with HTTP/2 while reading from it, and says which kinds of frames came until it ended.
async fn speaks(proxy: &Proxy, bytes: Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let stream = proxy.tls(AUTHORITY, HOST, &["h2"]).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        let _ = write.shutdown().await;
    });
    let mut answer = Vec::new();
    let _ = within(read.read_to_end(&mut answer)).await;
    writing.await.unwrap();
    let mut frames = Vec::new();
    let mut rest = &*answer;
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some((payload, next)) = after.split_at_checked(length) else {
            break;
        };
        frames.push((*kind, payload.to_vec()));
        rest = next;
    }
    frames
}

#[tokio::test]
async fn fields_that_grow_when_they_are_read_are_not_read() {
    let proxy = Setup::new().start().await;
    // A field of 4000 bytes enters the table, and each byte after it repeats it (RFC 7541, sections 6.1 and 7.3).
    let mut block = fields(&proxy);
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f]);
    // 4000 - 127, in seven bits each (section 5.1).
    block.extend_from_slice(&[0xa1, 0x1e]);
    block.extend(vec![b'a'; 4000]);
    block.extend(vec![0xbe; 12_000]);
    let mut bytes = preface();
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    speaks(&proxy, bytes).await;
    assert!(proxy.received().is_empty());
    serves(&proxy).await;
}

#[tokio::test]
async fn a_head_of_many_frames_ends_somewhere() {
    let proxy = Setup::new().start().await;
    let mut bytes = preface();
    bytes.extend(frame(HEADERS, END_STREAM, 1, &fields(&proxy)));
    // None of them is the last (CVE-2024-27316).
    for _ in 0..100_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &literal(0x0f, "")[..0]));
    }
    let frames = speaks(&proxy, bytes).await;
    assert!(frames.iter().any(|(kind, _)| *kind == GOAWAY), "{frames:?}");
    assert!(proxy.received().is_empty());
    serves(&proxy).await;
}

#[tokio::test]
async fn streams_that_are_reset_at_once_are_limited() {
    let setup = Setup::with(|rule| rule.max_uses = Some(50));
    let proxy = setup.start().await;
    let mut bytes = preface();
    // CVE-2023-44487: each is opened and given up before there is an answer.
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &fields(&proxy),
        ));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let frames = speaks(&proxy, bytes).await;
    let calm = frames
        .iter()
        .any(|(kind, payload)| *kind == GOAWAY && payload[4..8] == 11_u32.to_be_bytes());
    assert!(calm, "{frames:?}");
    assert!(proxy.received().len() <= 50);
    // Others are let in; whether there are uses left for them depends on how far the first one came.
    let answer = proxy
        .inside()
        .await
        .ask(proxy.head("GET /after", &[]))
        .await;
    assert!([200, 429].contains(&answer.status), "{answer:?}");
}

/// Lets time pass in steps while a client sends a byte now and then; true if the gateway ends it.
async fn is_ended(mut wire: Wire, drip: &str) -> bool {
    tokio::time::pause();
    for byte in drip.bytes().cycle().take(200) {
        if wire.write([byte]).await.is_err() {
            return true;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    false
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let proxy = Setup::new().start().await;
    assert!(is_ended(proxy.wire().await, "GET /").await);
}

#[tokio::test]
async fn a_head_in_a_tunnel_that_comes_byte_by_byte_is_not_waited_for() {
    let proxy = Setup::new().start().await;
    assert!(is_ended(proxy.inside().await, "GET /").await);
}

#[tokio::test]
async fn a_handshake_that_comes_byte_by_byte_is_not_waited_for() {
    let proxy = Setup::new().start().await;
    let wire = Wire::new(proxy.tunnel(AUTHORITY).await);
    // The beginning of a record of 16 KiB (RFC 8446, section 5.1).
    let mut started = "\u{16}\u{3}\u{1}\u{40}\u{0}\u{1}\u{0}\u{3f}".to_owned();
    started.push_str(&"\u{0}".repeat(200));
    assert!(is_ended(wire, &started).await);
    assert_eq!(proxy.broken().len(), 1);
}

#[tokio::test]
async fn clients_that_say_nothing_are_not_waited_for() {
    let proxy = Setup::new().start().await;
    let mut silent = vec![
        proxy.wire().await,
        Wire::new(proxy.tunnel(AUTHORITY).await),
        proxy.inside().await,
    ];
    // One that negotiates HTTP/2 and does not begin with it (RFC 9113, section 3.4), and one that begins only.
    let silent2 = proxy.tls(AUTHORITY, HOST, &["h2"]).await.unwrap();
    silent.push(Wire::new(silent2));
    let mut begun2 = Wire::new(proxy.tls(AUTHORITY, HOST, &["h2"]).await.unwrap());
    begun2.write(&preface()[..10]).await.unwrap();
    silent.push(begun2);
    // One that does not answer pings (RFC 9113, section 6.7).
    let mut http2 = Wire::new(proxy.tls(AUTHORITY, HOST, &["h2"]).await.unwrap());
    http2.write(preface()).await.unwrap();
    silent.push(http2);
    // Time passes when nothing else happens.
    tokio::time::pause();
    for wire in &mut silent {
        wire.read_to_end().await;
    }
}
