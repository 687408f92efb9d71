//! Promises about the audit log.

use fnox_core::audit::{ChainKeys, Entry, Outcome, Record};
use jiff::SignedDuration;
use uuid::Uuid;

use super::world::{World, entry};
use super::{Place, chain_key, verify};
use crate::store::{AuditFilter, Database, StoreError};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    chains_what_it_takes(place).await;
    answers_queries(place).await;
    goes_on_under_a_new_key(place).await;
    refuses_a_key_that_is_not_its_own(place).await;
}

async fn all(database: &dyn Database) -> Vec<Record> {
    let page = database.audit_scan(0, 100_000).await.unwrap();
    page.into_iter().map(|it| it.record.unwrap()).collect()
}

fn full() -> Entry {
    Entry {
        peer: Some(String::new()),
        agent: Some("github:1296269".to_owned()),
        secret: Some("NPM_TOKEN".to_owned()),
        host: Some("192.0.2.1".to_owned()),
        lease: Some(Uuid::now_v7()),
        rule: Some("rule 1".to_owned()),
        reason: Some("because\nof \"it\" \u{1f511}".to_owned()),
        project: Some("my-app".to_owned()),
        approval: Some(Uuid::now_v7()),
        detail: Some("{\"a\":1}".to_owned()),
        ..Entry::new("full", "test", Outcome::Denied)
    }
}

async fn chains_what_it_takes(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let mut expected = vec![full(), Entry::new("bare", "system", Outcome::Begun)];
    store.record(expected.clone()).await.unwrap();
    for number in 0..120 {
        let one = entry(&number.to_string());
        world.store(number).record(vec![one.clone()]).await.unwrap();
        expected.push(one);
    }
    let found = all(&**store.database()).await;
    assert!(found.iter().map(|record| &record.entry).eq(&expected));
    assert!(found.iter().map(|record| record.sequence).eq(1..=122));
    assert_eq!(world.log_is_whole().await, 122);
    let page = store.database().audit_scan(120, 1).await.unwrap();
    assert_eq!((page.len(), page[0].position), (1, 121));
    assert!(
        store
            .database()
            .audit_scan(122, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let database = place.reopen(world.into_database()).await;
    let world = World::of([database]).await;
    world.store(0).record(vec![full()]).await.unwrap();
    assert_eq!(world.log_is_whole().await, 123);
    assert_eq!(all(&**world.store(0).database()).await[..122], found[..]);
}

async fn answers_queries(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = &**world.store(0).database();
    let approval = Uuid::now_v7();
    for number in 0..20 {
        let mut one = entry(if number % 2 == 0 { "even" } else { "odd" });
        one.actor = format!("a{}", number % 4);
        one.project = (number % 5 != 0).then(|| "my-app".to_owned());
        one.approval = (number == 7).then_some(approval);
        if number == 3 {
            one.outcome = Outcome::Denied;
        }
        world.store(0).record(vec![one]).await.unwrap();
    }
    let ask = |filter: AuditFilter, limit| async move {
        let found = database.audit_query(&filter, limit).await.unwrap();
        found.iter().map(|it| it.sequence).collect::<Vec<_>>()
    };
    let any = AuditFilter::default;
    assert_eq!(ask(any(), 3).await, [1, 2, 3]);
    assert_eq!(ask(any(), 100).await.len(), 20);
    let actor = Some("a1".to_owned());
    let filter = AuditFilter { actor, ..any() };
    assert_eq!(ask(filter, 9).await, [2, 6, 10, 14, 18]);
    let project = Some("my-app".to_owned());
    let filter = AuditFilter { project, ..any() };
    assert_eq!(ask(filter.clone(), 99).await.len(), 16);
    let event = Some("odd".to_owned());
    let both = AuditFilter { event, ..filter };
    assert_eq!(ask(both, 3).await, [2, 4, 8]);
    let approval = Some(approval);
    assert_eq!(ask(AuditFilter { approval, ..any() }, 99).await, [8]);
    let outcome = Some(Outcome::Denied);
    assert_eq!(ask(AuditFilter { outcome, ..any() }, 9).await, [4]);
    let event = Some("o\0dd".to_owned());
    assert_eq!(ask(AuditFilter { event, ..any() }, 9).await, [0; 0]);
    let newest = || AuditFilter {
        newest_first: true,
        ..any()
    };
    assert_eq!(ask(newest(), 3).await, [20, 19, 18]);
    let after = Some(18);
    assert_eq!(ask(AuditFilter { after, ..newest() }, 2).await, [17, 16]);
    assert_eq!(ask(AuditFilter { after, ..any() }, 9).await, [19, 20]);
    let after = Some(u64::MAX);
    assert_eq!(ask(AuditFilter { after, ..any() }, 9).await, [0; 0]);
    // Records may share their time: compare with what the times themselves say.
    let records = all(database).await;
    let (since, until) = (Some(records[5].time), Some(records[15].time));
    let between = records
        .iter()
        .filter(|it| it.time >= records[5].time && it.time < records[15].time);
    let expected: Vec<u64> = between.map(|it| it.sequence).collect();
    let filter = AuditFilter {
        since,
        until,
        ..any()
    };
    assert_eq!(ask(filter, 99).await, expected);
    let since = Some(records[19].time + SignedDuration::from_nanos(1000));
    assert_eq!(ask(AuditFilter { since, ..any() }, 9).await, [0; 0]);
    let until = since;
    assert_eq!(ask(AuditFilter { until, ..any() }, 99).await.len(), 20);
}

async fn goes_on_under_a_new_key(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = &**world.store(0).database();
    world.store(0).record(vec![entry("old")]).await.unwrap();
    let both = ChainKeys::new(chain_key("a2"), vec![chain_key("a1")]);
    database.unlock(both.clone()).await.unwrap();
    world.store(0).record(vec![entry("new")]).await.unwrap();
    let report = verify(database, &both).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    let found = all(database).await;
    let ids = (found[0].key_id.as_str(), found[1].key_id.as_str());
    assert_eq!(ids, ("a1", "a2"));
    assert_eq!(database.audit_head().await.unwrap().unwrap().key_id, "a2");
}

async fn refuses_a_key_that_is_not_its_own(place: &dyn Place) {
    let world = World::fresh(place).await;
    world.store(0).record(vec![entry("x")]).await.unwrap();
    let other = ChainKeys::new(chain_key("zz"), Vec::new());
    let error = world.store(0).database().unlock(other).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
