//! What every store promises, as a suite that each store's tests run over it.
//!
//! Only compiled with the feature `conformance`. A store says how to make and how to reopen it ([`Subject`]);
//! [`run_all`] does the rest, or the functions of one subject for a store that keeps only that. Whatever does
//! not hold is a panic with the place of the promise.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is test code that other crates call: it fails by panicking"
)]

pub mod access;
pub mod audit;
pub mod crowd;
pub mod leases;
pub mod ring;
pub mod secrets;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::audit::{ChainKey, ChainKeys, Entry, Outcome, Report, Verifier};
use fnox_core::lease::LeaseState;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_core::{AgentId, Host, VaultName};
use fnox_vault_wire::methods::{Delivery, SecretKind};
use fnox_vault_wire::{LeaseId, SecretId};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::{AuditLog, Caps, Change, SecretRecord, StoredSecret, Stores};
use crate::identity::PeerBinding;
use crate::lease::Lease;

/// A store under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// New stores with nothing in them.
    async fn fresh(&self) -> Stores;

    /// Closes the stores, by dropping them or harder, and opens what they kept. `None`: they keep nothing.
    async fn reopen(&self, stores: Stores) -> Option<Stores>;

    /// Whether the secrets stand where the key ring stands, so that a value under an old key is refused.
    fn judges_keys(&self) -> bool {
        true
    }

    /// The largest ciphertext that it takes, in bytes.
    fn largest_value(&self) -> usize {
        512 * 1024 + 16
    }
}

/// Runs everything.
pub async fn run_all(subject: &dyn Subject) {
    secrets::run(subject).await;
    leases::run(subject).await;
    access::run(subject).await;
    audit::run(subject).await;
    ring::run(subject).await;
    crowd::run(subject).await;
}

/// Some moment, to the nanosecond.
pub(crate) fn moment(seconds: i64) -> Timestamp {
    let base = Timestamp::from_nanosecond(1_767_225_600_123_456_789).unwrap();
    base + SignedDuration::from_secs(seconds)
}

/// New stores whose log is unlocked.
pub(crate) async fn unlocked(subject: &dyn Subject) -> Stores {
    let stores = subject.fresh().await;
    unlock(&stores).await;
    stores
}

pub(crate) async fn unlock(stores: &Stores) {
    if let Some(audit) = &stores.audit {
        audit.unlock(keys()).await.unwrap();
    }
}

/// Reopens and unlocks.
pub(crate) async fn reopened(subject: &dyn Subject, stores: Stores) -> Option<Stores> {
    let stores = subject.reopen(stores).await?;
    unlock(&stores).await;
    Some(stores)
}

pub(crate) fn keys() -> ChainKeys {
    ChainKeys::new(chain_key("a1"), Vec::new())
}

pub(crate) fn chain_key(id: &str) -> ChainKey {
    let byte = id.bytes().fold(7u8, u8::wrapping_add);
    ChainKey::new(id.to_owned(), Zeroizing::new([byte; 32]))
}

pub(crate) fn entry(event: &str) -> Entry {
    Entry {
        agent: Some("coder".to_owned()),
        secret: Some("github".to_owned()),
        ..Entry::new(event, "agent coder", Outcome::Ok)
    }
}

/// What a verifier says of the whole log, page by page.
pub async fn verify(audit: &dyn AuditLog, keys: &ChainKeys) -> Report {
    let mut verifier = Verifier::new(keys, Vec::new());
    let mut after = 0;
    loop {
        let page = audit.scan(after, 100).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(last.position > after, "a scan goes on");
        after = last.position;
        for scanned in page {
            verifier.record(scanned.record.unwrap());
        }
    }
    verifier.finish(audit.head().await.unwrap().as_ref())
}

pub(crate) async fn records(stores: &Stores) -> u64 {
    let Some(audit) = &stores.audit else { return 0 };
    let report = verify(audit.as_ref(), &keys()).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    report.records
}

pub(crate) fn name(text: &str) -> VaultName {
    VaultName::parse(text).unwrap()
}

/// A secret at its first version, of bytes that are no UTF-8.
pub(crate) fn secret(text: &str) -> StoredSecret {
    StoredSecret {
        record: SecretRecord {
            id: SecretId::generate(),
            name: name(text),
            kind: SecretKind::ApiKey,
            description: Some("for tests, with \u{1f511}".to_owned()),
            tags: BTreeMap::from([("team".to_owned(), "a\"b".to_owned())]),
            created_at: moment(0),
            updated_at: moment(0),
            version: 1,
            algorithm: Algorithm::XChaCha20Poly1305,
        },
        key_id: "k1".to_owned(),
        sealed_kind: SecretKind::ApiKey,
        sealed: sealed(1),
    }
}

pub(crate) fn sealed(seed: u8) -> Sealed {
    Sealed {
        nonce: vec![seed; 24],
        ciphertext: vec![0xff, 0xfe, 0x00, seed, 0x80],
    }
}

/// The next version of a secret.
pub(crate) fn next(of: &StoredSecret) -> StoredSecret {
    let mut next = of.clone();
    next.record.version += 1;
    next.record.updated_at = moment(i64::from(next.record.version));
    next.sealed = sealed(u8::try_from(next.record.version % 250).unwrap());
    next
}

/// A lease of ten minutes that may be used without limit.
pub(crate) fn lease(agent: &str) -> Lease {
    Lease {
        id: LeaseId::generate(),
        agent: AgentId::parse(agent).unwrap(),
        peer: PeerBinding::Uid(1000),
        secret: name("github"),
        host: Host::parse("api.github.com:443").unwrap(),
        rule: Arc::from("rule 1"),
        tool: None,
        issued_at: moment(0),
        expires_at: moment(600),
        ends_at: moment(3600),
        max_uses: None,
        uses: 0,
        renewable: true,
        renewals: 0,
        session: None,
        delivery: Delivery::Value,
        state: LeaseState::Active,
        reason: None,
    }
}

/// A grant without limits that matter.
pub(crate) fn grant(lease: &Lease) -> Change {
    Change::Grant {
        lease: lease.clone(),
        caps: WIDE,
    }
}

pub(crate) const WIDE: Caps = Caps {
    per_agent: 1_000_000,
    per_rule: None,
    per_session: None,
};
