//! What a call that came to nothing means for a secret.

use fnox_api::ProblemCode;
use fnox_api::client::ClientError;
use fnox_core::ExitStatus;

use crate::error::{ErrorKind, ProviderError};

pub(super) fn client(error: &ClientError) -> ProviderError {
    let kind = match error.exit_status() {
        ExitStatus::SecretMissing => ErrorKind::NotFound,
        ExitStatus::AuthenticationNeeded => ErrorKind::AuthenticationNeeded,
        ExitStatus::Denied => ErrorKind::Denied,
        ExitStatus::Configuration => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    };
    let mut message = error.to_string();
    if let Some(key) = error.problem().and_then(|problem| problem.key.as_deref())
        && !message.contains(key)
    {
        message = format!("`{}`: {message}", key.escape_debug());
    }
    if error.code() == Some(ProblemCode::NotFound) && kind == ErrorKind::NotFound {
        message = format!("the server has no such secret for this caller: {message}");
    }
    let explained = ProviderError::new(kind, message);
    match error.help() {
        Some(help) => explained.with_remedy(help),
        None => explained,
    }
}
