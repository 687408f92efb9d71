//! Promises about approvals.

use std::time::Duration;

use fnox_api::{ApprovalStatus, Decision};
use jiff::SignedDuration;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::world::{World, answer, entry, moment, new_approval, new_decision};
use super::{Place, rounds};
use crate::store::{ApprovalRecord, NewApproval, Refusal, SecretRecord, SessionRecord};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    an_approval_comes_back_as_it_was_asked_for(place).await;
    one_request_is_one_approval(place).await;
    pending_ones_are_limited(place).await;
    a_no_brings_quiet(place).await;
    what_cannot_be_released_is_not_asked_for(place).await;
    whoever_asked_cannot_decide(place).await;
    as_many_as_needed_say_yes(place).await;
    a_no_wins_every_race(place).await;
    two_wrong_codes_deny(place).await;
    only_its_requester_takes_it_back(place).await;
    what_is_over_by_time_expires(place).await;
}

/// A world with a session and a secret.
async fn ready(place: &dyn Place) -> (World, SessionRecord, SecretRecord) {
    let world = World::fresh(place).await;
    let session = world.session(1).await;
    let secret = world.put("NPM_TOKEN", "one").await;
    (world, session, secret)
}

fn about(session: &SessionRecord, secret: &SecretRecord) -> NewApproval {
    new_approval(session, std::slice::from_ref(secret))
}

async fn an_approval_comes_back_as_it_was_asked_for(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let other = world.put("OTHER", "two").await;
    let mut new = new_approval(&session, &[other.clone(), secret.clone()]);
    new.approval.reason = Some("\u{1f511} \"because\"".to_owned());
    new.approval.approvers = vec!["group:ops".to_owned()];
    new.approval.items[1].needs_approval = false;
    let mut expected = new.approval.clone();
    for item in &mut expected.items {
        item.is_new = true;
    }
    let asked = world.ask(new).await.unwrap();
    assert_eq!(asked, expected);
    let found = world.store(1).approval(asked.id).await.unwrap();
    assert_eq!(found, Some(expected));
    // What was released once is not new the next time; a new version is.
    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
    world.redeem(0, hash).await.unwrap();
    let asked = world.ask(new_approval(&session, &[other, secret])).await;
    let is_new: Vec<_> = asked.unwrap().items.iter().map(|it| it.is_new).collect();
    assert_eq!(is_new, [true, false]);
    let newer = world.put("NPM_TOKEN", "two").await;
    let asked = world.ask(about(&session, &newer)).await.unwrap();
    assert!(asked.items[0].is_new);
    let listed = world.store(0).approvals(Some(moment(1)), 2).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&asked));
}

async fn one_request_is_one_approval(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let mut crowd = JoinSet::new();
    let first = about(&session, &secret);
    for number in 0..32 {
        let (world, mut new) = (world.clone(), first.clone());
        new.approval.id = Uuid::now_v7();
        crowd.spawn(async move {
            let asked = world.store(number).ask(new, entry("asked")).await.unwrap();
            (asked.is_new, asked.approval.id)
        });
    }
    let asked = crowd.join_all().await;
    assert_eq!(asked.iter().filter(|(is_new, _)| *is_new).count(), 1);
    let id = asked[0].1;
    assert!(asked.iter().all(|(_, other)| *other == id));
    // Once it is over, the same request is another approval.
    let cancel = world
        .store(0)
        .cancel(id, first.approval.binding, moment(1), entry("x"));
    cancel.await.unwrap();
    assert_eq!(
        world.ask(first.clone()).await.unwrap().id,
        first.approval.id
    );
    // One that nobody decided in time does not count either.
    let mut late = first;
    late.approval.id = Uuid::now_v7();
    late.approval.created_at = moment(600);
    late.approval.expires_at = moment(700);
    let id = late.approval.id;
    assert_eq!(world.ask(late).await.unwrap().id, id);
}

async fn pending_ones_are_limited(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let mut crowd = JoinSet::new();
    for number in 0..32 {
        let mut new = about(&session, &secret);
        new.pending_limit = 5;
        let world = world.clone();
        crowd.spawn(async move {
            let asked = world.store(number).ask(new, entry("asked")).await;
            answer(asked).map(|asked| asked.approval.id)
        });
    }
    let answers = crowd.join_all().await;
    let ids: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(ids.len(), 5);
    let refused = Err(Refusal::TooManyPending { limit: 5 });
    assert_eq!(answers.iter().filter(|it| **it == refused).count(), 27);
    // Those that are decided make room, and so does time; what needs no yes is not counted.
    world
        .decide(*ids[0], "alice", Decision::Approve)
        .await
        .unwrap();
    let mut new = about(&session, &secret);
    new.pending_limit = 5;
    world.ask(new.clone()).await.unwrap();
    let refused = |new: &NewApproval| {
        let mut new = new.clone();
        (new.approval.id, new.request) = (Uuid::now_v7(), [3; 32]);
        let world = world.clone();
        async move { world.ask(new).await.map(|asked| asked.id) }
    };
    assert_eq!(
        refused(&new).await,
        Err(Refusal::TooManyPending { limit: 5 })
    );
    let mut free = about(&session, &secret);
    free.pending_limit = 5;
    free.approval.status = ApprovalStatus::Approved;
    world.ask(free).await.unwrap();
    new.approval.created_at = moment(600);
    new.approval.expires_at = moment(1200);
    assert!(refused(&new).await.is_ok());
}

