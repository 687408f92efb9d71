//! AWS Signature Version 4: requests are signed anew.
//!
//! An AWS client signs with keys that nobody has: its access key is a placeholder and its secret key is any text.
//! Its signature is taken away and the request that leaves is signed with the real keys, for the service and the
//! region that the client named, and with its word on the body: a digest, no digest, or a digest in a trailer.
//! Whatever is in a header is signed in headers, and a presigned URL becomes one that is valid for minutes. The
//! client's session token, if it has one, goes with its signature.
//!
//! A signature is over all of a request, so it is made last:
//!
//! 1. [`plan()`](super::plan()) finds the placeholder, and refuses a signature that cannot be made anew.
//! 2. If [`signs_body`] says so, the body is read whole: the client did not say its digest.
//! 3. All other credentials go in ([`inject`](super::inject()), [`inject_into_body`](super::inject_into_body), and
//!    with it [`CanonicalRequest::set_body_length`]).
//! 4. [`sign_anew`] signs. After it, nothing of the request changes any more.
//!
//! Chunks that are signed one by one (`STREAMING-AWS4-HMAC-SHA256-…`) leave as one body without a signature of its own
//! ([`chunks`]). Signature Version 4A and the older versions are refused. Answers are not looked at here: a rule that reaches the services that hand out keys (STS, or
//! `CreateSession` of S3) lets them hand out keys.

pub(crate) mod chunks;
mod claim;
mod keys;
mod scope;

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use fnox_core::Clock;
use http::HeaderValue;
use http::header::AUTHORIZATION;

use self::claim::{Claim, Location, PRESIGNED};
pub(super) use self::claim::{is_credential_parameter, is_version_2, not_version_4};
pub use self::keys::AwsKeys;
pub use self::scope::{AwsScope, InvalidAwsScope};
use super::{Injected, Injection, Planned, moved, unfit};
use crate::refusal::{Reason, Refusal};
use crate::request::{BodyLength, CanonicalRequest};
use crate::rule::Rule;

/// A presigned URL is used at once.
const PRESIGNED_LIFETIME: Duration = Duration::from_mins(5);

/// Whether the body must be read before the request can be signed: there may be one, and the client does not say its
/// digest.
#[must_use]
pub fn signs_body(request: &CanonicalRequest) -> bool {
    request.body_length() != BodyLength::Known(0)
        && Claim::parse(request).is_ok_and(|claim| claim.payload().is_none())
}

/// Signs `request` with `keys` in the place of the client's signature.
///
/// `body` is what [`signs_body`] asked for, as it will be sent, and not looked at otherwise.
///
/// # Errors
/// [`Reason::Placeholder`] if the client did not sign with the placeholder; [`Reason::Ambiguous`] for signatures
/// that are incomplete, over or of another kind; [`Reason::Credential`] if the keys cannot sign. Then the request
/// must not be sent.
pub fn sign_anew(
    request: &mut CanonicalRequest,
    planned: &Planned<'_>,
    keys: &AwsKeys,
    body: Option<&[u8]>,
    clock: &dyn Clock,
) -> Result<Injected, Refusal> {
    let rule = planned.rule();
    let (Injection::AwsSigV4(_), Some((placeholder, place))) = (&rule.injection, planned.swapped())
    else {
        return Err(moved(rule));
    };
    let place = place.clone();
    keys.check(rule)?;
    let claim = claim_of(request, rule, placeholder)?;
    let by_rule = |refusal: Refusal| refusal.by_rule(&rule.name);
    let now = clock.now();
    claim.is_current(now).map_err(by_rule)?;
    let payload = match (claim.payload(), body) {
        (Some(stated), _) => stated,
        (None, Some(body)) => SignableBody::Bytes(body),
        (None, None) if request.body_length() == BodyLength::Known(0) => SignableBody::empty(),
        (None, None) => return Err(by_rule(refused("is over a body that was not read"))),
    };
    strip(request, &claim);
    request.query_mut().encode_reserved();
    if claim.is_s3() {
        request.path_mut().encode_reserved();
    }
    let headers = claim.signed_headers(request).map_err(by_rule)?;
    let settings = settings(&claim);
    let instructions = signature(
        request,
        &claim,
        &headers,
        (payload, settings),
        keys,
        now.into(),
    )
    .map_err(|_| unfit(rule, "cannot sign this request"))?;
    apply(request, rule, instructions)?;
    Ok(Injected {
        credential: rule.credential.clone(),
        place,
    })
}

