//! What went wrong at the server, as the store tells it: never with stored data, never with a password.

use deadpool_postgres::{PoolError, TimeoutType};
use fnox_vault::store::{Refusal, StoreError};
use tokio_postgres::error::SqlState;

/// A failure that many callers may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server did not answer or could not do it.
    Unavailable(String),
    /// The server could not do it, and has changed nothing.
    NotWritten(String),
    /// What is stored is not what this program writes.
    Corrupt(String),
    /// The server cannot hold what it was given.
    Unfit(String),
}

impl Failure {
    /// As the error of the store of this name.
    pub(crate) fn of(self, store: &str) -> StoreError {
        let store = store.to_owned();
        match self {
            Self::Unavailable(problem) => StoreError::Unavailable { store, problem },
            Self::NotWritten(problem) => StoreError::NotWritten { store, problem },
            Self::Corrupt(problem) => StoreError::Corrupt { store, problem },
            Self::Unfit(problem) => StoreError::Unsupported {
                store,
                action: format!("hold this: {problem}"),
            },
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code().map(SqlState::code) {
            // A record of this number is there already, although the head says that it is not: or a table is
            // gone, or a page is broken.
            Some(code @ ("23505" | "42P01" | "42703" | "XX001" | "XX002")) => {
                Self::Corrupt(format!("the server says SQLSTATE {code}"))
            }
            // Data exceptions and limits of the program (PostgreSQL, appendix A).
            Some(code) if code.starts_with("22") || code.starts_with("54") => {
                Self::Unfit(format!("the server says SQLSTATE {code}"))
            }
            // No room. The server says so before it commits: while it commits it would end instead.
            Some("53100") => Self::NotWritten(problem(&error)),
            _ => Self::Unavailable(problem(&error)),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(match error {
            PoolError::Backend(error) => problem(&error),
            PoolError::Timeout(TimeoutType::Wait) => "all connections are in use".to_owned(),
            PoolError::Timeout(_) => "the server did not answer in time".to_owned(),
            _ => "no connection".to_owned(),
        })
    }
}

/// The server's or the connection's own words, where they cannot hold stored data.
pub(crate) fn problem(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    let Some(answer) = error.as_db_error() else {
        return error
            .source()
            .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    };
    let code = answer.code().code();
    // Connection, authorization, resources, object state, operator, system: about the server. Other classes
    // may quote what was to be stored (PostgreSQL, appendix A).
    let about_the_server = ["08", "25", "28", "3D", "53", "55", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class));
    if about_the_server || code == "42501" {
        format!("{} (SQLSTATE {code})", answer.message())
    } else {
        format!("SQLSTATE {code}")
    }
}

/// Why one call did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Something is not as the change needs it. Nothing was changed.
    Refused(Refusal),
    /// It did not work.
    Failed(Failure),
}

impl Trouble {
    /// As the error of the store of this name.
    pub(crate) fn of(self, store: &str) -> StoreError {
        match self {
            Self::Refused(refusal) => StoreError::Refused(refusal),
            Self::Failed(failure) => failure.of(store),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<T: Into<Failure>> From<T> for Trouble {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}
