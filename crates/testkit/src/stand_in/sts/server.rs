//! HTTP on loopback for the stand-in.

use std::io;
use std::sync::{Arc, Mutex};

use fnox_core::Clock;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
use tokio::net::TcpListener;

use super::answer::{self, Refusal};
use super::sigv4::{Authorization, SignedParts};
use super::{Behaviour, Call, State, lock};
use crate::stand_in::serving::Serving;

/// More than any request of the actions can have.
const BODY_LIMIT: usize = 128 * 1024;

/// Serves until it is dropped.
pub(super) fn start(state: Arc<Mutex<State>>, clock: Arc<dyn Clock>) -> Serving {
    Serving::start(move |listener| accept(listener, state, clock))
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, clock: Arc<dyn Clock>) {
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
async fn serve(
    request: Request<Incoming>,
    state: &Mutex<State>,
    clock: &dyn Clock,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let request = SignedParts {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        body: &body,
    };
    let (behaviour, reply) = decide(&request, state, clock);
    match behaviour {
        Behaviour::Silence => std::future::pending::<()>().await,
        Behaviour::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
        Behaviour::AnswerAfter(pause) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let mut response = Response::builder()
        .status(reply.status)
        .header("content-type", "text/xml");
    if let Some(location) = reply.location {
        response = response.header("location", location);
    }
    if let Behaviour::Throttling { seconds, .. } = behaviour {
        response = response.header("retry-after", seconds);
    }
    response
        .body(Full::from(reply.body))
        .map_err(io::Error::other)
}

#[derive(Debug)]
struct Reply {
    status: u16,
    location: Option<&'static str>,
    error: Option<&'static str>,
    body: String,
}

impl Reply {
    fn ok(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            location: None,
            error: None,
            body: body.into(),
        }
    }

    fn refusal(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status,
            location: None,
            error: Some(refusal.code),
            body: refusal.to_xml(),
        }
    }
}

/// Decides at once, under one lock, so that concurrent requests are counted right.
fn decide(
    request: &SignedParts<'_>,
    state: &Mutex<State>,
    clock: &dyn Clock,
) -> (Behaviour, Reply) {
    let mut state = lock(state);
    let behaviour = next(&mut state.behaviour);
    let decoded = answer::decode(request);
    let pairs = decoded.as_deref().unwrap_or_default().to_vec();
    let reply = match (&decoded, behaviour) {
        (Err(refusal), _) => Reply::refusal(refusal),
        (Ok(pairs), _) => misbehave(behaviour).unwrap_or_else(|| {
            let lifetime = match behaviour {
                Behaviour::AnswerWithLifetime(seconds) => Some(seconds),
                _ => None,
            };
            // What ends with the second in which it is asked for may be good for the rest of it.
            let ended = SignedDuration::from_secs(if lifetime == Some(0) { 2 } else { 0 });
            let now = clock.now() - ended;
            match answer::answer(request, pairs, &mut state.account, now, lifetime) {
                Ok(xml) => Reply::ok(xml),
                Err(refusal) => Reply::refusal(&refusal),
            }
        }),
    };
    let answered = !matches!(behaviour, Behaviour::Silence | Behaviour::HangUp);
    state.calls.push(Call {
        status: answered.then_some(reply.status),
        error: reply.error.filter(|_| answered).map(str::to_owned),
        ..record(request, pairs)
    });
    (behaviour, reply)
}

/// What this request gets. A number of requests counts down to none.
fn next(behaviour: &mut Behaviour) -> Behaviour {
    let now = *behaviour;
    if let Behaviour::Throttling {
        requests: Some(left),
        seconds,
    } = now
    {
        *behaviour = match left {
            0 | 1 => Behaviour::Answer,
            _ => Behaviour::Throttling {
                requests: Some(left - 1),
                seconds,
            },
        };
    }
    now
}

/// The canned replies; `None` where the request decides.
fn misbehave(behaviour: Behaviour) -> Option<Reply> {
    Some(match behaviour {
        Behaviour::Answer | Behaviour::AnswerAfter(_) | Behaviour::AnswerWithLifetime(_) => {
            return None;
        }
        Behaviour::AccessDenied => Reply::refusal(&Refusal::new(
            403,
            "AccessDenied",
            "not authorized to perform: sts:AssumeRole",
        )),
        Behaviour::InternalFailure => Reply::refusal(&Refusal::new(
            500,
            "InternalFailure",
            "the request processing has failed because of an unknown error",
        )),
        Behaviour::Refusal(status) => {
            let code = match status {
                401 => "AuthFailure",
                403 => "AccessDenied",
                503 => "ServiceUnavailable",
                _ => "InternalFailure",
            };
            Reply::refusal(&Refusal::new(status, code, "told to fail"))
        }
        Behaviour::Throttling { .. } => {
            Reply::refusal(&Refusal::new(429, "Throttling", "Rate exceeded"))
        }
        Behaviour::Garbage => Reply::ok("\u{0}\u{1}}{ this is no XML <<<"),
        Behaviour::EmptyAnswer => Reply::ok(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>",
        ),
        Behaviour::Redirect => Reply {
            status: 302,
            // A port that nothing listens on: a client that follows fails differently.
            location: Some("http://127.0.0.1:9/"),
            error: None,
            body: String::new(),
        },
        Behaviour::Silence | Behaviour::HangUp => Reply::ok(""),
    })
}

fn record(request: &SignedParts<'_>, pairs: Vec<(String, String)>) -> Call {
    let action = pairs.iter().find(|(name, _)| name == "Action");
    let authorization = request.header("authorization");
    Call {
        action: action.map_or_else(String::new, |(_, value)| value.clone()),
        parameters: pairs
            .into_iter()
            .filter(|(name, _)| {
                !matches!(
                    &**name,
                    "Action" | "Version" | "WebIdentityToken" | "SAMLAssertion"
                )
            })
            .collect(),
        access_key_id: authorization
            .and_then(|header| Authorization::parse(&header).ok())
            .map(|authorization| authorization.access_key_id),
        status: None,
        error: None,
    }
}
