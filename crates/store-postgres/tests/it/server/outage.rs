//! The database of team servers goes away, comes back, or is put back to an older state.

use fnox_core::audit::Head;
use fnox_server::store::{AuditFilter, Database as _, StoreError};
use fnox_store_postgres::PostgresDatabase;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::support::{
    insert_approval, insert_grant, insert_session, number, open, open_at, rows, run, verify,
};
use crate::support::{Cluster, DEADLINE, Database, entries, keys};

const REMEMBER: &str = "INSERT INTO used_tokens (id, keep_until) VALUES ($1, 1)";
const LIVE_SESSIONS: &str = "SELECT count(*) FROM sessions WHERE ended = 0";
const OPEN_APPROVALS: &str =
    "SELECT count(*) FROM approvals WHERE status IN ('pending', 'approved', 'granted')";
const UNUSED_GRANTS: &str = "SELECT count(*) FROM grants WHERE used_at IS NULL";

async fn remember(server: &PostgresDatabase, id: Uuid) -> Result<(), StoreError> {
    run(server, REMEMBER, vec![id.into()], entries("remembered")).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_stopped_database_fails_every_call_and_a_started_one_serves_again() {
    let cluster = Cluster::create();
    let database = Database::create_in(&cluster.url).await;
    let server = open(&database).await;
    insert_session(&server).await;
    let mut changes = server.changes();
    for how in ["stop", "kill"] {
        cluster.run(how);
        let answers = async {
            [
                remember(&server, Uuid::now_v7()).await.err(),
                rows(&server, LIVE_SESSIONS, Vec::new()).await.err(),
                server.audit_head().await.err(),
                server.audit_scan(0, 1).await.err(),
                server.audit_query(&AuditFilter::default(), 1).await.err(),
                server.take_restored_flag().await.err(),
            ]
        };
        let answers = timeout(DEADLINE, answers).await.expect("a call hangs");
        for (index, answer) in answers.into_iter().enumerate() {
            let unavailable = matches!(answer, Some(StoreError::Unavailable { .. }));
            assert!(unavailable, "call {index}: {answer:?}");
            assert!(
                !answer.unwrap().to_string().contains("fnox:"),
                "a password?"
            );
        }
        changes.mark_unchanged();
        cluster.run("start");

        // The very next calls work, and nothing ended.
        assert_eq!(number(&server, LIVE_SESSIONS).await, 1);
        timeout(DEADLINE, changes.changed())
            .await
            .expect("not told")
            .unwrap();
        remember(&server, Uuid::now_v7()).await.unwrap();
        assert_eq!(number(&server, LIVE_SESSIONS).await, 1);
    }
    assert_eq!(server.take_restored_flag().await.unwrap(), None);
    let report = verify(&server, &keys()).await;
    assert_eq!((report.records, report.flaws), (3, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn what_was_answered_before_a_crash_of_the_database_is_there_after() {
    let cluster = Cluster::create();
    let database = Database::create_in(&cluster.url).await;
    let servers = [open(&database).await, open(&database).await];
    let mut calls = JoinSet::new();
    for index in 0..8 {
        let server = servers[index % 2].clone();
        calls.spawn(async move {
            let mut answered = 0_u64;
            loop {
                match remember(&server, Uuid::now_v7()).await {
                    Ok(()) => answered += 1,
                    Err(StoreError::Unavailable { .. }) => return answered,
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let busy = |head: Option<Head>| head.is_some_and(|head| head.sequence >= 100);
    let head = async {
        while !busy(servers[0].audit_head().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, head).await.expect("nothing is written");
    cluster.run("kill");
    let answered = timeout(DEADLINE, calls.join_all()).await;
    let answered: u64 = answered.expect("a call hangs").into_iter().sum();
    cluster.run("start");
    let kept = number(&servers[0], "SELECT count(*) FROM used_tokens").await;
    let kept = u64::try_from(kept).unwrap();
    // Each of the two may have lost the answers of one transaction.
    assert!(
        (answered..=answered + 8).contains(&kept),
        "{answered} {kept}"
    );
    let report = verify(&servers[1], &keys()).await;
    assert_eq!((report.records, report.flaws), (kept, Vec::new()));
}

/// One right of every kind.
async fn give_rights(server: &PostgresDatabase) {
    insert_session(server).await;
    for status in ["pending", "approved", "denied"] {
        insert_approval(server, status).await;
    }
    let granted = insert_approval(server, "granted").await;
    insert_grant(server, granted).await;
}

async fn rights(server: &PostgresDatabase) -> [i64; 3] {
    [
        number(server, LIVE_SESSIONS).await,
        number(server, OPEN_APPROVALS).await,
        number(server, UNUSED_GRANTS).await,
    ]
}

async fn restorations(server: &PostgresDatabase) -> i64 {
    number(
        server,
        "SELECT count(*) FROM audit WHERE event = 'database_restored'",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_copy_of_a_database_gives_no_right() {
    let database = Database::create().await;
    let server = open(&database).await;
    give_rights(&server).await;
    drop(server);
    let again = open(&database).await;
    assert_eq!(rights(&again).await, [1, 3, 1]);
    assert_eq!(again.take_restored_flag().await.unwrap(), None);
    drop(again);

    let copy = database.copy().await;
    let servers = [open(&copy).await, open(&copy).await];
    for server in &servers {
        assert_eq!(rights(server).await, [0, 0, 0]);
        assert!(server.take_restored_flag().await.unwrap().is_some());
        assert_eq!(server.take_restored_flag().await.unwrap(), None);
    }
    let used = "UPDATE grants SET used_at = NULL";
    let refused = run(&servers[0], used, Vec::new(), entries("revived")).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    // What is given from now on lasts.
    insert_session(&servers[0]).await;
    drop(servers);
    let server = open(&copy).await;
    assert_eq!(rights(&server).await, [1, 0, 0]);
    let report = verify(&server, &keys()).await;
    assert_eq!((report.records, report.flaws), (2, Vec::new()));
}

/// As when a stand-by takes over: another place, and new connections.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_running_server_shows_no_right_of_a_database_that_was_exchanged_under_it() {
    let database = Database::create().await;
    let server = open(&database).await;
    give_rights(&server).await;
    assert_eq!(rights(&server).await, [1, 3, 1]);
    database
        .tamper(
            "UPDATE fnox_server.history SET epoch = gen_random_uuid(); \
             SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    // A connection tells that it has ended only when it is used.
    while rows(&server, "SELECT 1", Vec::new()).await.is_err() {}
    assert_eq!(rights(&server).await, [0, 0, 0]);
    assert_eq!(restorations(&server).await, 1);
    assert!(server.take_restored_flag().await.unwrap().is_some());
    let report = verify(&server, &keys()).await;
    assert_eq!((report.records, report.flaws), (2, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn running_servers_find_that_the_log_went_back_and_end_all_rights_once() {
    let database = Database::create().await;
    let servers = [open(&database).await, open(&database).await];
    give_rights(&servers[0]).await;
    database
        .tamper("CREATE TABLE kept AS SELECT * FROM fnox_server.audit_head")
        .await;
    for server in &servers {
        remember(server, Uuid::now_v7()).await.unwrap();
    }
    database
        .tamper(
            "DELETE FROM fnox_server.audit_head; INSERT INTO fnox_server.audit_head SELECT * FROM kept; \
             DELETE FROM fnox_server.audit WHERE sequence > (SELECT sequence FROM kept)",
        )
        .await;
    remember(&servers[0], Uuid::now_v7()).await.unwrap();
    assert_eq!(rights(&servers[0]).await, [0, 0, 0]);
    insert_session(&servers[0]).await;
    remember(&servers[1], Uuid::now_v7()).await.unwrap();
    remember(&servers[0], Uuid::now_v7()).await.unwrap();
    assert_eq!(rights(&servers[1]).await, [1, 0, 0]);
    assert_eq!(restorations(&servers[1]).await, 1);
    let report = verify(&servers[1], &keys()).await;
    assert_eq!(report.flaws, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn an_operator_who_put_a_database_back_ends_all_rights() {
    let database = Database::create().await;
    let server = open_at(&database.url).await;
    give_rights(&server).await;
    server.mark_restored().await.unwrap();
    assert_eq!(rights(&server).await, [0, 0, 0]);
    assert!(server.take_restored_flag().await.unwrap().is_some());
    let pending = "SELECT count(*) FROM approvals WHERE status = 'cancelled'";
    assert_eq!(number(&server, pending).await, 2);
    let open = "SELECT count(*) FROM approvals WHERE status = 'expired'";
    assert_eq!(number(&server, open).await, 1);
    give_rights(&server).await;
    server.mark_restored().await.unwrap();
    assert_eq!(rights(&server).await, [0, 0, 0]);
    assert!(server.take_restored_flag().await.unwrap().is_some());
    let another = open_at(&database.url).await;
    assert_eq!(rights(&another).await, [0, 0, 0]);
}