async fn a_no_brings_quiet(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let first = about(&session, &secret);
    world.ask(first.clone()).await.unwrap();
    let deny = world.decide(first.approval.id, "alice", Decision::Deny);
    assert_eq!(deny.await, Ok(true));
    let again = |seconds: i64, quiet: [u8; 32]| {
        let mut new = first.clone();
        new.approval.id = Uuid::now_v7();
        new.quiet = quiet;
        new.approval.created_at = moment(seconds);
        new.approval.expires_at = moment(seconds + 600);
        let world = world.clone();
        async move { world.ask(new).await.map(|asked| asked.id) }
    };
    let quiet = Err(Refusal::Quiet {
        until: moment(1) + Duration::from_mins(5),
    });
    assert_eq!(again(2, first.quiet).await, quiet);
    assert_eq!(again(300, first.quiet).await, quiet);
    assert!(
        again(2, [9; 32]).await.is_ok(),
        "something else may be asked"
    );
    assert!(again(301, first.quiet).await.is_ok());
}

async fn what_cannot_be_released_is_not_asked_for(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let good = || about(&session, &secret);
    let changed = Err(Refusal::Changed {
        key: "NPM_TOKEN".to_owned(),
    });
    let ask = |new: NewApproval| {
        let world = world.clone();
        async move { world.ask(new).await.map(|asked| asked.id) }
    };
    let mut new = good();
    new.approval.items[0].version = 2;
    assert_eq!(ask(new).await, changed);
    let mut new = good();
    new.approval.items[0].ciphertext_sha256 = "0".repeat(64);
    assert_eq!(ask(new).await, changed);
    for strange in ["other", "staging"] {
        let mut new = good();
        if strange == "other" {
            strange.clone_into(&mut new.approval.project);
        } else {
            strange.clone_into(&mut new.approval.profile);
        }
        assert_eq!(ask(new).await, changed);
    }
    let mut new = good();
    new.approval.session = Uuid::now_v7();
    assert_eq!(ask(new).await, Err(Refusal::SessionEnded));
    let mut new = good();
    new.approval.created_at = moment(900);
    assert_eq!(ask(new).await, Err(Refusal::SessionEnded));
    let store = world.store(0);
    store.set_frozen(true, entry("frozen")).await.unwrap();
    assert!(world.store(1).frozen().await.unwrap());
    assert_eq!(ask(good()).await, Err(Refusal::Frozen));
    store.set_frozen(false, entry("unfrozen")).await.unwrap();
    ask(good()).await.unwrap();
}

async fn whoever_asked_cannot_decide(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let id = world.ask(about(&session, &secret)).await.unwrap().id;
    let principal = session.subject.principal();
    for decision in [Decision::Approve, Decision::Deny] {
        let refused = world.decide(id, &principal, decision).await;
        assert_eq!(refused, Err(Refusal::SelfApproval));
    }
    assert_eq!(world.status(id).await, ApprovalStatus::Pending);
    let unknown = world.decide(Uuid::now_v7(), "alice", Decision::Approve);
    assert_eq!(unknown.await, Err(Refusal::Missing));
}

async fn as_many_as_needed_say_yes(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let mut new = about(&session, &secret);
    new.approval.approvals_needed = 3;
    let id = world.ask(new).await.unwrap().id;
    // One person counts once, at whatever server and however often.
    let mut crowd = JoinSet::new();
    for number in 0..16 {
        let world = world.clone();
        crowd.spawn(async move {
            let new = new_decision(id, "alice", Decision::Approve, moment(1));
            let decided = world.store(number).decide(new, entry("decided")).await;
            decided.unwrap().changed
        });
    }
    let changed = crowd.join_all().await;
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
    assert_eq!(world.decide(id, "bob", Decision::Approve).await, Ok(true));
    let found = world.store(0).approval(id).await.unwrap().unwrap();
    assert_eq!(found.status, ApprovalStatus::Pending);
    assert_eq!(found.expires_at, moment(600));
    assert_eq!(world.decide(id, "carol", Decision::Approve).await, Ok(true));
    let found = world.store(0).approval(id).await.unwrap().unwrap();
    assert_eq!(found.status, ApprovalStatus::Approved);
    assert_eq!(found.expires_at, moment(601));
    let by: Vec<_> = found
        .decisions
        .iter()
        .map(|said| said.by.as_str())
        .collect();
    assert_eq!(by, ["alice", "bob", "carol"]);
    let late = world.decide(id, "dave", Decision::Approve).await;
    assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Approved)));
    assert_eq!(world.decide(id, "bob", Decision::Approve).await, Ok(false));
}

