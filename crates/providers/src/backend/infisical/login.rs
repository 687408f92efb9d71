//! Who asks.

use fnox_core::{Env, SecretString};
use fnox_http::{Call, Service, Url, below};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use zeroize::Zeroize as _;

use super::rest;
use crate::error::{ErrorKind, ProviderError};
use crate::wiped::Wiped;

const TOKENS: [&str; 2] = ["FNOX_INFISICAL_TOKEN", "INFISICAL_TOKEN"];
const IDS: [&str; 2] = ["FNOX_INFISICAL_CLIENT_ID", "INFISICAL_CLIENT_ID"];
const SECRETS: [&str; 2] = ["FNOX_INFISICAL_CLIENT_SECRET", "INFISICAL_CLIENT_SECRET"];

/// A token, or what gets one.
#[derive(Debug)]
pub(super) enum Login {
    Token(SecretString),
    /// "Universal Auth".
    Universal {
        id: String,
        secret: SecretString,
        /// The token of the newest login.
        held: Mutex<Option<SecretString>>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    access_token: Wiped,
}

impl Login {
    pub(super) fn new(env: &Env) -> Result<Self, ProviderError> {
        let secret = |names: &[&str]| {
            rest::variable(env, names)
                .map(|text| SecretString::from(text.trim()))
                .filter(|text| !text.is_empty())
        };
        if let Some(token) = secret(&TOKENS) {
            return Ok(Self::Token(token));
        }
        let lacks = |name: &str| {
            ProviderError::authentication(format!(
                "{name} is not set, and Universal Auth of Infisical needs it"
            ))
            .with_remedy("a client secret is made at the identity in Infisical, and belongs to its client id")
        };
        match (secret(&IDS), secret(&SECRETS)) {
            (Some(id), Some(secret)) => Ok(Self::Universal {
                id: id.expose_secret().to_owned(),
                secret,
                held: Mutex::new(None),
            }),
            (Some(_), None) => Err(lacks("INFISICAL_CLIENT_SECRET")),
            (None, Some(_)) => Err(lacks("INFISICAL_CLIENT_ID")),
            (None, None) => Err(ProviderError::authentication(
                "there is nothing to log in to Infisical with",
            )
            .with_remedy(
                "set INFISICAL_TOKEN, or INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET",
            )),
        }
    }

    /// The token, which is kept out of messages from now on.
    pub(super) async fn token(
        &self,
        service: &mut Service,
        base: &Url,
    ) -> Result<SecretString, ProviderError> {
        let token = match self {
            Self::Token(token) => token.clone(),
            Self::Universal { id, secret, held } => {
                // Whoever asks at the same time waits for the same login.
                let mut held = held.lock().await;
                if let Some(token) = &*held {
                    token.clone()
                } else {
                    service.hide(secret);
                    let token = universal(service, base, id, secret).await?;
                    *held = Some(token.clone());
                    token
                }
            }
        };
        service.hide(&token);
        Ok(token)
    }

    /// Forgets a token that is not accepted any more. Whether another login may help.
    pub(super) async fn forget(&self, token: &SecretString) -> bool {
        let Self::Universal { held, .. } = self else {
            return false;
        };
        let mut held = held.lock().await;
        if held.as_ref() == Some(token) {
            *held = None;
        }
        true
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Token(_) => {
                "the token has ended or is of another server: set INFISICAL_TOKEN anew"
            }
            Self::Universal { .. } => {
                "compare the identity's client id and secret, and whether it may come from this address"
            }
        }
    }
}

/// `POST /api/v1/auth/universal-auth/login`
async fn universal(
    service: &Service,
    base: &Url,
    id: &str,
    secret: &SecretString,
) -> Result<SecretString, ProviderError> {
    let path = ["api", "v1", "auth", "universal-auth", "login"];
    let mut body = json!({"clientId": id, "clientSecret": secret.expose_secret()});
    // A client secret may be good for so many logins only.
    let call = Call::post(below(base, &path)).changes().json(&body);
    if let Some(serde_json::Value::String(text)) = body.get_mut("clientSecret") {
        text.zeroize();
    }
    let answer = service.send(call?).await?;
    if answer.is_success() {
        let issued: Issued = answer.json(service)?;
        return Ok(issued.access_token.0);
    }
    let error = rest::refusal(service, &answer, "/message");
    Err(match answer.status() {
        400 | 401 | 403 => ProviderError::new(ErrorKind::AuthenticationNeeded, error.message)
            .with_remedy("compare INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET with the identity's, and whether the secret has ended"),
        404 => error.with_remedy("is INFISICAL_API_URL that of an Infisical server?"),
        _ => error,
    })
}
