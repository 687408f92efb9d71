//! For fuzzing: what reads the bytes of a client nobody knows anything of yet, with nothing behind it.

use std::convert::Infallible;
use std::future::ready;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_core::Host;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{join, sink};

use super::{preface, tunnel};

/// What a handshake made of a tunnel.
#[derive(Debug)]
pub struct Bound {
    /// The server name that the client sent (RFC 6066, section 3).
    pub name: Option<String>,
    /// In whose name the gateway goes on.
    pub host: Host,
    /// Whether the tunnel's requests get a refusal, whatever they are.
    pub is_refused: bool,
}

/// Reads the first message of a client's handshake in a tunnel to `host`. `None`: it is none.
pub async fn handshake(host: &Host, sent: &[u8]) -> Option<Bound> {
    let stream = join(sent, sink());
    let start = tunnel::hello(stream).await?;
    let name = start.client_hello().server_name().map(str::to_owned);
    let (host, refusal) = tunnel::bind(host, name.as_deref());
    Some(Bound {
        name,
        host,
        is_refused: refusal.is_some(),
    })
}

/// Serves what a client sent over HTTP/2 as a tunnel does, and answers each request without a word. The heads of the
/// requests that came through.
pub async fn http2(sent: &[u8]) -> Vec<Parts> {
    let stream = join(Cursor::new(sent.to_vec()), sink());
    let Ok(stream) = preface::read(stream).await else {
        return Vec::new();
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let (parts, _body) = request.into_parts();
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(parts);
        ready(Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())))
    });
    let connection = tunnel::http2_server().serve_connection(TokioIo::new(stream), service);
    // How it ends is up to the bytes.
    drop(connection.await);
    std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The most bytes that the fields of one head may have, counted as in RFC 9113, section 10.5.1.
pub const HEAD_BYTES: usize = super::connection::HEAD_BYTES;
