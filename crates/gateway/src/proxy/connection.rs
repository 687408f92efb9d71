//! A client's connection, up to the point where it is bound to a destination.
//!
//! Its first byte says how that is done: by SOCKS, by the name in a TLS handshake that was led here without the client's
//! knowledge, or by HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::{Host, SecretString};
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};

use super::client_password::password_of;
use super::{Client, Shared, exchange, refused, session, trace, tunnel};
use crate::body::{Body, full};
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, Scheme, Via};
use crate::socks::{self, Choice, Reply, SocksError};

/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// Most bytes of a request's head.
pub(super) const HEAD_BYTES: usize = 64 * 1024;

/// What a connection goes on with when it does not speak HTTP any more.
#[derive(Clone, Default)]
pub(super) struct Afterwards(Arc<Mutex<Option<Work>>>);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Afterwards {
    pub(super) fn set(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Box::pin(work));
    }

    pub(super) async fn run(&self) {
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work.await;
        }
    }
}

/// HTTP/1.1 as it is spoken with clients, outside of tunnels and in them.
pub(super) fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    builder
}

/// A gateway as one of its listeners leads to it.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) shared: Arc<Shared>,
    /// What is presented for those who present none.
    pub(super) password: Option<SecretString>,
}

impl Entrance {
    async fn identify(&self, password: Option<SecretString>) -> Result<Arc<Client>, Refusal> {
        let password = password.or_else(|| self.password.clone());
        self.shared.clients.identify(password).await
    }
}

/// Serves a client until it goes away.
pub(super) async fn serve<S>(entrance: Entrance, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = BufReader::new(stream);
    match first_byte(&mut stream).await {
        Some(socks::VERSION) => by_socks(&entrance, stream).await,
        Some(tunnel::HANDSHAKE_RECORD) => by_name(&entrance, stream).await,
        Some(_) => by_http(&entrance, stream).await,
        None => {}
    }
}

/// The byte that comes next, which stays to be read. Whoever sends none for too long gets none.
pub(super) async fn first_byte<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<u8> {
    let filled = tokio::time::timeout(HEAD, stream.fill_buf()).await;
    filled.ok()?.ok()?.first().copied()
}

async fn by_http<S>(entrance: &Entrance, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let afterwards = Afterwards::default();
    let service = service_fn(|request| {
        let (entrance, afterwards) = (entrance.clone(), afterwards.clone());
        async move { Ok::<_, Infallible>(answer(&entrance, request, &afterwards).await) }
    });
    let connection = http1()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("a client's connection ended: {error}");
        if error.is_parse() {
            trace::refused(None, None, None, Reason::Ambiguous);
        }
    }
    afterwards.run().await;
}

/// Binds the connection to what SOCKS names.
async fn by_socks<S>(entrance: &Entrance, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let negotiated = tokio::time::timeout(HEAD, negotiate(entrance, &mut stream)).await;
    match negotiated {
        Ok(Ok((client, host))) => {
            tunnel::serve(&entrance.shared, &client, stream, (host, Via::Socks)).await;
        }
        Ok(Err(error)) => {
            tracing::debug!("a client's connection ended: {error}");
            if let Some(refusal) = error.downcast_ref::<Refusal>() {
                trace::refused(None, None, None, refusal.reason);
            }
        }
        Err(_) => tracing::debug!("a client's connection ended: it was too slow"),
    }
}

