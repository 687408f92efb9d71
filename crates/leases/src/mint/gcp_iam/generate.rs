//! The token of the lease's service account (IAM Service Account Credentials API, v1).

use fnox_core::{Credential, SecretString};
use jiff::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::login::Login;
use super::refusal::{self, Facts};
use super::settings::{Settings, Token};
use crate::issuer::{Call, Issuer, below};
use crate::jwt;
use crate::mint::{CreateRequest, MintContext, MintError, PlannedCall};
use crate::wiped::Wiped;

/// An access token of a service account that is asked for.
pub(super) struct Impersonation<'a> {
    pub(super) account: &'a str,
    pub(super) delegates: &'a [String],
    pub(super) scopes: &'a [String],
    pub(super) seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenRequest<'a> {
    scope: &'a [String],
    lifetime: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delegates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenAnswer {
    access_token: Wiped,
    expire_time: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdTokenRequest<'a> {
    audience: &'a str,
    include_email: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delegates: Vec<String>,
}

#[derive(Deserialize)]
struct IdTokenAnswer {
    token: Wiped,
}

/// Creates the token. It is asked for again after a failure: Google keeps nothing of a token, and one more only expires.
pub(super) async fn create(
    settings: &Settings,
    login: &Login,
    context: &MintContext,
    issuer: &Issuer,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let (token, expires_at) = match &settings.token {
        Token::Access { scopes } => {
            let wanted = Impersonation {
                account: &settings.account,
                delegates: &settings.delegates,
                scopes,
                seconds: request.duration.as_secs(),
            };
            access_token(issuer, login, &wanted).await?
        }
        Token::Id {
            audience,
            include_email,
        } => {
            tracing::debug!("Google decides how long an id token lives: one hour");
            let body = IdTokenRequest {
                audience,
                include_email: *include_email,
                delegates: resources(&settings.delegates),
            };
            id_token(issuer, login, &settings.account, &body).await?
        }
    };
    let now = context.clock.now();
    if token.is_empty() {
        return Err(MintError::unavailable("Google answered without a token").maybe_issued());
    }
    if expires_at <= now {
        return Err(MintError::unavailable(format!(
            "Google answered with a token that expired at {expires_at}, and it is {now}"
        ))
        .with_remedy("is this machine's clock right?"));
    }
    Ok(Credential {
        variables: vec![(settings.env_var.clone(), token)],
        expires_at: Some(expires_at),
        // These tokens have no id.
        id: request.provisional_id.clone(),
        private: Vec::new(),
    })
}

/// `projects.serviceAccounts.generateAccessToken`
pub(super) async fn access_token(
    issuer: &Issuer,
    login: &Login,
    wanted: &Impersonation<'_>,
) -> Result<(SecretString, Timestamp), MintError> {
    let body = AccessTokenRequest {
        scope: wanted.scopes,
        // google-duration: seconds, ending in `s`.
        lifetime: format!("{}s", wanted.seconds),
        delegates: resources(wanted.delegates),
    };
    let url = method(&login.endpoint, wanted.account, "generateAccessToken");
    let call = Call::post(url).bearer(&login.token)?.json(&body)?;
    let answer = issuer.send(call).await?;
    if !answer.is_success() {
        let facts = Facts {
            account: wanted.account,
            login,
            seconds: Some(wanted.seconds),
        };
        return Err(refusal::of_impersonation(&answer, issuer, &facts));
    }
    let answer: AccessTokenAnswer = answer.json(issuer)?;
    Ok((answer.access_token.0, answer.expire_time))
}

/// `projects.serviceAccounts.generateIdToken`. When it expires, the token itself says.
async fn id_token(
    issuer: &Issuer,
    login: &Login,
    account: &str,
    body: &IdTokenRequest<'_>,
) -> Result<(SecretString, Timestamp), MintError> {
    let url = method(&login.endpoint, account, "generateIdToken");
    let call = Call::post(url).bearer(&login.token)?.json(body)?;
    let answer = issuer.send(call).await?;
    if !answer.is_success() {
        let facts = Facts {
            account,
            login,
            seconds: None,
        };
        return Err(refusal::of_impersonation(&answer, issuer, &facts));
    }
    let token = answer.json::<IdTokenAnswer>(issuer)?.token.0;
    let expires_at = jwt::claims(&token)
        .and_then(|claims| claims.get("exp")?.as_i64())
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| {
            MintError::unavailable("Google answered with an id token that says no time of expiry")
                .maybe_issued()
        })?;
    Ok((token, expires_at))
}

/// The call that [`create`] would make.
pub(super) fn explain(settings: &Settings, request: &CreateRequest) -> PlannedCall {
    let universe = settings.universe(None);
    let base = match &settings.endpoint {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("https://iamcredentials.{universe}"),
    };
    let (verb, purpose, mut details) = match &settings.token {
        Token::Access { scopes } => (
            "generateAccessToken",
            "create an access token of the service account",
            vec![
                ("scope".to_owned(), scopes.join(" ")),
                (
                    "lifetime".to_owned(),
                    format!("{}s", request.duration.as_secs()),
                ),
            ],
        ),
        Token::Id {
            audience,
            include_email,
        } => (
            "generateIdToken",
            "create an id token of the service account",
            vec![
                ("audience".to_owned(), audience.clone()),
                ("includeEmail".to_owned(), include_email.to_string()),
            ],
        ),
    };
    if !settings.delegates.is_empty() {
        details.push(("delegates".to_owned(), settings.delegates.join(" ")));
    }
    PlannedCall {
        action: "POST".to_owned(),
        target: format!(
            "{base}/v1/projects/-/serviceAccounts/{}:{verb}",
            settings.account
        ),
        purpose: purpose.to_owned(),
        master: "the access token of the call before".to_owned(),
        details,
    }
}

/// "The `-` wildcard character is required; replacing it with a project ID is invalid."
fn method(base: &Url, account: &str, verb: &str) -> Url {
    let last = format!("{account}:{verb}");
    below(base, &["v1", "projects", "-", "serviceAccounts", &last])
}

fn resources(accounts: &[String]) -> Vec<String> {
    accounts
        .iter()
        .map(|account| format!("projects/-/serviceAccounts/{account}"))
        .collect()
}
