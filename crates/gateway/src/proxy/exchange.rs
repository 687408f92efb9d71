//! One request: read once, decided about, given its credentials, sent, and answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};

use super::capturing::Capturing;
use super::connection::Afterwards;
use super::ending::{self, Ended, Ending};
use super::filling::Sent;
use super::reflected::Scrubbed;
use super::trace::{Trace, Used};
use super::untold::Untold;
use super::{Client, Shared, filling, refused, upstream};
use crate::approval::HeldRequest;
use crate::body::{Body, begun, incoming};
use crate::reflection::ResponseScrub;
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, CanonicalRequest};
use crate::rule::Rule;

/// What is for one hop only (RFC 9110, section 7.6.1), besides what `Connection` names.
const OF_ONE_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Most bytes of a body that a person is asked about: it is held until they answer.
const ASKED: u64 = 1024 * 1024;

/// Most bytes of a refused request's body that are read. None of them is kept.
const SWALLOWED: usize = 4 * 1024 * 1024;

/// For how long they are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long the head of an encoded answer waits for the beginning of its body, which may be no such encoding. A stream
/// that says nothing for longer begins with its head.
const FIRST: Duration = Duration::from_millis(500);

/// Where what a request is given is noted, and how long that takes.
type Noting<'a> = (&'a mut Used, &'a Trace);

/// Answers a request, with the destination's answer or with a refusal, and says so.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    client: &Client,
    request: Request<Incoming>,
    bound: &Bound,
    afterwards: &Afterwards,
) -> Response<Body> {
    let wants_json = refused::wants_json(request.headers());
    let mut untold = Untold::new(shared, client, bound, &request);
    let noting = untold.noting();
    let outcome = pass(shared, client, request, bound, afterwards, noting).await;
    untold.tell(outcome.as_ref().map(Response::status));
    match outcome {
        Ok(answer) => untold.followed(answer),
        Err(refusal) => refused::answer(&refusal, wants_json),
    }
}

/// Answers a request with a refusal that was there before it, and says so.
pub(super) async fn refuse(
    shared: &Shared,
    client: &Client,
    request: Request<Incoming>,
    bound: &Bound,
    refusal: &Refusal,
) -> Response<Body> {
    Untold::new(shared, client, bound, &request).tell(Err(refusal));
    let answer = refused::answer(refusal, refused::wants_json(request.headers()));
    let is_held_back = is_held_back(request.headers());
    swallow(request.into_body(), is_held_back).await;
    answer
}

/// Reads the rest of a body that is not too long: some clients do not look at an answer that comes before they have sent
/// all of it. A client that waits to be told to go on (RFC 9110, section 10.1.1) has sent nothing, and need not.
async fn swallow(mut body: Incoming, is_held_back: bool) {
    if is_held_back {
        return;
    }
    let rest = async {
        let mut left = SWALLOWED;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}

fn is_held_back(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT)
}

async fn pass(
    shared: &Arc<Shared>,
    client: &Client,
    mut request: Request<Incoming>,
    bound: &Bound,
    afterwards: &Afterwards,
    (used, trace): Noting<'_>,
) -> Result<Response<Body>, Refusal> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let is_held_back = is_held_back(&parts.headers);
    let mut body = Sent::new(body);
    let outcome = pass_on(
        shared,
        client,
        (parts, &mut body, upgrade),
        bound,
        afterwards,
        (&mut *used, trace),
    );
    let outcome = outcome.await;
    if outcome.is_err() {
        give_back(client, used).await;
        if let Some(body) = body.unread() {
            swallow(body, is_held_back).await;
        }
    }
    outcome
}

/// Gives back what a request took of which nothing left.
async fn give_back(client: &Client, used: &mut Used) {
    if used.may_have_left {
        return;
    }
    for lease in std::mem::take(&mut used.uses) {
        client.credentials.unsent(&lease).await;
    }
}

