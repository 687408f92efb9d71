//! Connections to destinations: dialled at checked addresses, with TLS that believes in what a rule says.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fnox_core::Host;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::upstream_stream::Stream;
use super::upstreams::ClientIdentity;
use crate::body::Body;
use crate::destination::Dialer;
use crate::refusal::{Reason, Refusal};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_mins(1);

/// How many idle connections to one destination are kept.
const IDLE_EACH: usize = 32;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How much of an answer over HTTP/2 may come before a client has taken what came before (RFC 9113, section 5.2). Not
/// measured as it goes: a connection that had small answers for a while would take long ones in small pieces for seconds.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for all answers of one connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What certificates of destinations are judged by.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    certificates: Arc<Vec<CertificateDer<'static>>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trust")
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl Trust {
    /// The machine's own authorities.
    #[must_use]
    pub fn system() -> Self {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let mut roots = RootCertStore::empty();
        // What cannot be parsed cannot be trusted; the others are.
        roots.add_parsable_certificates(certificates.iter().cloned());
        Self {
            roots: Arc::new(roots),
            certificates: Arc::new(certificates),
        }
    }

    /// All of them in PEM (RFC 7468), for programs that know only what one file says.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let certificates = self.certificates.iter();
        let blocks: Vec<Pem> = certificates
            .map(|certificate| Pem::new("CERTIFICATE", certificate.as_ref()))
            .collect();
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_many_config(&blocks, config)
    }

    /// These and the certificates of a PEM file.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] if the file has none.
    pub fn with_file(&self, path: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::clone(&self.roots);
        let text = std::fs::read(path)?;
        let certificates: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&text).collect();
        let added_certificates = certificates
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let (added, _) = roots.add_parsable_certificates(added_certificates.iter().cloned());
        if added == 0 {
            let message = "it has no certificate in PEM";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut certificates = Vec::clone(&self.certificates);
        certificates.extend(added_certificates);
        Ok(Self {
            roots: Arc::new(roots),
            certificates: Arc::new(certificates),
        })
    }

    fn config(
        &self,
        protocols: &[&[u8]],
        identity: Option<&ClientIdentity>,
    ) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key())?,
        };
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        Ok(config)
    }
}

/// Destinations that are judged alike, and to which the same identity is presented. All clients of a gateway share its
/// connections: other credentials are in each request that carries one, never in a connection.
#[derive(Clone)]
pub(crate) struct Upstream {
    any: Client<Connector, Body>,
    /// For `WebSockets`, which begin in HTTP/1.1 (RFC 6455, section 4.1).
    http1: Client<Connector, Body>,
}

impl Upstream {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What rustls says.
    pub(super) fn new(
        dialer: &Dialer,
        trust: &Trust,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            any: client(dialer, trust.config(&[b"h2", b"http/1.1"], identity)?),
            http1: client(dialer, trust.config(&[b"http/1.1"], identity)?),
        })
    }

    /// Sends a request whose URI has scheme and authority.
    ///
    /// # Errors
    /// The dialer's refusal, or [`Reason::Upstream`]. `true` beside it: nothing of the request was sent.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        is_websocket: bool,
    ) -> Result<Response<Incoming>, (Refusal, bool)> {
        let client = if is_websocket { &self.http1 } else { &self.any };
        client.request(request).await.map_err(|error| {
            let unsent = error.is_connect();
            (refusal(&error), unsent)
        })
    }
}

fn client(dialer: &Dialer, config: ClientConfig) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_EACH)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(Connector {
            dialer: dialer.clone(),
            tls: TlsConnector::from(Arc::new(config)),
        })
}

/// What of an error the client may know.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let mut cause = Some(error);
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return refusal.clone();
        }
        last = inner.to_string();
        cause = inner.source();
    }
    Refusal::new(Reason::Upstream, format!("the destination failed: {last}"))
}

#[derive(Clone)]
struct Connector {
    dialer: Dialer,
    tls: TlsConnector,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Refusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Stream, Refusal> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = Host::parse(authority)
            .map_err(|error| Refusal::new(Reason::Ambiguous, error.to_string()))?;
        let is_tls = uri.scheme_str() != Some("http");
        let port = if is_tls { 443 } else { 80 };
        let stream = self.dialer.dial(&host, port).await?.stream;
        // Small requests and answers must not wait for each other's acknowledgements.
        let _ = stream.set_nodelay(true);
        if !is_tls {
            return Ok(Stream::plain(stream));
        }
        let name = match host.ip() {
            Some(ip) => ServerName::from(ip),
            None => ServerName::try_from(host.name())
                .map_err(|error| Refusal::new(Reason::Upstream, error.to_string()))?,
        };
        let failed = |error: String| {
            Refusal::new(
                Reason::Upstream,
                format!("TLS with `{host}` failed: {error}"),
            )
            .with_remedy("A rule's `ca_file` names the authority of a private server.")
        };
        let handshake = tokio::time::timeout(HANDSHAKE, self.tls.connect(name, stream));
        let stream = handshake
            .await
            .map_err(|_| failed("it took too long".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Stream::tls(stream))
    }
}