async fn negotiate<S>(
    entrance: &Entrance,
    stream: &mut S,
) -> Result<(Arc<Client>, Host), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let methods = socks::greeting(stream).await?;
    let client = if methods.password {
        socks::choose(stream, Choice::Password).await?;
        let password = socks::login(stream).await?;
        let client = entrance.identify(Some(password)).await;
        socks::judge(stream, client.is_ok()).await?;
        client?
    } else {
        let client = if methods.none {
            entrance.identify(None).await
        } else {
            Err(Refusal::new(Reason::Unauthenticated, "no common method"))
        };
        let choice = client.as_ref().map_or(Choice::Nothing, |_| Choice::None);
        socks::choose(stream, choice).await?;
        client?
    };
    let host = match socks::destination(stream).await {
        Ok(host) => host,
        Err(error @ SocksError::Destination(_)) => {
            trace::refused(Some(&client), None, None, Reason::Ambiguous);
            socks::reply(stream, Reply::Failed).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    // Whether it may be reached is told inside: SOCKS has no words for why it may not.
    socks::reply(stream, Reply::Succeeded).await?;
    Ok((client, host))
}

/// Binds the connection to the name in its handshake (RFC 6066, section 3): the client believes that it speaks with that
/// host, and a jail led it here. It can present no password.
async fn by_name<S>(entrance: &Entrance, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match entrance.identify(None).await {
        Ok(client) => tunnel::serve_named(&entrance.shared, &client, stream).await,
        // It expects a certificate of its destination, and none can be shown to nobody: the log alone can say it.
        Err(refusal) => {
            trace::refused(None, None, None, refusal.reason);
            tracing::warn!(
                "a client spoke TLS at once and was closed: {refusal}. Programs that are led here without knowing of it \
                 need a door of their own, [[guests]] of gateway.toml; others must know of the proxy: \
                 HTTPS_PROXY=http://agent:TOKEN@…"
            );
        }
    }
}

async fn answer(
    entrance: &Entrance,
    request: Request<Incoming>,
    afterwards: &Afterwards,
) -> Response<Body> {
    let shared = &entrance.shared;
    let wants_json = refused::wants_json(request.headers());
    let method = request.method().clone();
    let named = request.uri().authority().cloned();
    let mut known = None;
    let outcome = match method {
        Method::CONNECT => connect(entrance, request, afterwards, &mut known).await,
        _ => match absolute(entrance, &request, &mut known).await {
            Ok((client, bound)) if session::is_asked_for(&bound) => {
                Ok(session::answer(shared, &client, &request))
            }
            Ok((client, bound)) => {
                return exchange::answer(shared, &client, request, &bound, afterwards).await;
            }
            Err(refusal) => Err(refusal),
        },
    };
    outcome.unwrap_or_else(|refusal| {
        let host = named.and_then(|named| Host::parse(named.as_str()).ok());
        let client = known.as_deref();
        trace::refused(client, host.as_ref(), Some(&method), refusal.reason);
        refused::answer(&refusal, wants_json)
    })
}

/// Binds the connection to a destination (RFC 9110, section 9.3.6). Notes who asks as soon as that is known.
async fn connect(
    entrance: &Entrance,
    mut request: Request<Incoming>,
    afterwards: &Afterwards,
    known: &mut Option<Arc<Client>>,
) -> Result<Response<Body>, Refusal> {
    let client = entrance.identify(password_of(request.headers())?).await?;
    *known = Some(Arc::clone(&client));
    let host = authority_form(request.uri())?;
    if host.port().is_none() {
        let message = format!("CONNECT to `{host}` names no port");
        return Err(Refusal::new(Reason::Ambiguous, message));
    }
    names_the_same(request.headers(), &host)?;
    // Whether it may be reached is told inside of the tunnel: few clients show what answers CONNECT.
    let shared = Arc::clone(&entrance.shared);
    let upgrade = hyper::upgrade::on(&mut request);
    afterwards.set(async move {
        if let Ok(upgraded) = upgrade.await {
            let bound_to = (host, Via::Connect);
            tunnel::serve(&shared, &client, TokioIo::new(upgraded), bound_to).await;
        }
    });
    Ok(Response::new(full("")))
}

/// The only form that a target of CONNECT has: a host and a port (RFC 9112, section 3.2.3). Of a whole URL others may heed
/// the path or the scheme, for which there is no place in a tunnel.
fn authority_form(target: &Uri) -> Result<Host, Refusal> {
    let parts = (target.scheme(), target.authority(), target.path_and_query());
    let (None, Some(authority), None) = parts else {
        let message = "CONNECT names something else than a host and a port";
        return Err(Refusal::new(Reason::Ambiguous, message));
    };
    host(authority.as_str())
}

/// `Host` beside CONNECT is the same destination (RFC 9112, section 3.2). Some programs leave it or its port out.
fn names_the_same(headers: &HeaderMap, destination: &Host) -> Result<(), Refusal> {
    let mut given = headers.get_all(HOST).iter();
    let named = match (given.next(), given.next()) {
        (None, _) => return Ok(()),
        (Some(only), None) => host(only.to_str().unwrap_or_default())?,
        (Some(_), Some(_)) => {
            let message = "CONNECT has more than one `Host`";
            return Err(Refusal::new(Reason::Ambiguous, message));
        }
    };
    let is_same_port = named.port().is_none() || named.port() == destination.port();
    if is_same_port && named.name() == destination.name() {
        return Ok(());
    }
    let message = format!("CONNECT is to `{destination}` and its `Host` is `{named}`");
    Err(Refusal::new(Reason::Misdirected, message))
}

/// The destination of a request in absolute form (RFC 9112, section 3.2.2). Notes who asks as soon as that is known.
async fn absolute(
    entrance: &Entrance,
    request: &Request<Incoming>,
    known: &mut Option<Arc<Client>>,
) -> Result<(Arc<Client>, Bound), Refusal> {
    let client = entrance.identify(password_of(request.headers())?).await?;
    *known = Some(Arc::clone(&client));
    let uri = request.uri();
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => {
            let host = host(authority.as_str())?;
            Ok((client, Bound::new(Scheme::Http, host, Via::Absolute)))
        }
        (Some(scheme), _) => {
            let message = format!("`{scheme}` is not a scheme for a request in absolute form");
            Err(Refusal::new(Reason::Ambiguous, message).with_remedy("Use CONNECT for `https`."))
        }
        (None, _) => Err(Refusal::new(
            Reason::Ambiguous,
            "this is a proxy: a request to it names its destination",
        )),
    }
}

fn host(text: &str) -> Result<Host, Refusal> {
    Host::parse(text).map_err(|error| Refusal::new(Reason::Ambiguous, error.to_string()))
}
