//! SQLite's errors in words. They are the vault's; the server's own are made of them at its border.

use std::path::Path;

use fnox_server::store::sql::SqlError;
use fnox_vault::store::StoreError;
use rusqlite::{Error, ErrorCode};

/// What went wrong inside this crate; which file it was is added at the border.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was changed.
    #[error(transparent)]
    Refused(#[from] fnox_vault::store::Refusal),
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] Error),
    /// SQLite says so of the commit itself.
    #[error(transparent)]
    Commit(Error),
    /// A stored column is not what this program writes.
    #[error("the column `{column}` holds something else")]
    Unreadable { column: &'static str },
    /// The audit log's head does not fit its keys.
    #[error(transparent)]
    Forged(#[from] fnox_core::audit::ForgedHead),
    /// The audit log has no keys yet.
    #[error("the audit log's key is not loaded yet")]
    LogIsLocked,
    /// The file cannot hold it.
    #[error("this cannot be stored: {what}")]
    TooFar { what: &'static str },
    /// The server's work says so.
    #[error("{0}")]
    Work(SqlError),
    /// Another request of the same commit failed.
    #[error("{reason}")]
    Batch { reason: String },
    /// The writer is gone.
    #[error("the store is closed")]
    Closed,
}

impl Failure {
    /// Whether whatever else waits for the same commit could succeed without this one.
    pub(crate) fn is_its_own(&self) -> bool {
        match self {
            Self::Sqlite(error) | Self::Commit(error) => !is_of_the_disk(error),
            _ => true,
        }
    }

    /// Whether a batch that failed so is certain not to be stored. Before its commit it is. A commit that fails for want
    /// of room could not write the frame that makes it valid; one whose sync fails may be whole when the file is opened
    /// again (sqlite.org/fileformat2.html, section 4).
    pub(crate) fn has_stored_nothing(&self) -> bool {
        match self {
            Self::Commit(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            _ => true,
        }
    }

    /// Whether the store was asked for something that is not as the change needs it.
    pub(crate) fn is_a_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// What those are told whose commit this failure took along.
    pub(crate) fn of_the_batch(&self) -> Self {
        Self::Batch {
            reason: self.reason(),
        }
    }

    /// The reason, in words without any stored data.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Sqlite(error) | Self::Commit(error) => error
                .sqlite_error_code()
                .map_or("SQLite refused", reason)
                .to_owned(),
            other => other.to_string(),
        }
    }

    /// The vault's word for it.
    pub(crate) fn at(self, store: &str) -> StoreError {
        let store = store.to_owned();
        match self {
            Self::Refused(refusal) => StoreError::Refused(refusal),
            Self::Sqlite(error) | Self::Commit(error) => of_sqlite(&error, store),
            Self::Unreadable { .. } | Self::Forged(_) => StoreError::Corrupt {
                problem: self.to_string(),
                store,
            },
            Self::Work(SqlError::Corrupt(problem)) => StoreError::Corrupt { store, problem },
            Self::Work(SqlError::Unfit(what)) => StoreError::Unsupported {
                store,
                action: format!("hold {what}"),
            },
            Self::TooFar { what } => StoreError::Unsupported {
                store,
                action: format!("hold {what}"),
            },
            Self::LogIsLocked | Self::Closed | Self::Batch { .. } | Self::Work(_) => {
                StoreError::Unavailable {
                    problem: self.to_string(),
                    store,
                }
            }
        }
    }
}

/// How the store names itself.
pub(crate) fn name_of(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// An operation on a file failed.
pub(crate) fn io(path: &Path, doing: &str, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable {
        store: name_of(path),
        problem: format!("{doing}: {error}"),
    }
}

fn of_sqlite(error: &Error, store: String) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign {
            store,
            problem: "the file is not an SQLite database".to_owned(),
        },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt {
            store,
            problem: "the file is damaged".to_owned(),
        },
        Some(ErrorCode::ConstraintViolation) => StoreError::Corrupt {
            store,
            problem: "what is stored contradicts itself".to_owned(),
        },
        Some(ErrorCode::TooBig) => StoreError::Unsupported {
            store,
            action: "hold a value of this size".to_owned(),
        },
        Some(code) => StoreError::Unavailable {
            store,
            problem: reason(code).to_owned(),
        },
        // SQLite had no complaint: the type or number of columns is not as expected.
        None => StoreError::Corrupt {
            store,
            problem: "a column holds something else than it should".to_owned(),
        },
    }
}

fn is_of_the_disk(error: &Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        None | Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig)
    )
}

fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::DiskFull => "the disk is full",
        ErrorCode::SystemIoFailure => "the disk does not read or write",
        ErrorCode::ReadOnly => "the file or its folder cannot be written",
        ErrorCode::CannotOpen => "the file cannot be opened",
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            "this user may not open the file"
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another program holds the file's lock"
        }
        ErrorCode::OutOfMemory => "there is not enough memory",
        ErrorCode::FileLockingProtocolFailed => "the file system does not lock files",
        _ => "SQLite refused",
    }
}
