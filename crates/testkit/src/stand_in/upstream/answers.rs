//! What the upstream answers.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION, UPGRADE,
};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::{Prepared, Received, State, lock};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What of a body is remembered.
const REMEMBERED: usize = 64 * 1024;

pub(super) async fn answer(
    state: &Arc<State>,
    mut request: Request<Incoming>,
    certificate: Option<Vec<u8>>,
) -> io::Result<Response<Body>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let host = parts.uri.authority().map(ToString::to_string);
    let host = host.or_else(|| {
        let host = parts.headers.get(HOST)?;
        Some(host.to_str().ok()?.to_owned())
    });
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut received = Received {
        version: format!("{:?}", parts.version),
        method: parts.method.to_string(),
        target: target.to_owned(),
        host: host.unwrap_or_default(),
        headers: pairs(&parts.headers),
        body_length: 0,
        body: Vec::new(),
        trailers: Vec::new(),
        certificate,
    };
    let path = parts.uri.path().to_owned();
    match path.as_str() {
        "/unread" | "/hang-up" => {}
        "/stall" => {
            state.released().await;
            read(body, &mut received).await;
        }
        _ => read(body, &mut received).await,
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let echo = echo(&received);
    let prepared = prepared(state, &path, &received);
    lock(&state.received).push(received);
    if let Some(prepared) = prepared {
        return Ok(told(prepared));
    }
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let mut words = path.split('/').skip(1);
    Ok(match (words.next().unwrap_or_default(), words.next()) {
        ("reflect", _) => reflect(&parts.headers),
        ("bytes", Some(count)) => bytes(number(count)),
        ("drip", Some(count)) => drip(number(count)),
        ("redirect", _) => redirect(&query),
        ("status", Some(code)) => {
            let mut response = Response::new(full(echo));
            let code = u16::try_from(number(code)).unwrap_or(500);
            *response.status_mut() = StatusCode::from_u16(code).expect("a status");
            response
        }
        ("upgrade", _) => {
            tokio::spawn(async move {
                if let Ok(upgraded) = upgrade.await {
                    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                }
            });
            let mut response = reflect(&parts.headers).map(|_| full(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            response
        }
        ("trailers", _) => with_trailers(),
        ("head-only", _) => Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "16")
            .body(full(""))
            .expect("an answer"),
        ("hold", _) => hold(state),
        ("wait", _) => {
            state.released().await;
            Response::new(full(echo))
        }
        ("unread", _) => {
            let mut response = Response::new(full("too large"));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
        ("hang-up", _) => return Err(io::ErrorKind::ConnectionReset.into()),
        _ => Response::new(full(echo)),
    })
}

/// What a test or the OAuth server says.
fn prepared(state: &State, path: &str, received: &Received) -> Option<Prepared> {
    let known = lock(&state.prepared).get(path).cloned();
    let mut oauth = lock(&state.oauth);
    known.or_else(|| oauth.as_mut()?.answer(path, received))
}

fn told(prepared: Prepared) -> Response<Body> {
    let mut response = Response::builder().status(prepared.status);
    for (name, value) in &prepared.headers {
        response = response.header(name, value);
    }
    response.body(full(prepared.body)).expect("an answer")
}

async fn read(mut body: Incoming, received: &mut Received) {
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) => {
                received.body_length += data.len() as u64;
                let room = REMEMBERED
                    .saturating_sub(received.body.len())
                    .min(data.len());
                received.body.extend_from_slice(&data[..room]);
            }
            Err(frame) => {
                if let Some(trailers) = frame.trailers_ref() {
                    received.trailers = pairs(trailers);
                }
            }
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect()
}

fn echo(received: &Received) -> String {
    let headers: Vec<String> = received
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    json!({
        "version": received.version,
        "method": received.method,
        "target": received.target,
        "host": received.host,
        "headers": headers,
        "body": String::from_utf8_lossy(&received.body),
        "length": received.body_length,
    })
    .to_string()
}

fn reflect(headers: &HeaderMap) -> Response<Body> {
    let value = headers.get(AUTHORIZATION);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut response = Response::new(full(format!("you sent {text}, thank you")));
    if let Some(value) = value {
        response.headers_mut().insert("x-reflected", value.clone());
    }
    response
}

fn redirect(query: &str) -> Response<Body> {
    let place = query.strip_prefix("to=").unwrap_or_default();
    let place = percent_encoding::percent_decode_str(place).decode_utf8_lossy();
    Response::builder()
        .status(StatusCode::FOUND)
        .header(LOCATION, place.as_ref())
        .body(full("elsewhere"))
        .expect("an answer")
}

/// Letters and digits in no order, each time the same: text that is like nothing that is looked for, and where each byte
/// may be the beginning of it.
#[must_use]
pub fn letters(count: usize) -> Bytes {
    StdRng::seed_from_u64(0)
        .sample_iter(Alphanumeric)
        .take(count)
        .collect()
}

fn bytes(count: u64) -> Response<Body> {
    static LETTERS: LazyLock<Bytes> = LazyLock::new(|| letters(64 * 1024));
    let chunk = LETTERS.clone();
    let chunks = stream::unfold(count, move |left| {
        let chunk = chunk.clone();
        async move {
            let next = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            let left = left - u64::try_from(next).ok()?;
            (next > 0).then(|| (Ok::<_, Infallible>(Frame::data(chunk.slice(..next))), left))
        }
    });
    Response::builder()
        .header(CONTENT_LENGTH, count)
        .body(StreamBody::new(chunks).boxed_unsync())
        .expect("an answer")
}

fn drip(count: u64) -> Response<Body> {
    let lines = stream::unfold(0, move |number| async move {
        if number == count {
            return None;
        }
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some((Ok::<_, Infallible>(event(number)), number + 1))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(lines).boxed_unsync())
        .expect("an answer")
}

fn event(number: u64) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("data: {number}\n\n")))
}

fn hold(state: &Arc<State>) -> Response<Body> {
    let state = Arc::clone(state);
    let events = stream::unfold(0, move |number| {
        let state = Arc::clone(&state);
        async move {
            if number == 2 {
                return None;
            }
            if number > 0 {
                state.released().await;
            }
            Some((Ok::<_, Infallible>(event(number)), number + 1))
        }
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(events).boxed_unsync())
        .expect("an answer")
}

fn with_trailers() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [
        Frame::data(Bytes::from_static(b"hello")),
        Frame::trailers(trailers),
    ];
    let frames = stream::iter(frames.map(Ok::<_, Infallible>));
    Response::builder()
        .header("content-type", "application/grpc")
        .header("trailer", "grpc-status")
        .body(StreamBody::new(frames).boxed_unsync())
        .expect("an answer")
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}