async fn pass_on(
    shared: &Arc<Shared>,
    client: &Client,
    (parts, body, upgrade): (Parts, &mut Sent, OnUpgrade),
    bound: &Bound,
    afterwards: &Afterwards,
    (used, trace): Noting<'_>,
) -> Result<Response<Body>, Refusal> {
    let now = || shared.authority.clock().monotonic();
    let mut canonical = CanonicalRequest::parse(parts, bound)?;
    let policy = shared.policy.current();
    let permit = policy.decide(&canonical)?;
    if let Some(rule) = permit.approval() {
        let question = question(client, &canonical, body, rule, permit.body_limit()).await?;
        let since = now();
        let answer = shared.approver.ask(&question).await;
        trace.took("asked_us", now().saturating_sub(since));
        answer?;
    }
    let capturing = Capturing::of(&permit, canonical.host());
    if let Some(capturing) = &capturing {
        capturing.ask(&mut canonical)?;
    }
    let since = now();
    let filled = filling::fill(shared, client, &mut canonical, body, &permit, used).await?;
    trace.took("filled_us", now().saturating_sub(since));
    let file = permit.rules().iter().find_map(|rule| rule.ca_file.clone());
    let upstream = shared.upstreams.get(file, filled.identity.as_ref())?;
    let is_websocket = canonical.is_websocket();
    let method = canonical.method().clone();
    let request = outgoing(canonical, trace.outgoing(filled.body))?;
    let ends = filled.ends;
    // Before it is sent: a client that goes away meanwhile gets no use back.
    let begun = filled.taken.spend();
    used.may_have_left = true;
    let since = now();
    let sent = tokio::select! {
        sent = upstream.send(request, is_websocket) => sent,
        refusal = ending::first(&ends) => Err((refusal, false)),
    };
    trace.took("answered_us", now().saturating_sub(since));
    if matches!(sent, Err((_, true))) {
        begun.give_back();
        used.may_have_left = false;
    }
    let broken_off = filled.broken_off;
    let mut response = sent.map_err(|(refusal, _)| broken_off.refusal().unwrap_or(refusal))?;
    if response.status() == StatusCode::UNAUTHORIZED {
        for lease in &used.leases {
            client.credentials.rejected(lease).await;
        }
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if !is_websocket {
            let message = "the destination changes the protocol, and nobody asked it to";
            return Err(Refusal::new(Reason::Upstream, message));
        }
        let far = hyper::upgrade::on(&mut response);
        let (ends, trace) = (ends.clone(), trace.clone());
        afterwards.set(async move {
            if let (Ok(near), Ok(far)) = (upgrade.await, far.await) {
                let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
                // Whichever ends first ends both.
                tokio::select! {
                    copied = tokio::io::copy_bidirectional(&mut near, &mut far) => {
                        let (sent, received) = copied.unwrap_or_default();
                        trace.relayed(sent, received);
                    }
                    _ = ending::first(&ends) => {}
                }
            }
        });
    }
    came_back(
        shared,
        client,
        (&method, response),
        capturing.as_ref(),
        &ends,
    )
    .await
}

/// The answer as the client gets it.
async fn came_back(
    shared: &Shared,
    client: &Client,
    (method, response): (&Method, Response<Incoming>),
    capturing: Option<&Capturing<'_>>,
    ends: &[Ended],
) -> Result<Response<Body>, Refusal> {
    let (mut parts, body) = response.into_parts();
    let is_switched = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    if !is_switched {
        only_chunked(&parts.headers)?;
        strip(&mut parts.headers);
    }
    let body = match capturing {
        None => incoming(body),
        Some(capturing) => {
            let with = (shared, client);
            capturing.take(with, &mut parts, body, ends).await?
        }
    };
    let carried = &client.carried;
    let table = carried.table(&shared.carried, &client.agent, &shared.placeholders);
    let scrub = ResponseScrub::start(&table, method, &mut parts, shared.scan)?;
    let is_decoded = scrub.decodes();
    // What ends with its head must go on doing so: the status of a remote call that failed counts there alone (gRPC over
    // HTTP/2, `Trailers-Only`).
    let body = if scrub.passes() || body.is_end_stream() {
        body
    } else {
        Scrubbed::new(body, scrub).boxed_unsync()
    };
    let body = match ends {
        [] => body,
        ends => Ending::new(body, ends).boxed_unsync(),
    };
    if !is_decoded {
        return Ok(Response::from_parts(parts, body));
    }
    // Once the head has left, nothing can say why the body does not come.
    let body = begun(body, FIRST).await;
    let body = body.map_err(|error| upstream::refusal(&*error))?;
    Ok(Response::from_parts(parts, body))
}

/// What a person is asked about a request, before there is any credential in it.
async fn question(
    client: &Client,
    request: &CanonicalRequest,
    body: &mut Sent,
    rule: &Rule,
    limit: Option<u64>,
) -> Result<HeldRequest, Refusal> {
    let body = body.read(limit.unwrap_or(ASKED).min(ASKED)).await?;
    Ok(HeldRequest {
        agent: client.agent.clone(),
        rule: rule.name.clone(),
        method: request.method().clone(),
        host: request.host().clone(),
        target: request.target(),
        body_length: body.len(),
        body_sha256: Sha256::digest(body).into(),
    })
}

/// The request that leaves. The client below chooses the version and writes `Host`.
fn outgoing(request: CanonicalRequest, body: Body) -> Result<Request<Body>, Refusal> {
    let is_websocket = request.is_websocket();
    let mut parts = request.into_http2()?;
    parts.version = Version::HTTP_11;
    if is_websocket {
        let headers = &mut parts.headers;
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(Request::from_parts(parts, body))
}

/// Refuses an answer with a transfer coding besides `chunked`, which alone is undone here (RFC 9112, section 7). No request
/// asks for another one (section 7.4), a client of HTTP/2 could not be told of it, and what is in it cannot be searched.
fn only_chunked(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.eq_ignore_ascii_case(b"chunked")
    };
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        _ => {
            let message = "the answer has a transfer coding other than `chunked`, which nobody asked for, and cannot \
                           be scanned for credentials";
            let remedy = "Its destination must send it without one.";
            Err(Refusal::new(Reason::Unscannable, message).with_remedy(remedy))
        }
    }
}

/// Takes out of an answer what was meant for this hop.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&OF_ONE_HOP) {
        headers.remove(name);
    }
}
