//! What all stand-ins for issuers share: HTTP on loopback, a record of what was asked, and ways to misbehave.
//!
//! A stand-in for one service implements [`Service`]: it answers a request as the service would, and refuses everything
//! that the service's documentation does not have, with [`Reply::undocumented`], which also fails the test that looks
//! at [`Issuer::complaints`]. The ways to misbehave are the same for all.

mod trickle;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{Clock, SystemClock};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::net::TcpListener;

use self::trickle::Body;
use super::serving::Serving;

/// More than any request to an issuer has.
const BODY_LIMIT: usize = 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// The path, percent-encoding and all.
    pub path: String,
    /// The query, without `?`, percent-encoding and all.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header; `None` also if it came twice, which no issuer wants.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value.as_str())
    }

    /// The token of `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        let is_json = self.header("content-type")?.split(';').next()? == "application/json";
        is_json.then(|| serde_json::from_slice(&self.body).ok())?
    }

    /// The fields of a form body, decoded, in their order.
    #[must_use]
    pub fn form(&self) -> Option<Vec<(String, String)>> {
        let kind = self.header("content-type")?.split(';').next()?;
        (kind == "application/x-www-form-urlencoded").then(|| pairs(&self.body))
    }

    /// The fields of the query, decoded, in their order.
    #[must_use]
    pub fn query(&self) -> Vec<(String, String)> {
        pairs(self.query.as_bytes())
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    String::from_utf8_lossy(text)
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Why the request is one that the service's documentation does not have.
    pub complaint: Option<String>,
}

impl Reply {
    /// JSON.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
            complaint: None,
        }
    }

    /// No content.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            complaint: None,
        }
    }

    /// The answer to a request that the service's documentation does not have.
    #[must_use]
    pub fn undocumented(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            complaint: Some(reason.clone()),
            ..Self::json(400, &serde_json::json!({"message": reason}))
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// How a stand-in misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// It answers each request with this status, and with JSON that has an error in every usual form.
    Status(u16),
    /// It answers the next so many requests with 429 and `Retry-After: 1`, and the others as usual.
    TooMany(u32),
    /// It answers each request with 429 and this many seconds of `Retry-After`.
    TooManyFor(u32),
    /// It does what it is asked and never answers.
    Silence,
    /// It answers the next so many requests as usual; then it does what it is asked and never answers.
    SilenceAfter(u32),
    /// It does what it is asked and hangs up instead of answering.
    HangUp,
    /// It does what it is asked and answers 200 with something that is not of its API.
    Garbage,
    /// It does what it is asked and answers 200 with an empty body.
    EmptyAnswer,
    /// It sends elsewhere.
    Redirect,
    /// It issues what has expired already.
    ExpiredAnswer,
    /// It does what it is asked and answers with the head at once and with the body in so many pieces, one after each pause.
    Trickle {
        /// How many pieces; a shorter body has one for each byte.
        pieces: usize,
        /// How long it waits before each.
        pause: Duration,
    },
}

/// The service behind a stand-in.
pub trait Service: Send + 'static {
    /// Answers a request as the service would at a moment. `is_expired` asks for a credential that has expired.
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply;
}

#[derive(Debug)]
struct State<S> {
    service: S,
    misbehaviour: Option<Misbehaviour>,
    requests: Vec<Request>,
    complaints: Vec<String>,
}

/// A running stand-in for one service.
#[derive(Debug)]
pub struct Issuer<S> {
    url: String,
    state: Arc<Mutex<State<S>>>,
    _server: Serving,
}

impl<S: Service> Issuer<S> {
    /// Starts one by the system's clock.
    #[must_use]
    pub fn start(service: S) -> Self {
        Self::with_clock(service, Arc::new(SystemClock))
    }

