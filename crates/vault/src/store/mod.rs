//! What the vault asks of a store.
//!
//! [`SecretStore`] keeps sealed values and never sees a plaintext; [`LeaseStore`] keeps leases, tokens and
//! sessions; [`AuditLog`] keeps the log; [`KeyRingStore`] keeps the wrapped keys. One database usually
//! implements all four, but secrets may live elsewhere.
//!
//! Obligations of every implementation, tested by the conformance suite:
//!
//! - An answer `Ok` means durable: a crash of the process or of the machine right after loses nothing.
//! - A change and the audit entries given with it become durable together or not at all.
//! - An answer `Err` of kind [`StoreError::Refused`] means that nothing was changed and nothing recorded.
//!   After any other error, the change may or may not have happened: the vault assumes the worse for
//!   whoever wanted a right.
//! - Numbers, times and MACs of audit records are given by one writer, in the order of the log.
//! - Errors heal by themselves: once the disk has room or the server is back, the next call works.

mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod live;
pub mod memory;
pub mod moves;
mod question;
mod ring;
mod secret;

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::audit::{ChainKeys, Entry, Head, Record};
use fnox_core::seal::Algorithm;
use fnox_core::{AgentId, VaultName};
use fnox_vault_wire::methods::AuditQuery;
use fnox_vault_wire::{ApprovalId, LeaseId, SessionId};
use jiff::Timestamp;
use tokio::sync::broadcast;

pub use self::change::{Caps, Change, Foreign, Refusal, SessionRecord, TokenRecord};
pub use self::error::StoreError;
pub use self::live::LiveSecrets;
pub use self::memory::MemoryStore;
pub use self::question::{QuestionCaps, QuestionChange, QuestionRecord, Said};
pub use self::ring::{KeyPurpose, KeyState, RingRecord, RotationRecord, WrappedKey};
pub use self::secret::{Described, Resealed, SecretRecord, StoredSecret};
use crate::lease::Lease;

/// Keeps sealed values, by name.
#[async_trait]
pub trait SecretStore: Send + Sync + std::fmt::Debug {
    /// Where it is, for people; no passwords.
    fn describe(&self) -> String;

    /// Whether [`Self::sealed_otherwise`] knows every version that was ever stored. Where it may miss one for a
    /// while, a data key is kept after its rotation: dropped, it would take with it what was missed.
    fn lists_everything(&self) -> bool {
        true
    }

    /// The newest version of a secret.
    async fn secret(&self, name: &VaultName) -> Result<Option<Arc<StoredSecret>>, StoreError>;

    /// Everything but the value. Costs no more than asking whether there is one.
    async fn metadata(&self, name: &VaultName) -> Result<Option<Arc<SecretRecord>>, StoreError>;

    /// Secrets in the order of their names' bytes, from the first one after `after`, at most `limit`.
    async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretRecord>, StoreError>;

    /// Stores a secret whose name is new. Refused with [`Refusal::Exists`], or with [`Refusal::StaleKey`] if
    /// its key is no longer the ring's active data key.
    async fn insert(&self, secret: StoredSecret) -> Result<(), StoreError>;

    /// Stores the next version of a secret and drops all but the newest `keep` (at least 1). Refused with
    /// [`Refusal::Missing`], with [`Refusal::Moved`] unless the newest version is one less than the given
    /// one, or with [`Refusal::StaleKey`].
    async fn add_version(&self, secret: StoredSecret, keep: u32) -> Result<(), StoreError>;

    /// Changes kind, description and tags. Refused with [`Refusal::Missing`].
    async fn describe_secret(&self, name: &VaultName, change: Described) -> Result<(), StoreError>;

    /// Deletes all versions. Refused with [`Refusal::Missing`].
    async fn delete(&self, name: &VaultName) -> Result<(), StoreError>;

    /// Drops all but the newest `keep` versions of one secret or of all, and tells how many.
    async fn prune(&self, name: Option<&VaultName>, keep: u32) -> Result<u64, StoreError>;

    /// At most `limit` versions, old ones too, that are not sealed by this key, or, if an algorithm is given,
    /// not with it. Empty when all are.
    async fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Result<Vec<StoredSecret>, StoreError>;

    /// Replaces the sealed form of versions, each only if it is still what it was. Tells how many were.
    async fn reseal(&self, items: Vec<Resealed>) -> Result<u64, StoreError>;

    /// How many versions each key seals.
    async fn count_by_key(&self) -> Result<Vec<(String, u64)>, StoreError>;
}

