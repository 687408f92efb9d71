//! What a client is told when its request does not leave.

use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::body::{Body, full};
use crate::refusal::{Reason, Refusal};

/// Has the refusal's code, so that a program need not read the text.
const CODE: HeaderName = HeaderName::from_static("x-fnox-refusal");

/// The answer to a refused request: JSON for whoever asks for JSON, else a sentence for people.
pub(super) fn answer(refusal: &Refusal, wants_json: bool) -> Response<Body> {
    let (kind, text) = if wants_json {
        ("application/json", refusal.to_json())
    } else {
        ("text/plain; charset=utf-8", format!("fnox: {refusal}\n"))
    };
    let mut response = Response::new(full(text));
    *response.status_mut() = refusal.reason.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CODE, HeaderValue::from_static(refusal.reason.code()));
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    if refusal.reason == Reason::Unauthenticated {
        let basic = HeaderValue::from_static("Basic realm=\"fnox\", charset=\"UTF-8\"");
        headers.insert(PROXY_AUTHENTICATE, basic);
    }
    response
}

/// The seconds of a wait, at least one. A part of one counts as a whole: whoever comes early is refused anew.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1)
}

/// Whether a client asks for JSON (RFC 9110, section 12.5.1); weights are not looked at.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(ACCEPT).iter();
    given.any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("application/json") || text.contains("+json"))
    })
}
