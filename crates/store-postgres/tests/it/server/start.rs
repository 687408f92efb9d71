//! Team servers start, beside one another and beside a vault.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::clock::Clock;
use fnox_server::store::{Database as _, StoreError};
use fnox_store_postgres::{PostgresDatabase, PostgresOptions};
use fnox_testkit::clock::FakeClock;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::support::{number, open, run, verify};
use crate::support::{DEADLINE, Database, entries, keys, options};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn many_servers_start_at_once_beside_a_vault_and_none_changes_a_schema_unasked() {
    let database = Database::create().await;
    let mut unasked = options();
    unasked.migrate = false;
    let refused = PostgresDatabase::open(&database.url, unasked.clone()).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert!(refused.to_string().contains("fnox_server"), "{refused}");
    let vault = database.store().await;
    let mut opened = JoinSet::new();
    for _ in 0..6 {
        let url = database.url.clone();
        opened.spawn(async move {
            let server = PostgresDatabase::open(&url, options()).await.unwrap();
            server.unlock(keys()).await.unwrap();
            run(&server, "DELETE FROM users", Vec::new(), entries("one"))
                .await
                .unwrap();
            server.take_restored_flag().await.unwrap()
        });
    }
    assert_eq!(opened.join_all().await, [None; 6]);
    let server = PostgresDatabase::open(&database.url, unasked)
        .await
        .unwrap();
    assert_eq!(verify(&server, &keys()).await.records, 6);
    fnox_vault::store::AuditLog::append(&*vault, entries("one"))
        .await
        .unwrap();
    assert_eq!(crate::support::verify(&vault, &keys()).await.records, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_role_that_may_not_change_the_schema_is_enough() {
    let database = Database::create().await;
    open(&database).await;
    let role = format!("role_{}", Uuid::now_v7().simple());
    database
        .tamper(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'of-a-test'; GRANT USAGE ON SCHEMA fnox_server TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA fnox_server TO {role}"
        ))
        .await;
    let (_, server) = database.url.split_once('@').unwrap();
    let url = format!("postgres://{role}:of-a-test@{server}");
    let mut unasked = options();
    unasked.migrate = false;
    let server = PostgresDatabase::open(&url, unasked).await.unwrap();
    server.unlock(keys()).await.unwrap();
    run(&server, "DELETE FROM users", Vec::new(), entries("one"))
        .await
        .unwrap();
    server.mark_restored().await.unwrap();
    assert_eq!(number(&server, "SELECT count(*) FROM used_tokens").await, 0);
    drop(server);
    database
        .tamper(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_stands_still_holds_others_up_for_a_limited_time() {
    let database = Database::create().await;
    let mut options = options();
    options.statement_limit = Duration::from_millis(300);
    let server = PostgresDatabase::open(&database.url, options)
        .await
        .unwrap();
    server.unlock(keys()).await.unwrap();
    let holder = database.client().await;
    holder
        .batch_execute("BEGIN; SELECT FROM fnox_server.audit_head FOR UPDATE")
        .await
        .unwrap();
    let nothing = "UPDATE sessions SET ended = 1";
    let held_up = timeout(DEADLINE, run(&server, nothing, Vec::new(), entries("one"))).await;
    let held_up = held_up.expect("it hangs");
    assert!(
        matches!(held_up, Err(StoreError::Unavailable { .. })),
        "{held_up:?}"
    );
    holder.batch_execute("ROLLBACK").await.unwrap();
    run(&server, nothing, Vec::new(), entries("two"))
        .await
        .unwrap();
    assert_eq!(verify(&server, &keys()).await.records, 1);
}

/// A copy of the files that is put back while everything is down looks like the database itself. What can be known is
/// that PostgreSQL was down since the last record.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_was_down_since_the_last_record_may_be_a_copy() {
    let database = Database::create().await;
    let began =
        "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS began";
    let clock = Arc::new(FakeClock::at("2020-01-01T00:00:00Z"));
    let options = PostgresOptions::new(Arc::clone(&clock) as Arc<dyn Clock>).migrating();
    let server = PostgresDatabase::open(&database.url, options)
        .await
        .unwrap();
    server.unlock(keys()).await.unwrap();
    // Nothing was written: there is nothing that could come back.
    assert!(!server.may_be_a_copy().await.unwrap());
    let write = async || {
        let written = run(&server, "DELETE FROM users", Vec::new(), entries("one"));
        written.await.unwrap();
    };
    write().await;
    assert!(server.may_be_a_copy().await.unwrap());
    let began = number(&server, began).await;
    clock.set_wall(Timestamp::from_microsecond(began).unwrap());
    write().await;
    assert!(!server.may_be_a_copy().await.unwrap());
    // An operator who has said so is not asked again.
    clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap());
    let other = Database::create().await;
    let options = PostgresOptions::new(Arc::clone(&clock) as Arc<dyn Clock>).migrating();
    let server = PostgresDatabase::open(&other.url, options).await.unwrap();
    server.unlock(keys()).await.unwrap();
    run(&server, "DELETE FROM users", Vec::new(), entries("one"))
        .await
        .unwrap();
    assert!(server.may_be_a_copy().await.unwrap());
    clock.set_wall(Timestamp::from_microsecond(began + 1).unwrap());
    server.mark_restored().await.unwrap();
    assert!(!server.may_be_a_copy().await.unwrap());
}
