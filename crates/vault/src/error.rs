//! Why the vault did not do what it was asked.

use fnox_core::host::InvalidHost;
use fnox_core::name::InvalidName;
use fnox_vault_wire::methods::Method;
use fnox_vault_wire::{ApprovalId, Code, LeaseId, WireError};

use crate::store::StoreError;

/// A request was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Unknown, or somebody else's: the answer is the same.
    #[error("lease {0} is not known")]
    LeaseNotFound(LeaseId),
    /// Its time is over.
    #[error("lease {0} has expired")]
    LeaseExpired(LeaseId),
    /// Its uses are spent.
    #[error("lease {0} has no uses left")]
    LeaseExhausted(LeaseId),
    /// Withdrawn.
    #[error("lease {0} was revoked")]
    LeaseRevoked(LeaseId),
    /// The policy, the role or the lease's scope forbids it.
    #[error("access denied: {0}")]
    Denied(String),
    /// The role may not call the method at all.
    #[error("access denied: {} is not for the role {role}", method.name())]
    RoleDenied {
        /// What was called.
        method: Method,
        /// By whom.
        role: &'static str,
    },
    /// No or no valid token.
    #[error("authentication failed: {0}")]
    Unauthenticated(&'static str),
    /// A limit on live leases.
    #[error("the limit of {limit} {what} is reached; wait for one to end, or revoke one")]
    LeaseCap {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
    /// The session's limit on live leases.
    #[error("the session's limit of {limit} live leases is reached")]
    SessionCap {
        /// How many there may be.
        limit: u32,
    },
    /// A rule's rate.
    #[error("{rule}: {problem}")]
    RateLimited {
        /// The rule.
        rule: String,
        /// Its rate, and when to try again.
        problem: String,
    },
    /// The lease cannot live longer.
    #[error("lease {id} cannot be renewed any further: {limit}")]
    RenewalLimit {
        /// The lease.
        id: LeaseId,
        /// Which limit.
        limit: String,
    },
    /// The rule gives leases that end when they end.
    #[error("lease {0} is not renewable")]
    NotRenewable(LeaseId),
    /// No such session.
    #[error("the session is not known")]
    SessionNotFound,
    /// The session's time is over.
    #[error("the session has expired")]
    SessionExpired,
    /// The session was closed.
    #[error("the session was closed")]
    SessionClosed,
    /// No such secret.
    #[error("the secret `{0}` does not exist")]
    SecretNotFound(String),
    /// There is one already.
    #[error("the secret `{0}` exists already; give it a new value with update_secret")]
    SecretExists(String),
    /// Somebody else changed it first.
    #[error("{0} was changed by somebody else; look again and repeat")]
    Conflict(String),
    /// No such token.
    #[error("the token is not known")]
    TokenNotFound,
    /// No such question waits, or it is another gateway's.
    #[error(
        "no question {0} waits: it was taken back, its time is over, or this vault was not asked"
    )]
    ApprovalNotFound(ApprovalId),
    /// Somebody answered the question already.
    #[error("the question {id} is answered: {by} {how}")]
    Decided {
        /// Which.
        id: ApprovalId,
        /// What was said.
        how: String,
        /// Who said it.
        by: String,
    },
    /// A limit on questions that wait.
    #[error("the limit of {limit} {what} is reached; answer some, or wait")]
    TooManyQuestions {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
    /// Something given is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// A number is out of range.
    #[error("{0}")]
    OutOfRange(String),
    /// The policy file is wrong.
    #[error("the policy was not taken over: {0}")]
    Policy(String),
    /// The value could not be sealed.
    #[error("the value could not be sealed")]
    Sealing,
    /// The value could not be opened.
    #[error("the stored value could not be opened")]
    Opening,
    /// The key source or the ring.
    #[error("{problem}")]
    Keys {
        /// What is wrong.
        problem: String,
        /// What to do, where the source knows it.
        remedy: Option<String>,
    },
    /// The audit log could not be written.
    #[error("the audit log cannot be written, so nothing is answered: {0}")]
    Audit(String),
    /// The store.
    #[error("{0}")]
    Store(String),
    /// It cannot be done here.
    #[error("{0}")]
    Unsupported(String),
    /// A mint's issuer does not answer.
    #[error("no credential could be had for `{0}`: its issuer does not answer; try again later")]
    MintUnavailable(String),
    /// A mint is configured wrongly, or its issuer says no.
    #[error("no credential could be had for `{0}`: its issuer refuses; the audit log says why")]
    MintRefused(String),
    /// Too long.
    #[error("the vault did not get it done in time")]
    TimedOut,
    /// The vault is ending.
    #[error("the vault is ending")]
    ShuttingDown,
}

impl VaultError {
    /// Something is wrong with the keys, and nobody knows what to do.
    pub(crate) fn keys(problem: impl Into<String>) -> Self {
        Self::Keys {
            problem: problem.into(),
            remedy: None,
        }
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::LeaseNotFound(_) => Code::LeaseNotFound,
            Self::LeaseExpired(_) | Self::LeaseExhausted(_) => Code::LeaseExpired,
            Self::LeaseRevoked(_) => Code::LeaseRevoked,
            Self::Denied(_) | Self::RoleDenied { .. } => Code::AccessDenied,
            Self::Unauthenticated(_) => Code::AuthenticationFailed,
            Self::LeaseCap { .. } | Self::NotRenewable(_) | Self::OutOfRange(_) => {
                Code::InvalidConfig
            }
            Self::SessionCap { .. } => Code::SessionLeaseLimit,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::RenewalLimit { .. } => Code::RenewalLimitReached,
            Self::SessionNotFound => Code::SessionNotFound,
            Self::SessionExpired => Code::SessionExpired,
            Self::SessionClosed => Code::SessionRevoked,
            Self::SecretNotFound(_) => Code::SecretNotFound,
            Self::SecretExists(_) => Code::SecretAlreadyExists,
            Self::Conflict(_) | Self::Decided { .. } => Code::Conflict,
            Self::ApprovalNotFound(_) => Code::ApprovalNotFound,
            Self::TooManyQuestions { .. } => Code::TooManyRequests,
            Self::TokenNotFound => Code::TokenNotFound,
            Self::Invalid(_) => Code::InvalidRequest,
            Self::Policy(_) => Code::InvalidPolicy,
            Self::Sealing => Code::EncryptionFailed,
            Self::Opening => Code::DecryptionFailed,
            Self::Keys { .. } => Code::KeySourceUnavailable,
            Self::Audit(_) => Code::AuditUnavailable,
            Self::Store(_) => Code::Storage,
            Self::Unsupported(_) => Code::NotSupported,
            Self::MintUnavailable(_) => Code::MintUnavailable,
            Self::MintRefused(_) => Code::MintRefused,
            Self::TimedOut => Code::TimedOut,
            Self::ShuttingDown => Code::ShuttingDown,
        }
    }
}

impl From<VaultError> for WireError {
    fn from(error: VaultError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<InvalidName> for VaultError {
    fn from(error: InvalidName) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<InvalidHost> for VaultError {
    fn from(error: InvalidHost) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unsupported { .. } => Self::Unsupported(error.to_string()),
            other => Self::Store(other.to_string()),
        }
    }
}
