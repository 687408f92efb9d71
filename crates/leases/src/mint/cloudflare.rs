//! `cloudflare`: an API token of a user or of an account.
//!
//! The master makes a token that can do what `policies` say, or, without them, what the master itself can except making
//! tokens; that works from the addresses which the lease allows; and that ends by itself. It is withdrawn by deleting it. Its
//! name holds the provisional id, so that a token whose answer was lost is found in the list and deleted: a token that
//! can make tokens and is forgotten is the worst that can happen at this vendor.
//!
//! Facts are from Cloudflare's pages "Create tokens via API" and "Restrict token use", and from the shapes in its own Python
//! library `cloudflare` 5.9 (`resources/{user,accounts}/tokens`), which is generated from its OpenAPI description.

mod api;
mod groups;
mod settings;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use self::api::Api;
use self::settings::{Group, Settings};
use super::naming::{is_named_for, name_of};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::wiped::Wiped;

/// Where the master is looked for, in this order.
const MASTERS: [&str; 2] = ["CLOUDFLARE_API_TOKEN", "CF_API_TOKEN"];

/// Other long-lived keys of Cloudflare, which its libraries take instead of a token.
const RIVALS: [&str; 4] = [
    "CLOUDFLARE_API_KEY",
    "CF_API_KEY",
    "CLOUDFLARE_API_USER_SERVICE_KEY",
    "CF_API_USER_SERVICE_KEY",
];

/// Longest name of a token.
const LONGEST_NAME: usize = 120;

#[derive(Debug)]
struct Cloudflare {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that Cloudflare would refuse.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(Cloudflare {
        settings: Settings::read(&lease.fields)?,
    }))
}

/// `result` of the answer to a creation.
#[derive(Deserialize)]
struct Issued {
    id: String,
    value: Wiped,
    /// A token without an end lives for ever.
    expires_on: Option<Timestamp>,
}

#[async_trait]
impl Mint for Cloudflare {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(MASTERS.map(str::to_owned).to_vec())
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        MASTERS
            .iter()
            .chain(&RIVALS)
            .map(|name| (*name).to_owned())
            .collect()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if context.env.first(&MASTERS).is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "Cloudflare API token not found. Set CLOUDFLARE_API_TOKEN to a token with the permission {}.",
                self.settings.permission()
            ),
            prompts: vec![PromptField {
                variable: MASTERS[0].to_owned(),
                description: "Cloudflare API token that can make tokens".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let master = context
            .env
            .first(&MASTERS)
            .map_or(MASTERS[0], |(name, _)| name);
        let call = |action: &str, target: String, purpose: &str, details| PlannedCall {
            action: action.to_owned(),
            target,
            purpose: purpose.to_owned(),
            master: master.to_owned(),
            details,
        };
        let mut calls = Vec::new();
        let policies = match &settings.policies {
            None => {
                let verify = settings.below(&["verify"]).to_string();
                calls.push(call("GET", verify, "find the master's id", Vec::new()));
                let own = format!("{}/…", settings.tokens);
                calls.push(call("GET", own, "read the master's policies", Vec::new()));
                "those of the master, but for what makes tokens".to_owned()
            }
            Some(policies) => {
                if policies
                    .iter()
                    .any(|policy| policy.groups.iter().any(Group::is_name))
                {
                    let groups = settings.below(&["permission_groups"]).to_string();
                    calls.push(call("GET", groups, "find permission groups", Vec::new()));
                }
                settings::described(policies)
            }
        };
        let mut details = vec![
            ("name".to_owned(), name_of(request, LONGEST_NAME)),
            ("policies".to_owned(), policies),
        ];
        let condition = settings.condition.as_ref();
        details.extend(condition.map(|value| ("condition".to_owned(), value.to_string())));
        let target = settings.tokens.to_string();
        calls.push(call("POST", target, "create an API token", details));
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let api = Api::open(&self.settings, context)?;
        let wanted = groups::wanted(&api).await?;
        let seconds = i64::try_from(request.duration.as_secs()).unwrap_or(i64::MAX);
        let end = context
            .clock
            .now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        let mut body = json!({
            "name": name_of(request, LONGEST_NAME),
            "policies": wanted.policies,
            // Whole seconds: the API does not read fractions.
            "expires_on": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        if let Some(condition) = wanted.condition {
            body["condition"] = condition;
        }
        let issued: Issued = api.create(&body).await?;
        let now = context.clock.now();
        let Some(expires_on) = issued.expires_on else {
            return Err(MintError::unavailable(
                "Cloudflare answered with a token that does not end",
            )
            .maybe_issued());
        };
        if issued.id.is_empty() || issued.value.0.is_empty() {
            return Err(
                MintError::unavailable("Cloudflare answered without a token").maybe_issued(),
            );
        }
        if expires_on <= now {
            return Err(MintError::unavailable(format!(
                "Cloudflare answered with a token that ended at {expires_on}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            id: issued.id,
            variables: vec![(self.settings.env_var.clone(), issued.value.0)],
            expires_at: Some(expires_on),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let api = Api::open(&self.settings, context)?;
        if !request.is_intent {
            return api.delete(&request.lease_id).await;
        }
        for token in api.list().await? {
            if is_named_for(&token.name, &request.lease_id) {
                api.delete(&token.id).await?;
            }
        }
        Ok(())
    }
}
