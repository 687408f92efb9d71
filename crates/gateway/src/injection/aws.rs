//! AWS Signature Version 4: requests are signed anew.
//!
//! An AWS client signs with keys that nobody has: its access key is a placeholder and its secret key is any text.
//! Its signature is taken away and the request that leaves is signed with the real keys, for the service and the
//! region that the client named, and with its word on the body: a digest, no digest, or a digest in a trailer.
//! Whatever is in a header is signed in headers, and a presigned URL becomes one that is valid for minutes.
//!
//! Chunks that are signed one by one (`STREAMING-AWS4-HMAC-SHA256-…`) and Signature Version 4A are refused.

mod claim;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use fnox_core::{Clock, SecretString};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use self::claim::{Claim, Location, PRESIGNED};
use super::{Injected, Injection, Planned, is_one_line, moved, unfit};
use crate::refusal::{Reason, Refusal};
use crate::request::{BodyLength, CanonicalRequest};
use crate::rule::Rule;

pub(super) use self::claim::is_credential_parameter;

/// The keys of one identity. They belong together.
#[derive(Debug, Clone)]
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: SecretString,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`, if the keys are short-lived.
    pub session_token: Option<SecretString>,
}

/// A presigned URL is used at once.
const PRESIGNED_LIFETIME: Duration = Duration::from_mins(5);

/// Whether the body must be read before the request can be signed: the client does not say its digest, and there
/// is one.
#[must_use]
pub fn signs_body(request: &CanonicalRequest) -> bool {
    request.body_length() != BodyLength::Known(0)
        && Claim::parse(request)
            .is_ok_and(|claim| claim.payload(request).is_ok_and(|it| it.is_none()))
}

/// Signs `request` with `keys` in the place of the client's signature.
///
/// `body` is what [`signs_body`] asked for, and not looked at otherwise.
///
/// # Errors
/// [`Reason::Placeholder`] if the client did not sign with the placeholder; [`Reason::Ambiguous`] for signatures
/// that are incomplete or of another kind; [`Reason::Credential`] if the keys cannot sign.
pub fn sign_anew(
    request: &mut CanonicalRequest,
    planned: &Planned<'_>,
    keys: &AwsKeys,
    body: &[u8],
    clock: &dyn Clock,
) -> Result<Injected, Refusal> {
    let rule = planned.rule();
    let all = [
        Some(&keys.access_key_id),
        Some(&keys.secret_access_key),
        keys.session_token.as_ref(),
    ];
    for key in all.into_iter().flatten() {
        is_one_line(rule, key)?;
    }
    let (Injection::AwsSigV4, Some((placeholder, place))) = (&rule.injection, planned.swapped())
    else {
        return Err(moved(rule));
    };
    let place = place.clone();
    let claim = Claim::parse(request).map_err(|refusal| refusal.by_rule(&rule.name))?;
    if claim.access_key_id != placeholder {
        return Err(moved(rule));
    }
    let payload = claim
        .payload(request)
        .map_err(|refusal| refusal.by_rule(&rule.name))?;
    let now = SystemTime::from(clock.now());
    claim
        .is_current(now)
        .map_err(|refusal| refusal.by_rule(&rule.name))?;
    let payload = payload.unwrap_or(SignableBody::Bytes(body));
    strip(request, &claim);
    if claim.is_s3() {
        request.path_mut().encode_reserved();
    }
    let settings = settings(&claim);
    let instructions = signature(request, &claim, (payload, settings), keys, now)
        .map_err(|_| unfit(rule, "cannot sign this request"))?;
    apply(request, rule, instructions)?;
    Ok(Injected {
        credential: rule.credential.clone(),
        place,
    })
}

/// Takes the client's signature away, and what only belongs to it.
fn strip(request: &mut CanonicalRequest, claim: &Claim) {
    let headers = request.headers_mut();
    if matches!(claim.location, Location::Headers) {
        headers.remove(AUTHORIZATION);
    }
    for name in ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        headers.remove(name);
    }
    request
        .query_mut()
        .retain(|parameter| !PRESIGNED.iter().any(|name| parameter.may_be_named(name)));
}

fn settings(claim: &Claim) -> SigningSettings {
    let mut settings = SigningSettings::default();
    // S3 alone takes a path as it is; the others encode it once more.
    if claim.is_s3() {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
    }
    // There is nothing left to normalize.
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    match claim.location {
        Location::Headers if claim.states_digest => {
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
    (payload, settings): (SignableBody<'_>, SigningSettings),
    keys: &AwsKeys,
    now: SystemTime,
) -> Result<SigningInstructions, Box<dyn std::error::Error>> {
    let identity: Identity = Credentials::new(
        keys.access_key_id.expose_secret(),
        keys.secret_access_key.expose_secret(),
        keys.session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "fnox",
    )
    .into();
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
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter(|(name, _)| claim.signs(name))
        .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
        .collect::<Result<_, http::header::ToStrError>>()?;
    let signable =
        SignableRequest::new(request.method().as_str(), url, headers.into_iter(), payload)?;
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
