//! Errors of plugins as errors of providers.

use std::fmt;
use std::time::Duration;

use fnox_core::SecretString;

use crate::error::{ErrorKind, ProviderError};
use crate::process::complaint;

/// An error that has a kind, raised by `fnox.auth_error` and its like, or by a module of the host.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

impl Raised {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
        }
    }

    /// As Lua's own kind of error.
    pub(super) fn into_lua(self) -> mlua::Error {
        mlua::Error::external(self)
    }
}

impl From<ProviderError> for Raised {
    fn from(error: ProviderError) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
            remedy: error.remedy,
        }
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Raised {}

/// What came of a plugin's error, without the secrets that it was given.
pub(super) fn explained(error: &mlua::Error, secrets: &[SecretString]) -> ProviderError {
    let secrets: Vec<&SecretString> = secrets.iter().collect();
    if let Some(raised) = error.downcast_ref::<Raised>() {
        return ProviderError {
            remedy: raised
                .remedy
                .as_deref()
                .map(|remedy| complaint(remedy, &secrets)),
            ..ProviderError::new(raised.kind, complaint(&raised.message, &secrets))
        };
    }
    match root(error) {
        mlua::Error::SyntaxError { message, .. } => ProviderError::misconfigured(format!(
            "the plugin is no Lua: {}",
            complaint(message, &secrets)
        )),
        mlua::Error::MemoryError(_) => {
            ProviderError::unavailable("the plugin needs more memory than it may have (64 MiB)")
        }
        other => {
            // The stack trace follows in further lines.
            let text = other.to_string();
            let text = text.split("\nstack traceback:").next().unwrap_or_default();
            let text = text.strip_prefix("runtime error: ").unwrap_or(text);
            ProviderError::unavailable(format!("the plugin failed: {}", complaint(text, &secrets)))
        }
    }
}

pub(super) fn too_long(limit: Duration) -> ProviderError {
    ProviderError::unavailable(format!(
        "the plugin did not answer within {} s and was ended",
        limit.as_secs()
    ))
}

fn root(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. }
        | mlua::Error::WithContext { cause, .. }
        | mlua::Error::BadArgument { cause, .. } => root(cause),
        other => other,
    }
}
