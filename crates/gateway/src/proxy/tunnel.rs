//! A tunnel: TLS with the client in the name of its destination, and requests inside.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::Host;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use super::connection::{Afterwards, HEAD_BYTES, http1};
use super::{Client, Shared, exchange};
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, Scheme, Via};

/// How long each half of a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How many requests of one HTTP/2 connection are served at a time (RFC 9113, section 5.1.2).
const STREAMS: u32 = 128;

/// How long a connection may answer no ping.
const PING: Duration = Duration::from_secs(30);

/// Serves the requests of a tunnel to `host` until the client goes away. With a refusal, each of them gets that.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    stream: TokioIo<Upgraded>,
    host: Host,
    refusal: Option<Refusal>,
) {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let Ok(Ok(start)) = timeout(HANDSHAKE, hello).await else {
        let problem = "the client spoke no TLS";
        return shared.observer.broken(&host, problem);
    };
    let name = start.client_hello().server_name().map(str::to_owned);
    let (named, misdirected) = bind(&host, name.as_deref());
    let refusal = misdirected.or(refusal);
    let config = match shared.authority.server_config(&named) {
        Ok(config) => config,
        Err(error) => return shared.observer.broken(&host, &error.to_string()),
    };
    let stream = match timeout(HANDSHAKE, start.into_stream(config)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let problem = format!("the client did not take the gateway's certificate: {error}");
            return shared.observer.broken(&host, &problem);
        }
        Err(_) => return shared.observer.broken(&host, "the handshake took too long"),
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let bound = Arc::new(Bound::new(Scheme::Https, host, Via::Connect));
    let afterwards = Afterwards::default();
    let service = service_fn(|request| {
        let (shared, bound) = (Arc::clone(shared), Arc::clone(&bound));
        let client = Arc::clone(client);
        let (afterwards, refusal) = (afterwards.clone(), refusal.clone());
        async move {
            let answer = match refusal {
                Some(refusal) => {
                    exchange::refuse(&shared, &client, request, &bound, &refusal).await
                }
                None => exchange::answer(&shared, &client, request, &bound, &afterwards).await,
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(stream);
    let ended = if is_http2 {
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .adaptive_window(true)
            .serve_connection(io, service)
            .await
    } else {
        http1().serve_connection(io, service).with_upgrades().await
    };
    if let Err(error) = ended {
        tracing::debug!("a tunnel ended: {error}");
    }
    afterwards.run().await;
}

/// In whose name TLS is spoken, and what is wrong with it. A client that wants another name than it was let in for gets a
/// certificate for that name all the same: otherwise it would see a broken connection and no reason.
fn bind(host: &Host, name: Option<&str>) -> (Host, Option<Refusal>) {
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
