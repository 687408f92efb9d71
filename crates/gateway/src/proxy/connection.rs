//! A client's connection, up to the point where it is bound to a destination.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::Host;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Client, Shared, exchange, refused, session, tunnel};
use crate::body::{Body, full};
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, Scheme, Via};

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

/// Serves a client until it goes away.
pub(super) async fn serve<S>(shared: Arc<Shared>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let afterwards = Afterwards::default();
    let service = service_fn(|request| {
        let (shared, afterwards) = (Arc::clone(&shared), afterwards.clone());
        async move { Ok::<_, Infallible>(answer(&shared, request, &afterwards).await) }
    });
    let connection = http1()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("a client's connection ended: {error}");
    }
    afterwards.run().await;
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    afterwards: &Afterwards,
) -> Response<Body> {
    let wants_json = refused::wants_json(request.headers());
    let outcome = match *request.method() {
        Method::CONNECT => connect(shared, request, afterwards).await,
        _ => match absolute(shared, &request).await {
            Ok((client, bound)) if session::is_asked_for(&bound) => {
                Ok(session::answer(shared, &client, &request))
            }
            Ok((client, bound)) => {
                return exchange::answer(shared, &client, request, &bound, afterwards).await;
            }
            Err(refusal) => Err(refusal),
        },
    };
    outcome.unwrap_or_else(|refusal| refused::answer(&refusal, wants_json))
}

/// Binds the connection to a destination (RFC 9110, section 9.3.6).
async fn connect(
    shared: &Arc<Shared>,
    mut request: Request<Incoming>,
    afterwards: &Afterwards,
) -> Result<Response<Body>, Refusal> {
    let client = shared.clients.identify(request.headers()).await?;
    let authority = request.uri().authority().map(ToString::to_string);
    let host = host(authority.as_deref().unwrap_or_default())?;
    if host.port().is_none() {
        let message = format!("CONNECT to `{host}` names no port");
        return Err(Refusal::new(Reason::Ambiguous, message));
    }
    // Told inside of the tunnel: few clients show what answers CONNECT.
    let refusal = shared.policy.admits(&host).err();
    let upgrade = hyper::upgrade::on(&mut request);
    let shared = Arc::clone(shared);
    afterwards.set(async move {
        if let Ok(upgraded) = upgrade.await {
            tunnel::serve(&shared, &client, TokioIo::new(upgraded), host, refusal).await;
        }
    });
    Ok(Response::new(full("")))
}

/// The destination of a request in absolute form (RFC 9112, section 3.2.2).
async fn absolute(
    shared: &Shared,
    request: &Request<Incoming>,
) -> Result<(Arc<Client>, Bound), Refusal> {
    let client = shared.clients.identify(request.headers()).await?;
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
