//! The keys of an `aws-sts` lease, checked against the limits of the STS API reference, so that a wrong
//! value is an error with a line in `fnox.toml` and not one from AWS.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::LeaseName;
use fnox_core::name::is_variable_name;

use super::mode::Mode;

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) region: String,
    pub(super) mode: Mode,
    /// Empty where the mode has no role.
    pub(super) role_arn: String,
    pub(super) via: Option<LeaseName>,
    pub(super) profile: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) federated_user: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) session_policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive_tags: Vec<String>,
    pub(super) source_identity: Option<String>,
    pub(super) mfa_serial: Option<String>,
    pub(super) allowed_accounts: Vec<String>,
    pub(super) saml: Option<Saml>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_variable: Option<String>,
    pub(super) audience: String,
}

/// A SAML assertion as the master.
#[derive(Debug)]
pub(super) struct Saml {
    pub(super) file: PathBuf,
    pub(super) provider_arn: String,
}

const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let tags: Vec<(String, String)> = fields
            .map("tags")
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mode = Mode::of(fields);
        mode.check(fields)?;
        check_region(fields)?;
        check_arn(fields, "role_arn", mode == Mode::AssumeRole)?;
        check_arn(fields, "saml_provider_arn", false)?;
        check_word(fields, "session_name", 2..=64)?;
        check_word(fields, "federated_user", 2..=32)?;
        check_word(fields, "source_identity", 2..=64)?;
        check_length(fields, "external_id", 2..=1224)?;
        check_length(fields, "mfa_serial", 9..=256)?;
        check_session_policy(fields)?;
        check_endpoint(fields)?;
        if fields.list("policy_arns").len() > 10 {
            return Err(fields.invalid("policy_arns", "has more than 10 policies"));
        }
        check_tags(fields, &tags)?;
        check_accounts(fields)?;
        let text = |key: &str| {
            fields
                .text(key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let token_variable = text("web_identity_token_variable");
        if token_variable
            .as_deref()
            .is_some_and(|name| !is_variable_name(name))
        {
            return Err(fields.invalid(
                "web_identity_token_variable",
                "must be the name of a variable",
            ));
        }
        let via = match text("via").map(|name| name.parse::<LeaseName>()) {
            Some(Err(error)) => return Err(fields.invalid("via", error.to_string())),
            Some(Ok(name)) => Some(name),
            None => None,
        };
        let saml = fields
            .path("saml_assertion_file", home)
            .zip(text("saml_provider_arn"))
            .map(|(file, provider_arn)| Saml { file, provider_arn });
        Ok(Self {
            region: text("region").unwrap_or_default(),
            mode,
            role_arn: text("role_arn").unwrap_or_default(),
            via,
            profile: text("profile"),
            endpoint: text("endpoint"),
            session_name: text("session_name"),
            federated_user: text("federated_user"),
            external_id: text("external_id"),
            session_policy: text("session_policy"),
            policy_arns: fields.list("policy_arns").to_vec(),
            tags,
            transitive_tags: fields.list("transitive_tags").to_vec(),
            source_identity: text("source_identity"),
            mfa_serial: text("mfa_serial"),
            allowed_accounts: fields.list("allowed_accounts").to_vec(),
            saml,
            token_file: fields.path("web_identity_token_file", home),
            token_variable,
            audience: text("web_identity_audience").unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned()),
        })
    }

    /// The keys that `AssumeRoleWithWebIdentity` has no parameter for and that are set.
    pub(super) fn not_for_tokens(&self) -> Option<&'static str> {
        [
            ("external_id", self.external_id.is_some()),
            ("mfa_serial", self.mfa_serial.is_some()),
            ("source_identity", self.source_identity.is_some()),
            ("tags", !self.tags.is_empty()),
        ]
        .into_iter()
        .find_map(|(key, set)| set.then_some(key))
    }
}