async fn a_no_wins_every_race(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    for _ in 0..rounds() {
        let id = world.ask(about(&session, &secret)).await.unwrap().id;
        let mut crowd = JoinSet::new();
        for number in 0..8 {
            let (world, session) = (world.clone(), session.clone());
            crowd.spawn(async move { raced(&world, &session, id, number).await });
        }
        let won: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
        let count = |what| won.iter().filter(|it| **it == what).count();
        // Either the no came before the grant, or the grant before the no.
        assert_eq!(count("denied") + count("granted"), 1, "{won:?}");
        assert!(count("approved") <= 1, "{won:?}");
        let expected = if count("denied") == 1 {
            ApprovalStatus::Denied
        } else {
            ApprovalStatus::Granted
        };
        assert_eq!(world.status(id).await, expected);
    }
    world.log_is_whole().await;
}

/// One of those who race for an approval: two say no, three say yes, three want the grant.
async fn raced(
    world: &World,
    session: &SessionRecord,
    id: Uuid,
    number: usize,
) -> Option<&'static str> {
    let store = world.store(number);
    let by = format!("person {number}");
    let decide = |decision| store.decide(new_decision(id, &by, decision, moment(1)), entry("x"));
    match number {
        0 | 5 => answer(decide(Decision::Deny).await).ok().map(|_| "denied"),
        1 | 3 | 6 => answer(decide(Decision::Approve).await)
            .ok()
            .map(|_| "approved"),
        _ => {
            let new = super::world::new_grant(id, session, moment(2));
            let granted = store.grant(new, entry("x")).await;
            answer(granted).ok().map(|_| "granted")
        }
    }
}

async fn two_wrong_codes_deny(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let id = world.ask(about(&session, &secret)).await.unwrap().id;
    let mut crowd = JoinSet::new();
    for number in 0..16 {
        let world = world.clone();
        crowd.spawn(async move {
            let wrong = world
                .store(number)
                .wrong_code(id, moment(1), entry("wrong_code"));
            answer(wrong.await).map(|approval| approval.status)
        });
    }
    let answers = crowd.join_all().await;
    let count = |what: Result<ApprovalStatus, Refusal>| {
        answers.iter().filter(|answer| **answer == what).count()
    };
    assert_eq!(count(Ok(ApprovalStatus::Pending)), 1);
    assert_eq!(count(Ok(ApprovalStatus::Denied)), 1);
    assert_eq!(count(Err(Refusal::Status(ApprovalStatus::Denied))), 14);
    assert_eq!(
        world.records("approval_denied_by_wrong_codes").await.len(),
        1
    );
    let late = world.decide(id, "alice", Decision::Approve).await;
    assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Denied)));
}

async fn only_its_requester_takes_it_back(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let id = world.ask(about(&session, &secret)).await.unwrap().id;
    let other = super::world::subject(2).binding();
    let cancel = |binding| {
        let cancelled = world
            .store(0)
            .cancel(id, binding, moment(1), entry("cancelled"));
        async move { answer(cancelled.await).map(|it: ApprovalRecord| it.status) }
    };
    assert_eq!(cancel(other).await, Err(Refusal::NotTheirs));
    let own = session.subject.binding();
    assert_eq!(cancel(own).await, Ok(ApprovalStatus::Cancelled));
    let over = Err(Refusal::Status(ApprovalStatus::Cancelled));
    assert_eq!(cancel(own).await, over);
    let late = world.decide(id, "alice", Decision::Approve).await;
    assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Cancelled)));
}

async fn what_is_over_by_time_expires(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let mut ids = Vec::new();
    for seconds in [10, 20, 30] {
        let mut new = about(&session, &secret);
        new.approval.expires_at = moment(seconds);
        ids.push(world.ask(new).await.unwrap().id);
    }
    let store = world.store(0);
    // Over by the clock, before anybody has swept.
    let late = new_decision(ids[0], "alice", Decision::Approve, moment(10));
    let late = answer(store.decide(late, entry("decided")).await);
    assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Expired)));
    assert!(store.expire(moment(9), 10).await.unwrap().is_empty());
    assert_eq!(store.expire(moment(25), 10).await.unwrap(), ids[..2]);
    assert!(store.expire(moment(25), 10).await.unwrap().is_empty());
    assert_eq!(world.status(ids[1]).await, ApprovalStatus::Expired);
    assert_eq!(world.status(ids[2]).await, ApprovalStatus::Pending);
    assert_eq!(world.records("approval_expired").await.len(), 2);
    // A clock that is set back does not bring it back.
    let back = new_decision(ids[0], "alice", Decision::Approve, moment(1));
    let back = answer(store.decide(back, entry("decided")).await);
    assert_eq!(back, Err(Refusal::Status(ApprovalStatus::Expired)));
    // Nor is it forgotten too early.
    let keep = SignedDuration::from_mins(10).unsigned_abs();
    store.forget(moment(599), keep).await.unwrap();
    assert_eq!(world.status(ids[0]).await, ApprovalStatus::Expired);
    store.forget(moment(601), keep).await.unwrap();
    assert_eq!(store.approval(ids[0]).await.unwrap(), None);
    assert_eq!(world.status(ids[2]).await, ApprovalStatus::Pending);
}
