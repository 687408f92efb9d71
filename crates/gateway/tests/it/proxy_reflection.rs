//! Values that an upstream sends back, on their whole way through the gateway.

use std::io::Write as _;

use fnox_gateway::Reason;
use fnox_testkit::stand_in::Prepared;
use http_body_util::BodyExt as _;

use crate::proxy_support::{Content, Proxy, Setup, VALUE, empty, read_to_end, within};

/// A text without a value.
const FILLER: &str =
    "The quick brown fox jumps over 13 lazy dogs; g, gh, ghp and ghp_ are no values. ";

/// What clients of both protocols get.
async fn contents(proxy: &Proxy, target: &str) -> [Content; 2] {
    let request = proxy.request1("GET", target).body(empty()).unwrap();
    let one = within(proxy.http1().await.send_request(request)).await;
    let request = proxy.request2("GET", target).body(empty()).unwrap();
    let other = within(proxy.http2().await.send_request(request)).await;
    [
        read_to_end(one.unwrap()).await,
        read_to_end(other.unwrap()).await,
    ]
}

/// What clients of both protocols get of an answer that was let in.
async fn answers(proxy: &Proxy, target: &str) -> [String; 2] {
    contents(proxy, target).await.map(|content| {
        assert_eq!(content.status, 200);
        assert_eq!(content.headers.get("content-encoding"), None);
        String::from_utf8(content.bytes.to_vec()).unwrap()
    })
}

fn compressed(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// It is so long that its beginning has left when its end turns out to be no gzip.
pub(crate) fn broken_at_its_end() -> Vec<u8> {
    let mut state = 1_u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(state >> 28).unwrap())
    });
    let text: String = letters.take(1 << 20).collect();
    let mut gzip = compressed(&text);
    gzip.extend(VALUE.as_bytes());
    gzip
}

#[tokio::test]
async fn a_value_in_a_compressed_answer_is_a_placeholder_again() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let text = format!("{FILLER}{VALUE}\n");
        let gzip = compressed(&text.repeat(40));
        let answer = Prepared::new(200, gzip).with("content-encoding", "gzip");
        proxy.upstream.prepare("/gzip", answer);
        for body in answers(&proxy, "/gzip").await {
            let expected = text.replace(VALUE, &proxy.placeholder).repeat(40);
            assert_eq!(body, expected, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_value_anywhere_in_a_long_answer_is_a_placeholder_again() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        // Wherever pieces, frames and records end, some of them end within a value.
        let mut text = String::new();
        let mut distance = 1;
        while text.len() < 1 << 20 {
            text.extend(FILLER.chars().cycle().take(distance));
            text.push_str(VALUE);
            distance = distance * 7 % 997 + 1;
        }
        let answer = Prepared::new(200, text.clone());
        proxy.upstream.prepare("/long", answer);
        let expected = text.replace(VALUE, &proxy.placeholder);
        for body in answers(&proxy, "/long").await {
            assert!(!body.contains(VALUE), "{protocol}");
            // Not by `assert_eq`: a megabyte is nothing to read.
            assert!(body == expected, "{protocol}: it is not the same text");
        }
    }
}

/// RFC 9112, section 7: what is under such a coding cannot be searched, and no client asked for it.
#[tokio::test]
async fn an_answer_with_another_transfer_coding_than_chunked_is_refused() {
    let proxy = Setup::new().speaking(&["http/1.1"]).start().await;
    let gzip = compressed(VALUE);
    for (target, codings) in [
        ("/gzip", &["gzip, chunked"][..]),
        ("/two", &["gzip", "chunked"]),
        ("/unknown", &["x-own, chunked"]),
        ("/twice", &["chunked, chunked"]),
    ] {
        let answer = Prepared::new(200, gzip.clone());
        let answer = codings
            .iter()
            .fold(answer, |it, coding| it.with("transfer-encoding", coding));
        proxy.upstream.prepare(target, answer);
        for content in contents(&proxy, target).await {
            assert_eq!(content.status, 502, "{target}");
            assert_eq!(content.refusal(), Some("gateway::unscannable"), "{target}");
        }
    }
    let answer = Prepared::new(200, VALUE).with("transfer-encoding", "Chunked");
    proxy.upstream.prepare("/chunked", answer);
    for body in answers(&proxy, "/chunked").await {
        assert_eq!(body, proxy.placeholder);
    }
}

/// The head of an answer would say that all is well, and nothing could be said afterwards.
#[tokio::test]
async fn an_answer_that_is_not_encoded_as_it_says_is_refused_before_its_head_leaves() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let gzip = compressed(FILLER);
        let cut_off = gzip[..gzip.len() - 3].to_vec();
        let followed = [&gzip[..], VALUE.as_bytes()].concat();
        for (target, coding, body) in [
            ("/plain", "gzip", VALUE.as_bytes().to_vec()),
            ("/neither", "deflate", VALUE.as_bytes().to_vec()),
            ("/cut-off", "gzip", cut_off),
            ("/followed", "gzip", followed),
            ("/twice", "gzip, gzip", gzip),
        ] {
            let answer = Prepared::new(200, body).with("content-encoding", coding);
            proxy.upstream.prepare(target, answer);
            for content in contents(&proxy, target).await {
                assert_eq!(content.status, 502, "{protocol} {target}");
                assert_eq!(content.refusal(), Some("gateway::unscannable"), "{target}");
            }
        }
        for seen in proxy.seen() {
            assert_eq!(seen.outcome, Err(Reason::Unscannable));
        }
        // There is nothing in it that could be broken.
        let answer = Prepared::new(200, "").with("content-encoding", "gzip");
        proxy.upstream.prepare("/empty", answer);
        for body in answers(&proxy, "/empty").await {
            assert_eq!(body, "");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_on_its_way_is_told() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let answer = Prepared::new(200, broken_at_its_end()).with("content-encoding", "gzip");
        proxy.upstream.prepare("/broken", answer);
        let request = proxy.request1("GET", "/broken").body(empty()).unwrap();
        let one = within(proxy.http1().await.send_request(request)).await;
        let request = proxy.request2("GET", "/broken").body(empty()).unwrap();
        let other = within(proxy.http2().await.send_request(request)).await;
        for answer in [one.unwrap(), other.unwrap()] {
            assert_eq!(answer.status(), 200);
            assert!(within(answer.into_body().collect()).await.is_err());
        }
        let told = [Reason::Unscannable; 2];
        assert_eq!(proxy.broken_off(), told, "{protocol}");
    }
}
