//! Promises about people: whoever is deactivated loses everything at once.

use fnox_api::{ApprovalStatus, Decision};
use uuid::Uuid;

use super::Place;
use super::world::{World, answer, entry, moment, new_approval, new_session};
use crate::settings::Preset;
use crate::store::{Ended, NewSession, Refusal, UserChange, UserRecord};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    user_names_are_unique(place).await;
    who_is_deactivated_loses_everything(place).await;
    who_is_not_provisioned_stays_out(place).await;
}

fn user(name: &str) -> UserRecord {
    UserRecord {
        id: Uuid::now_v7(),
        user_name: name.to_owned(),
        external_id: Some(format!("id-{name}")),
        display_name: None,
        email: None,
        active: true,
        created_at: moment(0),
        updated_at: moment(0),
    }
}

/// A login of a person, named as identity providers do.
fn login(name: &str) -> NewSession {
    let mut new = new_session(1);
    let subject = &mut new.session.subject;
    "people".clone_into(&mut subject.issuer);
    subject.preset = Preset::Generic;
    subject.subject = format!("id-{name}");
    subject.claims.clear();
    new.logins = [Some(format!("id-{name}")), Some(name.to_lowercase()), None];
    new
}

async fn user_names_are_unique(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let alice = user("Alice");
    store
        .create_user(alice.clone(), entry("made"))
        .await
        .unwrap();
    let again = answer(store.create_user(user("aLICE"), entry("made")).await);
    assert_eq!(again, Err(Refusal::Exists));
    let bob = user("bob");
    store.create_user(bob.clone(), entry("made")).await.unwrap();
    let rename = UserChange {
        user_name: Some("ALICE".to_owned()),
        ..UserChange::default()
    };
    let refused = store.change_user(bob.id, rename.clone(), moment(1), entry("changed"));
    assert_eq!(answer(refused.await), Err(Refusal::Exists));
    let renamed = store.change_user(alice.id, rename, moment(1), entry("changed"));
    assert_eq!(renamed.await.unwrap().0.user_name, "ALICE");
    let list = |name: Option<&str>, offset, limit| {
        store.users(name.map(str::to_owned), None, offset, limit)
    };
    let (found, count) = list(Some("alice"), 0, 10).await.unwrap();
    assert_eq!((found.len(), count, found[0].id), (1, 1, alice.id));
    let (found, count) = list(None, 1, 10).await.unwrap();
    assert_eq!((found, count), (vec![bob.clone()], 2));
    let gone = store.delete_user(bob.id, moment(2), entry("deleted"));
    assert_eq!(gone.await.unwrap(), Ended::default());
    let gone = store.delete_user(bob.id, moment(2), entry("deleted"));
    assert_eq!(answer(gone.await), Err(Refusal::Missing));
    assert_eq!(store.user(bob.id).await.unwrap(), None);
}

async fn who_is_deactivated_loses_everything(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let alice = user("Alice");
    store
        .create_user(alice.clone(), entry("made"))
        .await
        .unwrap();
    let new = login("Alice");
    let session = new.session.clone();
    store.open_session(new, entry("login")).await.unwrap();
    let secret = world.put("A", "one").await;
    // A request of hers, and two of a job that she said yes to: one is decided, one needs another yes.
    let asked = new_approval(&session, std::slice::from_ref(&secret));
    let asked = world.ask(asked).await.unwrap().id;
    let job = world.session(1).await;
    let principal = session.subject.principal();
    let mut ids = Vec::new();
    for needed in [1, 2] {
        let mut new = new_approval(&job, std::slice::from_ref(&secret));
        new.approval.approvals_needed = needed;
        let id = world.ask(new).await.unwrap().id;
        world
            .decide(id, &principal, Decision::Approve)
            .await
            .unwrap();
        ids.push(id);
    }
    let change = UserChange {
        active: Some(false),
        ..UserChange::default()
    };
    let changed = store.change_user(alice.id, change, moment(2), entry("changed"));
    let (_, ended) = changed.await.unwrap();
    let expected = Ended {
        sessions: 1,
        approvals: 2,
    };
    assert_eq!(ended, expected);
    assert_eq!(store.session(session.hash, moment(3)).await.unwrap(), None);
    assert_eq!(world.status(asked).await, ApprovalStatus::Cancelled);
    assert_eq!(world.status(ids[0]).await, ApprovalStatus::Cancelled);
    let open = store.approval(ids[1]).await.unwrap().unwrap();
    assert_eq!(
        (open.status, open.decisions),
        (ApprovalStatus::Pending, vec![])
    );
    let again = store.open_session(login("Alice"), entry("login")).await;
    assert_eq!(answer(again), Err(Refusal::Deactivated));
    assert_eq!(world.records("user_deactivated").await.len(), 1);
}

async fn who_is_not_provisioned_stays_out(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let strict = |name: &str| NewSession {
        must_be_provisioned: true,
        ..login(name)
    };
    let refused = store.open_session(strict("Alice"), entry("login")).await;
    assert_eq!(answer(refused), Err(Refusal::Deactivated));
    store
        .create_user(user("Alice"), entry("made"))
        .await
        .unwrap();
    let opened = store.open_session(strict("Alice"), entry("login")).await;
    assert_eq!(answer(opened), Ok(None));
}
