//! Calls of Cloudflare's API version 4, and what its refusals mean.
//!
//! Every answer is an envelope `{success, errors, messages, result, result_info}`. Cloudflare documents no list of error
//! codes; those that are told apart here are quoted in its page "Troubleshooting API tokens" and in public issues of its
//! Terraform provider (#3227: 9109). All others are shown as they came.

use fnox_core::SecretString;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MASTERS;
use super::settings::Settings;
use crate::issuer::{self, Answer, Call, Issuer};
use crate::mint::{MintContext, MintError, MintErrorKind};

const PAGE: usize = 50;

/// More pages than anybody has tokens.
const PAGES: usize = 100;

/// The API as one master sees it.
pub(super) struct Api<'s> {
    pub(super) settings: &'s Settings,
    issuer: Issuer,
    master: SecretString,
    master_name: &'static str,
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    success: bool,
    result: Option<T>,
    result_info: Option<Pages>,
}

#[derive(Deserialize)]
struct Pages {
    total_pages: Option<usize>,
}

/// One of the tokens in the list.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error_chain: Vec<Complaint>,
}

impl<'s> Api<'s> {
    pub(super) fn open(settings: &'s Settings, context: &MintContext) -> Result<Self, MintError> {
        let found = MASTERS
            .into_iter()
            .find_map(|name| Some((name, context.env.secret(name)?)));
        let Some((master_name, master)) = found else {
            return Err(MintError::authentication(format!(
                "{} is not set",
                MASTERS[0]
            )));
        };
        Ok(Self {
            settings,
            issuer: issuer::open("Cloudflare", context, None)?,
            master,
            master_name,
        })
    }

    /// Reads something.
    pub(super) async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, MintError> {
        let envelope = self.envelope(Call::get(url)).await;
        match envelope {
            Ok(Envelope {
                result: Some(result),
                ..
            }) => Ok(result),
            Ok(_) => Err(empty()),
            // Reading issues nothing.
            Err(error) => Err(MintError {
                maybe_issued: false,
                ..error
            }),
        }
    }

    /// Creates a token.
    pub(super) async fn create<T: DeserializeOwned>(&self, body: &Value) -> Result<T, MintError> {
        let call = Call::post(self.settings.tokens.clone())
            .changes()
            .json(body)?;
        let envelope = self.envelope(call).await?;
        envelope.result.ok_or_else(|| empty().maybe_issued())
    }

    /// Deletes a token. One that does not exist is as good as deleted.
    pub(super) async fn delete(&self, id: &str) -> Result<(), MintError> {
        let call = Call::delete(self.settings.below(&[id])).bearer(&self.master)?;
        let answer = self.issuer.send(call).await?;
        if answer.is_success() || answer.status() == 404 {
            return Ok(());
        }
        Err(self.refused(&answer))
    }

    /// All tokens, of all pages.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, MintError> {
        let mut tokens = Vec::new();
        for page in 1..=PAGES {
            let call = Call::get(self.settings.tokens.clone())
                .query("page", &page.to_string())
                .query("per_page", &PAGE.to_string());
            let envelope: Envelope<Vec<Listed>> = self.envelope(call).await?;
            let found = envelope.result.unwrap_or_default();
            let is_last = found.is_empty()
                || envelope
                    .result_info
                    .and_then(|info| info.total_pages)
                    .is_some_and(|total| page >= total);
            tokens.extend(found);
            if is_last {
                return Ok(tokens);
            }
        }
        Err(MintError::unavailable(format!(
            "Cloudflare's list of tokens has more than {PAGES} pages"
        )))
    }

    async fn envelope<T: DeserializeOwned>(&self, call: Call) -> Result<Envelope<T>, MintError> {
        let answer = self.issuer.send(call.bearer(&self.master)?).await?;
        if !answer.is_success() {
            return Err(self.refused(&answer));
        }
        let envelope: Envelope<T> = answer.json(&self.issuer)?;
        if envelope.success {
            return Ok(envelope);
        }
        let said = answer.said().unwrap_or_default();
        Err(MintError::unavailable(format!(
            "Cloudflare answered that it failed: {}",
            self.issuer.cleaned(&said)
        ))
        .maybe_issued())
    }

    fn refused(&self, answer: &Answer) -> MintError {
        let mut error = answer.refusal(&self.issuer);
        if error.kind == MintErrorKind::Unavailable {
            return error.maybe_issued();
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
        let Some(first) = refusal.and_then(|refusal| refusal.errors.into_iter().next()) else {
            return self.in_general(error);
        };
        let status = answer.status();
        error.message = error.message.replacen(
            &format!("(status {status})"),
            &format!("(status {status}, code {})", first.code),
            1,
        );
        for further in first.error_chain.iter().take(3) {
            let said = self.issuer.cleaned(&further.message);
            error.message = format!("{}; {said} (code {})", error.message, further.code);
        }
        self.explained(error, &first)
    }

    fn explained(&self, mut error: MintError, first: &Complaint) -> MintError {
        let master = self.master_name;
        let message = first.message.to_ascii_lowercase();
        match first.code {
            // "Invalid API Token"; "Invalid request headers" (6111: "Invalid format for Authorization header")
            1000 | 6003 => {
                error.kind = MintErrorKind::AuthenticationNeeded;
                error.with_remedy(unusable(master))
            }
            9109 if message.contains("invalid access token") => {
                error.kind = MintErrorKind::AuthenticationNeeded;
                error.with_remedy(unusable(master))
            }
            9109 if message.contains("location") => {
                error.kind = MintErrorKind::Denied;
                error.with_remedy(format!(
                    "{master} works only from other addresses than this machine's"
                ))
            }
            // "Could not route to …, perhaps your object identifier is invalid?"
            7000 | 7003 if self.settings.owner.is_some() => {
                error.kind = MintErrorKind::Misconfigured;
                error.key = Some("account_id");
                error.with_remedy("is it the id of an account that the master belongs to?")
            }
            _ if message.contains("expires_on") || message.contains("expir") => error.with_remedy(
                "is this machine's clock right? Cloudflare wants an end that is ahead",
            ),
            _ => self.in_general(error),
        }
    }

    /// By the class of the refusal, where its code says nothing.
    fn in_general(&self, mut error: MintError) -> MintError {
        let master = self.master_name;
        match error.kind {
            MintErrorKind::Denied => error.with_remedy(format!(
                "{master} needs the permission {}, and all that the new token gets",
                self.settings.permission()
            )),
            MintErrorKind::AuthenticationNeeded => error.with_remedy(unusable(master)),
            _ => {
                if self.settings.policies.is_some() {
                    error.key = Some("policies");
                }
                error.with_remedy(
                    "a permission group must fit the resources of its policy, and both must be the master's to give",
                )
            }
        }
    }
}

fn unusable(master: &str) -> String {
    format!(
        "is {master} a whole API token, no Global API Key, that was neither deleted nor has expired?"
    )
}

fn empty() -> MintError {
    MintError::unavailable("Cloudflare answered without a result")
        .with_remedy("is the configured address really its API?")
}
