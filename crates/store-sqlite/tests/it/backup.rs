//! Copies, and what putting one back does and does not bring back.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fnox_core::lease::LeaseState;
use fnox_store_sqlite::SqliteStore;
use fnox_vault::store::{AuditLog as _, Change, LeaseStore as _, StoreError, TokenRecord};
use fnox_vault_wire::methods::RevocationReason;
use fnox_vault_wire::{Role, TokenId};

use crate::support::{CLOCK, Place, entry, grant, lease, moment, open, spend, verify};

async fn token(store: &SqliteStore) {
    let token = TokenRecord {
        id: TokenId::generate(),
        hash: [1; 32],
        agent: "a".to_owned(),
        role: Role::Agent,
        created_at: moment(0),
        expires_at: moment(9999),
        max_uses: None,
        uses: 0,
        peer: None,
        revoked: false,
    };
    let change = Change::CreateToken(token);
    store.commit(change, vec![entry("token")]).await.unwrap();
}

/// Every right in a restored store has ended.
async fn has_ended(store: &SqliteStore) {
    assert_eq!(store.live_leases().await.unwrap(), []);
    for lease in store.leases(None, None, None, 1000).await.unwrap() {
        assert_eq!(lease.state, LeaseState::Revoked);
        assert_eq!(lease.reason, Some(RevocationReason::Restored));
        assert!(spend(store, lease.id).await.is_err());
        let refund = Change::Refund { id: lease.id };
        store.commit(refund, Vec::new()).await.unwrap();
        assert!(
            spend(store, lease.id).await.is_err(),
            "not by a refund either"
        );
    }
    assert!(store.tokens().await.unwrap().iter().all(|it| it.revoked));
    assert_eq!(store.sessions().await.unwrap(), []);
    assert!(store.take_restored_flag().await.unwrap().is_some());
    assert_eq!(store.take_restored_flag().await.unwrap(), None);
    assert!(verify(store).await.is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_whole_while_others_write() {
    let place = Place::new();
    let store = place.open().await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut granted = 0;
                while !done.load(Ordering::Relaxed) {
                    let one = lease(&format!("agent {number}"));
                    grant(&store, &one).await.unwrap();
                    spend(&store, one.id).await.unwrap();
                    granted += 1;
                }
                granted
            })
        })
        .collect();
    let before = lease("before");
    grant(&store, &before).await.unwrap();
    for number in 0..5 {
        let to = place.beside(&format!("backup-{number}"));
        let size = store.backup(&to).await.unwrap();
        let found = fs::metadata(&to).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (size, 0o600));
    }
    done.store(true, Ordering::Relaxed);
    let mut granted = 0;
    for writer in writers {
        granted += writer.await.unwrap();
    }
    assert!(granted > 0);
    for number in 0..5 {
        let target = Place::new();
        let from = place.beside(&format!("backup-{number}"));
        SqliteStore::restore(&from, &target.path(), &CLOCK).unwrap();
        let copy = target.open().await;
        assert!(copy.lease(before.id).await.unwrap().is_some());
        let leases = copy.leases(None, None, None, 100_000).await.unwrap().len() as u64;
        let records = verify(&copy).await;
        assert!(records.is_intact());
        // Each lease has one record or, once it is used, two.
        assert!((leases..=2 * leases).contains(&records.records));
    }
    let error = store.backup(&place.beside("backup-0")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn restoring_revives_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let (live, later_revoked, mut later_spent) = (lease("a"), lease("b"), lease("c"));
    let mut spent = lease("d");
    spent.max_uses = Some(1);
    later_spent.max_uses = Some(1);
    for lease in [&live, &later_revoked, &later_spent, &spent] {
        grant(&store, lease).await.unwrap();
    }
    spend(&store, spent.id).await.unwrap();
    token(&store).await;
    let backup = place.beside("backup");
    store.backup(&backup).await.unwrap();
    spend(&store, later_spent.id).await.unwrap();
    let revoke = Change::Revoke {
        ids: vec![later_revoked.id],
        reason: RevocationReason::AdminRevoked,
    };
    store.commit(revoke, vec![entry("x")]).await.unwrap();
    let error = SqliteStore::restore(&backup, &place.path(), &CLOCK).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(store);
    SqliteStore::restore(&backup, &place.path(), &CLOCK).unwrap();
    let store = place.open().await;
    has_ended(&store).await;
    // It is in use again, and another opening changes nothing.
    let fresh = lease("a");
    grant(&store, &fresh).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.live_leases().await.unwrap(), [fresh]);
    assert_eq!(store.take_restored_flag().await.unwrap(), None);
}

#[tokio::test]
async fn an_older_copy_put_back_by_hand_revives_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let mut one = lease("a");
    one.max_uses = Some(1);
    grant(&store, &one).await.unwrap();
    token(&store).await;
    drop(store);
    let older = fs::read(place.path()).unwrap();
    let store = place.open().await;
    spend(&store, one.id).await.unwrap();
    drop(store);
    fs::write(place.path(), &older).unwrap();
    let store = place.open().await;
    has_ended(&store).await;
    drop(store);
    // The same file in a place that has no mark, or another's.
    for mark in [None, Some(place.beside("vault.db.mark"))] {
        let other = Place::new();
        let unrelated = other.open().await;
        grant(&unrelated, &lease("z")).await.unwrap();
        drop(unrelated);
        fs::write(other.path(), &older).unwrap();
        match mark {
            None => fs::remove_file(other.beside("vault.db.mark")).unwrap(),
            Some(mark) => {
                fs::copy(mark, other.beside("vault.db.mark")).unwrap();
            }
        }
        has_ended(&other.open().await).await;
    }
}

#[tokio::test]
async fn what_is_no_whole_vault_is_not_restored() {
    let place = Place::new();
    let store = place.open().await;
    for number in 0..100 {
        grant(&store, &lease(&format!("agent {number}")))
            .await
            .unwrap();
    }
    let backup = place.beside("backup");
    store.backup(&backup).await.unwrap();
    drop(store);
    let before = fs::read(place.path()).unwrap();
    let whole = fs::read(&backup).unwrap();
    let mut damaged = whole.clone();
    for page in 5..12 {
        damaged[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    let half = whole[..whole.len() / 2 / 4096 * 4096].to_vec();
    for content in [
        damaged,
        half,
        b"no database, but text".repeat(300),
        Vec::new(),
    ] {
        fs::write(&backup, content).unwrap();
        let error = SqliteStore::restore(&backup, &place.path(), &CLOCK).unwrap_err();
        let is_refused = matches!(
            error,
            StoreError::Corrupt { .. } | StoreError::Foreign { .. }
        );
        assert!(is_refused, "{error}");
        assert_eq!(fs::read(place.path()).unwrap(), before);
        assert!(!place.beside("vault.db.restore").exists());
    }
    let store = open(&place.path()).await.unwrap();
    assert_eq!(store.live_leases().await.unwrap().len(), 100);
    assert!(store.head().await.unwrap().is_some());
}
