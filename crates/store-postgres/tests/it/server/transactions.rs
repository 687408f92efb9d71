//! Transactions: values, failures, and several servers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fnox_core::audit::Entry;
use fnox_server::store::sql::{SqlError, Value};
use fnox_server::store::{Database as _, StoreError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::support::{change, insert_approval, number, open, rows, run, verify, work};
use crate::support::{DEADLINE, Database, entries, entry, keys};

const REMEMBER: &str = "INSERT INTO used_tokens (id, keep_until) VALUES ($1, $2)";
const COUNT: &str = "SELECT count(*) FROM used_tokens";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn values_go_in_and_come_back() {
    let database = Database::create().await;
    let server = open(&database).await;
    let values = vec![
        Value::Integer(i64::MIN),
        Value::Text("ä\u{1}".to_owned()),
        Value::Bytes(vec![0, 255]),
        Value::Null,
    ];
    let back = rows(&server, "SELECT $1, $2, $3, $4", values.clone()).await;
    assert_eq!(back.unwrap(), [values]);
    let kinds = "SELECT $1 > 1, count(*), sum(keep_until), max(keep_until), 7, CAST($2 AS TEXT) IS NULL, \
                 CAST(sum(keep_until) / 2 AS bigint), $1 = 1 FROM used_tokens";
    for (id, until) in [(1_u8, i64::MAX - 3), (2, 2)] {
        let parameters = vec![Value::Bytes(vec![id]), Value::Integer(until)];
        run(&server, REMEMBER, parameters, Vec::new())
            .await
            .unwrap();
    }
    let back = rows(&server, kinds, vec![Value::Integer(i64::MAX), Value::Null]).await;
    let numbers = [1, 2, i64::MAX - 1, i64::MAX - 3, 7, 1, i64::MAX / 2, 0];
    assert_eq!(back.unwrap(), [numbers.map(Value::Integer)]);
    // Missing values of every type.
    run(
        &server,
        "UPDATE approvals SET denied_at = $1, reason = $2, binding = $3 WHERE session = $4",
        vec![Value::Null, Value::Null, Value::Null, Value::Null],
        Vec::new(),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn texts_with_nul_are_refused_before_anything_is_sent() {
    let database = Database::create().await;
    let server = open(&database).await;
    let sql = "UPDATE server_state SET frozen = 1 WHERE $1 <> ''";
    let refused = run(&server, sql, vec!["a\0b".into()], entries("frozen")).await;
    assert!(
        matches!(refused, Err(StoreError::Unfit { .. })),
        "{refused:?}"
    );
    let refused = rows(&server, "SELECT $1", vec!["a\0b".into()]).await;
    assert!(
        matches!(refused, Err(StoreError::Unfit { .. })),
        "{refused:?}"
    );
    for spoil in [
        |entry: &mut Entry| entry.detail = Some("\0".to_owned()),
        |entry: &mut Entry| entry.project = Some("\0".to_owned()),
        |entry: &mut Entry| entry.actor = "\0".to_owned(),
    ] {
        let mut spoilt = entry("frozen");
        spoil(&mut spoilt);
        let sql = "UPDATE server_state SET frozen = 1";
        let refused = run(&server, sql, Vec::new(), vec![spoilt]).await;
        assert!(
            matches!(refused, Err(StoreError::Unfit { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(number(&server, "SELECT frozen FROM server_state").await, 0);
    assert_eq!(server.audit_head().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn of_many_that_want_one_thing_exactly_one_gets_it() {
    let database = Database::create().await;
    let servers = [open(&database).await, open(&database).await];
    for round in 1..=20 {
        let winners = Arc::new(AtomicU32::new(0));
        let mut crowd = JoinSet::new();
        for index in 0..64 {
            let (server, winners) = (servers[index % 2].clone(), Arc::clone(&winners));
            crowd.spawn(async move {
                let won = Arc::new(AtomicU32::new(0));
                let place = Arc::clone(&won);
                let take = work(move |transaction| {
                    let place = Arc::clone(&place);
                    Box::pin(async move {
                        let sql = "UPDATE server_state SET frozen = $1 WHERE frozen = $2";
                        let numbers = [Value::Integer(round), Value::Integer(round - 1)];
                        let taken = transaction.execute(sql, &numbers).await?;
                        place.store(u32::try_from(taken).unwrap(), Ordering::SeqCst);
                        Ok(entries("taken"))
                    })
                });
                server.write(take).await.unwrap();
                winners.fetch_add(won.load(Ordering::SeqCst), Ordering::SeqCst);
            });
        }
        crowd.join_all().await;
        assert_eq!(winners.load(Ordering::SeqCst), 1, "round {round}");
    }
    let report = verify(&servers[0], &keys()).await;
    assert_eq!((report.records, report.flaws), (20 * 64, Vec::new()));
}

/// One of several ways not to work.
fn failing(index: u32) -> fnox_server::store::Work {
    work(move |transaction| {
        Box::pin(async move {
            let id = Value::Bytes(index.to_be_bytes().to_vec());
            transaction
                .execute(REMEMBER, &[id.clone(), 1_i64.into()])
                .await?;
            match index % 5 {
                0 => return Err(SqlError::Corrupt("it does not fit".to_owned())),
                1 => panic!("a fault, which this test wants"),
                // The unique column objects; whoever does not care about it gets no commit all the same.
                2 => {
                    let _ = transaction.execute(REMEMBER, &[id, 1_i64.into()]).await;
                }
                3 => {
                    transaction
                        .execute("SELECT 1 / ($1 - $1)", &[1_i64.into()])
                        .await?;
                }
                _ => {
                    let mut spoilt = entry("spoilt");
                    spoilt.reason = Some("\0".to_owned());
                    return Ok(vec![spoilt]);
                }
            }
            Ok(entries("never"))
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_change_that_fails_leaves_nothing_and_harms_no_other() {
    let database = Database::create().await;
    let server = open(&database).await;
    let mut crowd = JoinSet::new();
    for index in 0..300_u32 {
        let server = server.clone();
        crowd.spawn(async move {
            if index % 3 == 0 {
                let failed = server.write(failing(index / 3)).await;
                assert!(failed.is_err(), "{index}");
            } else {
                let id = Uuid::now_v7();
                run(
                    &server,
                    REMEMBER,
                    vec![id.into(), 1_i64.into()],
                    entries("kept"),
                )
                .await
                .unwrap();
            }
        });
    }
    crowd.join_all().await;
    assert_eq!(number(&server, COUNT).await, 200);
    let report = verify(&server, &keys()).await;
    assert_eq!((report.records, report.flaws), (200, Vec::new()));
    // One by one, where there is no savepoint.
    for index in 1000..1005 {
        server.write(failing(index)).await.unwrap_err();
    }
    assert_eq!(number(&server, COUNT).await, 200);
    assert_eq!(server.audit_head().await.unwrap().unwrap().sequence, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn what_is_over_is_told_as_corrupt_when_a_statement_would_change_it() {
    let database = Database::create().await;
    let server = open(&database).await;
    let approval = insert_approval(&server, "denied").await;
    let sql = "UPDATE approvals SET status = 'approved' WHERE id = $1";
    let refused = run(&server, sql, vec![approval.into()], entries("approved")).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    let reading = rows(&server, "DELETE FROM approvals", Vec::new()).await;
    assert!(
        matches!(reading, Err(StoreError::Unavailable { .. })),
        "{reading:?}"
    );
    assert_eq!(number(&server, "SELECT count(*) FROM approvals").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_read_sees_one_state() {
    let database = Database::create().await;
    let servers = [open(&database).await, open(&database).await];
    let writer = servers[1].clone();
    let (begun, go) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let (told, awaited) = (Arc::clone(&begun), Arc::clone(&go));
    let reading = work(move |transaction| {
        let (told, awaited) = (Arc::clone(&told), Arc::clone(&awaited));
        Box::pin(async move {
            let before = transaction.query(COUNT, &[]).await?;
            told.notify_one();
            awaited.notified().await;
            assert_eq!(before, transaction.query(COUNT, &[]).await?);
            Ok(Vec::new())
        })
    });
    let writing = async {
        begun.notified().await;
        run(
            &writer,
            REMEMBER,
            vec![Uuid::nil().into(), 1_i64.into()],
            entries("kept"),
        )
        .await
        .unwrap();
        go.notify_one();
    };
    let (read, ()) = timeout(DEADLINE, async {
        tokio::join!(servers[0].read(reading), writing)
    })
    .await
    .expect("it hangs");
    read.unwrap();
    assert_eq!(number(&servers[0], COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn commits_are_told_to_every_server_and_changes_of_nothing_to_nobody() {
    let database = Database::create().await;
    let servers = [open(&database).await, open(&database).await];
    assert!(servers[0].is_shared());
    let (mut own, mut other) = (servers[0].changes(), servers[1].changes());
    own.mark_unchanged();
    other.mark_unchanged();
    let nothing = "UPDATE sessions SET ended = 1";
    run(&servers[0], nothing, Vec::new(), Vec::new())
        .await
        .unwrap();
    assert!(!own.has_changed().unwrap());
    run(&servers[0], nothing, Vec::new(), entries("looked"))
        .await
        .unwrap();
    assert!(own.has_changed().unwrap());
    timeout(DEADLINE, other.changed())
        .await
        .expect("not told")
        .unwrap();
    // Without an entry too.
    let keep = change(REMEMBER, vec![Uuid::nil().into(), 1_i64.into()], Vec::new());
    servers[0].write(keep).await.unwrap();
    timeout(DEADLINE, other.changed())
        .await
        .expect("not told")
        .unwrap();
    assert!(!other.has_changed().unwrap());
}
