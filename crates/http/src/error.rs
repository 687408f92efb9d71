//! Why a call gave nothing.

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorKind {
    /// The configuration or the request is wrong.
    Misconfigured,
    /// The credentials are missing, wrong or expired.
    AuthenticationNeeded,
    /// The service said no.
    Denied,
    /// The service did not answer, or not as its API does.
    Unavailable,
}

/// A call gave nothing, or was refused. The message has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// The class of failure.
    pub kind: CallErrorKind,
    /// What failed, lower case, without full stop.
    pub message: String,
    /// What to do next.
    pub remedy: Option<String>,
    /// The configuration key at fault, if one is.
    pub key: Option<&'static str>,
    /// Whether the service may have done what was asked, although it did not say so.
    pub maybe_done: bool,
}

impl CallError {
    /// An error of a class, after which nothing was done.
    #[must_use]
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
            key: None,
            maybe_done: false,
        }
    }

    /// The configuration is wrong, at this key.
    #[must_use]
    pub fn misconfigured(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            ..Self::new(CallErrorKind::Misconfigured, message)
        }
    }

    /// The credentials are missing, wrong or expired.
    #[must_use]
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(CallErrorKind::AuthenticationNeeded, message)
    }

    /// The service did not answer, or not as its API does.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(CallErrorKind::Unavailable, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Notes that the service may have done what was asked.
    #[must_use]
    pub fn maybe_done(mut self) -> Self {
        self.maybe_done = true;
        self
    }
}
