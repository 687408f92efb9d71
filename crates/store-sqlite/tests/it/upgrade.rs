//! Files of older formats.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fnox_core::audit::Chain;
use fnox_store_sqlite::SqliteStore;
use fnox_vault::store::{AuditLog as _, LeaseStore as _};
use refinery::{Migration, Runner};
use rusqlite::{Connection, params};

use crate::support::{CLOCK, Place, entry, grant, keys, lease, moment, verify};

const V1: &str = include_str!("../../migrations/vault/V1__vault.sql");

const EPOCH: [u8; 16] = [5; 16];

/// A vault's file as the first format was: a token, three records, and the mark beside it.
fn first_format(place: &Place) {
    let mut db = Connection::open(place.path()).unwrap();
    let migration = Migration::unapplied("V1__vault", V1).unwrap();
    Runner::new(&[migration]).run(&mut db).unwrap();
    let insert = "INSERT INTO vault (id, epoch, changes) VALUES (1, ?, 4)";
    db.execute(insert, [EPOCH.as_slice()]).unwrap();
    db.execute(
        "INSERT INTO tokens VALUES (?, ?, 'coder', 'agent', 0, ?, NULL, 0, NULL, 0)",
        params![[1_u8; 16].as_slice(), [2_u8; 32].as_slice(), i64::MAX],
    )
    .unwrap();
    let mut chain = Chain::empty(keys().current().clone());
    for number in 0..3 {
        let record = chain.append(entry(&format!("event {number}")), moment(number));
        let entry = record.entry;
        db.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                i64::try_from(record.sequence).unwrap(),
                i64::try_from(record.time.as_nanosecond()).unwrap(),
                entry.event,
                entry.actor,
                entry.peer,
                entry.agent,
                entry.secret,
                entry.host,
                entry.lease.as_ref().map(|id| id.as_bytes().as_slice()),
                entry.rule,
                entry.outcome.as_str(),
                entry.reason,
                record.key_id,
                record.mac.as_slice(),
            ],
        )
        .unwrap();
    }
    let head = chain.head();
    db.execute(
        "INSERT INTO audit_head VALUES (1, 3, ?, ?, ?, ?)",
        params![
            i64::try_from(head.time.as_nanosecond()).unwrap(),
            head.mac.as_slice(),
            head.key_id,
            head.seal.as_slice()
        ],
    )
    .unwrap();
    drop(db);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let epoch = uuid::Uuid::from_bytes(EPOCH);
    let mark = format!("fnox vault mark v1\n{epoch}\n4\n");
    fs::write(place.beside("vault.db.mark"), mark).unwrap();
}

/// The token works, the log is whole, and both go on.
async fn is_as_it_was(store: &SqliteStore, revoked: bool) {
    let token = store.token(&[2; 32]).await.unwrap().unwrap();
    assert_eq!((token.agent.as_str(), token.revoked), ("coder", revoked));
    let report = verify(store).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    assert_eq!(report.records, 3);
    grant(store, &lease("a")).await.unwrap();
    let mut later = entry("later");
    later.project = Some("my-app".to_owned());
    store.append(vec![later.clone()]).await.unwrap();
    let report = verify(store).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    let last = store.scan(4, 1).await.unwrap().remove(0);
    assert_eq!(last.record.unwrap().entry, later);
}

#[tokio::test]
async fn a_vault_of_the_first_format_goes_on() {
    let place = Place::new();
    first_format(&place);
    let store = place.open().await;
    assert_eq!(store.take_restored_flag().await.unwrap(), None);
    is_as_it_was(&store, false).await;
    drop(store);
    let store = place.open().await;
    assert_eq!(verify(&store).await.records, 5);
}

#[tokio::test]
async fn a_backup_of_the_first_format_is_restored() {
    let (place, target) = (Place::new(), Place::new());
    first_format(&place);
    SqliteStore::restore(&place.path(), &target.path(), &CLOCK).unwrap();
    let store = target.open().await;
    assert!(store.take_restored_flag().await.unwrap().is_some());
    is_as_it_was(&store, true).await;
}
