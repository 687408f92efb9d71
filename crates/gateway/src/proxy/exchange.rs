//! One request: read once, decided about, given its credentials, sent, and answered.

use std::sync::Arc;

use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::connection::Afterwards;
use super::{Exchange, Shared, filling, refused};
use crate::body::{Body, incoming};
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, CanonicalRequest};

/// What is for one hop only (RFC 9110, section 7.6.1), besides what `Connection` names.
const OF_ONE_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Answers a request, with the destination's answer or with a refusal, and says so.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    bound: &Bound,
    afterwards: &Afterwards,
) -> Response<Body> {
    let wants_json = refused::wants_json(request.headers());
    let mut untold = Untold {
        shared,
        bound,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        rules: Vec::new(),
        is_told: false,
    };
    let outcome = pass(shared, request, bound, afterwards, &mut untold.rules).await;
    untold.tell(outcome.as_ref().map(Response::status));
    outcome.unwrap_or_else(|refusal| refused::answer(&refusal, wants_json))
}

/// A request of which the observer does not know yet. It is told when this is dropped at the latest: that is when the
/// client goes away, and credentials may have left by then.
struct Untold<'a> {
    shared: &'a Shared,
    bound: &'a Bound,
    method: Method,
    path: String,
    rules: Vec<String>,
    is_told: bool,
}

impl Untold<'_> {
    fn tell(&mut self, outcome: Result<StatusCode, &Refusal>) {
        self.is_told = true;
        self.shared.observer.exchanged(&Exchange {
            host: self.bound.host(),
            method: &self.method,
            path: &self.path,
            rules: &self.rules,
            outcome,
        });
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let message = "the client went away before there was an answer";
            self.tell(Err(&Refusal::new(Reason::Abandoned, message)));
        }
    }
}

/// Answers a request with a refusal that was there before it, and says so.
pub(super) fn refuse(
    shared: &Shared,
    request: &Request<Incoming>,
    bound: &Bound,
    refusal: &Refusal,
) -> Response<Body> {
    shared.observer.exchanged(&Exchange {
        host: bound.host(),
        method: request.method(),
        path: request.uri().path(),
        rules: &[],
        outcome: Err(refusal),
    });
    refused::answer(refusal, refused::wants_json(request.headers()))
}

async fn pass(
    shared: &Arc<Shared>,
    mut request: Request<Incoming>,
    bound: &Bound,
    afterwards: &Afterwards,
    used: &mut Vec<String>,
) -> Result<Response<Body>, Refusal> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let mut canonical = CanonicalRequest::parse(parts, bound)?;
    let permit = shared.policy.decide(&canonical)?;
    if let Some(rule) = permit.approval() {
        return Err(
            Refusal::new(Reason::Approval, "a person must agree to this request")
                .by_rule(&rule.name)
                .with_remedy("Nobody can be asked here yet: the rule says `approve = \"ask\"`."),
        );
    }
    let filled = filling::fill(shared, &mut canonical, body, &permit, used).await?;
    let file = permit.rules().iter().find_map(|rule| rule.ca_file.clone());
    let Some(upstream) = shared.upstreams.get(&file) else {
        let message = "the rule's `ca_file` was not read";
        return Err(Refusal::new(Reason::Upstream, message));
    };
    let is_websocket = canonical.is_websocket();
    let request = outgoing(canonical, filled.body)?;
    let begun = filled.taken.begin();
    let sent = upstream.send(request, is_websocket).await;
    if matches!(sent, Err((_, true))) {
        begun.give_back();
    }
    let broken_off = filled.broken_off;
    let mut response = sent.map_err(|(refusal, _)| broken_off.refusal().unwrap_or(refusal))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && is_websocket {
        let far = hyper::upgrade::on(&mut response);
        afterwards.set(async move {
            if let (Ok(near), Ok(far)) = (upgrade.await, far.await) {
                let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
                // Whichever ends first ends both.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
        return Ok(response.map(incoming));
    }
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    Ok(Response::from_parts(parts, incoming(body)))
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
