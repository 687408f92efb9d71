//! What went wrong, in the words of the team server.

use fnox_server::StoreError;
use fnox_server::store::sql::SqlError;
use fnox_vault::store::StoreError as VaultError;
use tokio_postgres::error::SqlState;

use crate::problem::Failure;

/// A failed statement.
pub(super) fn of_statement(error: tokio_postgres::Error) -> SqlError {
    let code = error.code().map(SqlState::code).unwrap_or_default();
    // A constraint or a trigger objects: transactions are one after the other and look before they write, so
    // what is stored contradicts itself.
    if code.starts_with("23") || code == "P0001" {
        return SqlError::Corrupt(format!("the server says SQLSTATE {code}"));
    }
    match Failure::from(error) {
        Failure::Unavailable(problem) | Failure::NotWritten(problem) => {
            SqlError::Unavailable(problem)
        }
        Failure::Corrupt(problem) => SqlError::Corrupt(problem),
        Failure::Unfit(problem) => SqlError::Unfit(problem),
    }
}

/// A failed statement, as a failure of everything that stands and falls with it.
pub(super) fn failure(error: SqlError) -> Failure {
    match error {
        SqlError::Corrupt(problem) => Failure::Corrupt(problem),
        SqlError::Unfit(problem) => Failure::Unfit(problem),
        other => Failure::Unavailable(other.to_string()),
    }
}

/// As the error of the store of this name.
pub(super) fn of_failure(failure: Failure, store: &str) -> StoreError {
    let store = store.to_owned();
    match failure {
        Failure::Unavailable(problem) | Failure::NotWritten(problem) => {
            StoreError::Unavailable { store, problem }
        }
        Failure::Corrupt(problem) => StoreError::Corrupt { store, problem },
        Failure::Unfit(problem) => StoreError::Unfit { store, problem },
    }
}

/// What the parts that both stores share say.
pub(super) fn of_shared(error: VaultError) -> StoreError {
    match error {
        VaultError::Corrupt { store, problem } => StoreError::Corrupt { store, problem },
        VaultError::Newer {
            store,
            found,
            known,
        } => StoreError::Newer {
            store,
            found,
            known,
        },
        VaultError::Foreign { store, problem } => StoreError::Foreign { store, problem },
        VaultError::Locked { store, holder } => StoreError::Locked { store, holder },
        VaultError::Unavailable { store, problem } | VaultError::NotWritten { store, problem } => {
            StoreError::Unavailable { store, problem }
        }
        VaultError::Unsupported { store, action } => StoreError::Unavailable {
            store,
            problem: format!("it cannot {action}"),
        },
        other => StoreError::Unavailable {
            store: "PostgreSQL".to_owned(),
            problem: other.to_string(),
        },
    }
}
