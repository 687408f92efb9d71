//! Why a provider gave no value.

use std::fmt;

use fnox_core::ExitStatus;
use fnox_http::{CallError, CallErrorKind};

/// One thing that was tried and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source or identity, for example `FNOX_AGE_KEY` or a path.
    pub source: String,
    /// Why it did not help.
    pub reason: String,
}

/// The classes of failure, on which `if_missing`, exit codes and login prompts depend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The provider works and has no such value.
    NotFound,
    /// Somebody must log in, unlock, or present a key.
    AuthenticationNeeded,
    /// The provider did not answer, or its program is not installed.
    Unavailable,
    /// A policy forbids it.
    Denied,
    /// The configuration is wrong, or the type of provider is not built yet.
    Misconfigured,
    /// A person has not decided yet, and nobody wants to wait.
    Pending,
    /// Whoever asked does not want the answer any more.
    Interrupted,
}

impl ErrorKind {
    /// What a command that ends with this tells a script.
    #[must_use]
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::NotFound => ExitStatus::SecretMissing,
            Self::AuthenticationNeeded => ExitStatus::AuthenticationNeeded,
            Self::Unavailable => ExitStatus::Unavailable,
            Self::Denied => ExitStatus::Denied,
            Self::Misconfigured => ExitStatus::Configuration,
            Self::Pending => ExitStatus::ApprovalPending,
            // 128 and the number of SIGINT, as shells have it.
            Self::Interrupted => ExitStatus::Child(130),
        }
    }

    /// Whether another provider of the same secret may be asked instead. A refusal and a wrong configuration stand.
    #[must_use]
    pub fn falls_through(self) -> bool {
        matches!(
            self,
            Self::NotFound | Self::AuthenticationNeeded | Self::Unavailable
        )
    }

    /// Whether it ends the run, whatever defaults and `if_missing` say.
    #[must_use]
    pub fn ends_the_run(self) -> bool {
        matches!(self, Self::Pending | Self::Interrupted)
    }
}

/// A provider gave no value. The message has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The class of failure.
    pub kind: ErrorKind,
    /// What failed, lower case, without full stop, without the provider's name.
    pub message: String,
    /// What was tried, with each source's own reason.
    pub attempts: Vec<Attempt>,
    /// What to do next.
    pub remedy: Option<String>,
    /// The configuration key at fault, if one is.
    pub key: Option<&'static str>,
}

impl ProviderError {
    /// An error of a class.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            attempts: Vec::new(),
            remedy: None,
            key: None,
        }
    }

    /// The provider works and has nothing under this reference.
    #[must_use]
    pub fn not_found(reference: &str) -> Self {
        Self::new(
            ErrorKind::NotFound,
            format!("there is nothing under `{}`", reference.escape_debug()),
        )
    }

    /// Somebody must log in, unlock or present a key.
    #[must_use]
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AuthenticationNeeded, message)
    }

    /// The provider did not answer or is not installed.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A policy forbids it.
    #[must_use]
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// The configuration is wrong.
    #[must_use]
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misconfigured, message)
    }

    /// The backend cannot do this at all.
    #[must_use]
    pub fn unsupported(operation: &str) -> Self {
        Self::new(
            ErrorKind::Misconfigured,
            format!("this type of provider cannot {operation}"),
        )
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds what was tried.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.attempts = attempts;
        self
    }

    /// Names the configuration key at fault.
    #[must_use]
    pub fn at_key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::NotFound => "provider::not_found",
            ErrorKind::AuthenticationNeeded => "provider::authentication_needed",
            ErrorKind::Unavailable => "provider::unavailable",
            ErrorKind::Denied => "provider::denied",
            ErrorKind::Misconfigured => "provider::misconfigured",
            ErrorKind::Pending => "provider::approval_pending",
            ErrorKind::Interrupted => "provider::interrupted",
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for attempt in &self.attempts {
            write!(formatter, "\n  - {}: {}", attempt.source, attempt.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderError {}

impl From<CallError> for ProviderError {
    fn from(error: CallError) -> Self {
        Self {
            kind: match error.kind {
                CallErrorKind::Misconfigured => ErrorKind::Misconfigured,
                CallErrorKind::AuthenticationNeeded => ErrorKind::AuthenticationNeeded,
                CallErrorKind::Denied => ErrorKind::Denied,
                CallErrorKind::Unavailable => ErrorKind::Unavailable,
            },
            message: error.message,
            attempts: Vec::new(),
            remedy: error.remedy,
            key: error.key,
        }
    }
}
