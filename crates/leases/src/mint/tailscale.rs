//! `tailscale`: an authentication key with which devices join a tailnet.
//!
//! An API access token, or an OAuth client, makes a key that ends by itself; by default it works once, for a device that is
//! forgotten when it goes offline. A key that works once is never handed out a second time. Deleting a key keeps new devices
//! out; devices that have joined with it stay.
//!
//! The key's description holds the provisional id, so that a key whose answer was lost is found in the list and deleted.
//!
//! Facts are from Tailscale's OpenAPI description of its API version 2 (`createKey`, `listTailnetKeys`, `getKey`, `deleteKey`),
//! its pages "Auth keys" and "OAuth clients", and its own Go client (`keys.go`, `oauth.go`).

mod api;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::{Fields, LeaseConfig};
use fnox_core::{Credential, Lifetime};
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use self::api::{Api, Master};
use super::naming::{is_named_for, name_of};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::issuer::{below, parse};
use crate::wiped::Wiped;

const API_KEY: &str = "TAILSCALE_API_KEY";
const CLIENT_ID: &str = "TAILSCALE_OAUTH_CLIENT_ID";
const CLIENT_SECRET: &str = "TAILSCALE_OAUTH_CLIENT_SECRET";

/// The variables from which Tailscale's programs take a key.
const KEY_VARIABLES: [&str; 2] = ["TS_AUTHKEY", "TS_AUTH_KEY"];

/// "Can be a maximum of 50 alphanumeric characters. Hyphens and spaces are also allowed."
const LONGEST_DESCRIPTION: usize = 50;

#[derive(Debug)]
struct Tailscale {
    settings: Settings,
}

#[derive(Debug)]
struct Settings {
    tailnet: String,
    tags: Vec<String>,
    is_reusable: bool,
    is_ephemeral: bool,
    is_preauthorized: bool,
    env_var: String,
    /// Where keys are made and listed.
    keys: Url,
    /// Where OAuth clients get their access tokens.
    token: Url,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that Tailscale would refuse.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(Tailscale {
        settings: Settings::read(&lease.fields)?,
    }))
}

impl Settings {
    fn read(fields: &Fields) -> Result<Self, LeaseError> {
        let tailnet = fields.text("tailnet").unwrap_or("-");
        let is_name = !tailnet.is_empty()
            && !tailnet.starts_with('.')
            && tailnet
                .chars()
                .all(|c| c.is_alphanumeric() || "-_.@+".contains(c));
        if !is_name {
            let reason = "must be an organisation's name, or `-` for the master's own tailnet";
            return Err(fields.invalid("tailnet", reason).into());
        }
        let tags = fields.list("tags");
        if let Some(wrong) = tags.iter().find(|tag| !is_tag(tag)) {
            let reason = format!(
                "has `{}`: a tag is `tag:`, a letter, then letters, digits and hyphens",
                wrong.escape_debug()
            );
            return Err(fields.invalid("tags", reason).into());
        }
        let base = parse(
            fields
                .text("api_base")
                .unwrap_or("https://api.tailscale.com"),
        )
        .map_err(|reason| fields.invalid("api_base", reason))?;
        let flag = |key: &str, default: bool| fields.flag(key).unwrap_or(default);
        Ok(Self {
            tailnet: tailnet.to_owned(),
            tags: tags.to_vec(),
            is_reusable: flag("reusable", false),
            is_ephemeral: flag("ephemeral", true),
            is_preauthorized: flag("preauthorized", true),
            env_var: fields
                .text("env_var")
                .unwrap_or(KEY_VARIABLES[0])
                .to_owned(),
            keys: below(&base, &["api", "v2", "tailnet", tailnet, "keys"]),
            token: below(&base, &["api", "v2", "oauth", "token"]),
        })
    }

    /// What the key may do.
    fn capabilities(&self) -> Value {
        let mut create = json!({
            "reusable": self.is_reusable,
            "ephemeral": self.is_ephemeral,
            "preauthorized": self.is_preauthorized,
        });
        if !self.tags.is_empty() {
            create["tags"] = json!(self.tags);
        }
        json!({"devices": {"create": create}})
    }
}

fn is_tag(text: &str) -> bool {
    text.strip_prefix("tag:").is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

/// A new key.
#[derive(Deserialize)]
struct Issued {
    id: String,
    key: Wiped,
    expires: Option<Timestamp>,
}

#[async_trait]
impl Mint for Tailscale {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            // "Auth keys … expire after the number of days … between 1 and 90".
            maximum: Lifetime::from_secs(90 * 24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(
            [API_KEY, CLIENT_ID, CLIENT_SECRET]
                .map(str::to_owned)
                .to_vec(),
        )
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        [API_KEY, CLIENT_ID, CLIENT_SECRET]
            .iter()
            .chain(&KEY_VARIABLES)
            .map(|name| (*name).to_owned())
            .collect()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn is_single_use(&self) -> bool {
        false
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if Master::named(context).is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "Tailscale credentials not found. Set {API_KEY}, or {CLIENT_ID} and {CLIENT_SECRET}."
            ),
            prompts: vec![PromptField {
                variable: API_KEY.to_owned(),
                description: "Tailscale API access token".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let master = Master::named(context).unwrap_or(API_KEY);
        let call = |target: &Url, purpose: &str, details| PlannedCall {
            action: "POST".to_owned(),
            target: target.to_string(),
            purpose: purpose.to_owned(),
            master: master.to_owned(),
            details,
        };
        let mut calls = Vec::new();
        if master == CLIENT_SECRET {
            let scope = vec![("scope".to_owned(), api::SCOPE.to_owned())];
            calls.push(call(&settings.token, "get an access token", scope));
        }
        let details = vec![
            (
                "capabilities".to_owned(),
                settings.capabilities().to_string(),
            ),
            (
                "expirySeconds".to_owned(),
                request.duration.as_secs().to_string(),
            ),
            (
                "description".to_owned(),
                name_of(request, LONGEST_DESCRIPTION),
            ),
        ];
        calls.push(call(&settings.keys, "create an auth key", details));
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let api = Api::open(settings, context).await?;
        let body = json!({
            "capabilities": settings.capabilities(),
            "expirySeconds": request.duration.as_secs(),
            "description": name_of(request, LONGEST_DESCRIPTION),
        });
        let issued: Issued = api.create(&body).await?;
        if issued.id.is_empty() || issued.key.0.is_empty() {
            return Err(MintError::unavailable("Tailscale answered without a key").maybe_issued());
        }
        let now = context.clock.now();
        let Some(expires) = issued.expires else {
            return Err(
                MintError::unavailable("Tailscale answered with a key that does not end")
                    .maybe_issued(),
            );
        };
        if expires <= now {
            return Err(MintError::unavailable(format!(
                "Tailscale answered with a key that ended at {expires}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            id: issued.id,
            variables: vec![(settings.env_var.clone(), issued.key.0)],
            expires_at: Some(expires),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let api = Api::open(&self.settings, context).await?;
        if !request.is_intent {
            return api.delete(&request.lease_id).await;
        }
        for key in api.list().await? {
            let description = match key.description {
                Some(description) => description,
                None => api.description(&key.id).await?,
            };
            if description.starts_with("fnox-lease-") {
                api.delete(&key.id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_checked_before_anybody_is_asked() {
        for good in ["tag:ci", "tag:a1-b"] {
            assert!(is_tag(good), "{good}");
        }
        for wrong in ["ci", "tag:", "tag:1a", "tag:a b", "tag:a_b"] {
            assert!(!is_tag(wrong), "{wrong}");
        }
    }
}