/// Whether `scope` allows what the client signed for. What cannot be read is for [`check`] to refuse.
pub(super) fn is_within(scope: &AwsScope, request: &CanonicalRequest) -> bool {
    Claim::parse(request).map_or(true, |claim| scope.covers(&claim.service, &claim.region))
}

/// Refuses what [`sign_anew`] would, as far as that can be known without the keys.
pub(super) fn check(
    request: &CanonicalRequest,
    rule: &Rule,
    placeholder: &str,
) -> Result<(), Refusal> {
    let claim = claim_of(request, rule, placeholder)?;
    let headers = claim.signed_headers(request);
    headers
        .and_then(|_| chunks::decoded_length(request))
        .map(drop)
        .map_err(|refusal| refusal.by_rule(&rule.name))
}

fn claim_of(request: &CanonicalRequest, rule: &Rule, placeholder: &str) -> Result<Claim, Refusal> {
    let claim = Claim::parse(request).map_err(|refusal| refusal.by_rule(&rule.name))?;
    if claim.access_key_id != placeholder {
        return Err(moved(rule));
    }
    Ok(claim)
}

/// Takes the client's signature away, and what only belongs to it.
fn strip(request: &mut CanonicalRequest, claim: &Claim) {
    let headers = request.headers_mut();
    for name in ["x-amz-date", "x-amz-security-token"] {
        headers.remove(name);
    }
    match claim.location {
        Location::Headers => {
            headers.remove(AUTHORIZATION);
            // It comes back with the signature.
            headers.remove(claim::DIGEST);
        }
        Location::Query { .. } => request
            .query_mut()
            .retain(|parameter| !PRESIGNED.iter().any(|name| parameter.may_be_named(name))),
    }
}

fn settings(claim: &Claim) -> SigningSettings {
    let mut settings = SigningSettings::default();
    // S3 takes a path as it is; the others encode it once more.
    if claim.is_s3() {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
    }
    // There is nothing left to normalize.
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    match claim.location {
        Location::Headers if claim.states_digest() => {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        Location::Headers => {}
        Location::Query { expires, .. } => {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(expires.min(PRESIGNED_LIFETIME));
        }
    }
    settings
}

fn signature(
    request: &CanonicalRequest,
    claim: &Claim,
    headers: &[(String, String)],
    (payload, settings): (SignableBody<'_>, SigningSettings),
    keys: &AwsKeys,
    now: SystemTime,
) -> Result<SigningInstructions, Box<dyn std::error::Error>> {
    let identity = keys.identity();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&claim.region)
        .name(&claim.service)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let url = format!(
        "{}://{}{}",
        request.scheme().as_str(),
        request.authority(),
        request.target()
    );
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(request.method().as_str(), url, headers, payload)?;
    Ok(sign(signable, &params)?.into_parts().0)
}

fn apply(
    request: &mut CanonicalRequest,
    rule: &Rule,
    instructions: SigningInstructions,
) -> Result<(), Refusal> {
    let (headers, parameters) = instructions.into_parts();
    for header in headers {
        let mut value = HeaderValue::from_str(header.value())
            .map_err(|_| unfit(rule, "has characters that cannot stand in a field"))?;
        value.set_sensitive(header.sensitive() || header.name() == AUTHORIZATION);
        request.headers_mut().insert(header.name(), value);
    }
    for (name, value) in parameters {
        request.query_mut().push(name, &value);
    }
    Ok(())
}

fn refused(problem: &str) -> Refusal {
    Refusal::new(
        Reason::Ambiguous,
        format!("the AWS signature of the request {problem}"),
    )
}
