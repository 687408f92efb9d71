//! Why a vault did not do what a command asked: for the person, and for the exit code.

use fnox_core::ExitStatus;
use fnox_vault_wire::{ClientError, Code};

/// A vault did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultFailure {
    /// What its client says.
    #[error("{}", told(.0))]
    Client(ClientError),
    /// A lease cannot be asked for because nobody says in whose name.
    #[error("it is not clear in whose name to ask")]
    NoAgent,
    /// A token cannot be read.
    #[error("the token cannot be read from {from}: {reason}")]
    Token { from: String, reason: String },
    /// git would send the credential in clear.
    #[error("no credential for http://{host}: it would travel in clear")]
    Insecure { host: String },
    /// A policy file is wrong; what exactly has been printed.
    #[error("{message}")]
    Policy { message: String },
    /// The audit log is not as it was written; what exactly has been printed.
    #[error("{message}")]
    Tampered { message: String },
    /// The key source, the store or a socket does not let the vault start.
    #[error("{message}")]
    Start {
        message: String,
        reason: StartProblem,
        help: Option<String>,
    },
}

/// What keeps a vault from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartProblem {
    /// The settings.
    Settings,
    /// The key.
    Key,
    /// The store.
    Store,
    /// A socket.
    Socket,
}

/// The client's error in one line, with what the system says where it cannot connect.
fn told(error: &ClientError) -> String {
    match error {
        ClientError::Connect { to, source } => {
            format!("no vault answers at {to}: {source}")
        }
        other => other.to_string(),
    }
}

impl VaultFailure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Client(error) => client(error).0,
            Self::NoAgent => "vault::no_agent",
            Self::Token { .. } => "vault::token",
            Self::Insecure { .. } => "vault::insecure",
            Self::Policy { .. } => "vault::policy",
            Self::Tampered { .. } => "vault::audit_tampered",
            Self::Start { reason, .. } => match reason {
                StartProblem::Settings => "vault::settings",
                StartProblem::Key => "vault::key",
                StartProblem::Store => "vault::store",
                StartProblem::Socket => "vault::socket",
            },
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::Client(error) => client(error).1,
            Self::NoAgent => ExitStatus::Usage,
            Self::Token { .. } => ExitStatus::AuthenticationNeeded,
            Self::Insecure { .. } => ExitStatus::Denied,
            Self::Policy { .. } => ExitStatus::Configuration,
            Self::Tampered { .. } => ExitStatus::Failure,
            Self::Start { reason, .. } => match reason {
                StartProblem::Settings => ExitStatus::Configuration,
                StartProblem::Key => ExitStatus::AuthenticationNeeded,
                StartProblem::Store | StartProblem::Socket => ExitStatus::Unavailable,
            },
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        let text = match self {
            Self::Client(ClientError::Connect { .. }) => {
                "start it: fnox vault serve\nor say where it is: --socket, FNOX_VAULT_SOCKET"
            }
            Self::Client(error) if client(error).0 == "vault::authentication" => {
                "present a token: --token-file, FNOX_VAULT_TOKEN_FILE or FNOX_VAULT_TOKEN; \
                 `fnox vault token create` makes one"
            }
            Self::Client(error) if client(error).0 == "vault::denied" => {
                "`fnox vault policy explain` tells which rule decides"
            }
            Self::Client(error) if error.known_code() == Some(Code::ApprovalNotFound) => {
                "`fnox vault approvals` lists what waits"
            }
            Self::Insecure { .. } => {
                "use https; for a server on this machine there is --allow-http"
            }
            Self::NoAgent => "name the agent with --agent or FNOX_VAULT_AGENT",
            Self::Start { help, .. } => return help.clone(),
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The stable code and the exit code of a client's error.
fn client(error: &ClientError) -> (&'static str, ExitStatus) {
    let remote = match error {
        ClientError::Connect { .. } => return ("vault::unreachable", ExitStatus::Unavailable),
        ClientError::TimedOut | ClientError::Closed => {
            return ("vault::unavailable", ExitStatus::Unavailable);
        }
        ClientError::Protocol { .. } => return ("vault::protocol", ExitStatus::Failure),
        other => other.known_code(),
    };
    let Some(code) = remote else {
        // A newer vault's word.
        return ("vault::refused", ExitStatus::Failure);
    };
    match code {
        Code::AuthenticationFailed => ("vault::authentication", ExitStatus::AuthenticationNeeded),
        Code::AccessDenied | Code::RateLimited => ("vault::denied", ExitStatus::Denied),
        Code::SecretNotFound => ("vault::secret_not_found", ExitStatus::SecretMissing),
        Code::InvalidPolicy => ("vault::policy", ExitStatus::Configuration),
        Code::LeaseExpired | Code::LeaseRevoked | Code::LeaseNotFound => {
            ("vault::lease_over", ExitStatus::Failure)
        }
        Code::Storage
        | Code::AuditUnavailable
        | Code::KeySourceUnavailable
        | Code::TooManyRequests
        | Code::TimedOut
        | Code::MintUnavailable
        | Code::ShuttingDown => ("vault::unavailable", ExitStatus::Unavailable),
        _ => ("vault::refused", ExitStatus::Failure),
    }
}

impl From<ClientError> for VaultFailure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

#[cfg(test)]
mod tests {
    use fnox_vault_wire::WireError;

    use super::*;

    fn status_of(code: Code) -> u8 {
        VaultFailure::Client(ClientError::Remote(WireError::new(code, "x")))
            .status()
            .code()
    }

    #[test]
    fn scripts_can_tell_why_a_vault_said_no() {
        assert_eq!(status_of(Code::AuthenticationFailed), 4);
        assert_eq!(status_of(Code::SecretNotFound), 5);
        assert_eq!(status_of(Code::AuditUnavailable), 6);
        assert_eq!(status_of(Code::AccessDenied), 7);
        assert_eq!(status_of(Code::LeaseExpired), 1);
        let refused = ClientError::Refused {
            code: "authentication_failed".to_owned(),
            message: "no".to_owned(),
        };
        assert_eq!(VaultFailure::Client(refused).status().code(), 4);
    }
}
