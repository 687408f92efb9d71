//! A store that keeps nothing: for tests, for programs that build the vault in, and for leases that need not
//! outlive the process while the audit log does ([`MemoryStore::with_audit`]).
//!
//! It makes the same promises as the others but for one: after the process nothing is left. Every change is
//! made under one lock, so no two callers can spend the same use.

mod keep;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use fnox_core::audit::{Chain, ChainKeys, Entry, Head, Record};
use fnox_core::clock::{Clock, SystemClock};
use fnox_core::seal::Algorithm;
use fnox_core::{AgentId, VaultName};
use fnox_vault_wire::methods::AuditQuery;
use fnox_vault_wire::{LeaseId, SessionId, TokenId};
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{
    AuditLog, Change, Described, Foreign, KeyRingStore, LeaseStore, Refusal, Resealed, RingRecord,
    Scanned, SecretRecord, SecretStore, SessionRecord, StoreError, StoredSecret, Stores,
    TokenRecord,
};
use crate::lease::Lease;

/// How many leases that are over are remembered.
const REMEMBERED: usize = 20_000;

/// All four stores in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    audit: Option<Arc<dyn AuditLog>>,
}

#[derive(Debug, Default)]
struct State {
    /// Each with its versions, oldest first, never empty.
    secrets: BTreeMap<VaultName, Vec<StoredSecret>>,
    leases: BTreeMap<LeaseId, Lease>,
    /// The active ones among them, by agent.
    active: HashMap<AgentId, BTreeSet<LeaseId>>,
    /// Those that are over, in the order in which they ended.
    over: VecDeque<LeaseId>,
    tokens: BTreeMap<TokenId, TokenRecord>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    ring: Option<RingRecord>,
    chain: Option<Chain>,
    records: Vec<Record>,
}

