//! A database with a world in it.

use std::path::Path;
use std::sync::Arc;

use fnox_core::clock::{Clock, SystemClock};
use fnox_server::StoreError;
use fnox_server::store::conformance::World;
use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};

pub(crate) fn options() -> SqliteDatabaseOptions {
    at(Arc::new(SystemClock))
}

pub(crate) fn at(clock: Arc<dyn Clock>) -> SqliteDatabaseOptions {
    SqliteDatabaseOptions {
        create: true,
        clock,
        ..SqliteDatabaseOptions::default()
    }
}

/// Opens or creates a database and unlocks its log.
pub(crate) async fn open(path: &Path) -> Result<(SqliteDatabase, World), StoreError> {
    let database = SqliteDatabase::open(path, options())?;
    let world = World::of([Arc::new(database.clone()) as Arc<_>]).await;
    Ok((database, world))
}
