//! Why a command failed, for the person and for the exit code.

use std::path::PathBuf;

use fnox_config::{ConfigError, Location};
use fnox_core::ExitStatus;
use fnox_leases::LeaseError;
use fnox_providers::resolve::ResolveError;
use fnox_providers::{ErrorKind, ProviderError};

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
    /// A provider did not do what it was asked.
    #[error("the provider `{provider}` could not {action}: {error}")]
    Provider {
        provider: String,
        action: &'static str,
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
    /// Whoever read the output went away.
    #[error("the output was closed")]
    OutputClosed,
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

/// Every code with a page in `docs/reference/errors.md`: code, exit status, meaning, what to do.
pub const CODES: &[(&str, ExitStatus, &str, &str)] = &[
    (
        "config::not_found",
        ExitStatus::Configuration,
        "No `fnox.toml` in this folder or any above it.",
        "Run `fnox init`, change the folder, or name a file with `-c PATH`.",
    ),
    (
        "config::io",
        ExitStatus::Configuration,
        "A configuration file cannot be read or written.",
        "Look at the file's and its folder's permissions and at the free space.",
    ),
    (
        "config::not_utf8",
        ExitStatus::Configuration,
        "A configuration file is not valid UTF-8.",
        "Save it as UTF-8.",
    ),
    (
        "config::too_large",
        ExitStatus::Configuration,
        "A configuration file has more than 4 MiB.",
        "Keep large values in a provider.",
    ),
    (
        "config::syntax",
        ExitStatus::Configuration,
        "A configuration file is not valid TOML 1.1.",
        "Mend the underlined place.",
    ),
    (
        "config::unknown_key",
        ExitStatus::Configuration,
        "A table has a key that fnox does not know.",
        "Correct the key; the message names the nearest known one. See [configuration](configuration.md).",
    ),
    (
        "config::missing_key",
        ExitStatus::Configuration,
        "A table lacks a key that it needs.",
        "Add the key.",
    ),
    (
        "config::invalid_value",
        ExitStatus::Configuration,
        "A key has a value that it cannot have.",
        "Correct the underlined value.",
    ),
    (
        "config::unknown_name",
        ExitStatus::Configuration,
        "A provider, profile, secret, lease or type of that name does not exist.",
        "Correct the name; the message gives the nearest one or all of them.",
    ),
    (
        "config::already_exists",
        ExitStatus::Configuration,
        "The name is taken.",
        "Choose another one or remove the existing entry first.",
    ),
    (
        "config::cycle",
        ExitStatus::Configuration,
        "Profiles inherit from one another in a circle.",
        "Remove one of the links that the message prints.",
    ),
    (
        "config::missing_import",
        ExitStatus::Configuration,
        "A file in `import` does not exist.",
        "Create it or remove it from the list.",
    ),
    (
        "config::untrusted",
        ExitStatus::Configuration,
        "A configuration file belongs to another user, or everybody may write to it. It could run commands as you.",
        "Read it, then allow its present content with `fnox trust PATH`, or mend owner and mode.",
    ),
    (
        "config::ambiguous_profile",
        ExitStatus::Configuration,
        "Several profiles are active and the command writes.",
        "Name one with `--write-profile`.",
    ),
    (
        "secret::missing",
        ExitStatus::SecretMissing,
        "A secret has no value in its provider, no default, and no environment variable of its name.",
        "Set it with `fnox set`, or allow it to be missing with `if_missing`.",
    ),
    (
        "secret::cycle",
        ExitStatus::Configuration,
        "Secrets need one another in a circle.",
        "Take one of them from another provider.",
    ),
    (
        "secret::unfit",
        ExitStatus::Configuration,
        "`json_path`, `line` or `${NAME}` does not fit the value.",
        "Correct the key, or the stored value.",
    ),
    (
        "secret::not_injectable",
        ExitStatus::Configuration,
        "A value cannot be an environment variable: it contains a NUL byte, or its `env` mode keeps it from programs.",
        "Use `as_file = true`, or change `env`.",
    ),
    (
        "provider::not_found",
        ExitStatus::SecretMissing,
        "The provider works, but has nothing under this reference.",
        "Correct the reference, or store the value with `fnox set`.",
    ),
    (
        "provider::authentication_needed",
        ExitStatus::AuthenticationNeeded,
        "Somebody must log in, unlock the store or present a key. The message lists what was tried.",
        "Do what the message says; on a terminal fnox offers to run the login command.",
    ),
    (
        "provider::unavailable",
        ExitStatus::Unavailable,
        "A provider did not answer in time, or its program is not installed.",
        "Install or start it, or look at the network. `fnox doctor` tests all of them.",
    ),
    (
        "provider::misconfigured",
        ExitStatus::Configuration,
        "A provider's configuration is wrong, or this version cannot open its type.",
        "Correct the named key.",
    ),
    (
        "lease::configuration",
        ExitStatus::Configuration,
        "A lease's configuration is wrong, or this version cannot mint its type.",
        "Correct the named key.",
    ),
    (
        "lease::authentication_needed",
        ExitStatus::AuthenticationNeeded,
        "The master credential of a lease is locked, expired or not accepted; or the ledger's key cannot be opened.",
        "Do what the message says, or run `fnox lease create NAME -i`.",
    ),
    (
        "lease::unavailable",
        ExitStatus::Unavailable,
        "The issuer of a lease did not answer, or answered nonsense. The program was not started.",
        "Try again; look at the network and the issuer's status.",
    ),
    (
        "lease::denied",
        ExitStatus::Denied,
        "The issuer refuses to mint for this master.",
        "Have the permission granted that the message names.",
    ),
    (
        "lease::not_found",
        ExitStatus::Failure,
        "No lease has this id, prefix or name.",
        "Look at `fnox lease list`.",
    ),
    (
        "lease::ambiguous",
        ExitStatus::Failure,
        "Several leases begin with this prefix.",
        "Give a longer prefix or the whole id.",
    ),
    (
        "lease::revocation_failed",
        ExitStatus::Unavailable,
        "A credential could not be revoked and stays on the ledger.",
        "Run `fnox lease cleanup` later, or revoke it at the issuer.",
    ),
    (
        "lease::required",
        ExitStatus::AuthenticationNeeded,
        "Nothing is configured for a lease that must be there.",
        "Configure its master, or run `fnox lease create NAME -i`.",
    ),
    (
        "lease::ledger",
        ExitStatus::Failure,
        "The lease ledger cannot be read or written.",
        "Look at the state folder's permissions and free space. Nothing was lost: the old ledger is as it was.",
    ),
    (
        "lease::busy",
        ExitStatus::Failure,
        "Another fnox process holds a lock for too long.",
        "Wait for it, or end the process that the message names.",
    ),
    (
        "cli::usage",
        ExitStatus::Usage,
        "The command line asks for something that makes no sense.",
        "See `fnox COMMAND --help`.",
    ),
    (
        "cli::file",
        ExitStatus::Failure,
        "A file that the command line names cannot be read or written.",
        "Look at its path and permissions.",
    ),
    (
        "cli::input",
        ExitStatus::Failure,
        "An input is not what it should be.",
        "Correct the named line.",
    ),
    (
        "cli::not_started",
        ExitStatus::CommandNotFound,
        "The program does not exist (127) or cannot be run (126).",
        "Check its name and PATH.",
    ),
    (
        "cli::check_failed",
        ExitStatus::Failure,
        "`fnox check`, `doctor`, `provider test` or `reencrypt --check` found something.",
        "See what it printed.",
    ),
    (
        "cli::output",
        ExitStatus::Failure,
        "The output cannot be written.",
        "Look at the free space, or at whoever reads the output.",
    ),
];

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
            Self::Provider { error, .. } => error.code(),
            Self::Usage { .. } => "cli::usage",
            Self::File { .. } => "cli::file",
            Self::Input { .. } => "cli::input",
            Self::NotInjectable { .. } => "secret::not_injectable",
            Self::NotStarted { .. } => "cli::not_started",
            Self::Failed { code, .. } => code,
            Self::OutputClosed | Self::Output(_) => "cli::output",
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.help(),
            Self::Resolve(error) => error.help(),
            Self::Lease(error) => error.help(),
            Self::Provider { error, .. } => error.remedy.clone(),
            Self::Usage { help, .. }
            | Self::Input { help, .. }
            | Self::NotInjectable { help, .. }
            | Self::NotStarted { help, .. } => help.clone(),
            Self::File { .. } | Self::Failed { .. } | Self::OutputClosed | Self::Output(_) => None,
        }
    }

    pub(crate) fn location(&self) -> Option<&Location> {
        match self {
            Self::Config(error) => error.location(),
            Self::Resolve(error) => error.location(),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::Config(_) | Self::NotInjectable { .. } => ExitStatus::Configuration,
            Self::Resolve(error) => error.exit_status(),
            Self::Lease(error) => error.exit_status(),
            Self::Provider { error, .. } => match error.kind {
                ErrorKind::NotFound => ExitStatus::SecretMissing,
                ErrorKind::AuthenticationNeeded => ExitStatus::AuthenticationNeeded,
                ErrorKind::Unavailable => ExitStatus::Unavailable,
                ErrorKind::Misconfigured => ExitStatus::Configuration,
            },
            Self::Usage { .. } => ExitStatus::Usage,
            Self::NotStarted { status, .. } => *status,
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