    /// Starts one by another clock.
    ///
    /// # Panics
    /// If the system gives no port.
    #[must_use]
    pub fn with_clock(service: S, clock: Arc<dyn Clock>) -> Self {
        let state = Arc::new(Mutex::new(State {
            service,
            misbehaviour: None,
            requests: Vec::new(),
            complaints: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let server = Serving::start(move |listener| accept(listener, shared, clock));
        Self {
            url: format!("http://{}", server.address()),
            state,
            _server: server,
        }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes, or reads, the service's state.
    pub fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        change(&mut lock(&self.state).service)
    }

    /// Misbehaves from now on, or behaves.
    pub fn misbehave(&self, misbehaviour: Option<Misbehaviour>) {
        lock(&self.state).misbehaviour = misbehaviour;
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget_requests(&self) {
        lock(&self.state).requests.clear();
    }

    /// Requests that the service's documentation does not have, and why.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.state).complaints.clone()
    }
}

/// What the fail-closed matrix needs of a stand-in, whatever its service is.
pub trait Misbehaving: std::fmt::Debug {
    /// Misbehaves from now on, or behaves.
    fn misbehave(&self, misbehaviour: Option<Misbehaviour>);
    /// Its address.
    fn url(&self) -> String;
    /// Requests so far.
    fn request_count(&self) -> usize;
    /// Undocumented requests so far.
    fn complaints(&self) -> Vec<String>;
}

impl<S: Service + std::fmt::Debug> Misbehaving for Issuer<S> {
    fn misbehave(&self, misbehaviour: Option<Misbehaviour>) {
        Issuer::misbehave(self, misbehaviour);
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn request_count(&self) -> usize {
        lock(&self.state).requests.len()
    }

    fn complaints(&self) -> Vec<String> {
        Issuer::complaints(self)
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept<S: Service>(
    listener: TcpListener,
    state: Arc<Mutex<State<S>>>,
    clock: Arc<dyn Clock>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, clock) = (Arc::clone(&state), Arc::clone(&clock));
        let service = service_fn(move |request| {
            let (state, clock) = (Arc::clone(&state), Arc::clone(&clock));
            async move { serve(request, &state, clock.as_ref()).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        // How a client ends a connection is its own business.
        tokio::spawn(async move { drop(connection.await) });
    }
}

/// An error closes the connection.
async fn serve<S: Service>(
    request: hyper::Request<Incoming>,
    state: &Mutex<State<S>>,
    clock: &dyn Clock,
) -> io::Result<hyper::Response<Body>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_vec(),
    };
    let (misbehaviour, reply) = decide(request, state, clock);
    match misbehaviour {
        Some(Misbehaviour::Silence | Misbehaviour::SilenceAfter(0)) => {
            std::future::pending::<()>().await
        }
        Some(Misbehaviour::HangUp) => return Err(io::ErrorKind::ConnectionAborted.into()),
        _ => {}
    }
    // Of its own clock, and not hyper's of this machine (RFC 9110 section 6.6.1).
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&clock.now())
        .map_err(io::Error::other)?;
    let mut response = hyper::Response::builder().status(reply.status);
    if !reply.headers.iter().any(|(name, _)| *name == "date") {
        response = response.header("date", date);
    }
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = match misbehaviour {
        Some(Misbehaviour::Trickle { pieces, pause }) => Body::in_pieces(reply.body, pieces, pause),
        _ => Body::whole(reply.body),
    };
    response.body(body).map_err(io::Error::other)
}

fn decide<S: Service>(
    request: Request,
    state: &Mutex<State<S>>,
    clock: &dyn Clock,
) -> (Option<Misbehaviour>, Reply) {
    let mut state = lock(state);
    let misbehaviour = state.misbehaviour;
    state.requests.push(request.clone());
    let before = match misbehaviour {
        Some(Misbehaviour::Status(status)) => Some(failure(status)),
        Some(Misbehaviour::TooMany(0)) => {
            state.misbehaviour = None;
            None
        }
        Some(Misbehaviour::TooMany(left)) => {
            state.misbehaviour = Some(Misbehaviour::TooMany(left - 1));
            Some(failure(429).with("retry-after", "1"))
        }
        Some(Misbehaviour::SilenceAfter(left)) => {
            state.misbehaviour = Some(Misbehaviour::SilenceAfter(left.saturating_sub(1)));
            None
        }
        Some(Misbehaviour::TooManyFor(seconds)) => {
            Some(failure(429).with("retry-after", seconds.to_string()))
        }
        Some(Misbehaviour::Redirect) => {
            Some(Reply::empty(302).with("location", "http://127.0.0.1:1/elsewhere"))
        }
        _ => None,
    };
    if let Some(reply) = before {
        return (misbehaviour, reply);
    }
    let is_expired = misbehaviour == Some(Misbehaviour::ExpiredAnswer);
    let mut reply = state.service.answer(&request, clock.now(), is_expired);
    if let Some(complaint) = &reply.complaint {
        let line = format!("{} {}: {complaint}", request.method, request.path);
        state.complaints.push(line);
    }
    match misbehaviour {
        Some(Misbehaviour::Garbage) => {
            reply.status = 200;
            reply.body = b"<html>sign in to the hotel's network</html>".to_vec();
        }
        Some(Misbehaviour::EmptyAnswer) => {
            reply.status = 200;
            reply.body.clear();
        }
        _ => {}
    }
    (misbehaviour, reply)
}

fn failure(status: u16) -> Reply {
    Reply::json(
        status,
        &serde_json::json!({
            "error": {"code": status, "message": "told to fail", "status": "FAILED"},
            "errors": [{"code": status, "message": "told to fail"}],
            "message": "told to fail",
            "success": false,
        }),
    )
}
