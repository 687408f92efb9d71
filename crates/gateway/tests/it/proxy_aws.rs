//! Uploads whose chunks the client signed one by one.

use fnox_gateway::injection::Injection;
use http::Request;

use crate::proxy_support::{HOST, Proxy, Sent, Setup, body, read_to_end, within};

/// Two chunks, and what ends them.
const CHUNKS: [&str; 3] = [
    "5;SIG\r\nfirst\r\n",
    "8;SIG\r\n\r\n0;and\n\r\n",
    "0;SIG\r\n\r\n",
];

/// An upload of an S3 client that signs each chunk.
fn upload(proxy: &Proxy, chunks: &str, length: &str) -> Request<Sent> {
    let signature = format!("chunk-signature={}", "0a".repeat(32));
    Request::builder()
        .method("PUT")
        .uri(format!("https://{HOST}/bucket/object"))
        .header("authorization", proxy.signed())
        .header("content-encoding", "aws-chunked,gzip")
        .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .header("x-amz-decoded-content-length", length)
        .body(body(chunks.replace("SIG", &signature)))
        .unwrap()
}

#[tokio::test]
async fn chunks_that_the_client_signed_leave_as_one_body() {
    for protocol in ["http/1.1", "h2"] {
        let setup = Setup::with(|rule| rule.injection = Injection::parse("aws-sigv4").unwrap());
        let proxy = setup.speaking(&[protocol]).start().await;
        let mut http2 = proxy.http2().await;
        let answer = within(http2.send_request(upload(&proxy, &CHUNKS.concat(), "13"))).await;
        assert_eq!(answer.unwrap().status(), 200);
        let received = proxy.only();
        assert_eq!(received.body, b"first\r\n0;and\n");
        assert_eq!(received.header("content-length"), Some("13"));
        assert_eq!(received.header("content-encoding"), Some("gzip"));
        assert_eq!(
            received.header("x-amz-content-sha256"),
            Some("UNSIGNED-PAYLOAD")
        );
        assert_eq!(received.header("x-amz-decoded-content-length"), None);
        let signature = received.header("authorization").unwrap();
        assert!(!signature.contains("Signature=00"), "{signature}");
    }
}

#[tokio::test]
async fn chunks_that_are_not_as_stated_are_refused() {
    let setup = Setup::with(|rule| rule.injection = Injection::parse("aws-sigv4").unwrap());
    let proxy = setup.start().await;
    let whole = CHUNKS.concat();
    for (chunks, length) in [
        (&*whole, "12"),
        (&*whole, "14"),
        (CHUNKS[0], "5"),
        ("5;x\r\n", "5"),
    ] {
        let mut http2 = proxy.http2().await;
        let answer = within(http2.send_request(upload(&proxy, chunks, length))).await;
        let answer = read_to_end(answer.unwrap()).await;
        assert_eq!(
            answer.refusal(),
            Some("gateway::ambiguous"),
            "{chunks} {length}"
        );
    }
}
