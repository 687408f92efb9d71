//! Store and key source that fail from a given step on, as if the process had died there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fnox_core::VaultName;
use fnox_core::seal::{Algorithm, SealingKey};
use fnox_vault::key_source::{KeySource, KeySourceError, NewKey, StoredKey};
use fnox_vault::store::{
    Described, KeyRingStore, MemoryStore, Resealed, RingRecord, SecretRecord, SecretStore,
    StoreError, StoredSecret,
};

/// What becomes of the step at which the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It never happens.
    Before,
    /// It happens, and nobody hears of it.
    After,
    /// Half of a batch happens.
    Half,
}

/// Counts the steps of all parts together.
#[derive(Debug)]
pub(crate) struct Fuse {
    at: AtomicUsize,
    done: AtomicUsize,
    death: Death,
}

impl Fuse {
    /// Lets everything pass until it is armed.
    pub(crate) fn new(death: Death) -> Arc<Self> {
        Arc::new(Self {
            at: AtomicUsize::new(usize::MAX),
            done: AtomicUsize::new(0),
            death,
        })
    }

    /// The step with this number, counted from now on, is the last.
    pub(crate) fn arm(&self, at: usize) {
        self.done.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    pub(crate) fn disarm(&self) {
        self.at.store(usize::MAX, Ordering::SeqCst);
    }

    /// How the next step goes: `None` as usual.
    fn next(&self) -> Option<Death> {
        let step = self.done.fetch_add(1, Ordering::SeqCst);
        match step.cmp(&self.at.load(Ordering::SeqCst)) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.death),
            std::cmp::Ordering::Greater => Some(Death::Before),
        }
    }

    async fn step<T, E>(&self, died: E, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match self.next() {
            None => work.await,
            Some(Death::Before) => Err(died),
            Some(Death::After | Death::Half) => {
                let _ = work.await;
                Err(died)
            }
        }
    }
}

/// A store behind a fuse.
#[derive(Debug)]
pub(crate) struct FailingStore {
    pub store: Arc<MemoryStore>,
    pub fuse: Arc<Fuse>,
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        store: "memory".to_owned(),
        problem: "the test cut it off".to_owned(),
    }
}

#[async_trait]
impl KeyRingStore for FailingStore {
    async fn load(&self) -> Result<Option<RingRecord>, StoreError> {
        self.fuse.step(unavailable(), self.store.load()).await
    }

    async fn save(&self, ring: &RingRecord) -> Result<(), StoreError> {
        self.fuse.step(unavailable(), self.store.save(ring)).await
    }
}

#[async_trait]
impl SecretStore for FailingStore {
    fn describe(&self) -> String {
        SecretStore::describe(self.store.as_ref())
    }

    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError> {
        self.store.secret(name).await
    }

    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError> {
        self.store.metadata(name).await
    }

    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        self.store.list(after, limit).await
    }

    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError> {
        self.store.insert(secret).await
    }

    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError> {
        self.store.add_version(secret, keep).await
    }

    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError> {
        self.store.describe_secret(name, change).await
    }

    async fn delete(&self, name: &VaultName) -> Result<(), StoreError> {
        self.store.delete(name).await
    }

    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError> {
        self.store.prune(name, keep).await
    }

    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let work = self.store.sealed_otherwise(key_id, algorithm, limit);
        self.fuse.step(unavailable(), work).await
    }

    async fn reseal(&self, mut items: Vec<Resealed>) -> Result<u64, StoreError> {
        match self.fuse.next() {
            None => self.store.reseal(items).await,
            Some(death) => {
                match death {
                    Death::Before => items.clear(),
                    Death::After => {}
                    Death::Half => items.truncate(items.len() / 2),
                }
                self.store.reseal(items).await?;
                Err(unavailable())
            }
        }
    }

    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.store.count_by_key().await
    }
}

/// A key source behind a fuse.
#[derive(Debug)]
pub(crate) struct FailingSource {
    pub source: Arc<dyn KeySource>,
    pub fuse: Arc<Fuse>,
}

impl FailingSource {
    fn gone(&self) -> KeySourceError {
        KeySourceError::new(&self.source.describe(), "was cut off by the test")
    }
}

#[async_trait]
impl KeySource for FailingSource {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn can_rotate(&self) -> bool {
        self.source.can_rotate()
    }

    async fn load(&self, stored: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        self.fuse.step(self.gone(), self.source.load(stored)).await
    }

    async fn add(&self, vault_id: &str) -> Result<NewKey, KeySourceError> {
        self.fuse.step(self.gone(), self.source.add(vault_id)).await
    }

    async fn retain(&self, keep: &str) -> Result<(), KeySourceError> {
        self.fuse.step(self.gone(), self.source.retain(keep)).await
    }
}