/// Keeps leases, tokens and sessions, and records what happens to them.
#[async_trait]
pub trait LeaseStore: Send + Sync + std::fmt::Debug {
    /// Whether other vaults write here too. Then the store judges every change by its own state, and the
    /// vault's memory is only a copy.
    fn is_shared(&self) -> bool;

    /// Whether leases survive a restart.
    fn is_durable(&self) -> bool;

    /// Makes one change and records `entries` with it. Answers with the leases that it moved, as they are
    /// afterwards (for `Revoke` and `Expire` only those that were live before; empty for tokens and sessions).
    async fn commit(&self, change: Change, entries: Vec<Entry>) -> Result<Vec<Lease>, StoreError>;

    /// All leases that are active by their state. Their time may be over.
    async fn live_leases(&self) -> Result<Vec<Lease>, StoreError>;

    /// One lease, also when it is over, as long as it is remembered.
    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError>;

    /// Leases in the order of their ids from the first one after `after`, at most `limit`; all states.
    async fn leases(
        &self,
        agent: Option<&AgentId>,
        secret: Option<&VaultName>,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<Lease>, StoreError>;

    /// The token with this SHA-256.
    async fn token(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError>;

    /// All tokens that are remembered, oldest first.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// The session whose token has this SHA-256.
    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError>;

    /// One session, also when it is over or closed, as long as it is remembered.
    async fn session_by_id(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// All sessions that are not closed.
    async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError>;

    /// Forgets leases, tokens and sessions that ended before `before`, and tells how many.
    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Questions that are remembered, one or all, in the order of their ids. Only where other vaults write here: elsewhere
    /// the vault keeps them in its own memory.
    async fn questions(&self, id: Option<ApprovalId>) -> Result<Vec<QuestionRecord>, StoreError> {
        let _ = id;
        Err(no_questions())
    }

    /// Makes one change of the questions and records `entries` with it. Only where other vaults write here.
    async fn change_question(
        &self,
        change: QuestionChange,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        let _ = (change, entries);
        Err(no_questions())
    }

    /// What other vaults changed, as soon as it is known. `None` if no other vault writes here.
    fn foreign_changes(&self) -> Option<broadcast::Receiver<Foreign>>;
}

fn no_questions() -> StoreError {
    StoreError::Unsupported {
        store: "a store of one vault".to_owned(),
        action: "keep questions, which the vault's own memory keeps".to_owned(),
    }
}

/// Keeps the audit log.
#[async_trait]
pub trait AuditLog: Send + Sync + std::fmt::Debug {
    /// Where it is, for people.
    fn describe(&self) -> String;

    /// Gives the writer its keys, before anything is written and again when they change. Fails if the log's
    /// head was not sealed by one of them.
    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError>;

    /// Appends entries, durably.
    async fn append(&self, entries: Vec<Entry>) -> Result<(), StoreError>;

    /// Records that fit the query, at most `limit`.
    async fn query(&self, query: &AuditQuery, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Records in the order of their stored positions (their numbers), from the first one after `after`, at
    /// most `limit`: what is really there, for verification. A record that cannot be read any more (a column
    /// that is null, a word that is none) comes as a text that says what is wrong with it.
    async fn scan(&self, after: u64, limit: usize) -> Result<Vec<Scanned>, StoreError>;

    /// The stored head. `None` for a log that was never written.
    async fn head(&self) -> Result<Option<Head>, StoreError>;
}

/// A record as it was found.
#[derive(Debug)]
pub struct Scanned {
    /// Where it stands: scanning goes on after this.
    pub position: u64,
    /// The record, or why it cannot be read.
    pub record: Result<Record, String>,
}

/// Keeps the wrapped keys.
#[async_trait]
pub trait KeyRingStore: Send + Sync + std::fmt::Debug {
    /// The ring. `None` in a new store.
    async fn load(&self) -> Result<Option<RingRecord>, StoreError>;

    /// Replaces the ring. Refused with [`Refusal::Moved`] unless the stored generation is one less than the
    /// given one (or there is none and the given one is 1).
    async fn save(&self, ring: &RingRecord) -> Result<(), StoreError>;
}

/// The four stores of one vault.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Sealed values.
    pub secrets: Arc<dyn SecretStore>,
    /// Leases, tokens, sessions.
    pub leases: Arc<dyn LeaseStore>,
    /// The log. `None`: nothing is recorded, and `fnox vault status` says so.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Wrapped keys.
    pub ring: Arc<dyn KeyRingStore>,
}
