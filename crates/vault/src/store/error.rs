//! Why a store did not do something.

use super::Refusal;

/// A store failed, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was changed, because something is not as the change needs it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It did not answer or could not be written; it may work later. A change may have been made all the same.
    #[error("{store} is not available: {problem}")]
    Unavailable {
        /// Which store, as it describes itself.
        store: String,
        /// What went wrong, without any stored data.
        problem: String,
    },
    /// As [`Self::Unavailable`], and it is certain that nothing was changed: a disk that is full, for example. Whoever
    /// reserved something for the change has it back.
    #[error("{store} is not available, and nothing was changed: {problem}")]
    NotWritten {
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
    #[error("{store} is not a vault's store: {problem}")]
    Foreign {
        /// Which place.
        store: String,
        /// What is there.
        problem: String,
    },
    /// This store cannot do it.
    #[error("{store} cannot {action}")]
    Unsupported {
        /// Which store.
        store: String,
        /// What was asked, for example `hold a value of 300 KiB`.
        action: String,
    },
    /// Another vault has it open.
    #[error("{store} is in use by another vault (process {holder})")]
    Locked {
        /// Which store.
        store: String,
        /// Who has it, if known.
        holder: String,
    },
}

impl StoreError {
    /// The same, from a store that knows that nothing was changed.
    #[must_use]
    pub fn with_nothing_changed(self) -> Self {
        match self {
            Self::Unavailable { store, problem } => Self::NotWritten { store, problem },
            other => other,
        }
    }

    /// The same, where something was changed all the same or may have been.
    pub(crate) fn with_doubt(self) -> Self {
        match self {
            Self::NotWritten { store, problem } => Self::Unavailable { store, problem },
            other => other,
        }
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
