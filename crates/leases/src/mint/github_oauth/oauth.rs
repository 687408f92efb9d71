//! GitHub's OAuth endpoints: what is sent, what comes back, what refusals mean.
//!
//! GitHub answers refusals of these endpoints with status 200 and an `error` in the body ("Troubleshooting OAuth app
//! access token request errors"), and in a form's encoding unless JSON is asked for.

use fnox_core::SecretString;
use jiff::SignedDuration;
use serde::Deserialize;

use super::super::github::of_api;
use super::{Settings, Token};
use crate::issuer::{self, Answer, Call, Issuer};
use crate::mint::{MintContext, MintError, MintErrorKind};
use crate::wiped::Wiped;

const BY_DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A code for a person, and where to type it.
#[derive(Deserialize)]
pub(super) struct Invitation {
    /// By it the token is asked for.
    #[serde(rename = "device_code")]
    pub(super) secret: Wiped,
    #[serde(rename = "user_code")]
    pub(super) code: String,
    #[serde(rename = "verification_uri")]
    pub(super) page: String,
    #[serde(rename = "expires_in")]
    pub(super) seconds: u32,
    pub(super) interval: Option<u32>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody has confirmed the code yet.
    Pending,
    /// The same, and fnox asks too often.
    SlowDown,
    /// Nobody confirmed the code in time.
    Expired,
    /// The person said no.
    Denied,
    /// The refresh token is over, or is not one that can be used without the app's secret.
    Over,
    /// Anything else.
    Other(MintError),
}

impl From<MintError> for Refusal {
    fn from(error: MintError) -> Self {
        Self::Other(error)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Wiped,
    /// Absent where tokens do not expire.
    expires_in: Option<i64>,
    refresh_token: Option<Wiped>,
    refresh_token_expires_in: Option<i64>,
}

/// Asks for a code.
pub(super) async fn invite(
    settings: &Settings,
    context: &MintContext,
) -> Result<Invitation, MintError> {
    let issuer = issuer::open("GitHub", context, None)?;
    let form = [
        ("client_id", settings.client_id.as_str()),
        ("scope", settings.scope.as_str()),
    ];
    let call = Call::post(settings.code_url()).form(&form);
    let answer = issuer.send(call).await?;
    if let Some(code) = error_code(&answer) {
        return Err(explained(settings, &answer, &issuer, &code));
    }
    if !answer.is_success() {
        return Err(unknown_client(settings, &answer, &issuer));
    }
    // Nothing is issued yet.
    answer.json(&issuer).map_err(|error| MintError {
        maybe_issued: false,
        ..error
    })
}

/// Asks for the token of a code, once. Asked again after a failure: whoever waits asks many times anyway.
pub(super) async fn by_device(
    settings: &Settings,
    context: &MintContext,
    device_code: &SecretString,
) -> Result<Token, Refusal> {
    let form = [
        ("client_id", settings.client_id.as_str()),
        ("device_code", device_code.expose_secret()),
        ("grant_type", BY_DEVICE),
    ];
    let call = Call::post(settings.token_url()).form(&form);
    token(settings, context, call, device_code).await
}

/// Exchanges a refresh token, which does not work any more afterwards. The app's secret is not needed for a token that
/// came by the device flow ("Refreshing user access tokens").
pub(super) async fn by_refresh(
    settings: &Settings,
    context: &MintContext,
    refresh: &SecretString,
) -> Result<Token, Refusal> {
    let form = [
        ("client_id", settings.client_id.as_str()),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose_secret()),
    ];
    let call = Call::post(settings.token_url()).form(&form).changes();
    token(settings, context, call, refresh).await
}

async fn token(
    settings: &Settings,
    context: &MintContext,
    call: Call,
    secret: &SecretString,
) -> Result<Token, Refusal> {
    let mut issuer = issuer::open("GitHub", context, None)?;
    issuer.hide(secret);
    // The clock is read before the call, so that the end of the token is not told later than it is.
    let asked_at = context.clock.now();
    let answer = issuer.send(call).await?;
    if let Some(code) = error_code(&answer) {
        return Err(match code.as_str() {
            "authorization_pending" => Refusal::Pending,
            "slow_down" => Refusal::SlowDown,
            "expired_token" => Refusal::Expired,
            "access_denied" => Refusal::Denied,
            "bad_refresh_token" => Refusal::Over,
            _ => Refusal::Other(explained(settings, &answer, &issuer, &code)),
        });
    }
    if !answer.is_success() {
        return Err(unknown_client(settings, &answer, &issuer).into());
    }
    let got: TokenAnswer = answer.json(&issuer)?;
    let after = |seconds: Option<i64>| match seconds {
        None => Ok(None),
        Some(seconds) => asked_at
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()
            .filter(|end| *end > asked_at)
            .map(Some)
            .ok_or_else(|| {
                let message = format!("GitHub answered with a token that lives {seconds} s");
                MintError::unavailable(message).maybe_issued()
            }),
    };
    if got.access_token.0.is_empty() {
        let error = MintError::unavailable("GitHub answered without a token");
        return Err(error.maybe_issued().into());
    }
    Ok(Token {
        expires_at: after(got.expires_in)?,
        refresh_expires_at: after(got.refresh_token_expires_in)?,
        access: got.access_token.0,
        refresh: got.refresh_token.map(|token| token.0),
    })
}

/// Whether a token works.
pub(super) async fn works(
    settings: &Settings,
    context: &MintContext,
    token: &Token,
) -> Result<bool, MintError> {
    let mut issuer = issuer::open("GitHub", context, None)?;
    issuer.hide(&token.access);
    let call = of_api(Call::get(settings.user_url()))?.bearer(&token.access)?;
    let answer = issuer.send(call).await?;
    match answer.status() {
        200 => Ok(true),
        401 => Ok(false),
        _ => Err(answer.refusal(&issuer)),
    }
}

fn error_code(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let body: Body = serde_json::from_slice(&answer.body).ok()?;
    Some(body.error)
}

fn unknown_client(settings: &Settings, answer: &Answer, issuer: &Issuer) -> MintError {
    let error = answer.refusal(issuer);
    if answer.status() != 404 {
        return error;
    }
    MintError {
        key: Some("client_id"),
        ..error
    }
    .with_remedy(format!(
        "does the server know the app with the client id `{}`?",
        settings.client_id
    ))
}

fn explained(settings: &Settings, answer: &Answer, issuer: &Issuer, code: &str) -> MintError {
    let said = answer.said().unwrap_or_default();
    let message = format!(
        "GitHub refused a login through the app `{}`: {}",
        settings.client_id,
        issuer.cleaned(&said)
    );
    let (kind, key, remedy) = match code {
        "device_flow_disabled" => (
            MintErrorKind::Misconfigured,
            "client_id",
            "turn on \"Enable Device Flow\" in the settings of the app",
        ),
        "incorrect_client_credentials" | "Not Found" => (
            MintErrorKind::Misconfigured,
            "client_id",
            "`client_id` is the client id of the app, not its name or number",
        ),
        "invalid_scope" => (
            MintErrorKind::Misconfigured,
            "scope",
            "ask for scopes that GitHub has",
        ),
        "unverified_user_email" => {
            return MintError::new(MintErrorKind::Denied, message)
                .with_remedy("verify your primary e-mail address at GitHub");
        }
        _ => {
            return MintError::unavailable(message)
                .with_remedy(format!("try again: {}", super::login::command(settings)));
        }
    };
    MintError {
        key: Some(key),
        ..MintError::new(kind, message)
    }
    .with_remedy(remedy)
}
