//! Why a command failed, for the person and for the exit code.

use std::path::PathBuf;

use fnox_config::{ConfigError, Location};
use fnox_core::ExitStatus;
use fnox_leases::LeaseError;
use fnox_providers::ProviderError;
use fnox_providers::resolve::ResolveError;

use crate::daemon::error::DaemonFailure;
use crate::server::error::ServerFailure;
use crate::team::error::TeamFailure;
use crate::vault::error::VaultFailure;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A secret.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A lease.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A vault.
    #[error(transparent)]
    Vault(#[from] VaultFailure),
    /// The daemon.
    #[error(transparent)]
    Daemon(#[from] DaemonFailure),
    /// The team server.
    #[error(transparent)]
    Team(#[from] TeamFailure),
    /// The team server's own files.
    #[error(transparent)]
    Server(#[from] ServerFailure),
    /// A provider did not do what it was asked.
    #[error("the provider `{provider}` could not {action}: {error}")]
    Provider {
        provider: String,
        action: &'static str,
        error: ProviderError,
    },
    /// A target of `fnox push` cannot be used.
    #[error("the target `{target}` cannot be used: {error}")]
    Target {
        target: String,
        error: ProviderError,
    },
    /// The command line asks for something that makes no sense.
    #[error("{message}")]
    Usage {
        message: String,
        help: Option<String>,
    },
    /// A file that the command line names.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// An input that is not what it should be.
    #[error("{what} cannot be read: {reason}")]
    Input {
        what: String,
        reason: String,
        help: Option<String>,
    },
    /// A secret that the program cannot get.
    #[error("the secret `{name}` cannot be given to a program: {reason}")]
    NotInjectable {
        name: String,
        reason: String,
        help: Option<String>,
    },
    /// The program did not start.
    #[error("{message}")]
    NotStarted {
        message: String,
        status: ExitStatus,
        help: Option<String>,
    },
    /// Checks failed; what exactly has been printed.
    #[error("{message}")]
    Failed { message: String, code: &'static str },
    /// It is not for this program to do.
    #[error("{0}")]
    Denied(&'static str),
    /// Whoever read the output went away.
    #[error("the output was closed")]
    OutputClosed,
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

impl CliError {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            code: "cli::check_failed",
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Resolve(error) => error.code(),
            Self::Lease(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::Daemon(error) => error.code(),
            Self::Team(error) => error.code(),
            Self::Server(error) => error.code(),
            Self::Provider { error, .. } | Self::Target { error, .. } => error.code(),
            Self::Usage { .. } => "cli::usage",
            Self::File { .. } => "cli::file",
            Self::Input { .. } => "cli::input",
            Self::NotInjectable { .. } => "secret::not_injectable",
            Self::NotStarted { .. } => "cli::not_started",
            Self::Failed { code, .. } => code,
            Self::Denied(_) => "cli::denied",
            Self::OutputClosed | Self::Output(_) => "cli::output",
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.help(),
            Self::Resolve(error) => error.help(),
            Self::Lease(error) => error.help(),
            Self::Vault(error) => error.help(),
            Self::Daemon(error) => Some(error.help().to_owned()),
            Self::Team(error) => error.help(),
            Self::Server(error) => error.help(),
            Self::Provider { error, .. } | Self::Target { error, .. } => error.remedy.clone(),
            Self::Usage { help, .. }
            | Self::Input { help, .. }
            | Self::NotInjectable { help, .. }
            | Self::NotStarted { help, .. } => help.clone(),
            Self::File { path, source, .. } => fnox_config::remedy_of(source, path),
            Self::Failed { .. } | Self::Denied(_) | Self::OutputClosed | Self::Output(_) => None,
        }
    }

    pub(crate) fn location(&self) -> Option<&Location> {
        match self {
            Self::Config(error) => error.location(),
            Self::Resolve(error) => error.location(),
            Self::Lease(LeaseError::Config(error)) => error.location(),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::Config(_) | Self::NotInjectable { .. } => ExitStatus::Configuration,
            Self::Resolve(error) => error.exit_status(),
            Self::Lease(error) => error.exit_status(),
            Self::Vault(error) => error.status(),
            Self::Daemon(error) => error.status(),
            Self::Team(error) => error.status(),
            Self::Server(error) => error.status(),
            Self::Provider { error, .. } | Self::Target { error, .. } => error.kind.exit_status(),
            Self::Usage { .. } => ExitStatus::Usage,
            Self::NotStarted { status, .. } => *status,
            Self::Denied(_) => ExitStatus::Denied,
            // As a program that SIGPIPE ended: 128 + 13.
            Self::OutputClosed => ExitStatus::Child(141),
            Self::File { .. } | Self::Input { .. } | Self::Failed { .. } | Self::Output(_) => {
                ExitStatus::Failure
            }
        }
    }
}

impl From<std::io::Error> for CliError {
    /// Errors of writing output; files that a command names are [`CliError::File`].
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Output(error)
        }
    }
}
