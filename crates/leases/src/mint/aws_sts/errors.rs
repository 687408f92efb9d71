//! What STS's refusals mean.
//!
//! Codes: AWS STS API reference, "Common Errors" and the errors of each action. Messages of STS name
//! principals and roles, never keys.

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::base::chain;
use crate::mint::{MintError, MintErrorKind};

/// What is known about the call that failed.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// The action, for the remedy.
    pub(super) action: &'static str,
    /// The role.
    pub(super) role_arn: &'a str,
    /// Whether the call was made with a session's credentials.
    pub(super) is_chained: bool,
    /// What the token said, if the call was made with one.
    pub(super) claims: Option<String>,
}

/// Turns a failed call into an error that says what to do.
pub(super) fn explain<E>(error: &SdkError<E, HttpResponse>, facts: &Facts<'_>) -> MintError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            refusal(status, answer.err().code(), answer.err().message(), facts)
        }
        SdkError::TimeoutError(_) => {
            MintError::unavailable("STS did not answer in time").maybe_issued()
        }
        SdkError::DispatchFailure(_) => {
            let text = chain(error);
            let error = MintError::unavailable(format!("STS cannot be reached: {text}"));
            // hyper's word for a connection that was never made: nothing was asked of anybody.
            if text.contains("(Connect)") || text.contains("connect timeout") {
                error
            } else {
                error.maybe_issued()
            }
        }
        SdkError::ResponseError(answer) => not_sts(answer.raw().status().as_u16()),
        _ => MintError::new(MintErrorKind::Misconfigured, chain(error)),
    }
}

fn refusal(status: u16, code: Option<&str>, message: Option<&str>, facts: &Facts<'_>) -> MintError {
    let said = said(status, code, message);
    if status < 400 {
        return not_sts(status);
    }
    if status >= 500 {
        return MintError::unavailable(format!("STS failed: {said}")).maybe_issued();
    }
    let error = match code.unwrap_or_default() {
        "AccessDenied"
        | "AccessDeniedException"
        | "IDPRejectedClaim"
        | "IDPRejectedClaimException" => denied(&said, facts),
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidIdentityToken"
        | "InvalidIdentityTokenException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "RequestExpired" => unauthenticated(&said, message.unwrap_or_default()),
        "ValidationError" | "ValidationException" => {
            invalid(&said, message.unwrap_or_default(), facts)
        }
        "MalformedPolicyDocument"
        | "MalformedPolicyDocumentException"
        | "PackedPolicyTooLarge"
        | "PackedPolicyTooLargeException" => MintError::misconfigured(
            "session_policy",
            format!("STS refused the session policy: {said}"),
        ),
        "RegionDisabledException" => {
            MintError::misconfigured("region", format!("STS refused the region: {said}"))
                .with_remedy("activate STS for the region, or use another one")
        }
        _ if status == 401 || status == 403 => denied(&said, facts),
        _ => MintError::unavailable(format!("STS made no credential: {said}")),
    };
    match &facts.claims {
        Some(claims) => MintError {
            message: format!("{}; {claims}", error.message),
            ..error
        },
        None => error,
    }
}

fn not_sts(status: u16) -> MintError {
    MintError::unavailable(format!(
        "STS answered with status {status} and something that is not its XML"
    ))
    .with_remedy("is `endpoint` (or AWS_ENDPOINT_URL) really an STS endpoint?")
    .maybe_issued()
}

fn said(status: u16, code: Option<&str>, message: Option<&str>) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .filter(|character| !character.is_control())
            .take(500)
            .collect()
    };
    match (code, message) {
        (Some(code), Some(message)) => format!("{}: {}", clean(code), clean(message)),
        (Some(code), None) => clean(code),
        (None, Some(message)) => format!("status {status}: {}", clean(message)),
        (None, None) => format!("status {status} without a reason"),
    }
}

fn denied(said: &str, facts: &Facts<'_>) -> MintError {
    MintError::new(
        MintErrorKind::Denied,
        format!("STS does not allow the role {}: {said}", facts.role_arn),
    )
    .with_remedy(format!(
        "the masters need the permission {} on {}, and the role's trust policy must name them",
        facts.action, facts.role_arn
    ))
}

fn unauthenticated(said: &str, message: &str) -> MintError {
    let error = MintError::authentication(format!("STS does not accept the masters: {said}"));
    if message.contains("Signature expired") || message.contains("not yet current") {
        return error.with_remedy("set this machine's clock: AWS allows 5 minutes of difference");
    }
    error.with_remedy("replace the masters with valid ones, or log in again")
}

fn invalid(said: &str, message: &str, facts: &Facts<'_>) -> MintError {
    // "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    if message.contains("1 hour") || message.contains("role chaining") {
        return MintError::misconfigured(
            "duration",
            format!(
                "the masters are themselves a role's session{}, and AWS lets a role that is assumed by a \
                 role (role chaining) live for 1 hour at most: {said}",
                if facts.is_chained { " (they have a session token)" } else { "" }
            ),
        )
        .with_remedy("set `duration = \"1h\"` or less, or use the keys of a user as masters");
    }
    if message.contains("MaxSessionDuration") {
        return MintError::misconfigured(
            "duration",
            format!(
                "the role {} does not live for so long: {said}",
                facts.role_arn
            ),
        )
        .with_remedy("lower `duration`, or raise the role's maximum session duration");
    }
    MintError::new(
        MintErrorKind::Misconfigured,
        format!("STS refused the request: {said}"),
    )
}
