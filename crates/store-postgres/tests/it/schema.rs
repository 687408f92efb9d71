//! What is found in a database before it is used.

use fnox_store_postgres::{PostgresOptions, PostgresStore};
use fnox_vault::store::{AuditLog, StoreError};

use crate::support::{Database, entries, options};

fn without_migration() -> PostgresOptions {
    let mut options = options();
    options.migrate = false;
    options
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn many_vaults_that_start_at_once_make_one_schema() {
    let database = Database::create().await;
    let mut opened = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = database.url.clone();
        opened.spawn(async move { PostgresStore::open(&url, options()).await.map(|_| ()) });
    }
    while let Some(store) = opened.join_next().await {
        store.unwrap().unwrap();
    }
    PostgresStore::open(&database.url, without_migration())
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_is_not_changed_unasked() {
    let database = Database::create().await;
    let refused = PostgresStore::open(&database.url, without_migration()).await;
    assert!(
        matches!(refused, Err(StoreError::Foreign { .. })),
        "{refused:?}"
    );
    let found = database
        .client()
        .await
        .query("SELECT FROM pg_namespace WHERE nspname = 'fnox_vault'", &[])
        .await
        .unwrap();
    assert!(found.is_empty());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_schema_of_a_newer_fnox_is_refused() {
    let database = Database::create().await;
    database.store().await.append(entries("one")).await.unwrap();
    database
        .tamper("INSERT INTO fnox_vault.schema_history SELECT 9, 'later', applied_on, '1' FROM fnox_vault.schema_history LIMIT 1")
        .await;
    let refused = database.locked_store().await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Newer {
                found: 9,
                known: 2,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_schema_that_something_else_made_is_refused_and_left_alone() {
    for sql in [
        "CREATE TABLE fnox_vault.lease (x integer)",
        "CREATE TABLE fnox_vault.schema_history (x integer)",
    ] {
        let database = Database::create().await;
        database
            .tamper(&format!("CREATE SCHEMA fnox_vault; {sql}"))
            .await;
        let refused = database.locked_store().await;
        assert!(
            matches!(refused, Err(StoreError::Foreign { .. })),
            "{sql}: {refused:?}"
        );
        let tables = database
            .client()
            .await
            .query("SELECT FROM pg_tables WHERE schemaname = 'fnox_vault'", &[])
            .await
            .unwrap();
        assert_eq!(tables.len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn other_tables_of_the_database_are_in_nobodys_way() {
    let database = Database::create().await;
    database
        .tamper("CREATE TABLE lease (x integer); CREATE TABLE audit (x integer)")
        .await;
    database.store().await.append(entries("one")).await.unwrap();
}
