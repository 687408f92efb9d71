//! A server on loopback that a gateway's requests reach: HTTP/1.1 and HTTP/2 over TLS, with an authority of its own.
//!
//! It remembers every request as it arrived. What it answers depends on the path:
//!
//! - `/reflect/…` the value of `authorization`, in a header and in the body;
//! - `/bytes/N` N bytes, as fast as they are taken;
//! - `/drip/N` a line, and the next one each tenth of a second, N times, unbuffered;
//! - `/redirect?to=URL` 302 to that place;
//! - `/status/N` that status;
//! - `/upgrade` 101 with the value of `authorization` in a header, asked for or not, and then everything that it is sent;
//! - `/trailers` a line, and `grpc-status: 0` after it;
//! - `/head-only` `grpc-status: 16` in a head that is all;
//! - `/hold` an event, and a second one after [`Upstream::release`];
//! - `/wait` an answer after [`Upstream::release`], the request being remembered before;
//! - `/stall` the body is read after [`Upstream::release`];
//! - `/unread` 413 at once, the body not being read;
//! - `/hang-up` the connection or stream ends without an answer, and the body is not read;
//! - `/oauth/token`, `/oauth/revoke`, `/oauth/resource` an OAuth server, after [`Upstream::register`];
//! - a path that [`Upstream::prepare`] names: what that says;
//! - everything else: what it was asked, as JSON.

mod answers;
mod oauth;
mod prepared;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use self::answers::letters;
use self::oauth::OAuth;
pub use self::prepared::Prepared;
use super::serving::Serving;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The host that was asked for.
    pub host: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// How many bytes the body had.
    pub body_length: u64,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
    /// Fields after the body.
    pub trailers: Vec<(String, String)>,
    /// The certificate that was presented with the connection, in DER.
    pub certificate: Option<Vec<u8>>,
}

impl Received {
    /// The value of a header, if it is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    prepared: Mutex<HashMap<String, Prepared>>,
    oauth: Mutex<Option<OAuth>>,
    released: watch::Sender<bool>,
}

impl State {
    /// Waits for [`Upstream::release`].
    async fn released(&self) {
        let mut released = self.released.subscribe();
        // The sender lives as long as `self`.
        let _ = released.wait_for(|released| *released).await;
    }
}

/// The server. It ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    authority: String,
    state: Arc<State>,
    server: Serving,
}

impl Upstream {
    /// Serves as `localhost` and `127.0.0.1`.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn start() -> Self {
        Self::named(&["localhost", "127.0.0.1"])
    }

    /// Serves with a certificate of these names.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn named(names: &[&str]) -> Self {
        Self::speaking(&["h2", "http/1.1"], names)
    }

    /// Serves with a certificate of these names, and speaks these protocols (RFC 7301), best first.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn speaking(protocols: &[&str], names: &[&str]) -> Self {
        let (authority, mut config, []) = certificates(names, []);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Self::with(authority, config)
    }

    /// Serves as `localhost` whoever presents a certificate of its authority. Such ones for these names, each with its
    /// key, in PEM.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn mutual<const N: usize>(clients: [&str; N]) -> (Self, [String; N]) {
        let (authority, config, clients) = certificates(&["localhost"], clients);
        (Self::with(authority, config), clients)
    }

    fn with(authority: String, config: ServerConfig) -> Self {
        let state = Arc::new(State::default());
        let (acceptor, shared) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&state));
        Self {
            authority,
            state,
            server: Serving::start(move |listener| serve(listener, acceptor, shared)),
        }
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// `https://localhost:PORT` and a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port())
    }

    /// The certificate of its authority, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Writes that certificate to `authority.pem` in a folder.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[must_use]
    pub fn write_authority(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        std::fs::write(&path, &self.authority).expect("the authority's file");
        path
    }

    /// What came in so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// Lets go what waits for it, now and from now on.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Answers requests for this path like that from now on.
    pub fn prepare(&self, path: &str, answer: Prepared) {
        let mut prepared = lock(&self.state.prepared);
        prepared.insert(path.to_owned(), answer);
    }

    /// Is an OAuth server from now on, with this client alone.
    pub fn register(&self, client: &str, secret: &str) {
        *lock(&self.state.oauth) = Some(OAuth::new(client, secret));
    }

    /// Every token that the OAuth server handed out.
    #[must_use]
    pub fn issued_tokens(&self) -> Vec<String> {
        let oauth = lock(&self.state.oauth);
        oauth.as_ref().map(OAuth::issued).unwrap_or_default()
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // A client that goes away is no fault of the server.
            let _ = connection(stream, acceptor, state).await;
        });
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    state: Arc<State>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    state.connections.fetch_add(1, Ordering::AcqRel);
    let stream = acceptor.accept(stream).await?;
    let presented = stream.get_ref().1.peer_certificates();
    let certificate = presented.and_then(|chain| Some(chain.first()?.to_vec()));
    let service = service_fn(move |request| {
        let (state, certificate) = (Arc::clone(&state), certificate.clone());
        async move { answers::answer(&state, request, certificate).await }
    });
    auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
}

/// The authority's certificate, the server's settings, and each client's certificate and key. Without clients nobody has to
/// be one.
pub(super) fn certificates<const N: usize>(
    names: &[&str],
    clients: [&str; N],
) -> (String, ServerConfig, [String; N]) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another name than the leaves': OpenSSL takes a certificate whose issuer is called like itself for its own issuer.
    let name = "the upstream's authority";
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = params.self_signed(&key).expect("an authority");
    let issuer = Issuer::new(params, key);
    let leaf = |names: Vec<String>| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names of hosts");
        (params.signed_by(&key, &issuer).expect("a certificate"), key)
    };
    let (server, server_key) = leaf(names.iter().map(ToString::to_string).collect());
    let clients = clients.map(|name| {
        let (client, key) = leaf(vec![name.to_owned()]);
        client.pem() + &key.serialize_pem()
    });
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions");
    let builder = if N > 0 {
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.der().clone())
            .expect("the authority's certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("an authority");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(vec![server.der().clone()], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (authority.pem(), config, clients)
}
