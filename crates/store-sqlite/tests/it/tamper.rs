//! Whatever is changed in the log is found.

use std::collections::BTreeSet;

use fnox_core::audit::{Flaw, Report, Verifier};
use fnox_store_sqlite::SqliteStore;
use fnox_vault::store::AuditLog as _;
use rusqlite::Connection;

use crate::support::{Place, entry, keys};

const RECORDS: u64 = 1000;

/// Each column, and how it is made another one; a column that may be absent becomes absent too.
const EDITS: [(&str, &str); 32] = [
    ("sequence", "sequence + 1000000"),
    ("time", "time + 1"),
    ("time", "time - 1"),
    ("event", "event || 'x'"),
    ("event", "''"),
    ("actor", "actor || 'x'"),
    ("peer", "coalesce(peer || 'x', '')"),
    ("peer", "iif(peer IS NULL, '', NULL)"),
    ("agent", "coalesce(agent || 'x', '')"),
    ("agent", "iif(agent IS NULL, '', NULL)"),
    ("secret", "coalesce(secret || 'x', '')"),
    ("secret", "iif(secret IS NULL, '', NULL)"),
    ("host", "coalesce(host || 'x', '')"),
    ("host", "iif(host IS NULL, '', NULL)"),
    ("lease", "randomblob(16)"),
    ("lease", "iif(lease IS NULL, zeroblob(16), NULL)"),
    ("lease", "zeroblob(3)"),
    ("rule", "coalesce(rule || 'x', '')"),
    ("rule", "iif(rule IS NULL, '', NULL)"),
    ("outcome", "iif(outcome = 'ok', 'denied', 'ok')"),
    ("outcome", "'OK'"),
    ("reason", "coalesce(reason || 'x', '')"),
    ("reason", "iif(reason IS NULL, '', NULL)"),
    ("key_id", "'a2'"),
    ("mac", "zeroblob(32)"),
    ("project", "coalesce(project || 'x', '')"),
    ("project", "iif(project IS NULL, '', NULL)"),
    ("approval", "randomblob(16)"),
    ("approval", "iif(approval IS NULL, zeroblob(16), NULL)"),
    ("approval", "zeroblob(3)"),
    ("detail", "coalesce(detail || 'x', '')"),
    ("detail", "iif(detail IS NULL, '', NULL)"),
];

/// A log of a thousand records, some of them with absent columns.
async fn log(place: &Place) {
    let store = place.open().await;
    let entries = (0..RECORDS).map(|number| {
        let mut entry = entry("lease_granted");
        if number % 3 == 0 {
            (entry.peer, entry.lease, entry.reason) = (None, None, None);
            entry.project = Some("my-app".to_owned());
            entry.approval = Some(uuid::Uuid::new_v4());
            entry.detail = Some("{}".to_owned());
        }
        if number % 5 == 0 {
            (entry.agent, entry.secret) = (None, None);
            (entry.host, entry.rule) = (Some(String::new()), None);
        }
        entry
    });
    store.append(entries.collect()).await.unwrap();
}

/// The rows as they are, read and verified as the vault does it.
async fn verify(store: &SqliteStore) -> (Report, usize) {
    let keys = keys();
    let mut verifier = Verifier::new(&keys, Vec::new());
    let mut unreadable = 0;
    for scanned in store.scan(0, 10_000).await.unwrap() {
        match scanned.record {
            Ok(record) => verifier.record(record),
            Err(_) => unreadable += 1,
        }
    }
    let head = store.head().await.unwrap();
    (verifier.finish(head.as_ref()), unreadable)
}

async fn is_found(store: &SqliteStore) -> bool {
    let (report, unreadable) = verify(store).await;
    unreadable > 0 || !report.is_intact()
}

/// Opens the file beside the store, without the checks that keep an honest program from writing nulls.
fn attacker(place: &Place) -> Connection {
    Connection::open(place.path()).unwrap()
}

#[tokio::test]
async fn every_edit_of_one_column_is_found() {
    let place = Place::new();
    log(&place).await;
    let store = place.open().await;
    assert!(!is_found(&store).await);
    store.backup(&place.beside("kept.db")).await.unwrap();
    let db = attacker(&place);
    // Every second record at once, then the others: a record between two edited ones shows that each edit is
    // found on its own, and where it is.
    for (column, value) in EDITS {
        for parity in [0u32, 1] {
            let edit = format!("UPDATE audit SET {column} = {value} WHERE sequence % 2 = ?");
            assert_eq!(db.execute(&edit, [parity]).unwrap(), 500);
            let named = named(&store).await;
            for sequence in (1..=RECORDS).filter(|it| it % 2 == u64::from(parity)) {
                assert!(named.contains(&sequence), "{column} = {value}, {sequence}");
            }
            restore(&db, &store, &place).await;
        }
    }
    let columns: BTreeSet<&str> = EDITS.iter().map(|(column, _)| *column).collect();
    let all = db.prepare("SELECT * FROM audit").unwrap().column_count();
    assert_eq!(columns.len(), all, "every column is edited");
}

