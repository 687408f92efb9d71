//! Uses that a store could not write, with certainty or without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use fnox_core::audit::{ChainKeys, Entry, Head, Record};
use fnox_core::{AgentId, VaultName};
use fnox_vault::Lease;
use fnox_vault::store::{
    AuditLog, Change, Foreign, LeaseStore, MemoryStore, Scanned, SessionRecord, StoreError,
    TokenRecord,
};
use fnox_vault_wire::methods::{AuditQuery, LeaseStatus, ListLeases};
use fnox_vault_wire::{Code, LeaseId, SessionId};
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::support::{POLICY, World, agent, code};

/// How a disk is.
#[derive(Debug, Default)]
struct Disk(AtomicU8);

impl Disk {
    fn heals(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Nothing is written any more, and that is certain.
    fn fills(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Nobody knows what is written.
    fn breaks(&self) {
        self.0.store(2, Ordering::SeqCst);
    }

    fn write(&self) -> Result<(), StoreError> {
        let error = StoreError::Unavailable {
            store: "memory".to_owned(),
            problem: "the test says so".to_owned(),
        };
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            1 => Err(error.with_nothing_changed()),
            _ => Err(error),
        }
    }
}

/// Leases on such a disk. What it does not write is not there.
#[derive(Debug)]
struct Leases {
    store: Arc<MemoryStore>,
    disk: Arc<Disk>,
}

#[async_trait]
impl LeaseStore for Leases {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_durable(&self) -> bool {
        true
    }

    async fn commit(&self, change: Change, entries: Vec<Entry>) -> Result<Vec<Lease>, StoreError> {
        self.disk.write()?;
        self.store.commit(change, entries).await
    }

    async fn live_leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.store.live_leases().await
    }

    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        self.store.lease(id).await
    }

    async fn leases(
        &self,
        agent: Option<&AgentId>,
        secret: Option<&VaultName>,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        self.store.leases(agent, secret, after, limit).await
    }

    async fn token(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        self.store.token(hash).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.store.tokens().await
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        self.store.session(hash).await
    }

    async fn session_by_id(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.store.session_by_id(id).await
    }

    async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.store.sessions().await
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.store.forget(before).await
    }

    fn foreign_changes(&self) -> Option<broadcast::Receiver<Foreign>> {
        None
    }
}

/// An audit log on such a disk.
#[derive(Debug)]
struct Log(Arc<Disk>);

#[async_trait]
impl AuditLog for Log {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn unlock(&self, _: ChainKeys) -> Result<(), StoreError> {
        Ok(())
    }

    async fn append(&self, _: Vec<Entry>) -> Result<(), StoreError> {
        self.0.write()
    }

    async fn query(&self, _: &AuditQuery, _: usize) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn scan(&self, _: u64, _: usize) -> Result<Vec<Scanned>, StoreError> {
        Ok(Vec::new())
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(None)
    }
}

/// A vault whose leases are on a disk.
async fn world() -> (World, Arc<Disk>) {
    let mut world = World::new(POLICY).await;
    let disk = Arc::new(Disk::default());
    world.stores.leases = Arc::new(Leases {
        store: Arc::new(MemoryStore::new()),
        disk: Arc::clone(&disk),
    });
    world.stores.audit = None;
    world.restart(POLICY).await;
    (world, disk)
}

async fn uses(world: &World) -> Vec<(u32, LeaseStatus)> {
    let all = ListLeases {
        all: true,
        ..ListLeases::default()
    };
    let coder = agent("coder", 1000);
    let listed = world.engine.list_leases(&coder, &all).await.unwrap();
    let leases = listed.leases.iter();
    leases.map(|lease| (lease.uses, lease.status)).collect()
}

#[tokio::test]
async fn a_use_that_is_certainly_not_written_is_not_spent() {
    let (world, disk) = world().await;
    let coder = agent("coder", 1000);
    let granted = world.request(&coder, "once", "api.example.com").await;
    let id = granted.unwrap().lease_id;
    disk.fills();
    for _ in 0..2 {
        let refused = world.access(&coder, id, "api.example.com").await;
        assert_eq!(code(refused), Code::Storage);
    }
    disk.heals();
    assert_eq!(uses(&world).await, [(0, LeaseStatus::Active)]);
    let value = world.access(&coder, id, "api.example.com").await.unwrap();
    assert_eq!(value, b"value of once");
    let refused = world.access(&coder, id, "api.example.com").await;
    assert_eq!(code(refused), Code::LeaseExpired);
}

#[tokio::test]
async fn a_use_that_may_be_written_is_spent_until_the_store_is_read_again() {
    let (mut world, disk) = world().await;
    let coder = agent("coder", 1000);
    let granted = world.request(&coder, "once", "api.example.com").await;
    let id = granted.unwrap().lease_id;
    disk.breaks();
    let refused = world.access(&coder, id, "api.example.com").await;
    assert_eq!(code(refused), Code::Storage);
    disk.heals();
    let refused = world.access(&coder, id, "api.example.com").await;
    assert_eq!(code(refused), Code::LeaseExpired);
    assert_eq!(uses(&world).await, [(1, LeaseStatus::Exhausted)]);
    world.restart(POLICY).await;
    assert_eq!(uses(&world).await, [(0, LeaseStatus::Active)]);
    assert!(world.access(&coder, id, "api.example.com").await.is_ok());
}

#[tokio::test]
async fn leases_in_memory_follow_the_log_of_their_uses() {
    let mut world = World::new(POLICY).await;
    let disk = Arc::new(Disk::default());
    let log: Arc<dyn AuditLog> = Arc::new(Log(Arc::clone(&disk)));
    world.stores.leases = Arc::new(MemoryStore::with_audit(Arc::clone(&log)));
    world.stores.audit = Some(log);
    world.restart(POLICY).await;
    let coder = agent("coder", 1000);
    let granted = world.request(&coder, "once", "api.example.com").await;
    let id = granted.unwrap().lease_id;
    disk.fills();
    let refused = world.access(&coder, id, "api.example.com").await;
    assert_eq!(code(refused), Code::Storage);
    disk.heals();
    assert!(world.access(&coder, id, "api.example.com").await.is_ok());
}
