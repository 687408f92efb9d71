//! Copies, and what putting one back does and does not bring back.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fnox_core::clock::Clock;
use fnox_server::StoreError;
use fnox_server::store::conformance::transactions::rows;
use fnox_store_sqlite::SqliteDatabase;
use jiff::{SignedDuration, Timestamp};

use super::support::{at, open, options};
use crate::support::{CLOCK, Place};

/// A clock that stands.
#[derive(Debug)]
struct Standing(Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_whole_while_others_write() {
    let place = Place::new();
    let (database, world) = open(&place.path()).await.unwrap();
    let session = world.session(1).await;
    let secret = world.put("A", "one").await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (world, done) = (world.clone(), Arc::clone(&done));
            let (session, secret) = (session.clone(), secret.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
                    world.redeem(0, hash).await.unwrap();
                }
            })
        })
        .collect();
    for number in 0..6 {
        let to = place.beside(&format!("backup-{number}"));
        let size = if number % 2 == 0 {
            database.backup(&to).await.unwrap()
        } else {
            SqliteDatabase::copy(&place.path(), &to).unwrap()
        };
        let found = fs::metadata(&to).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (size, 0o600));
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    for number in 0..6 {
        let target = Place::new();
        let from = place.beside(&format!("backup-{number}"));
        SqliteDatabase::restore(&from, &target.path(), &CLOCK).unwrap();
        let (_, copy) = open(&target.path()).await.unwrap();
        assert!(copy.log_is_whole().await >= 2);
    }
    let error = database
        .backup(&place.beside("backup-0"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn an_older_copy_put_back_by_hand_revives_nothing() {
    let place = Place::new();
    let (database, world) = open(&place.path()).await.unwrap();
    let session = world.session(1).await;
    let secret = world.put("A", "one").await;
    let hash = world.granted(&session, &[secret]).await;
    drop((database, world));
    let older = fs::read(place.path()).unwrap();
    let (database, world) = open(&place.path()).await.unwrap();
    assert_eq!(database.take_restored_flag().await.unwrap(), None);
    world.redeem(0, hash).await.unwrap();
    drop((database, world));
    fs::write(place.path(), &older).unwrap();
    let (database, world) = open(&place.path()).await.unwrap();
    assert!(database.take_restored_flag().await.unwrap().is_some());
    assert!(world.redeem(0, hash).await.is_err());
    // Session and approval have ended; the grant is burnt as well, so that each of the three is enough.
    let unused = "SELECT count(*) FROM grants WHERE used_at IS NULL";
    let unused = rows(&database, unused, Vec::new()).await.unwrap();
    assert_eq!(unused[0].integer(0).unwrap(), 0);
    let found = world.store(0).session(session.hash, session.created_at);
    assert_eq!(found.await.unwrap(), None);
    world.log_is_whole().await;
}

#[tokio::test]
async fn a_restoration_is_told_of_as_long_as_older_tokens_would_be_taken() {
    let place = Place::new();
    let backup = place.beside("backup");
    let (database, world) = open(&place.path()).await.unwrap();
    database.backup(&backup).await.unwrap();
    drop((database, world));
    let moment = Timestamp::from_second(1_767_225_600).unwrap();
    SqliteDatabase::restore(&backup, &place.path(), &Standing(moment)).unwrap();
    for (hours, expected) in [(0, Some(moment)), (24, Some(moment)), (25, None)] {
        let clock = Standing(moment + SignedDuration::from_hours(hours));
        let database = SqliteDatabase::open(&place.path(), at(Arc::new(clock))).unwrap();
        assert_eq!(database.take_restored_flag().await.unwrap(), expected);
        assert_eq!(database.take_restored_flag().await.unwrap(), None);
        assert_eq!(database.restored_at().await.unwrap(), Some(moment));
    }
}

#[tokio::test]
async fn what_is_no_whole_database_is_not_restored() {
    let place = Place::new();
    let (database, world) = open(&place.path()).await.unwrap();
    for number in 0..100 {
        world.put(&format!("KEY_{number}"), &"x".repeat(2000)).await;
    }
    let backup = place.beside("backup");
    database.backup(&backup).await.unwrap();
    let error = SqliteDatabase::restore(&backup, &place.path(), &CLOCK).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop((database, world));
    let before = fs::read(place.path()).unwrap();
    let whole = fs::read(&backup).unwrap();
    let half = whole[..whole.len() / 2 / 4096 * 4096].to_vec();
    for content in [half, b"no database, but text".repeat(300), Vec::new()] {
        fs::write(&backup, content).unwrap();
        let error = SqliteDatabase::restore(&backup, &place.path(), &CLOCK).unwrap_err();
        let is_refused = matches!(
            error,
            StoreError::Corrupt { .. } | StoreError::Foreign { .. }
        );
        assert!(is_refused, "{error}");
        assert_eq!(fs::read(place.path()).unwrap(), before);
    }
    drop(SqliteDatabase::open(&place.path(), options()).unwrap());
}
