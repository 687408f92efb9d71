//! The client credentials grant (RFC 6749 section 4.4, RFC 7523 section 2.2) at Microsoft Entra's v2.0 endpoint.

use fnox_core::Env;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;

use super::certificate::Certificate;
use super::refusal::{self, Facts};
use super::settings::{Settings, is_id};
use super::source::{self, Source};
use super::{Issued, SECRET};
use crate::issuer::{Call, Issuer, below};
use crate::jwt;
use crate::mint::{MintContext, MintError, PlannedCall};
use crate::wiped::Wiped;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A number of seconds, which some endpoints write as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "NumberOrText")]
pub(super) struct Seconds(pub(super) Option<i64>);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(i64),
    Text(String),
}

impl From<NumberOrText> for Seconds {
    fn from(seconds: NumberOrText) -> Self {
        Self(match seconds {
            NumberOrText::Number(number) => Some(number),
            NumberOrText::Text(text) => text.trim().parse().ok(),
        })
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Wiped,
    expires_in: Seconds,
}

/// Asks for a token as an application.
pub(super) async fn token(
    settings: &Settings,
    source: &Source,
    context: &MintContext,
    mut issuer: Issuer,
) -> Result<Issued, MintError> {
    let none = || MintError::authentication("AZURE_TENANT_ID and AZURE_CLIENT_ID are needed");
    let env = &context.env;
    let tenant = settings.tenant(env).ok_or_else(none)?;
    let client = settings.client(env).ok_or_else(none)?;
    for (name, id) in [("tenant", tenant), ("client", client)] {
        if !is_id(id) {
            let message = format!("the {name} `{}` is no id", id.escape_debug());
            return Err(MintError::authentication(message));
        }
    }
    let url = endpoint(&settings.authority(env)?, tenant);
    // The clock is read before the call, so that the end of the token is not told later than it is.
    let asked_at = context.clock.now();
    let (secret, claims) = match source {
        Source::Certificate(path) => {
            let certificate = Certificate::read(path)?;
            issuer.hide(&certificate.key);
            (certificate.assertion(client, url.as_str(), asked_at)?, None)
        }
        Source::Federated => {
            let none = || MintError::authentication("there is no OIDC token to log in with");
            let token = source::identity(settings, env).fetch(context).await?;
            let token = token.ok_or_else(none)?;
            let claims = jwt::described(&token);
            (token, Some(claims))
        }
        _ => (env.secret(SECRET).ok_or_else(none)?, None),
    };
    issuer.hide(&secret);
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", settings.scope.as_str()),
    ];
    if *source == Source::ClientSecret {
        form.push(("client_secret", secret.expose_secret()));
    } else {
        form.push(("client_assertion_type", ASSERTION));
        form.push(("client_assertion", secret.expose_secret()));
    }
    // Asked again after a failure: one more token only expires.
    let answer = issuer.send(Call::post(url).form(&form)).await?;
    if !answer.is_success() {
        let facts = Facts {
            tenant,
            client,
            source,
            claims: claims.as_deref(),
        };
        return Err(refusal::of_login(&answer, &issuer, &facts));
    }
    let answer: TokenAnswer = answer.json(&issuer)?;
    Ok(Issued {
        token: answer.access_token.0,
        expires_at: later(asked_at, answer.expires_in)
            .ok_or_else(|| without_end("Microsoft Entra"))?,
    })
}

/// The call that [`token`] would make.
pub(super) fn explain(settings: &Settings, source: Option<&Source>, env: &Env) -> PlannedCall {
    let tenant = settings.tenant(env).unwrap_or("TENANT");
    PlannedCall {
        action: "POST".to_owned(),
        target: match settings.authority(env) {
            Ok(authority) => endpoint(&authority, tenant).to_string(),
            Err(error) => error.message,
        },
        purpose: "get a token of the application".to_owned(),
        master: source.map_or_else(|| "nothing that is there".to_owned(), Source::name),
        details: vec![
            (
                "client_id".to_owned(),
                settings.client(env).unwrap_or("none").to_owned(),
            ),
            ("scope".to_owned(), settings.scope.clone()),
        ],
    }
}

fn endpoint(authority: &Url, tenant: &str) -> Url {
    below(authority, &[tenant, "oauth2", "v2.0", "token"])
}

/// So many seconds after a moment.
pub(super) fn later(moment: Timestamp, seconds: Seconds) -> Option<Timestamp> {
    moment
        .checked_add(SignedDuration::from_secs(seconds.0?))
        .ok()
}

/// The error that an answer does not say when its token ends.
pub(super) fn without_end(who: &str) -> MintError {
    MintError::unavailable(format!(
        "{who} answered with a token that says no time of expiry"
    ))
    .maybe_issued()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_or_texts() {
        let read = |text: &str| {
            serde_json::from_str::<Seconds>(text)
                .ok()
                .and_then(|seconds| seconds.0)
        };
        assert_eq!(read("3599"), Some(3599));
        assert_eq!(read("\"3599\""), Some(3599));
        assert_eq!(read("\"soon\""), None);
        assert_eq!(read("[]"), None);
    }
}
