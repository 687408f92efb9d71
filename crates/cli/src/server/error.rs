//! Why the team server does not start, and why commands on its files fail: for the person, and for the exit code.

use fnox_core::ExitStatus;

/// A command on the team server's own files did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerFailure {
    /// Something keeps the server from starting, or a command from working on its files.
    #[error("{message}")]
    Start {
        message: String,
        reason: StartProblem,
        help: Option<String>,
    },
    /// A policy file is wrong.
    #[error("{message}")]
    Policy { message: String },
    /// The policy says no to what was tried.
    #[error("{message}")]
    Denied { message: String },
    /// The audit log is not as it was written; what exactly has been printed.
    #[error("{message}")]
    Tampered { message: String },
    /// A message did not get through; what exactly has been printed.
    #[error("{message}")]
    Untold { message: String },
}

/// What keeps a server from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartProblem {
    /// The settings.
    Settings,
    /// The signing key, or another secret's file.
    Key,
    /// The database.
    Database,
    /// Another process has the database open.
    Locked,
    /// The address.
    Address,
    /// The certificate.
    Tls,
}

impl ServerFailure {
    pub(crate) fn start(reason: StartProblem, message: impl Into<String>) -> Self {
        Self::Start {
            message: message.into(),
            reason,
            help: None,
        }
    }

    pub(crate) fn with_help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Start {
                message, reason, ..
            } => Self::Start {
                message,
                reason,
                help: Some(text.into()),
            },
            other => other,
        }
    }

    /// Whether another process has the database open.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(
            self,
            Self::Start {
                reason: StartProblem::Locked,
                ..
            }
        )
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Start { reason, .. } => match reason {
                StartProblem::Settings => "server::settings",
                StartProblem::Key => "server::key",
                StartProblem::Database | StartProblem::Locked => "server::database",
                StartProblem::Address => "server::address",
                StartProblem::Tls => "server::tls",
            },
            Self::Policy { .. } => "server::policy",
            Self::Denied { .. } => "server::denied",
            Self::Tampered { .. } => "server::audit_tampered",
            Self::Untold { .. } => "server::notify",
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::Start { reason, .. } => match reason {
                StartProblem::Settings | StartProblem::Tls => ExitStatus::Configuration,
                StartProblem::Key => ExitStatus::AuthenticationNeeded,
                StartProblem::Database | StartProblem::Locked | StartProblem::Address => {
                    ExitStatus::Unavailable
                }
            },
            Self::Policy { .. } => ExitStatus::Configuration,
            Self::Denied { .. } => ExitStatus::Denied,
            Self::Tampered { .. } => ExitStatus::Failure,
            Self::Untold { .. } => ExitStatus::Unavailable,
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        let text = match self {
            Self::Start { help, .. } => return help.clone(),
            Self::Denied { .. } => {
                "each line says what the rule wants and what the claims have: correct the rule, or the job"
            }
            Self::Tampered { .. } => {
                "keep the database as it is, and compare it with backups and with the heads in the server's own log"
            }
            Self::Policy { .. } | Self::Untold { .. } => return None,
        };
        Some(text.to_owned())
    }
}
