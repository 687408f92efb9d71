//! Calls of Tailscale's API version 2, and what its refusals mean.

use fnox_core::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{API_KEY, CLIENT_ID, CLIENT_SECRET, Settings};
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::mint::{MintContext, MintError, MintErrorKind};
use crate::wiped::Wiped;

/// All that an OAuth client's access token is for: "OAuth Scope: `auth_keys` grants access to create machine auth keys".
pub(super) const SCOPE: &str = "auth_keys";

/// The longest list of keys that is searched.
const MOST: usize = 1000;

/// What opens the API.
pub(super) enum Master {
    /// "Access tokens can be supplied as the username portion of HTTP Basic authentication (leave the password blank)".
    ApiKey(SecretString),
    /// The access token of an OAuth client.
    Client { id: String, token: SecretString },
}

impl Master {
    /// The variable whose value opens the API.
    pub(super) fn named(context: &MintContext) -> Option<&'static str> {
        let is_set = |name: &str| context.env.var(name).is_some();
        if is_set(API_KEY) {
            Some(API_KEY)
        } else {
            (is_set(CLIENT_ID) && is_set(CLIENT_SECRET)).then_some(CLIENT_SECRET)
        }
    }
}

/// The API as one master sees it.
pub(super) struct Api<'s> {
    settings: &'s Settings,
    issuer: Issuer,
    master: Master,
}

/// One of the keys in the list.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    /// An older API lists ids alone.
    pub(super) description: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    keys: Vec<Listed>,
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Token {
    access_token: Wiped,
}

impl<'s> Api<'s> {
    pub(super) async fn open(
        settings: &'s Settings,
        context: &MintContext,
    ) -> Result<Self, MintError> {
        let mut issuer = issuer::open("Tailscale", context, None)?;
        let secret = |name: &str| {
            context
                .env
                .secret(name)
                .ok_or_else(|| MintError::authentication(format!("{name} is not set")))
        };
        let master = match Master::named(context) {
            Some(CLIENT_SECRET) => {
                if settings.tags.is_empty() {
                    return Err(MintError::misconfigured(
                        "tags",
                        format!("keys that an OAuth client makes must have `tags`, and {CLIENT_ID} is one"),
                    )
                    .with_remedy("name tags of the client, or tags that these own"));
                }
                let id = context.env.var(CLIENT_ID).unwrap_or_default().to_owned();
                let token = login(settings, &issuer, &id, &secret(CLIENT_SECRET)?).await?;
                issuer.hide(&token);
                Master::Client { id, token }
            }
            _ => Master::ApiKey(secret(API_KEY)?),
        };
        Ok(Self {
            settings,
            issuer,
            master,
        })
    }

    pub(super) async fn create<T: DeserializeOwned>(&self, body: &Value) -> Result<T, MintError> {
        let call = Call::post(self.settings.keys.clone()).changes();
        let answer = self.send(call.json(body)?).await?;
        if answer.status() == 200 {
            return answer.json(&self.issuer);
        }
        let error = self.refused(&answer);
        Err(match error.kind {
            MintErrorKind::Unavailable => error.maybe_issued(),
            _ => error,
        })
    }

    /// Deletes a key. One that does not exist is as good as deleted, if the tailnet is there.
    pub(super) async fn delete(&self, id: &str) -> Result<(), MintError> {
        let url = below(&self.settings.keys, &[id]);
        let answer = self.send(Call::delete(url)).await?;
        match answer.status() {
            200..=299 => Ok(()),
            404 => self.list().await.map(drop),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The keys that are active, those of the tailnet itself among them.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, MintError> {
        let call = Call::get(self.settings.keys.clone()).query("all", "true");
        let answer = self.send(call).await?;
        if answer.status() != 200 {
            return Err(self.refused(&answer));
        }
        let list: List = answer.json(&self.issuer)?;
        if list.keys.len() > MOST {
            return Err(MintError::unavailable(format!(
                "Tailscale lists more than {MOST} keys"
            )));
        }
        Ok(list.keys)
    }

    /// The description of a key. Empty: it has none, or is gone.
    pub(super) async fn description(&self, id: &str) -> Result<String, MintError> {
        let url = below(&self.settings.keys, &[id]);
        let answer = self.send(Call::get(url)).await?;
        match answer.status() {
            200 => Ok(answer
                .json::<Listed>(&self.issuer)?
                .description
                .unwrap_or_default()),
            404 => Ok(String::new()),
            _ => Err(self.refused(&answer)),
        }
    }

    async fn send(&self, call: Call) -> Result<Answer, MintError> {
        let call = match &self.master {
            Master::ApiKey(key) => call.basic(key.expose_secret(), &SecretString::from(""))?,
            Master::Client { token, .. } => call.bearer(token)?,
        };
        self.issuer.send(call).await
    }

    fn refused(&self, answer: &Answer) -> MintError {
        let mut error = answer.refusal(&self.issuer);
        let said = answer.said().unwrap_or_default().to_ascii_lowercase();
        let tailnet = &self.settings.tailnet;
        let who = match &self.master {
            Master::ApiKey(_) => format!("{API_KEY} needs an owner who is an admin of the tailnet"),
            Master::Client { id, .. } => {
                format!("the OAuth client {id} needs the scope `{SCOPE}`, with write access")
            }
        };
        match answer.status() {
            401 => error.with_remedy(format!(
                "is {API_KEY} an API access token (`tskey-api-…`) that was neither revoked nor has expired?"
            )),
            403 => error.with_remedy(who),
            404 => {
                error.key = Some("tailnet");
                error.with_remedy(format!("there is no tailnet `{tailnet}` for these credentials"))
            }
            400 if said.contains("tag") => {
                error.key = Some("tags");
                error.with_remedy(
                    "a tag must be defined in the tailnet's policy file (`tagOwners`), and be the OAuth client's own or owned by \
                     one of its tags",
                )
            }
            _ => error,
        }
    }
}

/// "OAuth clients": the client credentials grant (RFC 6749 section 4.4) with id and secret in the body.
async fn login(
    settings: &Settings,
    issuer: &Issuer,
    id: &str,
    secret: &SecretString,
) -> Result<SecretString, MintError> {
    let call = Call::post(settings.token.clone()).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret.expose_secret()),
        ("scope", SCOPE),
    ]);
    let answer = issuer.send(call).await?;
    if answer.status() != 200 {
        let mut error = answer.refusal(issuer);
        if matches!(answer.status(), 400 | 401) {
            error.kind = MintErrorKind::AuthenticationNeeded;
        }
        return Err(error.with_remedy(format!(
            "is {CLIENT_SECRET} the secret of the OAuth client {id}, and has the client the scope `{SCOPE}`?"
        )));
    }
    // The access token cannot make anything by itself that would have to be found again.
    let token = answer.json::<Token>(issuer).map_err(|error| MintError {
        maybe_issued: false,
        ..error
    })?;
    if token.access_token.0.is_empty() {
        return Err(MintError::unavailable(
            "Tailscale answered without an access token",
        ));
    }
    Ok(token.access_token.0)
}
