//! The suite of every database.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_core::clock::SystemClock;
use fnox_server::store::Database;
use fnox_server::store::conformance;
use fnox_store_sqlite::SqliteDatabase;

use super::support::options;
use crate::support::Place;

/// Each fresh database has a folder of its own.
#[derive(Default)]
struct Sqlite {
    places: Mutex<Vec<Place>>,
}

impl Sqlite {
    fn open(path: &std::path::Path) -> Arc<dyn Database> {
        Arc::new(SqliteDatabase::open(path, options()).unwrap())
    }

    fn path_of(database: &Arc<dyn Database>) -> PathBuf {
        PathBuf::from(database.describe().strip_prefix("sqlite:").unwrap())
    }
}

#[async_trait]
impl conformance::Place for Sqlite {
    async fn fresh(&self) -> Arc<dyn Database> {
        let place = Place::new();
        let database = Self::open(&place.path());
        self.places.lock().unwrap().push(place);
        database
    }

    async fn another(&self, _database: &Arc<dyn Database>) -> Option<Arc<dyn Database>> {
        None
    }

    async fn reopen(&self, database: Arc<dyn Database>) -> Arc<dyn Database> {
        let path = Self::path_of(&database);
        drop(database);
        Self::open(&path)
    }

    async fn copy(&self, database: &Arc<dyn Database>) -> Option<String> {
        let path = Self::path_of(database);
        let copy = path.with_extension("copy");
        SqliteDatabase::copy(&path, &copy).unwrap();
        Some(copy.display().to_string())
    }

    async fn restore(&self, database: Arc<dyn Database>, copy: String) -> Arc<dyn Database> {
        let path = Self::path_of(&database);
        drop(database);
        SqliteDatabase::restore(copy.as_ref(), &path, &SystemClock).unwrap();
        Self::open(&path)
    }
}

macro_rules! conforms {
    ($($test:ident => $subject:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            conformance::$subject::run(&Sqlite::default()).await;
        }
    )*};
}

conforms! {
    transactions_are_as_promised => transactions;
    the_log_is_kept_as_promised => audit;
    secrets_are_kept_as_promised => secrets;
    sessions_are_kept_as_promised => sessions;
    people_are_kept_as_promised => people;
    approvals_are_decided_as_promised => approvals;
    grants_are_used_as_promised => grants;
    questions_are_answered_as_promised => questions;
    every_walk_is_as_the_model_says => walk;
    copies_give_back_what_was_promised => restore;
}
