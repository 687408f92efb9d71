//! What a browser may do with a page: show it.

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Headers of every page (Content Security Policy Level 3, RFC 9111, Referrer Policy, RFC 7034).
///
/// Links are in addresses, so pages are in no cache and their addresses in no `Referer`. `no-transform` keeps
/// intermediaries from changing what the policy's hash covers.
#[must_use]
pub fn security_headers() -> [(HeaderName, HeaderValue); 9] {
    let fixed = |name: &'static str| HeaderName::from_static(name);
    [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-transform"),
        ),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            fixed("x-robots-tag"),
            HeaderValue::from_static("noindex, nofollow, noarchive"),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            fixed("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            fixed("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            fixed("permissions-policy"),
            HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
        ),
    ]
}

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(super::STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    // Letters of base64 are letters of headers; without the style a page is plain and no less safe.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ))
});
