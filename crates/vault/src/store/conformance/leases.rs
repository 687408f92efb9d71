//! Promises of [`LeaseStore`](crate::store::LeaseStore) about leases.

use std::sync::Arc;

use fnox_core::AgentId;
use fnox_core::lease::LeaseState;
use fnox_vault_wire::methods::{Delivery, RevocationReason};
use fnox_vault_wire::{LeaseId, SessionId, TokenId};

use super::{Subject, entry, grant, lease, moment, name, records, reopened, unlocked};
use crate::identity::PeerBinding;
use crate::lease::Lease;
use crate::store::{Caps, Change, Refusal, StoreError, Stores};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    come_back_as_they_were(subject).await;
    are_spent_and_given_back(subject).await;
    are_renewed_and_shortened(subject).await;
    are_withdrawn_and_expire(subject).await;
    are_counted_against_caps(subject).await;
    are_listed_in_pages(subject).await;
    are_forgotten(subject).await;
    survive(subject).await;
}

/// Commits a change with an entry, and checks that it is recorded if and only if it was made.
async fn commit(stores: &Stores, change: Change) -> Result<Vec<Lease>, StoreError> {
    let before = records(stores).await;
    let result = stores.leases.commit(change, vec![entry("x")]).await;
    let written = u64::from(result.is_ok() && stores.audit.is_some());
    assert_eq!(records(stores).await, before + written);
    result
}

async fn granted(stores: &Stores, lease: &Lease) {
    let moved = commit(stores, grant(lease)).await.unwrap();
    assert_eq!(moved, std::slice::from_ref(lease));
}

async fn found(stores: &Stores, id: LeaseId) -> Lease {
    stores.leases.lease(id).await.unwrap().unwrap()
}

#[track_caller]
fn over(result: Result<Vec<Lease>, StoreError>, expected: Option<Lease>) {
    let error = result.unwrap_err();
    let expected = Refusal::NotLive(expected.map(Arc::new));
    assert_eq!(error.refusal(), Some(&expected), "{error}");
}

async fn come_back_as_they_were(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let plain = lease("coder");
    let full = Lease {
        peer: PeerBinding::Token(TokenId::generate()),
        host: fnox_core::Host::parse("[2001:db8::1]:8443").unwrap(),
        tool: Some(Arc::from("http")),
        max_uses: Some(7),
        uses: 2,
        renewable: false,
        renewals: 1,
        session: Some(SessionId::generate()),
        delivery: Delivery::Inject,
        ..lease("coder \u{e4}")
    };
    for lease in [&plain, &full] {
        granted(&stores, lease).await;
        assert_eq!(&found(&stores, lease.id).await, lease);
    }
    let missing = stores.leases.lease(LeaseId::generate()).await;
    assert_eq!(missing.unwrap(), None);
    let error = commit(&stores, grant(&plain)).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::Exists));
    assert_eq!(stores.leases.live_leases().await.unwrap().len(), 2);
}

async fn are_spent_and_given_back(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut one = lease("coder");
    one.max_uses = Some(2);
    let spend = |at| Change::Spend {
        id: one.id,
        now: moment(at),
    };
    let refund = Change::Refund { id: one.id };
    over(commit(&stores, spend(1)).await, None);
    over(commit(&stores, refund.clone()).await, None);
    granted(&stores, &one).await;
    over(commit(&stores, spend(600)).await, Some(one.clone()));
    one.uses = 1;
    let moved = commit(&stores, spend(599)).await.unwrap();
    assert_eq!(moved, [one.clone()]);
    one.uses = 2;
    one.state = LeaseState::Exhausted;
    let moved = commit(&stores, spend(1)).await.unwrap();
    assert_eq!(moved, [one.clone()]);
    assert_eq!(stores.leases.live_leases().await.unwrap(), []);
    over(commit(&stores, spend(1)).await, Some(one.clone()));
    one.uses = 1;
    one.state = LeaseState::Active;
    let moved = commit(&stores, refund.clone()).await.unwrap();
    assert_eq!(moved, [one.clone()]);
    assert_eq!(found(&stores, one.id).await, one);
    // A use that is given back revives nothing that was withdrawn.
    let revoke = Change::Revoke {
        ids: vec![one.id],
        reason: RevocationReason::Released,
    };
    commit(&stores, revoke).await.unwrap();
    commit(&stores, refund).await.unwrap();
    assert_eq!(found(&stores, one.id).await.state, LeaseState::Revoked);
    assert!(commit(&stores, spend(1)).await.is_err());
}

