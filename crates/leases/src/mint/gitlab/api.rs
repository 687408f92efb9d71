//! Calls of GitLab's REST API version 4, and what its refusals mean.

use fnox_core::SecretString;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{MASTER, Settings};
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::mint::{MintContext, MintError, MintErrorKind};

/// "Personal, project and group access tokens" of "REST API authentication".
const HEADER: HeaderName = HeaderName::from_static("private-token");

/// "Offset-based pagination" of "REST API": up to 100 on a page; the header has the next page's number, or nothing.
const PAGE: &str = "100";
const NEXT: HeaderName = HeaderName::from_static("x-next-page");

/// More pages than a project has tokens.
const PAGES: usize = 100;

/// The API as the master sees it.
pub(super) struct Api<'s> {
    settings: &'s Settings,
    issuer: Issuer,
    master: SecretString,
}

/// One of the tokens in the list.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Condition {
    revoked: bool,
}

impl<'s> Api<'s> {
    pub(super) fn open(settings: &'s Settings, context: &MintContext) -> Result<Self, MintError> {
        let Some(master) = context.env.secret(MASTER) else {
            return Err(MintError::authentication(format!("{MASTER} is not set")));
        };
        Ok(Self {
            settings,
            issuer: issuer::open("GitLab", context, None)?,
            master,
        })
    }

    pub(super) async fn create<T: DeserializeOwned>(&self, body: &Value) -> Result<T, MintError> {
        let call = Call::post(self.settings.tokens.clone()).changes();
        let answer = self.send(call.json(body)?).await?;
        if answer.status() != 201 {
            return Err(self.refused(&answer).or_issued());
        }
        answer.json(&self.issuer)
    }

    /// Deletes a token. One that does not exist is as good as deleted, if it is the token that does not exist and not the
    /// project, as far as the master can see.
    pub(super) async fn delete(&self, id: &str) -> Result<(), MintError> {
        let url = below(&self.settings.tokens, &[id]);
        let answer = self.send(Call::delete(url.clone())).await?;
        match answer.status() {
            200..=299 => Ok(()),
            404 => self.page("", 1, "1").await.map(drop),
            // "400: Bad Request if not revoked successfully": the bot may be on its way out already.
            400 if self.is_revoked(url).await? => Ok(()),
            _ => Err(self.refused(&answer)),
        }
    }

    async fn is_revoked(&self, url: Url) -> Result<bool, MintError> {
        let answer = self.send(Call::get(url)).await?;
        match answer.status() {
            404 => Ok(true),
            200 => Ok(answer.json::<Condition>(&self.issuer)?.revoked),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The tokens whose names have a text in them, of all pages. Servers before 17.3 do not know `search` and list all tokens,
    /// so the caller looks at the names.
    pub(super) async fn list(&self, text: &str) -> Result<Vec<Listed>, MintError> {
        let mut tokens = Vec::new();
        let mut page = 1;
        for _ in 0..PAGES {
            let (found, next) = self.page(text, page, PAGE).await?;
            tokens.extend(found);
            match next {
                Some(next) => page = next,
                None => return Ok(tokens),
            }
        }
        Err(MintError::unavailable(format!(
            "GitLab's list of tokens has more than {PAGES} pages"
        )))
    }

    async fn page(
        &self,
        text: &str,
        page: u32,
        size: &str,
    ) -> Result<(Vec<Listed>, Option<u32>), MintError> {
        let mut call = Call::get(self.settings.tokens.clone())
            .query("state", "active")
            .query("page", &page.to_string())
            .query("per_page", size);
        if !text.is_empty() {
            call = call.query("search", text);
        }
        let answer = self.send(call).await?;
        if answer.status() != 200 {
            return Err(self.refused(&answer));
        }
        let next = answer.headers.get(&NEXT);
        let next = next.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((answer.json(&self.issuer)?, next))
    }

    async fn send(&self, call: Call) -> Result<Answer, MintError> {
        let call = call.secret_header(HEADER, &self.master)?;
        self.issuer.send(call).await
    }

    fn refused(&self, answer: &Answer) -> MintError {
        let Settings {
            kind,
            holder,
            server,
            ..
        } = self.settings;
        let mut error = answer.refusal(&self.issuer);
        let said = self.said(answer);
        if let Some(objections) = &said.objections {
            error.message = format!("{}: {objections}", error.message);
        }
        match answer.status() {
            401 => error.with_remedy(format!(
                "is {MASTER} a personal access token of {server} that has not expired, and may its owner see the tokens of the \
                 {kind} `{holder}`?"
            )),
            403 => error.with_remedy(needs(kind, holder)),
            404 => {
                error.key = Some(kind);
                error.with_remedy(format!(
                    "there is no {kind} `{holder}`, or the owner of {MASTER} cannot see it"
                ))
            }
            400 if said.text.contains("permission") => {
                error.kind = MintErrorKind::Denied;
                error.with_remedy(needs(kind, holder))
            }
            400 if said.text.contains("expir") => error.with_remedy(
                "is this machine's clock right? GitLab wants a date that is ahead and within its limits",
            ),
            400 if said.text.contains("scope") => {
                error.key = Some("scopes");
                error.with_remedy("GitLab's page \"Project access tokens\" lists the scopes")
            }
            400 if said.text.contains("access_level") || said.text.contains("access level") => {
                error.key = Some("access_level");
                error.with_remedy(format!("nobody can give more than their own role in the {kind}"))
            }
            _ => error,
        }
    }

    /// `{"message": "…"}`, `{"message": {"field": ["…"]}}` or `{"error": "…"}`: "Status codes" of "REST API".
    fn said(&self, answer: &Answer) -> Said {
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let objections = value["message"]
            .is_object()
            .then(|| self.issuer.cleaned(&value["message"].to_string()));
        let text = objections.clone().or_else(|| answer.said());
        Said {
            text: text.unwrap_or_default().to_ascii_lowercase(),
            objections,
        }
    }
}

/// What a refusal says.
struct Said {
    /// All of it, in lower case.
    text: String,
    /// What it says field by field.
    objections: Option<String>,
}

fn needs(kind: &str, holder: &str) -> String {
    format!(
        "{MASTER} needs the scope `api`, and its owner a role in the {kind} `{holder}` that may make tokens (Maintainer of a \
         project, Owner of a group) and is no lower than `access_level`; GitLab.com wants a paid plan for them"
    )
}

trait OrIssued {
    /// After a call that issues: an answer that is no refusal says nothing about what happened.
    fn or_issued(self) -> Self;
}

impl OrIssued for MintError {
    fn or_issued(self) -> Self {
        if self.kind == MintErrorKind::Unavailable {
            self.maybe_issued()
        } else {
            self
        }
    }
}
