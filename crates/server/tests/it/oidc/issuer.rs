//! An issuer in this process, over real HTTP, that behaves as well or as badly as a test wants.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use fnox_server::oidc::fetch::Network;
use fnox_server::settings::{Algorithm, IssuerSettings};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What it answers when asked for something.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This document.
    Document(Value),
    /// This document, with this `Cache-Control`.
    Cached(Value, &'static str),
    /// This text.
    Text(String),
    /// Nothing, with this status.
    Status(u16),
    /// Look there.
    Redirect(String),
    /// Nothing, ever.
    Silence,
    /// The beginning of an answer, then nothing.
    Beginning,
    /// More and more.
    Endless,
}

/// A running issuer.
pub(crate) struct Issuer {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    discovery: Mutex<Answer>,
    keys: Mutex<Answer>,
    discovered: AtomicUsize,
    fetched: AtomicUsize,
}

impl Issuer {
    /// Starts one with these keys.
    pub(crate) async fn start(keys: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            discovery: Mutex::new(Answer::Document(discovery(&url, &format!("{url}/keys")))),
            keys: Mutex::new(Answer::Document(keys)),
            discovered: AtomicUsize::new(0),
            fetched: AtomicUsize::new(0),
        });
        let routes = axum::Router::new()
            .route("/.well-known/openid-configuration", get(serve_discovery))
            .route("/keys", get(serve_keys))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.unwrap();
        });
        Self { url, shared, task }
    }

    /// What it says from now on when asked for keys.
    pub(crate) fn answer_keys(&self, answer: Answer) {
        *self.shared.keys.lock().unwrap() = answer;
    }

    /// What it says from now on when asked where its keys are.
    pub(crate) fn answer_discovery(&self, answer: Answer) {
        *self.shared.discovery.lock().unwrap() = answer;
    }

    /// How often it was asked for keys.
    pub(crate) fn fetched(&self) -> usize {
        self.shared.fetched.load(Ordering::SeqCst)
    }

    /// How often it was asked where its keys are.
    pub(crate) fn discovered(&self) -> usize {
        self.shared.discovered.load(Ordering::SeqCst)
    }

    /// Settings that allow it.
    pub(crate) fn settings(&self, algorithm: Algorithm) -> IssuerSettings {
        let mut settings = super::signer::settings(&self.url, algorithm);
        settings.allow_origins = vec![self.url.clone()];
        settings
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A discovery document.
pub(crate) fn discovery(issuer: &str, jwks_uri: &str) -> Value {
    json!({"issuer": issuer, "jwks_uri": jwks_uri, "response_types_supported": ["id_token"]})
}

/// The ordinary network, for tests that wait for a time limit.
pub(crate) fn impatient() -> Network {
    Network {
        connect: Duration::from_millis(250),
        total: Duration::from_millis(250),
        ..Network::default()
    }
}

async fn serve_discovery(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.discovered.fetch_add(1, Ordering::SeqCst);
    let answer = shared.discovery.lock().unwrap().clone();
    serve(answer).await
}

async fn serve_keys(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.fetched.fetch_add(1, Ordering::SeqCst);
    let answer = shared.keys.lock().unwrap().clone();
    serve(answer).await
}

async fn serve(answer: Answer) -> Response<Body> {
    let builder = Response::builder();
    match answer {
        Answer::Document(document) => builder.body(document.to_string().into()),
        Answer::Cached(document, control) => builder
            .header(header::CACHE_CONTROL, control)
            .body(document.to_string().into()),
        Answer::Text(text) => builder.body(text.into()),
        Answer::Status(status) => builder
            .status(StatusCode::from_u16(status).unwrap())
            .body(Body::empty()),
        Answer::Redirect(to) => builder
            .status(StatusCode::FOUND)
            .header(header::LOCATION, to)
            .body(Body::empty()),
        Answer::Silence => pending().await,
        Answer::Beginning => builder.body(Body::from_stream(Chunks { left: 1 })),
        Answer::Endless => builder.body(Body::from_stream(Chunks { left: usize::MAX })),
    }
    .unwrap()
}

/// A body of as many chunks of 8 KiB, and no end after them.
struct Chunks {
    left: usize,
}

impl futures_util::Stream for Chunks {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.left == 0 {
            // Nobody wakes this: the other side has to give up.
            return std::task::Poll::Pending;
        }
        self.left -= 1;
        std::task::Poll::Ready(Some(Ok(Bytes::from_static(&[b' '; 8192]))))
    }
}
