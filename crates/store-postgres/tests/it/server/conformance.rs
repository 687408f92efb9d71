//! The suite of every database.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_server::store::Database as Stored;
use fnox_server::store::conformance;
use fnox_store_postgres::PostgresDatabase;
use tokio::sync::Mutex;

use crate::support::{Database, options};

/// Each fresh database is one of its own on the server; they are dropped at the end.
#[derive(Default)]
struct Postgres {
    databases: Mutex<Vec<Database>>,
}

impl Postgres {
    async fn open(url: &str) -> Arc<dyn Stored> {
        Arc::new(PostgresDatabase::open(url, options()).await.unwrap())
    }

    /// Where a database is.
    async fn url_of(&self, database: &Arc<dyn Stored>) -> String {
        let name = database.describe();
        let databases = self.databases.lock().await;
        let found = databases
            .iter()
            .find(|database| name.ends_with(&format!("/{}", database.name)));
        found.unwrap().url.clone()
    }
}

#[async_trait]
impl conformance::Place for Postgres {
    async fn fresh(&self) -> Arc<dyn Stored> {
        let database = Database::create().await;
        let opened = Self::open(&database.url).await;
        self.databases.lock().await.push(database);
        opened
    }

    async fn another(&self, database: &Arc<dyn Stored>) -> Option<Arc<dyn Stored>> {
        Some(Self::open(&self.url_of(database).await).await)
    }

    async fn reopen(&self, database: Arc<dyn Stored>) -> Arc<dyn Stored> {
        let url = self.url_of(&database).await;
        drop(database);
        Self::open(&url).await
    }

    async fn copy(&self, database: &Arc<dyn Stored>) -> Option<String> {
        let url = self.url_of(database).await;
        let databases = self.databases.lock().await;
        let database = databases.iter().find(|database| database.url == url)?;
        Some(database.dump())
    }

    async fn restore(&self, database: Arc<dyn Stored>, copy: String) -> Arc<dyn Stored> {
        let url = self.url_of(&database).await;
        drop(database);
        let databases = self.databases.lock().await;
        let database = databases.iter().find(|database| database.url == url);
        database.unwrap().play_back(&copy).await;
        Self::open(&url).await
    }
}

macro_rules! conforms {
    ($($test:ident => $subject:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "needs PostgreSQL"]
        async fn $test() {
            conformance::$subject::run(&Postgres::default()).await;
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
