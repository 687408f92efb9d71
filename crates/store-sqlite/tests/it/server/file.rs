//! What is opened, and what is refused.

use std::sync::Arc;

use fnox_server::StoreError;
use fnox_server::store::Database as _;
use fnox_store_sqlite::{SqliteDatabase, SqliteStore};
use rusqlite::Connection;

use super::support::options;
use crate::support::{CLOCK, Place, create};

fn refusal(place: &Place) -> StoreError {
    SqliteDatabase::open(&place.path(), options()).unwrap_err()
}

#[tokio::test]
async fn a_vaults_file_is_no_servers_and_the_other_way_round() {
    let (vault, server) = (Place::new(), Place::new());
    drop(SqliteStore::open(&vault.path(), create()).unwrap());
    drop(SqliteDatabase::open(&server.path(), options()).unwrap());
    let error = refusal(&vault);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(
        error.to_string().contains("it is a vault's store"),
        "{error}"
    );
    let error = SqliteStore::open(&server.path(), create()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it is a team server's database"), "{error}");
    let error = SqliteDatabase::restore(&vault.path(), &server.path(), &CLOCK).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    drop(SqliteDatabase::open(&server.path(), options()).unwrap());
}

#[tokio::test]
async fn a_database_of_a_newer_fnox_is_refused() {
    let place = Place::new();
    drop(SqliteDatabase::open(&place.path(), options()).unwrap());
    let db = Connection::open(place.path()).unwrap();
    db.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (99, 'future', '2030-01-01T00:00:00Z', '0')",
        [],
    )
    .unwrap();
    drop(db);
    let error = refusal(&place);
    let is_newer = matches!(
        error,
        StoreError::Newer {
            found: 99,
            known: 2,
            ..
        }
    );
    assert!(is_newer, "{error}");
}

#[tokio::test]
async fn one_server_at_a_time_has_the_file() {
    let place = Place::new();
    let database = Arc::new(SqliteDatabase::open(&place.path(), options()).unwrap());
    assert!(!database.is_shared());
    let error = refusal(&place);
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(database);
    drop(SqliteDatabase::open(&place.path(), options()).unwrap());
}