/// The numbers of all records that a verification names.
async fn named(store: &SqliteStore) -> BTreeSet<u64> {
    let keys = keys();
    let mut verifier = Verifier::new(&keys, Vec::new());
    let mut named = BTreeSet::new();
    for scanned in store.scan(0, 10_000).await.unwrap() {
        match scanned.record {
            Ok(record) => verifier.record(record),
            Err(_) => {
                named.insert(scanned.position);
            }
        }
    }
    let report = verifier.finish(store.head().await.unwrap().as_ref());
    for flaw in report.flaws {
        match flaw {
            Flaw::Changed { sequence }
            | Flaw::UnknownKey { sequence, .. }
            | Flaw::TimeRunsBack { sequence } => {
                named.insert(sequence);
            }
            // A record that is not where it was is missing there.
            Flaw::Gap { expected, found } => named.extend(expected..found.min(RECORDS + 1)),
            _ => {}
        }
    }
    named
}

#[tokio::test]
async fn removed_swapped_and_truncated_records_are_found() {
    let place = Place::new();
    log(&place).await;
    let store = place.open().await;
    store.backup(&place.beside("kept.db")).await.unwrap();
    let db = attacker(&place);
    for (what, forge) in [
        ("the first", "DELETE FROM audit WHERE sequence = 1"),
        (
            "one in the middle",
            "DELETE FROM audit WHERE sequence = 500",
        ),
        ("the newest", "DELETE FROM audit WHERE sequence = 1000"),
        ("all", "DELETE FROM audit"),
        ("the head", "DELETE FROM audit_head"),
        (
            "the newest, and the head told so",
            "DELETE FROM audit WHERE sequence > 900; UPDATE audit_head SET sequence = 900, \
             mac = (SELECT mac FROM audit WHERE sequence = 900), \
             time = (SELECT time FROM audit WHERE sequence = 900)",
        ),
        (
            "two swapped",
            "UPDATE audit SET sequence = -1 WHERE sequence = 10; \
             UPDATE audit SET sequence = 10 WHERE sequence = 11; \
             UPDATE audit SET sequence = 11 WHERE sequence = -1",
        ),
        (
            "one removed and the others moved up",
            "DELETE FROM audit WHERE sequence = 500; \
             UPDATE audit SET sequence = -sequence WHERE sequence > 500; \
             UPDATE audit SET sequence = -sequence - 1 WHERE sequence < 0",
        ),
        (
            "one twice",
            "INSERT INTO audit SELECT 1001, time, event, actor, peer, agent, secret, host, lease, rule, \
             outcome, reason, key_id, mac, project, approval, detail FROM audit WHERE sequence = 1000",
        ),
        (
            "all of one agent's columns",
            "UPDATE audit SET agent = NULL, actor = 'x'",
        ),
    ] {
        db.execute_batch(&format!("SAVEPOINT was; {forge}; RELEASE was"))
            .unwrap();
        assert!(is_found(&store).await, "{what}");
        restore(&db, &store, &place).await;
    }
}

/// Puts the log back as it was, from the copy that was made of it.
async fn restore(db: &Connection, store: &SqliteStore, place: &Place) {
    let kept = place.beside("kept.db");
    db.execute_batch(&format!(
        "ATTACH '{}' AS kept; BEGIN; DELETE FROM audit; DELETE FROM audit_head; \
         INSERT INTO audit SELECT * FROM kept.audit; \
         INSERT INTO audit_head SELECT * FROM kept.audit_head; COMMIT; DETACH kept",
        kept.display()
    ))
    .unwrap();
    assert!(!is_found(store).await);
}

#[tokio::test]
async fn a_forged_head_keeps_the_log_closed() {
    let place = Place::new();
    log(&place).await;
    for forge in [
        "UPDATE audit_head SET sequence = 10",
        "UPDATE audit_head SET mac = zeroblob(32)",
        "UPDATE audit_head SET key_id = 'other'",
        "UPDATE audit_head SET seal = zeroblob(32)",
        "UPDATE audit_head SET time = time + 1",
        "DELETE FROM audit_head",
    ] {
        let copy = Place::new();
        std::fs::copy(place.path(), copy.path()).unwrap();
        attacker(&copy).execute_batch(forge).unwrap();
        let error = crate::support::open(&copy.path()).await.unwrap_err();
        let is_corrupt = matches!(error, fnox_vault::store::StoreError::Corrupt { .. });
        assert!(is_corrupt, "{forge}: {error}");
    }
}
