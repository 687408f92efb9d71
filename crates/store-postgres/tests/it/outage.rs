//! The server goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use fnox_store_postgres::PostgresStore;
use fnox_vault::store::{
    AuditLog, Change, Foreign, KeyRingStore, LeaseStore, SecretStore, StoreError,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{
    Cluster, DEADLINE, Database, entries, grant, keys, lease, now, options, ring, secret, verify,
};

/// Every kind of call, each of which has to say within the deadline that the server is not there.
async fn all_calls_fail(store: &PostgresStore) {
    let lease = lease("coder");
    let secret = secret("other", 1, "k1");
    let name = secret.record.name.clone();
    let answers = async {
        [
            store.commit(grant(&lease), entries("granted")).await.err(),
            store.append(entries("something")).await.err(),
            store.lease(lease.id).await.err(),
            store.live_leases().await.err(),
            store.token(&[1; 32]).await.err(),
            store.forget(now()).await.err(),
            store.secret(&name).await.err(),
            store.insert(secret).await.err(),
            store.load().await.err(),
            store.save(&ring(2, "k2")).await.err(),
            store.head().await.err(),
        ]
    };
    let answers = timeout(DEADLINE, answers).await.expect("a call hangs");
    for (index, answer) in answers.into_iter().enumerate() {
        assert!(
            matches!(answer, Some(StoreError::Unavailable { .. })),
            "call {index}: {answer:?}"
        );
        assert!(
            !answer.unwrap().to_string().contains("fnox:"),
            "a password?"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_stopped_server_fails_every_call_and_a_started_one_serves_again() {
    let cluster = Cluster::create();
    let database = Database::create_in(&cluster.url).await;
    let store = database.store().await;
    let mut heard = store.foreign_changes().unwrap();
    let kept = lease("coder");
    store.save(&ring(1, "k1")).await.unwrap();
    store
        .commit(grant(&kept), entries("granted"))
        .await
        .unwrap();

    for how in ["stop", "kill"] {
        cluster.run(how);
        all_calls_fail(&store).await;
        cluster.run("start");

        // The very next calls work.
        let spend = Change::Spend {
            id: kept.id,
            now: now(),
        };
        store.commit(spend, entries("access")).await.unwrap();
        assert!(store.lease(kept.id).await.unwrap().is_some());
        let unknown = timeout(DEADLINE, heard.recv())
            .await
            .expect("not told")
            .unwrap();
        assert!(matches!(unknown, Foreign::Unknown), "{unknown:?}");
    }
    let report = verify(&store, &keys()).await;
    assert_eq!((report.records, report.flaws), (3, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn what_was_answered_before_a_crash_of_the_server_is_there_after() {
    let cluster = Cluster::create();
    let database = Database::create_in(&cluster.url).await;
    let stores = [database.store().await, database.store().await];
    let mut calls = JoinSet::new();
    for index in 0..8 {
        let store = stores[index % 2].clone();
        calls.spawn(async move {
            let mut answered = Vec::new();
            loop {
                let lease = lease(&format!("agent {index}"));
                match store.commit(grant(&lease), entries("granted")).await {
                    Ok(_) => answered.push(lease.id),
                    Err(StoreError::Unavailable { .. }) => return answered,
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let head = async {
        while stores[0]
            .head()
            .await
            .unwrap()
            .is_none_or(|head| head.sequence < 100)
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, head).await.expect("nothing is written");
    cluster.run("kill");
    let mut answered = Vec::new();
    while let Some(call) = timeout(DEADLINE, calls.join_next())
        .await
        .expect("a call hangs")
    {
        answered.extend(call.unwrap());
    }
    cluster.run("start");
    assert!(answered.len() >= 90);
    for id in answered {
        assert!(
            stores[0].lease(id).await.unwrap().is_some(),
            "an answered lease is lost"
        );
    }
    let report = verify(&stores[1], &keys()).await;
    assert!(report.flaws.is_empty(), "{:?}", report.flaws);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_writer_that_stands_still_elsewhere_holds_others_up_for_a_limited_time() {
    let database = Database::create().await;
    let mut options = options();
    options.statement_limit = Duration::from_millis(300);
    options.connect_limit = Duration::from_secs(5);
    let store = Arc::new(PostgresStore::open(&database.url, options).await.unwrap());
    store.unlock(keys()).await.unwrap();

    let holder = database.client().await;
    holder
        .batch_execute("BEGIN; SELECT FROM fnox_vault.audit_head FOR UPDATE")
        .await
        .unwrap();
    let held_up = timeout(DEADLINE, store.append(entries("one")))
        .await
        .expect("it hangs");
    assert!(
        matches!(held_up, Err(StoreError::Unavailable { .. })),
        "{held_up:?}"
    );
    holder.batch_execute("ROLLBACK").await.unwrap();
    store.append(entries("two")).await.unwrap();
    assert_eq!(verify(&store, &keys()).await.records, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_or_refuses_is_told_without_the_password() {
    let database = Database::create().await;
    let (before, after) = database.url.split_once("fnox:").unwrap();
    let (password, server) = after.split_once('@').unwrap();
    let wrong = format!("{before}fnox:not-the-password@{server}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!(
        "{before}fnox:{password}@{}/db",
        listener.local_addr().unwrap()
    );
    drop(listener);
    for url in [wrong, nobody] {
        let error = PostgresStore::open(&url, options()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains(password) && !text.contains("not-the-password"),
            "{text}"
        );
    }
    let store = database.store().await;
    assert!(SecretStore::describe(&*store).starts_with("postgres://fnox@127.0.0.1:"));
    assert!(!format!("{store:?}").contains(password));
}