fn check_region(fields: &Fields) -> Result<(), ConfigError> {
    let region = fields.text("region").unwrap_or_default();
    if !is_region(region) {
        return Err(fields.invalid("region", "must be an AWS region such as eu-central-1"));
    }
    Ok(())
}

/// Whether a text may be a region, which becomes a part of a host name.
pub(in crate::mint) fn is_region(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

fn check_arn(fields: &Fields, key: &str, is_needed: bool) -> Result<(), ConfigError> {
    check_length(fields, key, 20..=2048)?;
    match fields.text(key) {
        None if is_needed => Err(fields.invalid(
            key,
            "is missing: an ARN such as arn:aws:iam::123456789012:role/dev",
        )),
        Some(text) if !text.starts_with("arn:") => Err(fields.invalid(
            key,
            "must be an ARN such as arn:aws:iam::123456789012:role/dev",
        )),
        _ => Ok(()),
    }
}

fn check_length(
    fields: &Fields,
    key: &str,
    limits: std::ops::RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    match fields.text(key) {
        Some(text) if !limits.contains(&text.chars().count()) => Err(fields.invalid(
            key,
            format!(
                "must have {} to {} characters",
                limits.start(),
                limits.end()
            ),
        )),
        _ => Ok(()),
    }
}

fn check_word(
    fields: &Fields,
    key: &str,
    limits: std::ops::RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    check_length(fields, key, limits)?;
    match fields.text(key) {
        Some(text) if !text.chars().all(is_session_character) => Err(fields.invalid(
            key,
            "may only have letters, digits and the characters _+=,.@-",
        )),
        _ => Ok(()),
    }
}

fn check_session_policy(fields: &Fields) -> Result<(), ConfigError> {
    let Some(policy) = fields.text("session_policy") else {
        return Ok(());
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(policy) {
        Ok(_) => Ok(()),
        Err(error) => Err(fields.invalid("session_policy", format!("is not JSON: {error}"))),
    }
}

fn check_endpoint(fields: &Fields) -> Result<(), ConfigError> {
    match fields.text("endpoint") {
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err(fields.invalid("endpoint", "must begin with https:// or http://"))
        }
        _ => Ok(()),
    }
}

fn check_tags(fields: &Fields, tags: &[(String, String)]) -> Result<(), ConfigError> {
    if tags.len() > 50 {
        return Err(fields.invalid("tags", "has more than 50 tags"));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(fields.invalid(
                "tags",
                "has a key of more than 128 or a value of more than 256 characters",
            ));
        }
    }
    let is_tag = |name: &&String| tags.iter().any(|(key, _)| key == *name);
    match fields
        .list("transitive_tags")
        .iter()
        .find(|name| !is_tag(name))
    {
        Some(name) => Err(fields.invalid(
            "transitive_tags",
            format!("has `{}`, which `tags` does not have", name.escape_debug()),
        )),
        None => Ok(()),
    }
}

fn check_accounts(fields: &Fields) -> Result<(), ConfigError> {
    let accounts = fields.list("allowed_accounts");
    if fields.contains("allowed_accounts") && accounts.is_empty() {
        return Err(fields.invalid("allowed_accounts", "names no account"));
    }
    if let Some(wrong) = accounts.iter().find(|account| !is_account(account)) {
        let reason = format!("has `{}`: an account has 12 digits", wrong.escape_debug());
        return Err(fields.invalid("allowed_accounts", reason));
    }
    match fields.text("role_arn").and_then(account_of) {
        Some(account) if !accounts.is_empty() && !accounts.iter().any(|one| one == account) => {
            let reason = format!("is in account {account}, which `allowed_accounts` does not have");
            Err(fields.invalid("role_arn", reason))
        }
        _ => Ok(()),
    }
}

/// Whether a text is the number of an account.
pub(in crate::mint) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account of an ARN: `arn:partition:service:region:account:resource`.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

/// What a session's name may be made of.
pub(super) fn is_session_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}
