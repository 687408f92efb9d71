//! A store in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::audit::{ChainKey, ChainKeys, Entry, Outcome, Report};
use fnox_core::clock::SystemClock;
use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, Host, VaultName};
use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::store::{AuditLog as _, Caps, Change, LeaseStore as _, StoreError, conformance};
use fnox_vault::{Lease, PeerBinding};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::Delivery;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A folder with a store in it, or without one yet.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("vault.db")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        open(&self.path()).await.unwrap()
    }
}

/// Opens or creates a store and unlocks its log.
pub(crate) async fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let store = SqliteStore::open(path, create())?;
    store.unlock(keys()).await?;
    Ok(store)
}

/// Whether the store did not do it for a reason that may pass.
pub(crate) fn is_unavailable(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. } | StoreError::NotWritten { .. }
    )
}

pub(crate) fn create() -> SqliteOptions {
    SqliteOptions {
        create: true,
        ..SqliteOptions::default()
    }
}

pub(crate) fn keys() -> ChainKeys {
    let key = ChainKey::new("a1".to_owned(), Zeroizing::new([7; 32]));
    ChainKeys::new(key, Vec::new())
}

pub(crate) async fn verify(store: &SqliteStore) -> Report {
    conformance::verify(store, &keys()).await
}

pub(crate) fn entry(event: &str) -> Entry {
    Entry {
        peer: Some("uid:1000".to_owned()),
        agent: Some("coder".to_owned()),
        secret: Some("github".to_owned()),
        host: Some("api.github.com".to_owned()),
        lease: Some(LeaseId::generate().0),
        rule: Some("rule 1".to_owned()),
        reason: Some("for a test".to_owned()),
        ..Entry::new(event, "agent coder", Outcome::Ok)
    }
}

pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn lease(agent: &str) -> Lease {
    Lease {
        id: LeaseId::generate(),
        agent: AgentId::parse(agent).unwrap(),
        peer: PeerBinding::Uid(1000),
        secret: VaultName::parse("github").unwrap(),
        host: Host::parse("api.github.com").unwrap(),
        rule: Arc::from("rule 1"),
        tool: None,
        issued_at: moment(0),
        expires_at: moment(600),
        ends_at: moment(3600),
        max_uses: Some(3),
        uses: 0,
        renewable: true,
        renewals: 0,
        session: None,
        delivery: Delivery::Value,
        state: LeaseState::Active,
        reason: None,
    }
}

pub(crate) async fn grant(store: &SqliteStore, lease: &Lease) -> Result<(), StoreError> {
    let change = Change::Grant {
        lease: lease.clone(),
        caps: Caps {
            per_agent: 1_000_000,
            per_rule: None,
            per_session: None,
        },
    };
    store
        .commit(change, vec![entry("lease_granted")])
        .await
        .map(|_| ())
}

pub(crate) async fn spend(store: &SqliteStore, id: LeaseId) -> Result<(), StoreError> {
    let now = moment(1);
    let change = Change::Spend { id, now };
    store
        .commit(change, vec![entry("secret_accessed")])
        .await
        .map(|_| ())
}

pub(crate) const CLOCK: SystemClock = SystemClock;
