//! Clients of the gateway: through CONNECT and TLS, in HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::wire::Wire;
use super::{AUTHORITY, HOST, Proxy};

/// A client's body.
pub(crate) type Sent = UnsyncBoxBody<Bytes, Infallible>;
pub(crate) type Http1 = http1::SendRequest<Sent>;
pub(crate) type Http2 = http2::SendRequest<Sent>;

/// Nothing takes this long unless it never comes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits, but not for ever.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let outcome = tokio::time::timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("nothing came of what was waited for at {caller}"))
    }
}

pub(crate) fn empty() -> Sent {
    body("")
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> Sent {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is sent piece by piece, as the test says.
pub(crate) fn channel() -> (mpsc::Sender<Frame<Bytes>>, Sent) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|frame| frame.map(Ok))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// What an answer consists of.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Content {
    /// The code of the refusal.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.headers.get("x-fnox-refusal")?.to_str().ok()
    }
}

/// Reads a whole answer.
pub(crate) async fn read_to_end(response: Response<Incoming>) -> Content {
    let (parts, body) = response.into_parts();
    let collected = within(body.collect()).await.unwrap();
    Content {
        status: parts.status.as_u16(),
        headers: parts.headers,
        trailers: collected.trailers().cloned().unwrap_or_default(),
        bytes: collected.to_bytes(),
    }
}

/// TLS that believes in `authority` and speaks these protocols.
pub(crate) fn connector(authority: &str, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// HTTP/2 in TLS.
pub(crate) async fn over_http2(stream: TlsStream<TcpStream>) -> Http2 {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

impl Proxy {
    /// A connection to the gateway itself.
    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The same, to write HTTP/1.1 by hand.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::new(self.connect().await)
    }

    /// The inside of a tunnel, before TLS.
    pub(crate) async fn tunnel(&self, authority: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let count = within(stream.read_buf(&mut answer)).await.unwrap();
            assert!(count > 0, "{}", answer.escape_ascii());
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            answer.escape_ascii()
        );
        stream
    }

    /// TLS in a tunnel.
    pub(crate) async fn tls(
        &self,
        authority: &str,
        name: &str,
        protocols: &[&str],
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.tunnel(authority).await;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        within(connector(&self.authority, protocols).connect(name, stream)).await
    }

    /// TLS with the gateway at once, as a program speaks it that was led here and knows of no proxy.
    pub(crate) async fn tls_at_once(&self, protocol: &str) -> TlsStream<TcpStream> {
        let stream = self.connect().await;
        let name = ServerName::try_from(HOST).unwrap();
        let tls = connector(&self.authority, &[protocol]);
        let stream = within(tls.connect(name, stream)).await.unwrap();
        let spoken = stream.get_ref().1.alpn_protocol();
        assert_eq!(spoken, Some(protocol.as_bytes()));
        stream
    }

    /// A tunnel to the usual host, to write HTTP/1.1 into by hand.
    pub(crate) async fn inside(&self) -> Wire {
        Wire::new(self.tls(AUTHORITY, HOST, &["http/1.1"]).await.unwrap())
    }

    /// HTTP/1.1 in a tunnel to the usual host.
    pub(crate) async fn http1(&self) -> Http1 {
        let stream = self.tls(AUTHORITY, HOST, &["http/1.1"]).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// HTTP/2 in a tunnel to the usual host.
    pub(crate) async fn http2(&self) -> Http2 {
        let stream = self.tls(AUTHORITY, HOST, &["h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        over_http2(stream).await
    }

    /// A request over HTTP/1.1 to the usual host, with the placeholder.
    pub(crate) fn request1(&self, method: &str, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", HOST)
            .header("authorization", self.bearer())
    }

    /// A request over HTTP/2 to the usual host, with the placeholder.
    pub(crate) fn request2(&self, method: &str, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("https://{HOST}{target}"))
            .header("authorization", self.bearer())
    }

    /// A request's head for a [`Wire`], with the placeholder and these further lines.
    pub(crate) fn head(&self, line: &str, fields: &[&str]) -> String {
        let mut head = format!(
            "{line} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {}\r\n",
            self.bearer()
        );
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head
    }
}
