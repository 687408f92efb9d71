//! One request: read once, decided about, given its credentials, sent, and answered.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::connection::Afterwards;
use super::{Exchange, Shared, refused};
use crate::body::{Body, Limited, incoming};
use crate::refusal::{Reason, Refusal};
use crate::request::{Bound, CanonicalRequest};
use crate::rule::{Approve, Rule};

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
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut rules = Vec::new();
    let outcome = pass(shared, request, bound, afterwards, &mut rules).await;
    shared.observer.exchanged(&Exchange {
        host: bound.host(),
        method: &method,
        path: &path,
        rules: &rules,
        outcome: outcome.as_ref().map(Response::status),
    });
    outcome.unwrap_or_else(|refusal| refused::answer(&refusal, wants_json))
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
    if let Some(rule) = permit.rules().iter().find(|rule| rule.approve == Approve::Ask) {
        return Err(Refusal::new(Reason::Approval, "a person must agree first").by_rule(&rule.name));
    }
    let taken = shared.uses.take(permit.rules())?;
    for rule in permit.rules() {
        if inject(shared, &mut canonical, rule).await? {
            used.push(rule.name.clone());
        }
    }
    let limit = permit.body_limit();
    let is_websocket = canonical.is_websocket();
    let request = outgoing(canonical, body, limit)?;
    let file = permit.rules().iter().find_map(|rule| rule.ca_file.clone());
    let Some(upstream) = shared.upstreams.get(&file) else {
        return Err(Refusal::new(Reason::Upstream, "the rule's `ca_file` was not read"));
    };
    let mut response = match upstream.send(request, is_websocket).await {
        Ok(response) => {
            taken.spend();
            response
        }
        Err((refusal, unsent)) => {
            if !unsent {
                taken.spend();
            }
            return Err(refusal);
        }
    };
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
