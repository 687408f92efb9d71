//! What a client may know about itself: `GET http://gateway.fnox.invalid/session` through the proxy.
//!
//! The name can never be anybody's (RFC 6761, section 6.4), so the request never leaves. The answer is JSON: `agent`, `certificate` (PEM,
//! what the client must trust), and `variables`, an object from names of variables to the placeholders that belong there.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use serde::Serialize;

use super::{Client, Shared, refused};
use crate::body::{Body, full};
use crate::refusal::{Reason, Refusal};
use crate::request::Bound;

/// The host that is the gateway itself.
const OWN_HOST: &str = "gateway.fnox.invalid";

const PATH: &str = "/session";

#[derive(Serialize)]
struct Document<'a> {
    agent: &'a str,
    certificate: String,
    variables: BTreeMap<&'a str, &'a str>,
}

/// Whether a request is for the gateway itself.
pub(super) fn is_asked_for(bound: &Bound) -> bool {
    bound.host().name() == OWN_HOST
}

pub(super) fn answer(
    shared: &Shared,
    client: &Client,
    request: &Request<Incoming>,
) -> Response<Body> {
    if request.method() != Method::GET || request.uri().path() != PATH {
        let message = format!("the gateway itself answers GET {PATH} alone");
        let refusal = Refusal::new(Reason::NotAllowed, message);
        return refused::answer(&refusal, refused::wants_json(request.headers()));
    }
    let variables = client.variables.iter();
    let document = Document {
        agent: client.agent.as_str(),
        certificate: shared.authority.certificate_pem(),
        variables: variables
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect(),
    };
    // Strings alone: there is nothing that could fail.
    let text = serde_json::to_string(&document).unwrap_or_default();
    let mut response = Response::new(full(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