impl MemoryStore {
    /// An empty store with the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store whose audit records have this clock's times.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            clock,
            audit: None,
        }
    }

    /// An empty store that passes audit entries on to another log. A change whose entries that log does not
    /// take is not made if it would have given somebody a right.
    #[must_use]
    pub fn with_audit(audit: Arc<dyn AuditLog>) -> Self {
        Self {
            audit: Some(audit),
            ..Self::new()
        }
    }

    /// This store in all four places.
    #[must_use]
    pub fn stores(self: &Arc<Self>) -> Stores {
        Stores {
            secrets: Arc::clone(self) as Arc<dyn SecretStore>,
            leases: Arc::clone(self) as Arc<dyn LeaseStore>,
            audit: Some(Arc::clone(self) as Arc<dyn AuditLog>),
            ring: Arc::clone(self) as Arc<dyn KeyRingStore>,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Changes are made by code that does not panic half-way: it checks first and writes then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SecretStore for MemoryStore {
    fn describe(&self) -> String {
        NAME.to_owned()
    }

    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError> {
        Ok(self.state().newest(name).cloned().map(Arc::new))
    }

    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError> {
        let state = self.state();
        Ok(state
            .newest(name)
            .map(|secret| Arc::new(secret.record.clone())))
    }

    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        let state = self.state();
        Ok(state
            .secrets
            .values()
            .filter_map(|versions| versions.last())
            .map(|secret| &secret.record)
            .filter(|record| after.is_none_or(|after| record.name.as_str() > after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError> {
        self.state().insert(secret).map_err(StoreError::from)
    }

    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError> {
        let mut state = self.state();
        state.add_version(secret, keep).map_err(StoreError::from)
    }

    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError> {
        let mut state = self.state();
        state
            .describe_secret(name, &change)
            .map_err(StoreError::from)
    }

    async fn delete(&self, name: &VaultName) -> Result<(), StoreError> {
        match self.state().secrets.remove(name) {
            Some(_) => Ok(()),
            None => Err(Refusal::Missing.into()),
        }
    }

    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError> {
        Ok(self.state().prune(name, keep))
    }

    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let state = self.state();
        Ok(state.sealed_otherwise(key_id, algorithm, limit))
    }

    async fn reseal(&self, items: Vec<Resealed>) -> Result<u64, StoreError> {
        let mut state = self.state();
        Ok(items
            .into_iter()
            .map(|item| u64::from(state.reseal(item)))
            .sum())
    }

    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.state().count_by_key())
    }
}

#[async_trait]
impl LeaseStore for MemoryStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_durable(&self) -> bool {
        false
    }

    async fn commit(&self, change: Change, entries: Vec<Entry>) -> Result<Vec<Lease>, StoreError> {
        let Some(audit) = &self.audit else {
            let mut state = self.state();
            state.must_be_unlocked(&entries)?;
            let moved = state.change(change)?;
            state.record(entries, self.clock.now());
            return Ok(moved);
        };
        let undo = keep::Undo::of(&change);
        let moved = self.state().change(change)?;
        if let Err(error) = audit.append(entries).await {
            let undo = undo.after(&error);
            let is_whole = undo.is_whole();
            self.state().undo(undo, &moved);
            return Err(if is_whole { error } else { error.with_doubt() });
        }
        Ok(moved)
    }

    async fn live_leases(&self) -> Result<Vec<Lease>, StoreError> {
        Ok(self.state().live_leases())
    }

    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        Ok(self.state().leases.get(&id).cloned())
    }

    async fn leases(
        &self,
        agent: Option<&AgentId>,
        secret: Option<&VaultName>,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        let state = self.state();
        Ok(state
            .leases
            .values()
            .filter(|lease| after.is_none_or(|after| lease.id > after))
            .filter(|lease| agent.is_none_or(|agent| lease.agent == *agent))
            .filter(|lease| secret.is_none_or(|secret| lease.secret == *secret))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn token(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        let state = self.state();
        let found = state.tokens.values().find(|token| token.hash == *hash);
        Ok(found.cloned())
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let mut tokens: Vec<TokenRecord> = self.state().tokens.values().cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        Ok(tokens)
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        let state = self.state();
        let found = state.sessions.values().find(|it| it.hash == *hash);
        Ok(found.cloned())
    }

    async fn session_by_id(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.state().sessions.get(&id).cloned())
    }

    async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        let state = self.state();
        Ok(state
            .sessions
            .values()
            .filter(|session| !session.closed)
            .cloned()
            .collect())
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().forget(before))
    }

    fn foreign_changes(&self) -> Option<broadcast::Receiver<Foreign>> {
        None
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    fn describe(&self) -> String {
        match &self.audit {
            Some(audit) => audit.describe(),
            None => NAME.to_owned(),
        }
    }

    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError> {
        match &self.audit {
            Some(audit) => audit.unlock(keys).await,
            None => self.state().unlock(&keys),
        }
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        if let Some(audit) = &self.audit {
            return audit.append(entries).await;
        }
        let mut state = self.state();
        state.must_be_unlocked(&entries)?;
        state.record(entries, self.clock.now());
        Ok(())
    }

    async fn query(&self, query: &AuditQuery, limit: usize) -> Result<Vec<Record>, StoreError> {
        match &self.audit {
            Some(audit) => audit.query(query, limit).await,
            None => Ok(self.state().query(query, limit)),
        }
    }

    async fn scan(&self, after: u64, limit: usize) -> Result<Vec<Scanned>, StoreError> {
        if let Some(audit) = &self.audit {
            return audit.scan(after, limit).await;
        }
        let state = self.state();
        let records = state.records.iter().filter(|it| it.sequence > after);
        Ok(records
            .take(limit)
            .map(|record| Scanned {
                position: record.sequence,
                record: Ok(record.clone()),
            })
            .collect())
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        match &self.audit {
            Some(audit) => audit.head().await,
            None => Ok(self.state().head()),
        }
    }
}

#[async_trait]
impl KeyRingStore for MemoryStore {
    async fn load(&self) -> Result<Option<RingRecord>, StoreError> {
        Ok(self.state().ring.clone())
    }

    async fn save(&self, ring: &RingRecord) -> Result<(), StoreError> {
        let mut state = self.state();
        let stored = state.ring.as_ref().map_or(0, |ring| ring.generation);
        if stored.checked_add(1) != Some(ring.generation) {
            return Err(Refusal::Moved.into());
        }
        state.ring = Some(ring.clone());
        Ok(())
    }
}

/// How the store names itself.
const NAME: &str = "memory";

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::store::conformance::{Subject, run_all};

    struct Memory;

    #[async_trait]
    impl Subject for Memory {
        async fn fresh(&self) -> Stores {
            Arc::new(MemoryStore::new()).stores()
        }

        async fn reopen(&self, _: Stores) -> Option<Stores> {
            None
        }
    }

    struct MemoryBesideAnotherLog;

    #[async_trait]
    impl Subject for MemoryBesideAnotherLog {
        async fn fresh(&self) -> Stores {
            let log: Arc<dyn AuditLog> = Arc::new(MemoryStore::new());
            let store = MemoryStore::with_audit(Arc::clone(&log));
            Stores {
                audit: Some(log),
                ..Arc::new(store).stores()
            }
        }

        async fn reopen(&self, _: Stores) -> Option<Stores> {
            None
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_every_promise_of_a_store() {
        run_all(&Memory).await;
        run_all(&MemoryBesideAnotherLog).await;
    }
}
