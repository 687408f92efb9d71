//! A tunnel: TLS with the client in the name of its destination, and requests inside. Without TLS only what goes to this
//! machine may pass; the others are told so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::Host;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::connection::{Afterwards, HEAD_BYTES, first_byte, http1};
use super::{Client, Shared, exchange, preface, session, trace};
use crate::body::Body;
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, Scheme, Via};

/// How long each half of a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How many requests of one HTTP/2 connection are served at a time (RFC 9113, section 5.1.2).
const STREAMS: u32 = 128;

/// How much of the bodies of one HTTP/2 connection may come before a destination has taken what came before (RFC 9113,
/// section 5.2).
const WINDOW: u32 = 1024 * 1024;

/// How long a connection may answer no ping.
const PING: Duration = Duration::from_secs(30);

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
pub(super) const HANDSHAKE_RECORD: u8 = 22;

/// Serves the requests of a tunnel to `host` until the client goes away.
pub(super) async fn serve<S>(
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    stream: S,
    (host, via): (Host, Via),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = BufReader::new(stream);
    match first_byte(&mut stream).await {
        Some(HANDSHAKE_RECORD) => {
            let Some(start) = hello(stream).await else {
                return shared.observer.broken(&host, "the client spoke no TLS");
            };
            let name = start.client_hello().server_name().map(str::to_owned);
            let host = meant(host, via, name.as_deref());
            let (named, misdirected) = bind(&host, name.as_deref());
            let served = Served {
                shared: Arc::clone(shared),
                client: Arc::clone(client),
                bound: Arc::new(Bound::new(Scheme::Https, host, via)),
                misdirected,
            };
            served.over_tls(start, &named).await;
        }
        Some(_) => {
            let served = Served {
                shared: Arc::clone(shared),
                client: Arc::clone(client),
                bound: Arc::new(Bound::new(Scheme::Http, host, via)),
                misdirected: None,
            };
            served.over_http1(stream).await;
        }
        None => {}
    }
}

/// Where a client wants to go that resolved the name itself, as Java does before it asks a SOCKS proxy: to the name in its
/// handshake. The address counts for nothing, since the name is resolved here and decided about.
fn meant(host: Host, via: Via, name: Option<&str>) -> Host {
    let named = name
        .filter(|_| via == Via::Socks && host.ip().is_some())
        .and_then(|name| Host::parse(name).ok());
    match (named, host.port()) {
        (Some(named), Some(port)) => named.with_default_port(port),
        _ => host,
    }
}

/// Serves the requests of a client that nobody asked where it goes: its handshake says it.
pub(super) async fn serve_named<S>(shared: &Arc<Shared>, client: &Arc<Client>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(start) = hello(stream).await else {
        return tracing::debug!("a client's handshake did not end");
    };
    let name = start.client_hello().server_name().map(str::to_owned);
    let Some(Ok(host)) = name.as_deref().map(Host::parse) else {
        trace::refused(Some(client), None, None, Reason::Misdirected);
        return tracing::warn!(
            "a client that was led here names no host in its handshake, and was closed: it must send a server name \
             (RFC 6066), or know of the proxy"
        );
    };
    let host = host.with_default_port(Scheme::Https.default_port());
    let served = Served {
        shared: Arc::clone(shared),
        client: Arc::clone(client),
        bound: Arc::new(Bound::new(Scheme::Https, host.clone(), Via::Sni)),
        misdirected: None,
    };
    served.over_tls(start, &host).await;
}

/// What serves HTTP/2 connections, with the limits of each.
pub(super) fn http2_server() -> http2::Builder<TokioExecutor> {
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    server
}

/// The first message of a client's handshake.
pub(super) async fn hello<S>(stream: S) -> Option<StartHandshake<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    timeout(HANDSHAKE, hello).await.ok()?.ok()
}

/// What all requests of a tunnel have in common.
struct Served {
    shared: Arc<Shared>,
    client: Arc<Client>,
    bound: Arc<Bound>,
    /// What each of them gets, if the client wants another destination than it was let in for.
    misdirected: Option<Refusal>,
}

impl Served {
    /// With a certificate for `named`.
    async fn over_tls<S>(self, start: StartHandshake<S>, named: &Host)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host = self.bound.host().clone();
        let broken = |problem: &str| self.shared.observer.broken(&host, problem);
        let config = match self.shared.authority.server_config(named) {
            Ok(config) => config,
            Err(error) => return broken(&error.to_string()),
        };
        let stream = match timeout(HANDSHAKE, start.into_stream(config)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return broken(&format!(
                    "the client did not take the gateway's certificate: {error}"
                ));
            }
            Err(_) => return broken("the handshake took too long"),
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.over_http2(stream).await;
        } else {
            self.over_http1(stream).await;
        }
    }

    async fn over_http1<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let afterwards = Afterwards::default();
        let service = service_fn(|request| self.answer(request, afterwards.clone()));
        let connection = http1().serve_connection(TokioIo::new(stream), service);
        match connection.with_upgrades().await {
            Ok(()) => {}
            Err(error) if error.is_parse() => {
                trace::refused(
                    Some(&self.client),
                    Some(self.bound.host()),
                    None,
                    Reason::Ambiguous,
                );
                let problem = "what the client sent is no HTTP";
                self.shared.observer.broken(self.bound.host(), problem);
            }
            Err(error) => tracing::debug!("a tunnel ended: {error}"),
        }
        afterwards.run().await;
    }

    async fn over_http2<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(Ok(stream)) = timeout(HANDSHAKE, preface::read(stream)).await else {
            return tracing::debug!("a client that chose HTTP/2 did not begin with it");
        };
        let service = service_fn(|request| self.answer(request, Afterwards::default()));
        let ended = http2_server()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = ended {
            tracing::debug!("a tunnel ended: {error}");
        }
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        afterwards: Afterwards,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static {
        let (shared, client) = (Arc::clone(&self.shared), Arc::clone(&self.client));
        let bound = Arc::clone(&self.bound);
        // Each request anew: rules come and go while a tunnel is open.
        let admitted = || {
            let policy = shared.policy.current();
            policy.admits_by(bound.scheme(), bound.host())
        };
        let refusal = self.misdirected.clone().or_else(|| admitted().err());
        // In a place of its own: HTTP/2 makes a task of it, and it is large and would be moved again and again.
        Box::pin(async move {
            Ok(match refusal {
                _ if session::is_asked_for(&bound) => session::answer(&shared, &client, &request),
                Some(refusal) => {
                    exchange::refuse(&shared, &client, request, &bound, &refusal).await
                }
                None => exchange::answer(&shared, &client, request, &bound, &afterwards).await,
            })
        })
    }
}

/// In whose name TLS is spoken, and what is wrong with it. A client that wants another name than it was let in for gets a
/// certificate for that name all the same: otherwise it would see a broken connection and no reason.
pub(super) fn bind(host: &Host, name: Option<&str>) -> (Host, Option<Refusal>) {
    // An address has no server name (RFC 6066, section 3), and old clients send none at all.
    let Some(name) = name else {
        return (host.clone(), None);
    };
    match Host::parse(name) {
        Ok(named) if named.name() == host.name() => (host.clone(), None),
        Ok(named) => {
            let message = format!("TLS names `{named}`, and the connection was made to `{host}`");
            (named, Some(Refusal::new(Reason::Misdirected, message)))
        }
        Err(error) => {
            let refusal = Refusal::new(Reason::Misdirected, error.to_string());
            (host.clone(), Some(refusal))
        }
    }
}
