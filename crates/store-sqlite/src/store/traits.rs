//! The vault's traits: each method is one read or one write of the modules beside this one.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::audit::{ChainKeys, Entry, Head, Record};
use fnox_core::seal::Algorithm;
use fnox_core::{AgentId, VaultName};
use fnox_vault::Lease;
use fnox_vault::store::{
    AuditLog, Change, Described, Foreign, KeyRingStore, LeaseStore, Resealed, RingRecord, Scanned,
    SecretRecord, SecretStore, SessionRecord, StoreError, StoredSecret, TokenRecord,
};
use fnox_vault_wire::methods::AuditQuery;
use fnox_vault_wire::{LeaseId, SessionId};
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::SqliteStore;
use crate::cache::Cached;
use crate::{access, audit, leases, ring, secrets};

impl SqliteStore {
    async fn cached(&self, name: &VaultName) -> Result<Option<Cached>, StoreError> {
        let cache = &self.inner.cache;
        if let Some(found) = cache.find(name) {
            return Ok(Some(found));
        }
        let generation = cache.generation();
        let name = name.clone();
        let found = self.read(move |db| secrets::find(db, &name)).await?;
        let found = found.map(Cached::from);
        if let Some(found) = &found {
            cache.add(generation, found);
        }
        Ok(found)
    }
}

#[async_trait]
impl SecretStore for SqliteStore {
    fn describe(&self) -> String {
        self.inner.name.clone()
    }

    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError> {
        Ok(self.cached(name).await?.map(|found| found.secret))
    }

    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError> {
        // Whoever asks for it is likely to ask for the value next.
        Ok(self.cached(name).await?.map(|found| found.record))
    }

    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        let after = after.map(str::to_owned);
        self.read(move |db| secrets::page(db, after.as_deref(), limit))
            .await
    }

    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError> {
        self.write(move |batch| {
            batch.touch(&secret.record.name);
            secrets::insert(batch.db, &secret)
        })
        .await
    }

    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError> {
        self.write(move |batch| {
            batch.touch(&secret.record.name);
            secrets::add_version(batch.db, &secret, keep)
        })
        .await
    }

    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |batch| {
            batch.touch(&name);
            secrets::describe(batch.db, &name, &change)
        })
        .await
    }

    async fn delete(&self, name: &VaultName) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |batch| {
            batch.touch(&name);
            secrets::delete(batch.db, &name)
        })
        .await
    }

    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError> {
        let name = name.cloned();
        self.write(move |batch| secrets::prune(batch.db, name.as_ref(), keep))
            .await
    }

    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let key_id = key_id.to_owned();
        self.read(move |db| secrets::sealed_otherwise(db, &key_id, algorithm, limit))
            .await
    }

    async fn reseal(&self, items: Vec<Resealed>) -> Result<u64, StoreError> {
        self.write(move |batch| {
            for item in &items {
                batch.touch(&item.name);
            }
            secrets::reseal(batch.db, &items)
        })
        .await
    }

    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(secrets::count_by_key).await
    }
}

#[async_trait]
impl LeaseStore for SqliteStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_durable(&self) -> bool {
        true
    }

    async fn commit(&self, change: Change, entries: Vec<Entry>) -> Result<Vec<Lease>, StoreError> {
        self.write(move |batch| {
            batch.must_be_unlocked(&entries)?;
            let moved = leases::change(batch.db, change)?;
            batch.record(entries)?;
            Ok(moved)
        })
        .await
    }

    async fn live_leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.read(leases::live).await
    }

    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        self.read(move |db| leases::find(db, id)).await
    }

    async fn leases(
        &self,
        agent: Option<&AgentId>,
        secret: Option<&VaultName>,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        let (agent, secret) = (agent.cloned(), secret.cloned());
        self.read(move |db| leases::page(db, agent.as_ref(), secret.as_ref(), after, limit))
            .await
    }

    async fn token(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        let hash = *hash;
        self.read(move |db| access::token(db, &hash)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(access::tokens).await
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        let hash = *hash;
        self.read(move |db| access::session(db, &hash)).await
    }

    async fn session_by_id(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.read(move |db| access::session_by_id(db, id)).await
    }

    async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(access::sessions).await
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut total = self
            .write(move |batch| access::forget(batch.db, before))
            .await?;
        // In steps, so that whoever waits for a commit does not wait for all of it.
        let mut after = Some(Vec::new());
        while let Some(from) = after {
            let (dropped, next) = self
                .write(move |batch| leases::forget(batch.db, before, &from))
                .await?;
            total += dropped;
            after = next;
        }
        Ok(total)
    }

    fn foreign_changes(&self) -> Option<broadcast::Receiver<Foreign>> {
        None
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    fn describe(&self) -> String {
        self.inner.name.clone()
    }

    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError> {
        self.write(move |batch| batch.unlock(keys)).await
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.write(move |batch| {
            batch.must_be_unlocked(&entries)?;
            batch.record(entries)
        })
        .await
    }

    async fn query(&self, query: &AuditQuery, limit: usize) -> Result<Vec<Record>, StoreError> {
        let query = query.clone();
        self.read(move |db| audit::query(db, &query, limit)).await
    }

    async fn scan(&self, after: u64, limit: usize) -> Result<Vec<Scanned>, StoreError> {
        self.read(move |db| audit::scan(db, after, limit)).await
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        self.read(audit::head).await
    }
}

#[async_trait]
impl KeyRingStore for SqliteStore {
    async fn load(&self) -> Result<Option<RingRecord>, StoreError> {
        self.read(ring::load).await
    }

    async fn save(&self, ring: &RingRecord) -> Result<(), StoreError> {
        let ring = ring.clone();
        self.write(move |batch| ring::save(batch.db, &ring)).await
    }
}