async fn are_renewed_and_shortened(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut one = lease("coder");
    let id = one.id;
    let renew = |at, until| Change::Renew {
        id,
        now: moment(at),
        expires_at: moment(until),
    };
    let shorten = |until| Change::Shorten {
        id,
        expires_at: moment(until),
    };
    over(commit(&stores, renew(1, 900)).await, None);
    granted(&stores, &one).await;
    over(commit(&stores, renew(600, 900)).await, Some(one.clone()));
    one.expires_at = moment(900);
    one.renewals = 1;
    assert_eq!(
        commit(&stores, renew(599, 900)).await.unwrap(),
        [one.clone()]
    );
    one.renewals = 2;
    let moved = commit(&stores, renew(1, 30)).await.unwrap();
    assert_eq!(moved, [one.clone()], "a renewal never shortens");
    one.expires_at = moment(300);
    assert_eq!(commit(&stores, shorten(300)).await.unwrap(), [one.clone()]);
    commit(&stores, shorten(5000)).await.unwrap();
    assert_eq!(found(&stores, one.id).await, one, "nor the reverse");
    let expire = Change::Expire { ids: vec![one.id] };
    commit(&stores, expire).await.unwrap();
    one.state = LeaseState::Expired;
    let change = Change::Shorten {
        id: one.id,
        expires_at: moment(1),
    };
    assert_eq!(commit(&stores, change).await.unwrap(), []);
    assert_eq!(found(&stores, one.id).await, one);
}

async fn are_withdrawn_and_expire(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (live, expired, mut spent) = (lease("a"), lease("b"), lease("c"));
    spent.max_uses = Some(1);
    for lease in [&live, &expired, &spent] {
        granted(&stores, lease).await;
    }
    let last = Change::Spend {
        id: spent.id,
        now: moment(1),
    };
    commit(&stores, last).await.unwrap();
    let expire = Change::Expire {
        ids: vec![expired.id, spent.id, LeaseId::generate()],
    };
    let moved = commit(&stores, expire.clone()).await.unwrap();
    assert_eq!(moved.len(), 1);
    assert_eq!(
        (moved[0].id, moved[0].state),
        (expired.id, LeaseState::Expired)
    );
    assert_eq!(commit(&stores, expire).await.unwrap(), []);
    let revoke = |reason| Change::Revoke {
        ids: vec![live.id, expired.id, spent.id, LeaseId::generate()],
        reason,
    };
    let moved = commit(&stores, revoke(RevocationReason::AdminRevoked)).await;
    let moved = moved.unwrap();
    assert_eq!(moved.len(), 1, "only what was live");
    assert_eq!(moved[0].id, live.id);
    assert_eq!(moved[0].reason, Some(RevocationReason::AdminRevoked));
    for id in [live.id, expired.id, spent.id] {
        assert_eq!(found(&stores, id).await.state, LeaseState::Revoked);
    }
    let again = commit(&stores, revoke(RevocationReason::PolicyChanged)).await;
    assert_eq!(again.unwrap(), []);
    let reason = found(&stores, live.id).await.reason;
    assert_eq!(reason, Some(RevocationReason::AdminRevoked));
    let none = stores.leases.commit(
        Change::Revoke {
            ids: Vec::new(),
            reason: RevocationReason::Released,
        },
        Vec::new(),
    );
    assert_eq!(none.await.unwrap(), []);
}

