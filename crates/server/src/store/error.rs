//! Why a store did not do something.

use fnox_api::ApprovalStatus;
use jiff::Timestamp;
use uuid::Uuid;

/// A store failed, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something is not as the change needs it. Nothing was changed, and the audit log tells of it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It did not answer or could not be written; it may work later.
    #[error("{store} is not available: {problem}")]
    Unavailable {
        /// Which store, as it describes itself.
        store: String,
        /// What went wrong, without any stored data.
        problem: String,
    },
    /// What is stored is not what this program writes: changed, or broken.
    #[error("{store} holds something that this program did not write: {problem}")]
    Corrupt {
        /// Which store.
        store: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that cannot be stored, such as a text with a NUL character.
    #[error("{store} cannot hold it: {problem}")]
    Unfit {
        /// Which store.
        store: String,
        /// What.
        problem: String,
    },
    /// A newer fnox wrote it.
    #[error("{store} was written by a newer fnox (format {found}; this one knows up to {known})")]
    Newer {
        /// Which store.
        store: String,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The place is taken by something else.
    #[error("{store} is not a team server's database: {problem}")]
    Foreign {
        /// Which place.
        store: String,
        /// What is there.
        problem: String,
    },
    /// Another server has it open.
    #[error("{store} is in use by another process ({holder})")]
    Locked {
        /// Which store.
        store: String,
        /// Who has it, if known.
        holder: String,
    },
}

impl StoreError {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is none.
    #[error("there is no such thing")]
    Missing,
    /// There is one already.
    #[error("there is one already")]
    Exists,
    /// The secret has another version than the request says; 0 for none.
    #[error("the version is {found}")]
    Moved {
        /// The version that it has.
        found: u64,
    },
    /// The age file is made for another version than the next one.
    #[error("the next version is {next}")]
    NotNext {
        /// The number that the next version gets.
        next: u64,
    },
    /// The CI's token was used before.
    #[error("the token was used before")]
    Replayed,
    /// A name that another stable id had now belongs to this one.
    #[error("the name `{name}` belonged to the id {known}")]
    Resurrected {
        /// The name.
        name: String,
        /// Whose it was.
        known: String,
    },
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// Nothing is released at the moment.
    #[error("the server is frozen")]
    Frozen,
    /// Too many are pending.
    #[error("{limit} requests are pending already")]
    TooManyPending {
        /// How many may be.
        limit: u32,
    },
    /// The same was denied a short time ago.
    #[error("it was denied a short time ago")]
    Quiet {
        /// When it may be asked again.
        until: Timestamp,
    },
    /// One requester asked too often.
    #[error("{limit} questions were asked a short time ago")]
    TooOften {
        /// How many may be.
        limit: u32,
        /// When the next one may be.
        until: Timestamp,
    },
    /// It is not in the state that the change needs.
    #[error("the approval is {}", .0.as_str())]
    Status(ApprovalStatus),
    /// A secret is not what it was when it was asked for.
    #[error("`{key}` changed since the approval")]
    Changed {
        /// Which.
        key: String,
    },
    /// The grant was used before.
    #[error("the grant was used before")]
    GrantUsed {
        /// Of which approval.
        approval: Uuid,
    },
    /// The grant has ended.
    #[error("the grant has ended")]
    GrantExpired,
    /// Somebody else asked for it.
    #[error("somebody else asked for it")]
    NotTheirs,
    /// Whoever asked cannot decide.
    #[error("whoever asked cannot decide")]
    SelfApproval,
    /// The person may not log in.
    #[error("the person is deactivated")]
    Deactivated,
}

impl Refusal {
    /// The event that the audit log calls it, if it has a name of its own.
    pub(super) fn event(&self) -> Option<&'static str> {
        match self {
            Self::Replayed => Some("token_replayed"),
            Self::Resurrected { .. } => Some("name_resurrected"),
            Self::GrantUsed { .. } => Some("grant_replayed"),
            _ => None,
        }
    }
}
