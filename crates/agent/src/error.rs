//! Why the agent did not do what it was asked: for the person, and for the exit code.

use std::path::PathBuf;

use fnox_core::ExitStatus;
use fnox_vault_wire::{ClientError, Code};

/// The agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The command line says too little, or contradicts itself.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        help: &'static str,
    },
    /// The manifest cannot be read, or is none.
    #[error("the manifest {} cannot be used: {reason}", .path.display())]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A token cannot be read.
    #[error("the token cannot be read from {from}: {reason}")]
    Token {
        /// Where it should come from.
        from: String,
        /// What is wrong.
        reason: String,
    },
    /// The vault does not answer, or knows nobody of that token.
    #[error("{}", told(.0))]
    Vault(ClientError),
    /// The vault lends no such thing.
    #[error("no lease of `{secret}` for {host}: {}", told(source))]
    Lease {
        /// The secret's name.
        secret: String,
        /// The host it was wanted for.
        host: String,
        /// What the vault says.
        source: ClientError,
    },
    /// The policy lets only a gateway use it.
    #[error("`{secret}` is not handed out for {host}: the policy lets only a gateway use it")]
    InjectOnly {
        /// The secret's name.
        secret: String,
        /// The host it was wanted for.
        host: String,
    },
    /// A value does not fit where it should go.
    #[error("the value of `{secret}` does not fit {place}: {reason}")]
    Unfit {
        /// The secret's name.
        secret: String,
        /// Where it should go.
        place: String,
        /// Why it cannot.
        reason: String,
    },
    /// A file or folder is not as it must be.
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        reason: String,
        /// What to do.
        help: Option<&'static str>,
    },
    /// Another agent has the same state folder.
    #[error("another fnox-agent is at work with {}", .0.display())]
    Busy(PathBuf),
    /// A lease cannot be asked for because nobody says in whose name.
    #[error("it is not clear in whose name to ask")]
    NoAgent,
    /// git asks what git does not ask.
    #[error("git's question cannot be answered: {0}")]
    Question(String),
    /// git would send the credential in clear.
    #[error("no credential for http://{0}: it would travel in clear")]
    Insecure(String),
    /// The program does not start.
    #[error("cannot start {program}: {source}")]
    Program {
        /// Which program.
        program: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The gateway does not answer, or not as one.
    #[error("no gateway answers at {to}: {reason}")]
    Gateway {
        /// Where it should be.
        to: String,
        /// Why not.
        reason: String,
    },
    /// The gateway does not know the token.
    #[error("the gateway does not know the token")]
    GatewayRefused,
    /// The gateway wants a password, and there is none.
    #[error("the gateway does not know this guest without a token")]
    GatewayWantsToken,
    /// No credential is left to look after.
    #[error("every credential was withdrawn or ran out")]
    NothingLeft,
    /// Somebody ended it before it was done.
    #[error("ended by a signal before everything was delivered; nothing was left behind")]
    Stopped,
    /// The system does not let it work at all.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The client's error in one line, with what the system says where it cannot connect.
fn told(error: &ClientError) -> String {
    match error {
        ClientError::Connect { to, source } => format!("no vault answers at {to}: {source}"),
        other => other.to_string(),
    }
}

impl AgentError {
    /// A file's error from the system's.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
        error: &std::io::Error,
    ) -> Self {
        Self::File {
            action,
            path: path.into(),
            reason: error.to_string(),
            help: None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Usage { help, .. } => help,
            Self::Manifest { .. } => "docs/guide/vm.md describes manifests",
            Self::Token { .. } => {
                "name a file, a pipe, a fw_cfg entry or a systemd credential that holds one token"
            }
            Self::Vault(error) | Self::Lease { source: error, .. } => return about_vault(error),
            Self::InjectOnly { .. } => "send the program's requests through the gateway",
            Self::Unfit { .. } => "change the template, or the secret in the vault",
            Self::File { help, .. } => return *help,
            Self::Busy(_) => "end the other one, or give this one a folder of its own: --state",
            Self::NoAgent => "name the agent with --agent or FNOX_VAULT_AGENT",
            Self::Insecure(_) => "use https; for a server in this guest there is --allow-http",
            Self::Gateway { .. } => {
                "say where it is: --gateway; on the host runs `fnox gateway serve`"
            }
            Self::GatewayRefused => {
                "the token must be an agent's, valid, and bound to no other connection: \
                 `fnox vault token create --agent NAME` on the host"
            }
            Self::GatewayWantsToken => {
                "name where the token is: --token-file, --token-fd, --token-fw-cfg or --token-credential; or give the \
                 guest a door of its own, `[[guests]]` of gateway.toml on the host"
            }
            Self::NothingLeft => "`fnox vault audit query` tells on the host who withdrew them",
            Self::Program { .. } | Self::Question(_) | Self::Stopped | Self::System { .. } => {
                return None;
            }
        })
    }

    /// The process's exit code.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Usage { .. } | Self::NoAgent => ExitStatus::Usage,
            Self::Manifest { .. } => ExitStatus::Configuration,
            Self::Token { .. } | Self::GatewayRefused | Self::GatewayWantsToken => {
                ExitStatus::AuthenticationNeeded
            }
            Self::Gateway { .. } => ExitStatus::Unavailable,
            Self::Vault(error) | Self::Lease { source: error, .. } => status_of(error),
            Self::InjectOnly { .. } | Self::Insecure(_) | Self::NothingLeft => ExitStatus::Denied,
            Self::Program { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => ExitStatus::CommandNotFound,
                _ => ExitStatus::CommandNotRunnable,
            },
            _ => ExitStatus::Failure,
        }
    }
}

fn about_vault(error: &ClientError) -> Option<&'static str> {
    if matches!(error, ClientError::Connect { .. }) {
        return Some(
            "say where it is: --vault, FNOX_VAULT_SOCKET; on the host runs `fnox vault serve`",
        );
    }
    Some(match error.known_code()? {
        Code::AuthenticationFailed => {
            "present a valid token: --token-file, --token-fd, --token-fw-cfg or --token-credential; \
             `fnox vault token create` makes one on the host"
        }
        Code::AccessDenied => "`fnox vault policy explain` tells on the host which rule decides",
        Code::SecretNotFound => "`fnox vault secret list` tells on the host what there is",
        _ => return None,
    })
}

fn status_of(error: &ClientError) -> ExitStatus {
    match error {
        ClientError::Connect { .. } | ClientError::TimedOut | ClientError::Closed => {
            return ExitStatus::Unavailable;
        }
        _ => {}
    }
    match error.known_code() {
        Some(Code::AuthenticationFailed) => ExitStatus::AuthenticationNeeded,
        Some(Code::AccessDenied | Code::RateLimited) => ExitStatus::Denied,
        Some(Code::SecretNotFound) => ExitStatus::SecretMissing,
        Some(
            Code::Storage
            | Code::AuditUnavailable
            | Code::KeySourceUnavailable
            | Code::TooManyRequests
            | Code::TimedOut
            | Code::MintUnavailable
            | Code::ShuttingDown,
        ) => ExitStatus::Unavailable,
        _ => ExitStatus::Failure,
    }
}
