//! The suite that every store passes.

use async_trait::async_trait;
use fnox_vault::store::Stores;
use fnox_vault::store::conformance::{self, Subject};
use tokio::sync::Mutex;

use crate::support::Database;

/// Each fresh store has a database of its own; they are dropped at the end.
#[derive(Default)]
struct Postgres {
    databases: Mutex<Vec<Database>>,
}

#[async_trait]
impl Subject for Postgres {
    async fn fresh(&self) -> Stores {
        let database = Database::create().await;
        let store = database.locked_store().await.unwrap();
        self.databases.lock().await.push(database);
        store.stores()
    }

    async fn reopen(&self, stores: Stores) -> Option<Stores> {
        drop(stores);
        let databases = self.databases.lock().await;
        let store = databases.last()?.locked_store().await.unwrap();
        Some(store.stores())
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
    secrets_are_kept_as_promised => secrets;
    leases_are_kept_as_promised => leases;
    tokens_and_sessions_are_kept_as_promised => access;
    the_log_is_kept_as_promised => audit;
    the_ring_is_kept_as_promised => ring;
    crowds_are_served_as_promised => crowd;
}
