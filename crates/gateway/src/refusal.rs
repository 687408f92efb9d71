//! Why a request does not leave, told to people and to agents.

mod reason;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use self::reason::Reason;

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
    /// When the same request makes sense again.
    pub retry_after: Option<Duration>,
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
            retry_after: None,
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

    /// Says when the same request makes sense again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
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
