//! Why there is no lease.

use fnox_config::{ConfigError, Location};
use fnox_core::{ExitStatus, LeaseName, Lifetime};

use crate::ledger::LedgerError;
use crate::manager::MasterError;
use crate::mint::MintError;

/// A lease could not be created, found or withdrawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// There is no such lease, or one of its keys is wrong.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// The issuer would not issue for so long, or so short.
    #[error("lease `{lease}` cannot live for {requested}: its type allows {minimum} to {maximum}")]
    DurationOutOfRange {
        /// The lease.
        lease: LeaseName,
        /// What was asked for.
        requested: Lifetime,
        /// The shortest life.
        minimum: Lifetime,
        /// The longest life.
        maximum: Lifetime,
    },
    /// Nothing is configured or present to mint with, and the lease must not be skipped.
    #[error("{message}")]
    PrerequisitesMissing {
        /// The lease.
        lease: LeaseName,
        /// What is missing.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A master is configured and could not be had.
    #[error("a master of lease `{lease}` could not be resolved")]
    Masters {
        /// The lease.
        lease: LeaseName,
        /// Why.
        #[source]
        source: MasterError,
    },
    /// The issuer made no credential, or withdrew none.
    #[error("lease `{lease}`: {source}")]
    Mint {
        /// The lease.
        lease: LeaseName,
        /// Why.
        source: MintError,
        /// Where the key at fault, or the lease, stands.
        location: Option<Location>,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A credential was issued, could not be put on record and is therefore not handed out.
    #[error("lease `{lease}` was created and could not be recorded, so it is not used")]
    NotRecorded {
        /// The lease.
        lease: LeaseName,
        /// Whether the issuer withdrew it again.
        withdrawn: bool,
        /// Why.
        source: LedgerError,
    },
    /// No record matches.
    #[error("there is no lease `{target}`")]
    UnknownTarget {
        /// What was asked for.
        target: String,
    },
    /// Several records match.
    #[error("`{target}` matches {} leases:\n  {}", matches.len(), matches.join("\n  "))]
    AmbiguousTarget {
        /// What was asked for.
        target: String,
        /// The ids that begin with it.
        matches: Vec<String>,
    },
    /// The lease that could withdraw it is not configured any more.
    #[error("lease `{lease}` is not configured any more, so nothing can withdraw {lease_id}")]
    NotConfigured {
        /// The lease.
        lease: String,
        /// The issuer's handle.
        lease_id: String,
    },
}

impl LeaseError {
    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::DurationOutOfRange { .. } => "lease::duration_out_of_range",
            Self::PrerequisitesMissing { .. } => "lease::prerequisites_missing",
            Self::Masters { .. } => "lease::masters",
            Self::Mint { source, .. } => source.code(),
            Self::Ledger(error) => error.code(),
            Self::NotRecorded { .. } => "lease::not_recorded",
            Self::UnknownTarget { .. } => "lease::unknown",
            Self::AmbiguousTarget { .. } => "lease::ambiguous",
            Self::NotConfigured { .. } => "lease::not_configured",
        }
    }

    /// Every code that this crate gives out.
    pub const CODES: &'static [&'static str] = &[
        "lease::ambiguous",
        "lease::authentication_needed",
        "lease::denied",
        "lease::duration_out_of_range",
        "lease::masters",
        "lease::misconfigured",
        "lease::not_configured",
        "lease::not_recorded",
        "lease::prerequisites_missing",
        "lease::unavailable",
        "lease::unknown",
        "ledger::io",
        "ledger::key_unavailable",
        "ledger::locked",
        "ledger::malformed",
        "ledger::sealed",
        "ledger::unsafe",
    ];

    /// What a script is told.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Config(_) | Self::DurationOutOfRange { .. } | Self::NotConfigured { .. } => {
                ExitStatus::Configuration
            }
            Self::PrerequisitesMissing { .. } => ExitStatus::AuthenticationNeeded,
            Self::Masters { source, .. } => source.exit_status,
            Self::Mint { source, .. } => source.exit_status(),
            Self::Ledger(error) => error.exit_status(),
            Self::NotRecorded { .. }
            | Self::UnknownTarget { .. }
            | Self::AmbiguousTarget { .. } => ExitStatus::Failure,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.help(),
            Self::DurationOutOfRange { .. } => {
                Some("change `duration` of the lease, or `--duration`".to_owned())
            }
            Self::PrerequisitesMissing { hint, .. } => Some(hint.clone()),
            Self::Masters { source, .. } => source.help.clone(),
            Self::Mint { source, .. } => source.remedy.clone(),
            Self::Ledger(error) => error.help(),
            Self::NotRecorded {
                withdrawn: true,
                source,
                ..
            } => source.help(),
            Self::NotRecorded { source, .. } => Some(match source.help() {
                Some(help) => {
                    format!("{help}. Then settle the open record with `fnox lease cleanup`")
                }
                None => "settle the open record with `fnox lease cleanup`".to_owned(),
            }),
            Self::UnknownTarget { .. } => Some(
                "give a lease id, the unique beginning of one from `fnox lease list`, or the name \
                 of a lease in fnox.toml"
                    .to_owned(),
            ),
            Self::AmbiguousTarget { .. } => {
                Some("give more of the id, or the whole of it".to_owned())
            }
            Self::NotConfigured { lease, .. } => Some(format!(
                "put `[leases.{lease}]` back into fnox.toml, revoke the lease, then remove it again"
            )),
        }
    }

    /// The place in the configuration to underline.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Config(error) => error.location(),
            Self::Mint { location, .. } => location.as_ref(),
            _ => None,
        }
    }
}

impl From<ConfigError> for LeaseError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
