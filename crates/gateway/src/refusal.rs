//! Why a request does not leave, told to people and to agents.

use std::fmt;

use http::StatusCode;
use serde::Serialize;

/// Why a request, or a connection, was refused. One stable code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The client did not prove who it is.
    Unauthenticated,
    /// The request can be read in more than one way, or breaks the protocol.
    Ambiguous,
    /// Two of its places name different destinations: CONNECT, SNI, `Host`, the request line.
    Misdirected,
    /// No rule reaches this destination.
    NoRule,
    /// A rule reaches the destination and does not allow this method, path or other condition.
    NotAllowed,
    /// The destination's address is private, loopback, link-local or of a metadata service.
    PrivateAddress,
    /// A placeholder stands where it may not, more than once, or for another destination.
    Placeholder,
    /// Nothing may be injected into a request of this method.
    NoInjection,
    /// A credential could not be had.
    Credential,
    /// A lease or a rule is used up, too fast, over or revoked.
    Exhausted,
    /// A person must agree first, or did not.
    Approval,
    /// The destination could not be reached or its certificate is not trusted.
    Upstream,
    /// A body, header or number is larger than allowed.
    TooLarge,
    /// The answer cannot be scanned for credentials and policy says to block it.
    Unscannable,
    /// The client went away before there was an answer; what its request was given may have left.
    Abandoned,
}

impl Reason {
    /// The stable code, `gateway::reason`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unauthenticated => "gateway::unauthenticated",
            Self::Ambiguous => "gateway::ambiguous",
            Self::Misdirected => "gateway::misdirected",
            Self::NoRule => "gateway::no_rule",
            Self::NotAllowed => "gateway::not_allowed",
            Self::PrivateAddress => "gateway::private_address",
            Self::Placeholder => "gateway::placeholder",
            Self::NoInjection => "gateway::no_injection",
            Self::Credential => "gateway::credential",
            Self::Exhausted => "gateway::exhausted",
            Self::Approval => "gateway::approval",
            Self::Upstream => "gateway::upstream",
            Self::TooLarge => "gateway::too_large",
            Self::Unscannable => "gateway::unscannable",
            Self::Abandoned => "gateway::abandoned",
        }
    }

    /// The status of the answer (RFC 9110, section 15).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            // Nobody is there to be told of the latter.
            Self::Ambiguous | Self::Abandoned => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRule
            | Self::NotAllowed
            | Self::PrivateAddress
            | Self::Placeholder
            | Self::NoInjection
            | Self::Approval => StatusCode::FORBIDDEN,
            Self::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Credential | Self::Upstream | Self::Unscannable => StatusCode::BAD_GATEWAY,
        }
    }
}

/// A request that does not leave.
///
/// Its texts never contain the value of a credential, and never more of the request than its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What exactly is wrong, one sentence without a full stop.
    pub message: String,
    /// The rule that missed or forbade, as its configuration names it.
    pub rule: Option<String>,
    /// The lease at fault.
    pub lease: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// The JSON form of a [`Refusal`].
#[derive(Serialize)]
struct Document<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

impl Refusal {
    /// A refusal for `reason`.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            rule: None,
            lease: None,
            remedy: None,
        }
    }

    /// Names the rule.
    #[must_use]
    pub fn by_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Names the lease.
    #[must_use]
    pub fn of_lease(mut self, lease: impl Into<String>) -> Self {
        self.lease = Some(lease.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The JSON document that an agent gets.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            error: self.reason.code(),
            message: &self.message,
            rule: self.rule.as_deref(),
            lease: self.lease.as_deref(),
            remedy: self.remedy.as_deref(),
        };
        // Strings alone: there is nothing that could fail.
        serde_json::to_string(&document).unwrap_or_default()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        if let Some(rule) = &self.rule {
            write!(formatter, " (rule `{rule}`)")?;
        }
        if let Some(lease) = &self.lease {
            write!(formatter, " (lease `{lease}`)")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(formatter, "\n{remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
