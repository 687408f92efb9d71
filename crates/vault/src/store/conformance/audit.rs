//! Promises of [`AuditLog`](crate::store::AuditLog). Nothing to do for stores without one.

use std::sync::Arc;

use fnox_core::audit::{ChainKeys, Outcome, Record};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::AuditQuery;
use jiff::SignedDuration;

use super::{Subject, chain_key, entry, grant, keys, lease, records, reopened, unlocked, verify};
use crate::store::{AuditLog, StoreError};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    if subject.fresh().await.audit.is_none() {
        return;
    }
    takes_nothing_before_it_has_keys(subject).await;
    chains_what_it_takes(subject).await;
    answers_queries(subject).await;
    goes_on_under_a_new_key(subject).await;
    refuses_a_key_that_is_not_its_own(subject).await;
}

async fn opened(subject: &dyn Subject) -> Arc<dyn AuditLog> {
    unlocked(subject).await.audit.unwrap()
}

async fn takes_nothing_before_it_has_keys(subject: &dyn Subject) {
    let stores = subject.fresh().await;
    let audit = stores.audit.clone().unwrap();
    assert_eq!(audit.head().await.unwrap(), None);
    assert!(audit.append(vec![entry("x")]).await.is_err());
    let one = lease("a");
    let committed = stores.leases.commit(grant(&one), vec![entry("x")]).await;
    assert!(committed.is_err(), "no change without its record");
    assert_eq!(stores.leases.live_leases().await.unwrap(), []);
    audit.unlock(keys()).await.unwrap();
    assert_eq!(audit.head().await.unwrap(), None);
    assert_eq!(records(&stores).await, 0);
}

async fn chains_what_it_takes(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let audit = stores.audit.clone().unwrap();
    audit.append(Vec::new()).await.unwrap();
    let mut full = entry("full \u{1f511}");
    full.peer = Some(String::new());
    full.host = Some("api.github.com".to_owned());
    full.lease = Some(LeaseId::generate().0);
    full.rule = Some("rule 1".to_owned());
    full.reason = Some("because\nof \"it\"".to_owned());
    full.outcome = Outcome::Denied;
    let bare = fnox_core::audit::Entry::new("bare", "system", Outcome::Begun);
    audit
        .append(vec![full.clone(), bare.clone()])
        .await
        .unwrap();
    let mut expected = vec![full, bare];
    for number in 0..250 {
        let entry = entry(&number.to_string());
        audit.append(vec![entry.clone()]).await.unwrap();
        expected.push(entry);
    }
    let found = all(audit.as_ref()).await;
    assert!(found.iter().map(|record| &record.entry).eq(&expected));
    assert!(found.iter().map(|record| record.sequence).eq(1..=252));
    assert_eq!(records(&stores).await, 252);
    let page = audit.scan(250, 1).await.unwrap();
    assert_eq!((page.len(), page[0].position), (1, 251));
    assert_eq!(audit.scan(252, 10).await.unwrap().len(), 0);
    drop(audit);
    let Some(stores) = reopened(subject, stores).await else {
        return;
    };
    let audit = stores.audit.clone().unwrap();
    audit.append(vec![entry("after")]).await.unwrap();
    assert_eq!(records(&stores).await, 253);
    assert_eq!(all(audit.as_ref()).await[..252], found[..]);
}

async fn all(audit: &dyn AuditLog) -> Vec<Record> {
    let page = audit.scan(0, 100_000).await.unwrap();
    page.into_iter().map(|it| it.record.unwrap()).collect()
}

async fn answers_queries(subject: &dyn Subject) {
    let audit = opened(subject).await;
    let one = LeaseId::generate();
    for number in 0..20 {
        let mut entry = entry(if number % 2 == 0 { "even" } else { "odd" });
        entry.agent = Some(format!("a{}", number % 4));
        entry.secret = (number % 5 != 0).then(|| "github".to_owned());
        entry.lease = (number == 7).then_some(one.0);
        if number == 3 {
            entry.outcome = Outcome::Denied;
        }
        audit.append(vec![entry]).await.unwrap();
    }
    let records = all(audit.as_ref()).await;
    let ask = |query: AuditQuery, limit| {
        let audit = Arc::clone(&audit);
        async move {
            let found = audit.query(&query, limit).await.unwrap();
            found.iter().map(|it| it.sequence).collect::<Vec<_>>()
        }
    };
    let any = AuditQuery::default;
    assert_eq!(ask(any(), 3).await, [1, 2, 3]);
    assert_eq!(ask(any(), 100).await.len(), 20);
    let agent = Some("a1".to_owned());
    assert_eq!(
        ask(AuditQuery { agent, ..any() }, 9).await,
        [2, 6, 10, 14, 18]
    );
    let secret = Some("github".to_owned());
    assert_eq!(ask(AuditQuery { secret, ..any() }, 99).await.len(), 16);
    let lease = Some(one);
    assert_eq!(ask(AuditQuery { lease, ..any() }, 99).await, [8]);
    let event = Some("odd".to_owned());
    assert_eq!(ask(AuditQuery { event, ..any() }, 2).await, [2, 4]);
    let outcome = Some(Outcome::Denied);
    assert_eq!(ask(AuditQuery { outcome, ..any() }, 9).await, [4]);
    let newest = || AuditQuery {
        newest_first: true,
        ..any()
    };
    assert_eq!(ask(newest(), 3).await, [20, 19, 18]);
    let from_sequence = Some(18);
    let page = AuditQuery {
        from_sequence,
        ..newest()
    };
    assert_eq!(ask(page, 2).await, [17, 16]);
    let page = AuditQuery {
        from_sequence,
        ..any()
    };
    assert_eq!(ask(page, 9).await, [19, 20]);
    // Records may share their time: compare with what the times themselves say.
    let (since, until) = (Some(records[5].time), Some(records[15].time));
    let between = records
        .iter()
        .filter(|it| it.time >= records[5].time && it.time < records[15].time);
    let expected: Vec<u64> = between.map(|it| it.sequence).collect();
    let query = AuditQuery {
        since,
        until,
        ..any()
    };
    assert_eq!(ask(query, 99).await, expected);
    let future = Some(records[19].time + SignedDuration::from_nanos(1));
    let none = AuditQuery {
        since: future,
        ..any()
    };
    assert_eq!(ask(none, 9).await, [0; 0]);
    let everything = AuditQuery {
        until: future,
        ..any()
    };
    assert_eq!(ask(everything, 99).await.len(), 20);
}

async fn goes_on_under_a_new_key(subject: &dyn Subject) {
    let audit = opened(subject).await;
    audit.append(vec![entry("old")]).await.unwrap();
    let both = ChainKeys::new(chain_key("a2"), vec![chain_key("a1")]);
    audit.unlock(both.clone()).await.unwrap();
    audit.append(vec![entry("new")]).await.unwrap();
    let report = verify(audit.as_ref(), &both).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    let found = all(audit.as_ref()).await;
    assert_eq!(
        (found[0].key_id.as_str(), found[1].key_id.as_str()),
        ("a1", "a2")
    );
    assert_eq!(audit.head().await.unwrap().unwrap().key_id, "a2");
}

async fn refuses_a_key_that_is_not_its_own(subject: &dyn Subject) {
    let audit = opened(subject).await;
    audit.append(vec![entry("x")]).await.unwrap();
    let other = ChainKeys::new(chain_key("zz"), Vec::new());
    let error = audit.unlock(other).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
