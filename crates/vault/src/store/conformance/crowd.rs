//! Promises that matter when many ask at once: nothing is counted twice, and nothing is lost.

use std::future::Future;
use std::sync::Arc;

use fnox_vault_wire::methods::RevocationReason;

use super::{
    Subject, entry, grant, lease, moment, name, next, records, reopened, secret, unlocked,
};
use crate::store::{Caps, Change, Refusal, StoreError};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    a_lease_of_ten_uses_is_used_ten_times(subject).await;
    caps_are_exact(subject).await;
    one_of_many_writers_wins(subject).await;
    the_log_stays_whole(subject).await;
}

/// Runs all at once and counts those that were done; the others must have been refused as `expected` says.
async fn done<F>(tasks: Vec<F>, expected: impl Fn(&Refusal) -> bool) -> usize
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut count = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => count += 1,
            Err(error) => assert!(error.refusal().is_some_and(&expected), "{error}"),
        }
    }
    count
}

async fn a_lease_of_ten_uses_is_used_ten_times(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut one = lease("a");
    one.max_uses = Some(10);
    let granted = stores.leases.commit(grant(&one), vec![entry("granted")]);
    granted.await.unwrap();
    let spends = (0..1000)
        .map(|_| {
            let store = Arc::clone(&stores.leases);
            let spend = Change::Spend {
                id: one.id,
                now: moment(1),
            };
            async move {
                let entries = vec![entry("accessed")];
                store.commit(spend, entries).await.map(|_| ())
            }
        })
        .collect();
    let is_over = |refusal: &Refusal| matches!(refusal, Refusal::NotLive(Some(_)));
    assert_eq!(done(spends, is_over).await, 10);
    let found = stores.leases.lease(one.id).await.unwrap().unwrap();
    assert_eq!(found.uses, 10);
    let written = 11 * u64::from(stores.audit.is_some());
    assert_eq!(records(&stores).await, written);
}

async fn caps_are_exact(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    for (caps, of_one_rule) in [
        (caps(7, None), true),
        (caps(1000, Some(5)), true),
        (caps(9, Some(9)), false),
    ] {
        let agent = format!("{caps:?}");
        let grants = (0..64)
            .map(|number| {
                let store = Arc::clone(&stores.leases);
                let mut lease = lease(&agent);
                if !of_one_rule {
                    lease.rule = Arc::from(format!("rule {number}"));
                }
                let change = Change::Grant { lease, caps };
                async move {
                    store
                        .commit(change, vec![entry("granted")])
                        .await
                        .map(|_| ())
                }
            })
            .collect();
        let is_cap = |refusal: &Refusal| matches!(refusal, Refusal::Cap { .. });
        let expected = caps.per_rule.unwrap_or(caps.per_agent).min(caps.per_agent);
        assert_eq!(done(grants, is_cap).await, expected as usize, "{caps:?}");
    }
    let written = 21 * u64::from(stores.audit.is_some());
    assert_eq!(records(&stores).await, written);
}

fn caps(per_agent: u32, per_rule: Option<u32>) -> Caps {
    Caps {
        per_agent,
        per_rule,
        per_session: None,
    }
}

async fn one_of_many_writers_wins(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let inserts = (0..16)
        .map(|_| {
            let store = Arc::clone(&stores.secrets);
            async move { store.insert(secret("a")).await }
        })
        .collect();
    assert_eq!(done(inserts, |it| *it == Refusal::Exists).await, 1);
    let one = stores.secrets.secret(&name("a")).await.unwrap().unwrap();
    let updates = (0..16)
        .map(|_| {
            let store = Arc::clone(&stores.secrets);
            let two = next(&one);
            async move { store.add_version(two, 3).await }
        })
        .collect();
    assert_eq!(done(updates, |it| *it == Refusal::Moved).await, 1);
    let newest = stores.secrets.secret(&name("a")).await.unwrap().unwrap();
    assert_eq!(newest.record.version, 2);
}

async fn the_log_stays_whole(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let cycles = (0..64)
        .map(|number| {
            let stores = stores.clone();
            async move {
                let one = lease(&format!("agent {}", number % 8));
                let spend = Change::Spend {
                    id: one.id,
                    now: moment(1),
                };
                let revoke = Change::Revoke {
                    ids: vec![one.id],
                    reason: RevocationReason::Released,
                };
                for change in [grant(&one), spend, revoke] {
                    stores.leases.commit(change, vec![entry("cycle")]).await?;
                    if let Some(audit) = &stores.audit {
                        audit.append(vec![entry("beside"), entry("it")]).await?;
                    }
                }
                Ok(())
            }
        })
        .collect();
    assert_eq!(done(cycles, |_| false).await, 64);
    let written = 64 * 9 * u64::from(stores.audit.is_some());
    assert_eq!(records(&stores).await, written);
    if let Some(stores) = reopened(subject, stores).await {
        let kept = u64::from(stores.audit.is_some()) * written;
        assert_eq!(records(&stores).await, kept);
    }
}
