//! Clients of the gateway, of the relay, and of anything else that stands between.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::relay::encrypt;

/// A way to the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) name: String,
    /// Where to connect.
    pub(crate) port: u16,
    /// `Proxy-Authorization` for a CONNECT, if it is a proxy.
    pub(crate) proxy: Option<String>,
    /// Whom to believe, in PEM.
    pub(crate) authority: Vec<u8>,
    /// The port of the upstream.
    pub(crate) upstream: u16,
    /// What is sent as the bearer's token.
    pub(crate) token: String,
}

/// One connection that is kept.
pub(crate) struct Connection {
    sender: Sender,
    upstream: u16,
    authorization: HeaderValue,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(crate) async fn open(way: &Way, version: Version) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", way.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        if let Some(authorization) = &way.proxy {
            tunnel(&mut stream, way.upstream, authorization).await;
        }
        let is_http2 = version == Version::HTTP_2;
        let protocol: &[u8] = if is_http2 { b"h2" } else { b"http/1.1" };
        let stream = encrypt(stream, &way.authority, protocol).await.unwrap();
        let stream = TokioIo::new(stream);
        let sender = if is_http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .adaptive_window(true)
                .handshake(stream)
                .await
                .unwrap();
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        let mut authorization = format!("Bearer {}", way.token)
            .parse::<HeaderValue>()
            .unwrap();
        authorization.set_sensitive(true);
        Self {
            sender,
            upstream: way.upstream,
            authorization,
        }
    }

    /// Sends a request, reads the answer to its end, and says how long that took and how many bytes it had.
    pub(crate) async fn send(&mut self, path: &str, body: Bytes) -> (Duration, usize) {
        let request = Request::builder()
            .method(if body.is_empty() { "GET" } else { "POST" })
            .header("authorization", self.authorization.clone());
        let host = format!("localhost:{}", self.upstream);
        let body = Full::new(body);
        let started = Instant::now();
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", host).body(body).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Sender::Http2(sender) => {
                let uri = format!("https://{host}{path}");
                let request = request.uri(uri).body(body).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
        };
        let status = response.status();
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        assert!(status.is_success(), "{path}: {status}");
        (started.elapsed(), length)
    }
}

async fn tunnel(stream: &mut TcpStream, upstream: u16, authorization: &str) {
    let line = if authorization.is_empty() {
        String::new()
    } else {
        format!("Proxy-Authorization: Basic {authorization}\r\n")
    };
    let request = format!(
        "CONNECT localhost:{upstream} HTTP/1.1\r\nHost: localhost:{upstream}\r\n{line}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let status = answer.get(9..12);
    assert_eq!(status, Some(&b"200"[..]), "the proxy lets nobody in");
}
