//! IAM Identity Center as the issuer of tokens: `RegisterClient`, `StartDeviceAuthorization`, `CreateToken`.
//!
//! Unsigned JSON. A refusal says its class in the header `x-amzn-ErrorType`, and in `error` as OAuth 2.0 names it
//! (RFC 6749 section 5.2, RFC 8628 section 3.5).

use std::path::Path;

use fnox_core::SecretString;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::cache::{Registration, Token};
use super::settings::Portal;
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::mint::{MintContext, MintError};
use crate::wiped::Wiped;

/// The grants of OAuth 2.0 as this issuer names them.
pub(super) const BY_DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const BY_CODE: &str = "authorization_code";
pub(super) const BY_REFRESH: &str = "refresh_token";

/// The issuer of one portal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Oidc<'a> {
    portal: &'a Portal,
    context: &'a MintContext,
}

/// `RegisterClient`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewClient<'a> {
    #[serde(rename = "clientName")]
    pub(super) name: String,
    #[serde(rename = "clientType")]
    pub(super) kind: &'static str,
    pub(super) scopes: &'a [String],
    pub(super) grant_types: [&'static str; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redirect_uris: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Registered {
    #[serde(rename = "clientId")]
    id: String,
    #[serde(rename = "clientSecret")]
    secret: Wiped,
    #[serde(rename = "clientSecretExpiresAt")]
    expires_at: i64,
}

/// The answer of `StartDeviceAuthorization`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authorization {
    pub(super) device_code: Wiped,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_in: u32,
    pub(super) interval: Option<u32>,
}

/// `CreateToken`.
#[derive(Default)]
pub(super) struct Grant<'a> {
    pub(super) kind: &'static str,
    pub(super) device_code: Option<&'a SecretString>,
    pub(super) code: Option<&'a SecretString>,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) code_verifier: Option<&'a SecretString>,
    pub(super) refresh_token: Option<&'a SecretString>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    grant_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_verifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    access_token: Wiped,
    expires_in: i64,
    refresh_token: Option<Wiped>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The person has not confirmed yet.
    Pending,
    /// Asked too often.
    SlowDown,
    /// The device code's or the authorization code's time is over.
    Expired,
    /// The person said no.
    Denied,
    /// The registration, or what was to be exchanged, is not good any more: only a new login helps.
    Over(MintError),
    /// Something else.
    Other(MintError),
}

impl<'a> Oidc<'a> {
    pub(super) fn new(portal: &'a Portal, context: &'a MintContext) -> Self {
        Self { portal, context }
    }

    pub(super) async fn register(&self, client: &NewClient<'_>) -> Result<Registration, MintError> {
        let issuer = issuer(self.context)?;
        let url = below(&self.portal.oidc, &["client", "register"]);
        let answer = issuer.send(Call::post(url).json(client)?).await?;
        if !answer.is_success() {
            return Err(answer.refusal(&issuer));
        }
        let registered: Registered = answer.json(&issuer)?;
        Ok(Registration {
            id: registered.id,
            secret: registered.secret.0,
            expires_at: Timestamp::from_second(registered.expires_at).unwrap_or(Timestamp::MIN),
        })
    }

    pub(super) async fn authorize_device(
        &self,
        registration: &Registration,
    ) -> Result<Authorization, MintError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Begin<'a> {
            client_id: &'a str,
            client_secret: &'a str,
            start_url: &'a str,
        }
        let mut issuer = issuer(self.context)?;
        issuer.hide(&registration.secret);
        let url = below(&self.portal.oidc, &["device_authorization"]);
        let begin = Begin {
            client_id: &registration.id,
            client_secret: registration.secret.expose_secret(),
            start_url: &self.portal.start_url,
        };
        let answer = issuer.send(Call::post(url).json(&begin)?).await?;
        if !answer.is_success() {
            return Err(answer.refusal(&issuer).with_remedy(
                "is `start_url` that of the access portal, and `sso_region` its region?",
            ));
        }
        answer.json(&issuer)
    }

    /// A token for a grant, with the registration in it.
    pub(super) async fn token(
        &self,
        registration: &Registration,
        grant: &Grant<'_>,
    ) -> Result<Token, Refusal> {
        let mut issuer = issuer(self.context).map_err(Refusal::Other)?;
        let secrets = [
            grant.device_code,
            grant.code,
            grant.code_verifier,
            grant.refresh_token,
        ];
        for secret in secrets.into_iter().flatten().chain([&registration.secret]) {
            issuer.hide(secret);
        }
        let asked = Asked {
            client_id: &registration.id,
            client_secret: registration.secret.expose_secret(),
            grant_type: grant.kind,
            device_code: grant.device_code.map(SecretString::expose_secret),
            code: grant.code.map(SecretString::expose_secret),
            redirect_uri: grant.redirect_uri,
            code_verifier: grant.code_verifier.map(SecretString::expose_secret),
            refresh_token: grant.refresh_token.map(SecretString::expose_secret),
        };
        // Codes and refresh tokens may be good for one use only, so the call is not repeated.
        let call = Call::post(below(&self.portal.oidc, &["token"]))
            .json(&asked)
            .map_err(|error| Refusal::Other(error.into()))?
            .changes();
        let sent_at = self.context.clock.now();
        let answer = issuer.send(call).await.map_err(nothing_of_worth)?;
        if !answer.is_success() {
            return Err(refusal(&answer, &issuer));
        }
        let granted: Granted = answer.json(&issuer).map_err(nothing_of_worth)?;
        Ok(Token {
            access: granted.access_token.0,
            // The issuer tells only how long; counted from before the question, never more than it is.
            expires_at: sent_at
                .checked_add(SignedDuration::from_secs(granted.expires_in))
                .unwrap_or(Timestamp::MIN),
            refresh: granted.refresh_token.map(|token| token.0),
            registration: Some(registration.clone()),
        })
    }
}

/// A lost token of a login is no credential that somebody would have to withdraw: the role's session comes later.
fn nothing_of_worth(error: MintError) -> Refusal {
    Refusal::Other(MintError {
        maybe_issued: false,
        ..error
    })
}

fn issuer(context: &MintContext) -> Result<Issuer, MintError> {
    issuer::open("IAM Identity Center", context, ca_file(context))
}

/// The certificates that the AWS tools trust.
pub(super) fn ca_file(context: &MintContext) -> Option<&Path> {
    context.env.var("AWS_CA_BUNDLE").map(Path::new)
}

fn refusal(answer: &Answer, issuer: &Issuer) -> Refusal {
    match class(answer).as_str() {
        "AuthorizationPendingException" | "authorization_pending" => Refusal::Pending,
        "SlowDownException" | "slow_down" => Refusal::SlowDown,
        "ExpiredTokenException" | "expired_token" => Refusal::Expired,
        "AccessDeniedException" | "access_denied" => Refusal::Denied,
        "InvalidGrantException"
        | "invalid_grant"
        | "InvalidClientException"
        | "invalid_client"
        | "UnauthorizedClientException"
        | "unauthorized_client" => Refusal::Over(answer.refusal(issuer)),
        _ if answer.status() == 401 => Refusal::Over(answer.refusal(issuer)),
        _ => Refusal::Other(answer.refusal(issuer)),
    }
}

/// The class of a refusal: from the header, without a namespace or an address behind it, else from the body.
fn class(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Option<String>,
    }
    let in_header = answer
        .headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(':').next());
    if let Some(class) = in_header {
        return class.trim().to_owned();
    }
    serde_json::from_slice::<Body>(&answer.body)
        .ok()
        .and_then(|body| body.error)
        .unwrap_or_default()
}
