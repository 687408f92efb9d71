//! What STS is asked for, and what each of its actions takes.
//!
//! Parameters and limits: AWS STS API reference, "Request Parameters" of `AssumeRole`, `AssumeRoleWithWebIdentity`,
//! `AssumeRoleWithSAML`, `GetSessionToken` and `GetFederationToken`.

use fnox_config::{ConfigError, Fields};
use fnox_core::Lifetime;

use crate::mint::Limits;

/// What to ask STS for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A session of a role.
    AssumeRole,
    /// A session of the user whose keys are the masters.
    SessionToken,
    /// A session of a user that exists nowhere else, with a part of the rights of the user whose keys are the masters.
    FederationToken,
}

/// Keys that say how a token or an assertion is the master.
const TOKENS: [&str; 4] = [
    "saml_assertion_file",
    "saml_provider_arn",
    "web_identity_token_file",
    "web_identity_token_variable",
];

impl Mode {
    /// From the key `mode`.
    pub(super) fn of(fields: &Fields) -> Self {
        match fields.text("mode") {
            Some("session-token") => Self::SessionToken,
            Some("federation-token") => Self::FederationToken,
            _ => Self::AssumeRole,
        }
    }

    /// Its word in the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "assume-role",
            Self::SessionToken => "session-token",
            Self::FederationToken => "federation-token",
        }
    }

    /// 15 minutes to 12 hours for a role, to 36 hours for a user.
    pub(super) fn limits(self) -> Limits {
        let longest = match self {
            Self::AssumeRole => 12 * 3600,
            Self::SessionToken | Self::FederationToken => 36 * 3600,
        };
        Limits {
            minimum: Lifetime::from_secs(900),
            maximum: Lifetime::from_secs(longest),
        }
    }

    /// Refuses keys that the action has no parameter for: they would seem to narrow the session and would not.
    pub(super) fn check(self, fields: &Fields) -> Result<(), ConfigError> {
        let foreign: &[&str] = match self {
            Self::AssumeRole => &["federated_user"],
            Self::SessionToken => &[
                "role_arn",
                "session_name",
                "federated_user",
                "external_id",
                "session_policy",
                "policy_arns",
                "tags",
                "transitive_tags",
                "source_identity",
            ],
            Self::FederationToken => &[
                "role_arn",
                "session_name",
                "external_id",
                "transitive_tags",
                "source_identity",
                "mfa_serial",
            ],
        };
        let of_tokens = match self {
            Self::AssumeRole => &[][..],
            Self::SessionToken | Self::FederationToken => &TOKENS[..],
        };
        refuse(
            fields,
            foreign.iter().chain(of_tokens),
            &format!("mode = \"{}\"", self.name()),
        )?;
        if fields.contains("via") {
            let elsewhere = ["profile"];
            refuse(fields, elsewhere.iter().chain(&TOKENS), "`via`")?;
        }
        check_saml(fields)
    }
}

fn check_saml(fields: &Fields) -> Result<(), ConfigError> {
    let (file, provider) = ("saml_assertion_file", "saml_provider_arn");
    if fields.contains(file) != fields.contains(provider) {
        let absent = if fields.contains(file) {
            provider
        } else {
            file
        };
        return Err(fields.invalid(
            absent,
            format!("is missing: `{file}` and `{provider}` belong together"),
        ));
    }
    if !fields.contains(file) {
        return Ok(());
    }
    // The session's name, tags and source identity stand in the assertion itself.
    let foreign = [
        "profile",
        "session_name",
        "external_id",
        "tags",
        "transitive_tags",
        "source_identity",
        "mfa_serial",
        "web_identity_token_file",
        "web_identity_token_variable",
    ];
    refuse(fields, foreign.iter(), "a SAML assertion")
}

fn refuse<'k>(
    fields: &Fields,
    mut foreign: impl Iterator<Item = &'k &'k str>,
    with: &str,
) -> Result<(), ConfigError> {
    match foreign.find(|key| fields.contains(key)) {
        Some(key) => Err(fields.invalid(key, format!("cannot be used with {with}"))),
        None => Ok(()),
    }
}
