//! The keys of an `aws-sts` lease, checked against the limits of the STS API reference, so that a wrong
//! value is an error with a line in `fnox.toml` and not one from AWS.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) region: String,
    pub(super) role_arn: String,
    pub(super) profile: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) session_policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) source_identity: Option<String>,
    pub(super) mfa_serial: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_variable: Option<String>,
    pub(super) audience: String,
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
        let policy_arns = fields.list("policy_arns").to_vec();
        check_region(fields)?;
        check_length(fields, "role_arn", 20..=2048)?;
        if !fields
            .text("role_arn")
            .unwrap_or_default()
            .starts_with("arn:")
        {
            return Err(fields.invalid(
                "role_arn",
                "must be an ARN such as arn:aws:iam::123456789012:role/dev",
            ));
        }
        check_word(fields, "session_name", 2..=64)?;
        check_word(fields, "source_identity", 2..=64)?;
        check_length(fields, "external_id", 2..=1224)?;
        check_length(fields, "mfa_serial", 9..=256)?;
        check_session_policy(fields)?;
        check_endpoint(fields)?;
        if policy_arns.len() > 10 {
            return Err(fields.invalid("policy_arns", "has more than 10 policies"));
        }
        check_tags(fields, &tags)?;
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
        Ok(Self {
            region: text("region").unwrap_or_default(),
            role_arn: text("role_arn").unwrap_or_default(),
            profile: text("profile"),
            endpoint: text("endpoint"),
            session_name: text("session_name"),
            external_id: text("external_id"),
            session_policy: text("session_policy"),
            policy_arns,
            tags,
            source_identity: text("source_identity"),
            mfa_serial: text("mfa_serial"),
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
    // The region becomes a part of a host name.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        return Err(fields.invalid("region", "must be an AWS region such as eu-central-1"));
    }
    Ok(())
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
    Ok(())
}

/// What a session's name may be made of.
pub(super) fn is_session_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}
