//! The fields after a body (RFC 9110, section 6.5).

use http::HeaderMap;

use super::fields::{OVERRIDES, within_limits};
use crate::refusal::{Reason, Refusal};

/// What decides on a request before its body, and so may not come after it (RFC 9110, section 6.5.1).
const BEFORE_BODIES: [&str; 20] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "max-forwards",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Refuses trailers that some servers would add to the fields that were judged.
///
/// # Errors
/// [`Reason::Ambiguous`] or [`Reason::TooLarge`]
pub(crate) fn check_trailers(trailers: &HeaderMap) -> Result<(), Refusal> {
    within_limits(trailers)?;
    for name in trailers.keys() {
        let dashed = name.as_str().replace('_', "-");
        let is_early = BEFORE_BODIES.contains(&dashed.as_str())
            || OVERRIDES.contains(&dashed.as_str())
            || dashed.starts_with("proxy-");
        if is_early {
            return Err(Refusal::new(
                Reason::Ambiguous,
                format!("the field `{name}` comes after the body, where it may not"),
            ));
        }
    }
    Ok(())
}
