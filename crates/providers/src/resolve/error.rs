//! Why secrets could not be resolved.

use fnox_config::{ConfigError, Location};
use fnox_core::{ExitStatus, SecretName};

use crate::error::ProviderError;

/// Resolving stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A secret has no value anywhere.
    #[error("the secret `{name}` has no value{}", tried(sources))]
    Missing {
        /// The secret.
        name: SecretName,
        /// What was looked at, with what was found there.
        sources: Vec<String>,
        /// Where the secret stands.
        location: Location,
    },
    /// A provider failed.
    #[error("the secret `{name}` could not be read from `{provider}`: {error}")]
    Provider {
        /// The secret.
        name: SecretName,
        /// The provider's name.
        provider: String,
        /// What it answered.
        error: ProviderError,
        /// Where the secret stands.
        location: Location,
    },
    /// A provider could not be opened or used, no matter for which secret.
    #[error("the provider `{provider}` cannot be used: {error}")]
    ProviderUnusable {
        /// The provider's name.
        provider: String,
        /// What is wrong.
        error: ProviderError,
        /// Where the provider stands.
        location: Location,
    },
    /// Secrets need one another.
    #[error("secrets need one another: {}", chain.join(" -> "))]
    Cycle {
        /// The members, the first one again at the end.
        chain: Vec<String>,
        /// Where one of them stands.
        location: Location,
    },
    /// `json_path`, `line`, or `${NAME}` does not fit the value.
    #[error("the secret `{name}` has a value that {reason}")]
    Unfit {
        /// The secret.
        name: SecretName,
        /// What does not fit; never the value.
        reason: String,
        /// The key at fault.
        location: Location,
    },
    /// The use could not be recorded.
    #[error("no secret is given out, because its use cannot be recorded: {reason}")]
    NotRecorded {
        /// Why not.
        reason: String,
    },
}

impl ResolveError {
    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Missing { .. } => "secret::missing",
            Self::Provider { error, .. } | Self::ProviderUnusable { error, .. } => error.code(),
            Self::Cycle { .. } => "secret::cycle",
            Self::Unfit { .. } => "secret::unfit",
            Self::NotRecorded { .. } => "secret::not_recorded",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.help(),
            Self::Missing { name, .. } => Some(format!(
                "set it with `fnox set {name}`, or export it in the environment, or allow it to be missing with `if_missing = \"warn\"`"
            )),
            Self::Provider { error, .. } | Self::ProviderUnusable { error, .. } => {
                error.remedy.clone()
            }
            Self::Cycle { .. } => {
                Some("break the cycle: take one of these from another provider".to_owned())
            }
            Self::Unfit { .. } => None,
            Self::NotRecorded { .. } => Some(
                "make room, or mend what the message names; `fnox audit --verify` tells whether the log is whole"
                    .to_owned(),
            ),
        }
    }

    /// The place to underline.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Config(error) => error.location(),
            Self::Missing { location, .. }
            | Self::Provider { location, .. }
            | Self::ProviderUnusable { location, .. }
            | Self::Cycle { location, .. }
            | Self::Unfit { location, .. } => Some(location),
            Self::NotRecorded { .. } => None,
        }
    }

    /// The exit status that it means.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Config(_) | Self::Cycle { .. } | Self::Unfit { .. } => ExitStatus::Configuration,
            Self::Missing { .. } => ExitStatus::SecretMissing,
            Self::NotRecorded { .. } => ExitStatus::Failure,
            Self::Provider { error, .. } | Self::ProviderUnusable { error, .. } => {
                error.kind.exit_status()
            }
        }
    }
}

fn tried(sources: &[String]) -> String {
    sources
        .iter()
        .fold(String::new(), |text, source| text + "\n  - " + source)
}
