//! Why a token is not accepted, for the log and for whoever sent it.
//!
//! Claims are no secrets to whoever has the token, and what this server is configured with is no business of
//! strangers. So `Display` says what was wanted, and [`OidcError::problem`] says it only where it is no setting.

use std::fmt;

use fnox_api::{Problem, ProblemCode};

/// Why a token was not accepted. Never holds the token or a part of its signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// It is no token in the compact form.
    #[error("the token is malformed: {0}")]
    Malformed(String),
    /// A member of the header.
    #[error("the token's header member `{member}` is not accepted: {why}")]
    Header {
        /// Its name.
        member: String,
        /// What is wrong.
        why: String,
    },
    /// No key of the issuer has this id.
    #[error("the issuer {issuer:?} has no usable key {kid}")]
    UnknownKey {
        /// The issuer's configured name.
        issuer: String,
        /// The id, escaped.
        kid: String,
    },
    /// The signature.
    #[error("the token's signature is not by the key {kid} of the issuer {issuer:?}")]
    Signature {
        /// The issuer's configured name.
        issuer: String,
        /// The key's id, escaped.
        kid: String,
    },
    /// A claim.
    #[error("the claim `{claim}` is not accepted: wanted {wanted}, got {got}")]
    Claim {
        /// Its name.
        claim: String,
        /// What would have been accepted.
        wanted: Wanted,
        /// What it was.
        got: String,
    },
    /// There are no keys to check it with.
    #[error("the keys of the issuer {issuer:?} cannot be had: {why}")]
    Unavailable {
        /// The issuer's configured name.
        issuer: String,
        /// What failed last.
        why: String,
    },
}

/// What a claim should have been, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    rule: String,
    setting: Option<String>,
}

impl Wanted {
    /// Something that everybody may know.
    pub(super) fn rule(rule: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            setting: None,
        }
    }

    /// Something that follows from a setting, which is shown only in the log.
    pub(super) fn setting(rule: impl Into<String>, setting: &str) -> Self {
        Self {
            rule: rule.into(),
            setting: Some(setting.to_owned()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)?;
        match &self.setting {
            Some(setting) => write!(f, " ({setting:?})"),
            None => Ok(()),
        }
    }
}

impl OidcError {
    pub(super) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    pub(super) fn header(member: &str, why: impl Into<String>) -> Self {
        Self::Header {
            member: shown(member),
            why: why.into(),
        }
    }

    pub(super) fn claim(claim: &str, wanted: Wanted, got: impl Into<String>) -> Self {
        Self::Claim {
            claim: claim.to_owned(),
            wanted,
            got: got.into(),
        }
    }

    /// What whoever sent the token is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(ProblemCode::OidcInvalid);
        match self {
            Self::Malformed(_) => problem.at_field("token").with_detail(self.to_string()),
            Self::Header { member, .. } => problem
                .at_field(format!("header.{member}"))
                .with_detail(self.to_string()),
            Self::UnknownKey { kid, .. } => problem.at_field("header.kid").with_detail(format!(
                "the issuer has no usable key {kid}; keys that it added just now are read within a minute: take a new \
                 token and try again"
            )),
            Self::Signature { kid, .. } => problem
                .at_field("signature")
                .with_detail(format!("the signature is not by the issuer's key {kid}")),
            Self::Claim { claim, wanted, got } => {
                problem.at_claim(claim).with_detail(format!(
                    "the claim `{claim}` is not accepted: wanted {}, got {got}",
                    wanted.rule
                ))
            }
            Self::Unavailable { .. } => Problem::new(ProblemCode::IssuerUnavailable).with_detail(
                "its keys cannot be had, so no token of it can be checked; try again in a minute, the server's log says \
                 why",
            ),
        }
    }
}

/// Why a verifier cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcSetupError {
    /// A setting of an issuer.
    #[error("the issuer {issuer:?}: `{field}` {why}")]
    Setting {
        /// The issuer's configured name.
        issuer: String,
        /// Which setting.
        field: &'static str,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An issuer without keys.
    #[error(
        "the issuer {issuer:?} has no usable key: {why}; correct its `url`, `jwks_file` or `algorithms`"
    )]
    NoUsableKeys {
        /// The issuer's configured name.
        issuer: String,
        /// What failed, or why each key was refused.
        why: String,
    },
}

/// Why a person's login with the issuer did not give an ID token. Never holds a code, a secret or a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeFlowError {
    /// The issuer's document or its token endpoint.
    #[error("people cannot log in with the issuer {issuer:?}: {why}")]
    Unavailable {
        /// The issuer's configured name.
        issuer: String,
        /// What failed last.
        why: String,
    },
    /// The token endpoint said no (RFC 6749, section 5.2).
    #[error("the issuer {issuer:?} did not exchange the code: {code}, {why}")]
    Refused {
        /// The issuer's configured name.
        issuer: String,
        /// Whether the settings are wrong, and not the code.
        is_our_fault: bool,
        /// `error`, escaped.
        code: String,
        /// `error_description`, escaped.
        why: String,
    },
}

impl CodeFlowError {
    /// What the person is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused {
                is_our_fault: false,
                ..
            } => Problem::new(ProblemCode::OidcInvalid).with_detail(
                "the identity provider does not take this login any more, each works once and for a short time",
            ),
            Self::Refused { .. } => Problem::new(ProblemCode::IssuerUnavailable).with_detail(
                "it does not accept this server; an administrator finds the reason in the server's log, and corrects \
                 `[login]`",
            ),
            Self::Unavailable { .. } => Problem::new(ProblemCode::IssuerUnavailable).with_detail(
                "it does not answer as it should; try again in a minute, an administrator finds the reason in the \
                 server's log",
            ),
        }
    }
}

/// A text of a stranger, short and on one line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 160;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The same in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_for_the_log_only() {
        let error = OidcError::claim(
            "aud",
            Wanted::setting("this server's audience", "https://inside.example"),
            quoted("sts.amazonaws.com"),
        );
        assert_eq!(
            error.to_string(),
            "the claim `aud` is not accepted: wanted this server's audience (\"https://inside.example\"), got \
             \"sts.amazonaws.com\""
        );
        let problem = error.problem();
        assert_eq!(problem.code, "oidc_invalid");
        assert_eq!(problem.claim.as_deref(), Some("aud"));
        assert_eq!(
            problem.detail.as_deref(),
            Some(
                "the claim `aud` is not accepted: wanted this server's audience, got \"sts.amazonaws.com\""
            )
        );
    }

    #[test]
    fn texts_of_strangers_stay_on_one_short_line() {
        let long = format!("a\n\u{1b}[31m\u{202e}\"{}", "x".repeat(1000));
        let text = quoted(&long);
        assert!(text.len() < 250, "{text}");
        assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text}");
    }
}
