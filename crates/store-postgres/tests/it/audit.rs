//! The audit log: one chain by several writers, and what tampering looks like.

use fnox_core::audit::{ChainKeys, Flaw, Outcome};
use fnox_vault::store::{AuditLog, Change, LeaseStore, StoreError};
use fnox_vault_wire::methods::AuditQuery;
use jiff::SignedDuration;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Database, entries, entry, grant, key, keys, lease, now, verify};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn two_vaults_that_write_at_once_make_one_chain() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    let mut calls = JoinSet::new();
    for index in 0..400 {
        let store = stores[index % 2].clone();
        calls.spawn(async move {
            let lease = lease(&format!("agent {index}"));
            store
                .commit(grant(&lease), entries("granted"))
                .await
                .unwrap();
            store
                .append(vec![entry("one"), entry("two")])
                .await
                .unwrap();
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    let report = verify(&stores[0], &keys()).await;
    assert_eq!((report.records, report.verified), (1200, 1200));
    assert!(report.flaws.is_empty(), "{:?}", report.flaws);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn nothing_is_written_without_keys_and_entries_are_not_lost() {
    let database = Database::create().await;
    let store = database.locked_store().await.unwrap();
    let refused = store.append(entries("early")).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused}"
    );
    let lease = lease("coder");
    store
        .commit(grant(&lease), entries("granted"))
        .await
        .unwrap_err();
    assert_eq!(
        store.lease(lease.id).await.unwrap(),
        None,
        "a change without its record"
    );
    assert_eq!(store.head().await.unwrap(), None);

    store.unlock(keys()).await.unwrap();
    store.append(entries("late")).await.unwrap();
    assert_eq!(store.head().await.unwrap().unwrap().sequence, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_log_of_other_keys_is_not_continued_but_one_of_former_keys_is() {
    let database = Database::create().await;
    let store = database.store().await;
    store.append(entries("first")).await.unwrap();

    let stranger = database.locked_store().await.unwrap();
    let refused = stranger
        .unlock(ChainKeys::new(key("a1", 8), Vec::new()))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    let refused = stranger
        .unlock(ChainKeys::new(key("a2", 8), Vec::new()))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );

    let rotated = ChainKeys::new(key("a2", 8), vec![key("a1", 7)]);
    stranger.unlock(rotated.clone()).await.unwrap();
    stranger.append(entries("second")).await.unwrap();

    // The first vault has not heard of the new key yet.
    let refused = store.append(entries("third")).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused}"
    );
    store.unlock(rotated.clone()).await.unwrap();
    store.append(entries("third")).await.unwrap();
    let report = verify(&store, &rotated).await;
    assert_eq!((report.records, report.flaws), (3, Vec::new()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn tampering_is_found() {
    let database = Database::create().await;
    let store = database.store().await;
    for _ in 0..5 {
        store.append(entries("something")).await.unwrap();
    }
    database
        .tamper("UPDATE fnox_vault.audit SET actor = 'agent x' WHERE sequence = 3")
        .await;
    let flaws = verify(&store, &keys()).await.flaws;
    assert_eq!(flaws, [Flaw::Changed { sequence: 3 }]);

    database
        .tamper("UPDATE fnox_vault.audit SET mac = NULL WHERE sequence = 2")
        .await;
    let scanned = store.scan(1, 1).await.unwrap().remove(0);
    assert_eq!(scanned.position, 2);
    assert!(scanned.record.unwrap_err().contains("mac"));

    database
        .tamper("UPDATE fnox_vault.audit_head SET sequence = 2")
        .await;
    let refused = store.append(entries("after")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");

    // A head that was emptied to start the log anew.
    database
        .tamper("UPDATE fnox_vault.audit_head SET seal = NULL")
        .await;
    let refused = store.append(entries("after")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
    let refused = store.unlock(keys()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");

    database.tamper("DELETE FROM fnox_vault.audit_head").await;
    let refused = store.append(entries("after")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn queries_find_what_fits_all_their_keys() {
    let database = Database::create().await;
    let store = database.store().await;
    let id = lease("coder").id;
    for index in 0..6 {
        let mut entry = entry(if index % 2 == 0 { "even" } else { "odd" });
        entry.agent = Some("coder".to_owned());
        entry.secret = (index > 2).then(|| "github-token".to_owned());
        entry.lease = (index == 5).then_some(id.0);
        if index == 4 {
            entry.outcome = Outcome::Denied;
        }
        store.append(vec![entry]).await.unwrap();
    }
    let later = now() + SignedDuration::from_secs(1);
    let query = |json: serde_json::Value| serde_json::from_value::<AuditQuery>(json).unwrap();
    for (json, expected) in [
        (json!({}), &[1, 2, 3, 4][..]),
        (json!({ "from_sequence": 4 }), &[5, 6]),
        (json!({ "newest_first": true }), &[6, 5, 4, 3]),
        (json!({ "newest_first": true, "from_sequence": 3 }), &[2, 1]),
        (json!({ "event": "odd", "secret": "github-token" }), &[4, 6]),
        (json!({ "outcome": "denied" }), &[5]),
        (json!({ "lease": id }), &[6]),
        (json!({ "agent": "coder", "event": "even" }), &[1, 3, 5]),
        (json!({ "agent": "somebody" }), &[]),
        (json!({ "agent": "coder\0" }), &[]),
        (json!({ "since": later }), &[]),
        (json!({ "until": later }), &[1, 2, 3, 4]),
    ] {
        let found = store.query(&query(json.clone()), 4).await.unwrap();
        let found: Vec<_> = found.iter().map(|record| record.sequence).collect();
        assert_eq!(found, expected, "{json}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_refused_change_leaves_no_record() {
    let database = Database::create().await;
    let store = database.store().await;
    let id = lease("coder").id;
    store
        .commit(Change::Spend { id, now: now() }, entries("access"))
        .await
        .unwrap_err();
    assert_eq!(store.head().await.unwrap(), None);
}
