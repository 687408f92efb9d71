//! Promises about copies: one that is put back gives no right back.

use fnox_api::{ApprovalStatus, Decision};

use super::Place;
use super::world::{World, answer, entry, moment, new_approval, new_session};
use crate::store::{Refusal, Replay};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    a_copy_gives_no_right_back(place).await;
}

async fn a_copy_gives_no_right_back(place: &dyn Place) {
    let world = World::fresh(place).await;
    let secret = world.put("NPM_TOKEN", "one").await;
    let secret = std::slice::from_ref(&secret);
    let mut new = new_session(1);
    new.replay = Some(Replay {
        id: [1; 32],
        keep_until: moment(9999),
    });
    let session = new.session.clone();
    let opened = world.store(0).open_session(new.clone(), entry("login"));
    opened.await.unwrap();
    // One of every state that is not over.
    let pending = world.ask(new_approval(&session, secret)).await.unwrap().id;
    let approved = world.ask(new_approval(&session, secret)).await.unwrap().id;
    let yes = world.decide(approved, "alice", Decision::Approve);
    yes.await.unwrap();
    let unused = world.granted(&session, secret).await;
    let used_later = world.granted(&session, secret).await;
    let used = world.granted(&session, secret).await;
    let fetched = world.redeem(0, used).await.unwrap().approval.id;
    let Some(copy) = place.copy(world.store(0).database()).await else {
        return;
    };
    let granted = world.redeem(0, used_later).await.unwrap().approval.id;
    let database = place.restore(world.into_database(), copy).await;
    let world = World::of([database]).await;
    let store = world.store(0);
    assert_eq!(store.session(session.hash, moment(1)).await.unwrap(), None);
    for id in [pending, approved] {
        assert_eq!(world.status(id).await, ApprovalStatus::Cancelled);
    }
    assert_eq!(world.status(granted).await, ApprovalStatus::Expired);
    assert_eq!(world.status(fetched).await, ApprovalStatus::Fetched);
    // Nobody is told that somebody used a grant twice who did not.
    for (hash, refusal) in [
        (unused, Refusal::GrantExpired),
        (used_later, Refusal::GrantExpired),
        (used, Refusal::GrantUsed { approval: fetched }),
    ] {
        assert_eq!(world.redeem(0, hash).await, Err(refusal));
    }
    let mut again = new_session(1);
    again.replay = new.replay;
    let replayed = answer(store.open_session(again, entry("login")).await);
    assert_eq!(replayed, Err(Refusal::Replayed));
    world.log_is_whole().await;
    // What is new in it works, and another opening ends nothing.
    let session = world.session(2).await;
    let hash = world.granted(&session, secret).await;
    let database = place.reopen(world.into_database()).await;
    let world = World::of([database]).await;
    world.redeem(0, hash).await.unwrap();
    world.log_is_whole().await;
}
