//! What Microsoft Entra's refusals mean.
//!
//! "Microsoft Entra authentication and authorization error codes" lists the codes. Their texts change and their numbers get
//! more exact with time, so an unknown one is told as it is, by its HTTP status.

use serde::Deserialize;

use super::source::Source;
use crate::issuer::{Answer, Issuer};
use crate::mint::{MintError, MintErrorKind};

/// What a login was about.
pub(super) struct Facts<'a> {
    pub(super) tenant: &'a str,
    pub(super) client: &'a str,
    pub(super) source: &'a Source,
    /// What the token that was sent said, if one was.
    pub(super) claims: Option<&'a str>,
}

/// A login that was refused.
pub(super) fn of_login(answer: &Answer, issuer: &Issuer, facts: &Facts<'_>) -> MintError {
    let said = answer.said().unwrap_or_default();
    let code = codes(answer).or_else(|| code_in(&said));
    let mut error = answer.refusal(issuer);
    error.message = format!(
        "{}; as the application {} in the tenant {}",
        error.message, facts.client, facts.tenant
    );
    if let Some(claims) = facts.claims {
        error.message = format!("{}; {claims}", error.message);
    }
    match code {
        Some(code) => explained(error, code, facts.source),
        None => error,
    }
}

/// A refusal that `az` tells.
pub(super) fn of_cli(stderr: &str, said: &str) -> MintError {
    let error = MintError::authentication(format!("`az` gave no token: {said}"));
    match code_in(stderr) {
        Some(code) => explained(error, code, &Source::AzureCli),
        None => error.with_remedy("log in with `az login`"),
    }
}

fn explained(error: MintError, code: u64, source: &Source) -> MintError {
    use MintErrorKind::{AuthenticationNeeded, Denied, Misconfigured};
    let (kind, key, remedy) = match code {
        7_000_215 => (
            AuthenticationNeeded,
            None,
            "AZURE_CLIENT_SECRET must be the secret's value, not its id; create a new secret if it is lost",
        ),
        7_000_222 => (
            AuthenticationNeeded,
            None,
            "the client secret has expired: create a new one, or use a certificate or a federated credential",
        ),
        700_024 | 50_012 if *source == Source::Federated => (
            AuthenticationNeeded,
            None,
            "the token has expired or is not valid yet: get a new one; is this machine's clock right?",
        ),
        700_024 | 50_012 => (
            AuthenticationNeeded,
            None,
            "set this machine's clock: the times in the signed request are not Entra's",
        ),
        700_027 | 1_000_502 | 50_013 if *source != Source::Federated => (
            AuthenticationNeeded,
            None,
            "register this certificate with the application, and check that it has not expired and that the key is its own",
        ),
        50_013 | 700_027 => (
            AuthenticationNeeded,
            None,
            "the issuer's published keys do not verify the token: is its issuer reachable for Entra, and the token whole?",
        ),
        70_021 | 700_211..=700_213 | 7_002_131..=7_002_139 => (
            AuthenticationNeeded,
            None,
            "the application's federated credential must have exactly this issuer, subject and audience, in the same case",
        ),
        700_016 => (
            Misconfigured,
            Some("client_id"),
            "check `client_id` and `tenant_id` (or AZURE_CLIENT_ID and AZURE_TENANT_ID)",
        ),
        90_002 | 900_023 => (
            Misconfigured,
            Some("tenant_id"),
            "check `tenant_id` (or AZURE_TENANT_ID), and `cloud` if the tenant is in a national cloud",
        ),
        70_011 | 500_011 | 1_002_012 => (
            Misconfigured,
            Some("scope"),
            "`scope` is a resource that the tenant knows, and `/.default`",
        ),
        53_003 | 7_000_112 => (
            Denied,
            None,
            "a conditional access policy, or somebody who disabled the application, forbids it: ask the tenant's administrator",
        ),
        _ if *source == Source::AzureCli => (AuthenticationNeeded, None, "log in with `az login`"),
        _ => return error,
    };
    MintError { kind, key, ..error }.with_remedy(remedy)
}

fn codes(answer: &Answer) -> Option<u64> {
    #[derive(Deserialize)]
    struct Body {
        error_codes: Vec<u64>,
    }
    let body: Body = serde_json::from_slice(&answer.body).ok()?;
    body.error_codes.first().copied()
}

/// The number behind `AADSTS` in a text.
fn code_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("AADSTS")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_what_az_says() {
        let said = "ERROR: AADSTS50173: The provided grant has expired. Trace ID: x";
        assert_eq!(code_in(said), Some(50_173));
        assert_eq!(code_in("AADSTS"), None);
        let error = of_cli(said, said);
        assert_eq!(error.kind, MintErrorKind::AuthenticationNeeded);
        assert_eq!(error.remedy.as_deref(), Some("log in with `az login`"));
    }
}
