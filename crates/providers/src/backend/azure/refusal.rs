//! What Azure's refusals mean.
//!
//! Key Vault answers `{"error": {"code", "message", "innererror": {"code"}}}` ("Authentication, requests and responses", "Common
//! error codes for Azure Key Vault"), App Configuration a problem of RFC 7807.

use fnox_http::{Answer, Service};
use serde::Deserialize;

use super::Place;
use crate::error::{ErrorKind, ProviderError};

/// What a call was about.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Facts<'a> {
    /// `secret`, `key`, or `key-value`.
    pub(in crate::backend) what: &'a str,
    /// What it is called.
    pub(in crate::backend) name: &'a str,
    /// The permission of an access policy that allows the call: `get`. Empty where there are no such policies.
    pub(in crate::backend) permission: &'a str,
    /// The role that allows the call.
    pub(in crate::backend) role: &'a str,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Inner,
}

#[derive(Default, Deserialize)]
struct Inner {
    code: Option<String>,
    innererror: Option<Box<Inner>>,
}

/// The innermost code of an error.
fn code(answer: &Answer, service: &Service) -> String {
    let body: Body = answer.json(service).unwrap_or_default();
    let mut error = body.error;
    while let Some(inner) = error.innererror.take().filter(|inner| inner.code.is_some()) {
        error = *inner;
    }
    error.code.unwrap_or_default()
}

/// The error that a refusal stands for.
pub(in crate::backend) fn explain(
    answer: &Answer,
    service: &Service,
    place: &Place,
    facts: &Facts<'_>,
) -> ProviderError {
    let error = ProviderError::from(answer.refusal(service));
    let code = code(answer, service);
    let (vault, what, name) = (place.name(), facts.what, facts.name);
    let (kind, remedy) = match (answer.status(), code.as_str()) {
        // "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/…"
        (401, _) if error.message.contains("AKV10032") => (
            ErrorKind::AuthenticationNeeded,
            format!(
                "the login is in another tenant than {vault}: `az login --tenant TENANT`, or set AZURE_TENANT_ID"
            ),
        ),
        (401, _) => (
            ErrorKind::AuthenticationNeeded,
            "log in again with `az login`; if that does not help, is this machine's clock right?"
                .to_owned(),
        ),
        (403, "ForbiddenByFirewall" | "ForbiddenByConnection" | "VaultNetworkRulesViolation") => (
            // Whoever is let in may well be allowed to read, so that this says nothing about the secret.
            ErrorKind::Unavailable,
            format!(
                "let this machine's address through the firewall of {vault}, or use its private network"
            ),
        ),
        (403, "SecretDisabled" | "KeyDisabled") => (
            ErrorKind::Misconfigured,
            format!(
                "`az keyvault {what} set-attributes --vault-name {vault} --name {name} --enabled true` allows it again"
            ),
        ),
        (403, "ForbiddenByPolicy" | "AccessDenied") if !facts.permission.is_empty() => (
            ErrorKind::Denied,
            format!(
                "`az keyvault set-policy --name {vault} --{what}-permissions {}` with `--upn` or `--spn` of whoever is logged in",
                facts.permission
            ),
        ),
        (403, _) => (
            ErrorKind::Denied,
            format!(
                "assign the role `{}` of {vault} to whoever is logged in; a new role takes minutes to work",
                facts.role
            ),
        ),
        (404, _) => return ProviderError::not_found(name),
        (409, "ObjectIsDeletedButRecoverable") => {
            return ProviderError::misconfigured(format!(
                "the {what} `{name}` was deleted and can still be restored, so that its name is taken"
            ))
            .with_remedy(format!(
                "`az keyvault {what} recover --vault-name {vault} --name {name}`, and set it again after some seconds; \
                 `az keyvault {what} purge` frees the name for good"
            ));
        }
        (409, _) => (
            ErrorKind::Unavailable,
            "something else is being done with it: try again in a moment".to_owned(),
        ),
        _ => return error,
    };
    ProviderError { kind, ..error }.with_remedy(remedy)
}
