//! The team server's database in one SQLite file.
//!
//! The statements are the server's; this runs them. What a piece of work changed is taken back if it fails, and the
//! others of its commit go on.

mod database;
mod transaction;

use fnox_server::StoreError;
use fnox_vault::store::StoreError as Problem;
use rusqlite::Connection;

pub use self::database::{SqliteDatabase, SqliteDatabaseOptions};
use crate::problem::Failure;

/// Ends every right in a file that was restored at a moment. CI tokens that were used stay used.
pub(crate) fn end_rights(db: &Connection, now: i64) -> Result<(), Failure> {
    db.execute("UPDATE sessions SET ended = 1 WHERE ended = 0", [])?;
    db.execute(
        "UPDATE approvals SET status = 'cancelled' WHERE status IN ('pending', 'approved')",
        [],
    )?;
    db.execute(
        "UPDATE approvals SET status = 'expired' WHERE status = 'granted'",
        [],
    )?;
    // Whether it was used after the copy was made, nobody knows.
    db.execute("UPDATE grants SET used_at = ? WHERE used_at IS NULL", [now])?;
    Ok(())
}

/// The server's word for what went wrong in the file.
fn of_server(problem: Problem) -> StoreError {
    match problem {
        Problem::Unavailable { store, problem } | Problem::NotWritten { store, problem } => {
            StoreError::Unavailable { store, problem }
        }
        Problem::Corrupt { store, problem } => StoreError::Corrupt { store, problem },
        Problem::Unsupported { store, action } => StoreError::Unfit {
            store,
            problem: action
                .strip_prefix("hold ")
                .map_or_else(|| action.clone(), str::to_owned),
        },
        Problem::Newer {
            store,
            found,
            known,
        } => StoreError::Newer {
            store,
            found,
            known,
        },
        Problem::Foreign { store, problem } => StoreError::Foreign { store, problem },
        Problem::Locked { store, holder } => StoreError::Locked { store, holder },
        // The vault's refusals do not come from here.
        other => StoreError::Unavailable {
            store: String::new(),
            problem: other.to_string(),
        },
    }
}
