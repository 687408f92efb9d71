//! What Google's refusals mean.
//!
//! Errors of the token endpoints have the form of RFC 6749 section 5.2, those of the API the form of AIP-193
//! (`error.status`, `error.message`).

use super::login::Login;
use crate::issuer::{Answer, Issuer};
use crate::mint::{MintError, MintErrorKind};

/// A login that was refused. `claims` is what the token that was sent said, if one was.
pub(super) fn of_login(
    answer: &Answer,
    issuer: &Issuer,
    claims: Option<&str>,
    remedy: &str,
) -> MintError {
    let said = answer.said().unwrap_or_default();
    let mut error = answer.refusal(issuer);
    let is_about_masters = [
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "invalid_rapt",
    ]
    .iter()
    .any(|code| said.starts_with(code));
    if error.kind == MintErrorKind::Misconfigured && is_about_masters {
        error.kind = MintErrorKind::AuthenticationNeeded;
    }
    if let Some(claims) = claims {
        error.message = format!("{}; {claims}", error.message);
    }
    // "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp
    // values in the JWT claim."
    if said.contains("reasonable timeframe") {
        return error.with_remedy(
            "set this machine's clock: the times in the signed request are not Google's",
        );
    }
    error.with_remedy(remedy)
}

/// What an impersonation was about.
pub(super) struct Facts<'a> {
    pub(super) account: &'a str,
    pub(super) login: &'a Login,
    /// The lifetime that was asked for, if one was.
    pub(super) seconds: Option<u64>,
}

/// An impersonation that was refused.
pub(super) fn of_impersonation(answer: &Answer, issuer: &Issuer, facts: &Facts<'_>) -> MintError {
    let said = answer.said().unwrap_or_default();
    let error = answer.refusal(issuer);
    let account = facts.account;
    // "Access tokens for service account … can not have lifetimes of more than 1 hour. Use the Org Policy Constraint
    // constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 hours."
    let is_about_lifetime = said.contains("allowServiceAccountCredentialLifetimeExtension")
        || (answer.status() == 400 && facts.seconds.is_some_and(|seconds| seconds > 3600));
    if is_about_lifetime {
        return MintError {
            key: Some("duration"),
            kind: MintErrorKind::Misconfigured,
            ..error
        }
        .with_remedy(format!(
            "set `duration = \"1h\"` or less, or let the organisation's policy \
             constraints/iam.allowServiceAccountCredentialLifetimeExtension list {account}"
        ));
    }
    let error = MintError {
        message: match &facts.login.claims {
            Some(claims) => format!("{}; as {}; {claims}", error.message, facts.login.principal),
            None => format!("{}; as {}", error.message, facts.login.principal),
        },
        ..error
    };
    match answer.status() {
        401 => error.with_remedy("log in again; if that does not help, is this machine's clock right?"),
        403 if said.contains("has not been used in project") || said.contains("it is disabled") => error
            .with_remedy("enable the IAM Service Account Credentials API (iamcredentials.googleapis.com) in the project"),
        403 => error.with_remedy(format!(
            "grant {} on {account} to {}; a new grant takes minutes to work",
            facts.login.role, facts.login.principal
        )),
        404 => MintError {
            key: Some("service_account_email"),
            ..error
        }
        .with_remedy(format!("does the service account {account} exist?")),
        _ => error,
    }
}