async fn are_counted_against_caps(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let session = SessionId::generate();
    let caps = Caps {
        per_agent: 3,
        per_rule: Some(2),
        per_session: Some(1),
    };
    let ask = |lease: Lease| Change::Grant { lease, caps };
    let capped = |result: Result<Vec<Lease>, StoreError>, limit: u32| {
        let error = result.unwrap_err();
        let is_cap =
            matches!(error.refusal(), Some(Refusal::Cap { limit: found, .. }) if *found == limit);
        assert!(is_cap, "{error}");
    };
    let of = |agent: &str, rule: &str, session: Option<SessionId>| Lease {
        rule: Arc::from(rule),
        session,
        ..lease(agent)
    };
    let first = of("a", "r1", Some(session));
    commit(&stores, ask(first.clone())).await.unwrap();
    capped(commit(&stores, ask(of("b", "r1", Some(session)))).await, 1);
    let other = Some(SessionId::generate());
    commit(&stores, ask(of("a", "r1", other))).await.unwrap();
    capped(commit(&stores, ask(of("a", "r1", None))).await, 2);
    commit(&stores, ask(of("b", "r1", None))).await.unwrap();
    commit(&stores, ask(of("a", "r2", None))).await.unwrap();
    capped(commit(&stores, ask(of("a", "r3", None))).await, 3);
    // What is over does not count: withdrawn, or past its time at the moment of the new one.
    let revoke = Change::Revoke {
        ids: vec![first.id],
        reason: RevocationReason::Released,
    };
    commit(&stores, revoke).await.unwrap();
    commit(&stores, ask(of("a", "r3", None))).await.unwrap();
    let mut late = of("a", "r1", None);
    late.issued_at = moment(599);
    late.expires_at = moment(1200);
    capped(commit(&stores, ask(late.clone())).await, 3);
    late.issued_at = moment(600);
    commit(&stores, ask(late)).await.unwrap();
    let none = Caps {
        per_agent: 0,
        per_rule: None,
        per_session: None,
    };
    let change = Change::Grant {
        lease: lease("z"),
        caps: none,
    };
    capped(commit(&stores, change).await, 0);
}

async fn are_listed_in_pages(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut all = Vec::new();
    for number in 0..12 {
        let mut lease = lease(if number % 3 == 0 { "a" } else { "b" });
        if number % 2 == 0 {
            lease.secret = name("other");
        }
        granted(&stores, &lease).await;
        all.push(lease);
    }
    let ids = vec![all[0].id];
    let reason = RevocationReason::Released;
    commit(&stores, Change::Revoke { ids, reason })
        .await
        .unwrap();
    all.sort_by_key(|lease| lease.id);
    let mut listed: Vec<LeaseId> = Vec::new();
    loop {
        let after = listed.last().copied();
        let page = stores.leases.leases(None, None, after, 5).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|lease| lease.id));
    }
    assert!(listed.iter().eq(all.iter().map(|lease| &lease.id)));
    let agent = AgentId::parse("a").unwrap();
    let of_a = stores.leases.leases(Some(&agent), None, None, 100).await;
    assert_eq!(of_a.unwrap().len(), 4);
    let secret = name("other");
    let of_both = stores
        .leases
        .leases(Some(&agent), Some(&secret), None, 100)
        .await;
    assert_eq!(of_both.unwrap().len(), 2);
    let of_secret = stores.leases.leases(None, Some(&secret), None, 4).await;
    assert_eq!(of_secret.unwrap().len(), 4);
    assert_eq!(stores.leases.live_leases().await.unwrap().len(), 11);
}

async fn are_forgotten(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (live, over) = (lease("a"), lease("b"));
    granted(&stores, &live).await;
    granted(&stores, &over).await;
    let expire = Change::Expire { ids: vec![over.id] };
    commit(&stores, expire).await.unwrap();
    assert_eq!(stores.leases.forget(moment(600)).await.unwrap(), 0);
    assert_eq!(stores.leases.forget(moment(601)).await.unwrap(), 1);
    assert_eq!(stores.leases.lease(over.id).await.unwrap(), None);
    assert_eq!(found(&stores, live.id).await, live);
}

async fn survive(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (mut spent, mut revoked, renewed) = (lease("a"), lease("b"), lease("c"));
    spent.max_uses = Some(1);
    for lease in [&spent, &revoked, &renewed] {
        granted(&stores, lease).await;
    }
    let last = Change::Spend {
        id: spent.id,
        now: moment(1),
    };
    commit(&stores, last).await.unwrap();
    let revoke = Change::Revoke {
        ids: vec![revoked.id],
        reason: RevocationReason::SessionRevoked,
    };
    commit(&stores, revoke).await.unwrap();
    let is_durable = stores.leases.is_durable();
    let Some(stores) = reopened(subject, stores).await else {
        return;
    };
    if !is_durable {
        return;
    }
    spent.uses = 1;
    spent.state = LeaseState::Exhausted;
    revoked.state = LeaseState::Revoked;
    revoked.reason = Some(RevocationReason::SessionRevoked);
    for lease in [&spent, &revoked, &renewed] {
        assert_eq!(&found(&stores, lease.id).await, lease);
    }
    assert_eq!(stores.leases.live_leases().await.unwrap(), [renewed]);
    assert_eq!(
        records(&stores).await,
        5 * u64::from(stores.audit.is_some())
    );
}
