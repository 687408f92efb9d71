//! HTTP on loopback for the stand-in.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::message::{Message, Parameters, refusal};
use super::{Access, Behaviour, Refusal, State, lock};
use crate::stand_in::serving::Serving;

/// More than any message has.
const BODY_LIMIT: usize = 256 * 1024;

/// The headers with which a document is published here.
const PARAMETERS: [&str; 3] = ["x-priority", "x-cache", "x-firebase"];

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves until it is dropped.
pub(super) fn start(state: Arc<Mutex<State>>, changed: watch::Sender<usize>) -> Serving {
    Serving::start(move |listener| accept(listener, state, changed))
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, changed: watch::Sender<usize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, changed) = (Arc::clone(&state), changed.clone());
        let service = service_fn(move |request| {
            let (state, changed) = (Arc::clone(&state), changed.clone());
            async move { serve(request, &state, &changed).await }
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
    changed: &watch::Sender<usize>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let (behaviour, result) = {
        let mut state = lock(state);
        state.requests += 1;
        let behaviour = state.behaviour;
        let result = match behaviour {
            Behaviour::Answer => take(&mut state, &head, &body),
            Behaviour::InternalError => Err(refusal(500, 50001, "internal server error")),
            _ => Err(refusal(429, 42901, "limit reached: too many requests")),
        };
        if let Err(refusal) = &result {
            state.refusals.push(refusal.clone());
        }
        changed.send_replace(state.requests);
        (behaviour, result)
    };
    match behaviour {
        Behaviour::Silence => std::future::pending().await,
        Behaviour::HangUp => Err(io::ErrorKind::ConnectionAborted.into()),
        Behaviour::Endless => Ok(Response::new(endless())),
        Behaviour::Redirect => Response::builder()
            .status(302)
            // A port that nothing listens on: a client that follows fails differently.
            .header("location", "http://127.0.0.1:9/")
            .body(full(String::new()))
            .map_err(io::Error::other),
        _ => answer(behaviour, result),
    }
}

fn answer(behaviour: Behaviour, result: Result<Value, Refusal>) -> io::Result<Response<Body>> {
    let mut response = Response::builder().header("content-type", "application/json");
    if let Behaviour::Limited(seconds) = behaviour {
        response = response.header("retry-after", seconds);
    }
    let (status, document) = match result {
        Ok(document) => (200, document),
        Err(refusal) => (
            refusal.status,
            json!({
                "code": refusal.code,
                "http": refusal.status,
                "error": refusal.error,
                "link": "https://ntfy.sh/docs/publish/",
            }),
        ),
    };
    response
        .status(status)
        .body(full(format!("{document}\n")))
        .map_err(io::Error::other)
}

/// Decides at once, under one lock, so that concurrent requests are counted right.
fn take(
    state: &mut State,
    head: &hyper::http::request::Parts,
    body: &[u8],
) -> Result<Value, Refusal> {
    // "Publish as JSON": to the root of the server, not to the topic.
    if head.uri.path() != "/" || head.uri.query().is_some() {
        return Err(refusal(404, 40401, "page not found"));
    }
    if ![Method::POST, Method::PUT].contains(&head.method) {
        return Err(refusal(405, 40501, "only POST and PUT publish"));
    }
    let kind = one(&head.headers, "content-type")?.unwrap_or_default();
    if !kind.is_empty() && !kind.starts_with("application/json") {
        return Err(refusal(
            400,
            40017,
            "the content type is not application/json",
        ));
    }
    // "Limitations": requests are counted before anything is looked at.
    if let Some(left) = &mut state.left {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| refusal(429, 42901, "limit reached: too many requests"))?;
    }
    let unknown = head
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-") && !PARAMETERS.contains(&name.as_str()));
    if let Some(name) = unknown {
        return Err(refusal(
            400,
            40000,
            &format!("{name} is no header known here"),
        ));
    }
    let parameters = Parameters {
        priority: either(&head.headers, "x-priority", "priority")?,
        cache: either(&head.headers, "x-cache", "cache")?,
        firebase: either(&head.headers, "x-firebase", "firebase")?,
        token: bearer(&head.headers)?,
    };
    let id = format!("m{:011}", state.messages.len() + 1);
    let message = Message::parse(body, parameters, id)?;
    authorize(state, message.token.as_deref(), &message.topic)?;
    let now = i64::try_from(state.messages.len()).expect("few messages") + 1_800_000_000;
    let answer = json!({
        "id": message.id,
        "time": now,
        // "Message caching": for twelve hours.
        "expires": now + 43_200,
        "event": "message",
        "topic": message.topic,
        "title": message.title,
        "message": message.message,
        "priority": message.priority,
        "tags": message.tags,
    });
    state.messages.push(message);
    Ok(answer)
}

/// "Access control": a token that does not exist is 401, one that may not is 403, and so is nobody where nobody may.
fn authorize(state: &State, token: Option<&str>, topic: &str) -> Result<(), Refusal> {
    let access = match token {
        None => state.anonymous,
        Some(token) => {
            let mut entries = state
                .tokens
                .iter()
                .filter(|entry| entry.0 == token)
                .peekable();
            if entries.peek().is_none() {
                return Err(refusal(401, 40101, "unauthorized"));
            }
            entries
                .find(|entry| entry.1 == topic)
                .map_or(Access::Deny, |entry| entry.2)
        }
    };
    match access {
        Access::Write => Ok(()),
        Access::Deny => Err(refusal(403, 40301, "forbidden")),
    }
}

/// "Authentication": only access tokens as bearers are known here.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    match one(headers, "authorization")? {
        None => Ok(None),
        Some(value) => match value.strip_prefix("Bearer ") {
            Some(token) if !token.is_empty() => Ok(Some(token.to_owned())),
            _ => Err(refusal(401, 40101, "unauthorized")),
        },
    }
}

fn either(headers: &HeaderMap, long: &str, short: &str) -> Result<Option<String>, Refusal> {
    Ok(one(headers, long)?.or(one(headers, short)?))
}

fn one(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refusal(400, 40000, "a header is there twice"));
    }
    let text = value.to_str().map(str::to_owned);
    text.map(Some)
        .map_err(|_| refusal(400, 40000, "a header is no text"))
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}

/// Bytes until the client goes away.
fn endless() -> Body {
    let frames =
        futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 4096]))));
    StreamBody::new(frames).boxed_unsync()
}
