//! The suite of every store.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use fnox_store_sqlite::SqliteStore;
use fnox_vault::store::Stores;
use fnox_vault::store::conformance::{Subject, run_all};

use crate::support::{Place, create};

#[derive(Default)]
struct Sqlite {
    places: Mutex<Vec<Place>>,
}

impl Sqlite {
    fn open(path: &Path) -> Stores {
        SqliteStore::open(path, create()).unwrap().stores()
    }
}

#[async_trait]
impl Subject for Sqlite {
    async fn fresh(&self) -> Stores {
        let place = Place::new();
        let path = place.path();
        self.places.lock().unwrap().push(place);
        Self::open(&path)
    }

    async fn reopen(&self, stores: Stores) -> Option<Stores> {
        let path = stores.secrets.describe();
        let path = PathBuf::from(path.strip_prefix("sqlite:").unwrap());
        drop(stores);
        Some(Self::open(&path))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_promise_of_a_store() {
    run_all(&Sqlite::default()).await;
}
