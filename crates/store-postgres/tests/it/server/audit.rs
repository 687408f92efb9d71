//! The audit log of team servers.

use fnox_core::audit::{Entry, Outcome};
use fnox_server::store::{AuditFilter, Database as _, StoreError};
use fnox_store_postgres::PostgresDatabase;
use jiff::Timestamp;
use uuid::Uuid;

use super::support::{change, number, open, run, verify};
use crate::support::{Database, entries, key, keys, options};

const REMEMBER: &str = "INSERT INTO used_tokens (id, keep_until) VALUES ($1, $2)";

/// Narrows a filter down.
type Narrow = Box<dyn Fn(&mut AuditFilter)>;

/// An entry in which nothing is absent.
fn full(approval: Uuid) -> Entry {
    Entry {
        peer: Some("192.0.2.1".to_owned()),
        agent: Some("agent".to_owned()),
        secret: Some("NPM_TOKEN".to_owned()),
        host: Some("host".to_owned()),
        lease: Some(Uuid::now_v7()),
        rule: Some("rule 1".to_owned()),
        reason: Some("because".to_owned()),
        project: Some("my-app".to_owned()),
        approval: Some(approval),
        detail: Some("{}".to_owned()),
        ..Entry::new("asked", "ci", Outcome::Denied)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn records_are_found_by_each_of_their_columns() {
    let database = Database::create().await;
    let server = open(&database).await;
    let approval = Uuid::now_v7();
    let full = full(approval);
    let plain = Entry::new("frozen", "admin", Outcome::Ok);
    let nothing = "UPDATE sessions SET ended = 1";
    for entry in [&full, &plain] {
        run(&server, nothing, Vec::new(), vec![entry.clone()])
            .await
            .unwrap();
    }
    let noon = options().clock.now();
    let cases: [(Narrow, &[u64]); 13] = [
        (Box::new(|_| {}), &[1, 2]),
        (Box::new(|filter| filter.newest_first = true), &[2, 1]),
        (
            Box::new(|filter| (filter.newest_first, filter.after) = (true, Some(2))),
            &[1],
        ),
        (Box::new(|filter| filter.after = Some(1)), &[2]),
        (
            Box::new(|filter| filter.event = Some("asked".to_owned())),
            &[1],
        ),
        (
            Box::new(|filter| filter.actor = Some("admin".to_owned())),
            &[2],
        ),
        (
            Box::new(|filter| filter.project = Some("my-app".to_owned())),
            &[1],
        ),
        (
            Box::new(move |filter| filter.approval = Some(approval)),
            &[1],
        ),
        (Box::new(|filter| filter.outcome = Some(Outcome::Ok)), &[2]),
        (Box::new(|filter| filter.event = Some("\0".to_owned())), &[]),
        (Box::new(move |filter| filter.until = Some(noon)), &[]),
        (Box::new(move |filter| filter.since = Some(noon)), &[1, 2]),
        (
            Box::new(move |filter| filter.since = Some(Timestamp::MAX)),
            &[],
        ),
    ];
    for (narrow, expected) in cases {
        let mut filter = AuditFilter::default();
        narrow(&mut filter);
        let found = server.audit_query(&filter, 10).await.unwrap();
        let numbers: Vec<u64> = found.iter().map(|record| record.sequence).collect();
        assert_eq!(numbers, expected, "{filter:?}");
    }
    let found = server
        .audit_query(&AuditFilter::default(), 1)
        .await
        .unwrap();
    assert_eq!((found.len(), &found[0].entry), (1, &full));
    let report = verify(&server, &keys()).await;
    assert_eq!((report.records, report.flaws), (2, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn nothing_is_written_without_the_right_keys() {
    let database = Database::create().await;
    let locked = PostgresDatabase::open(&database.url, options())
        .await
        .unwrap();
    let keep = || change(REMEMBER, vec![Uuid::nil().into(), 1_i64.into()], Vec::new());
    let refused = locked.write(keep()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    let server = open(&database).await;
    run(&server, "DELETE FROM users", Vec::new(), entries("one"))
        .await
        .unwrap();
    let other = fnox_core::audit::ChainKeys::new(key("a1", 9), Vec::new());
    let refused = locked.unlock(other).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    database
        .tamper("UPDATE fnox_server.audit_head SET sequence = 9")
        .await;
    let refused = server.write(keep()).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    database
        .tamper("UPDATE fnox_server.audit_head SET sequence = 0, seal = ''")
        .await;
    let refused = locked.unlock(keys()).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    assert_eq!(number(&server, "SELECT count(*) FROM used_tokens").await, 0);
}
