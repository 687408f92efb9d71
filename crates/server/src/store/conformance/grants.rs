//! Promises about grants: a grant works once, and only for what was approved.

use fnox_api::{ApprovalStatus, Ciphertext, Decision};
use fnox_core::{Token, TokenHash, TokenKind};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::transactions::statement;
use super::world::{World, answer, entry, moment, new_approval, new_grant};
use super::{Place, rounds};
use crate::store::{Condition, Refusal, SecretPlace, SecretRecord, SessionRecord};

/// How many want one grant at once.
const CROWD: usize = 64;

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    a_grant_works_once(place).await;
    an_approval_becomes_one_grant(place).await;
    only_what_was_approved_is_released(place).await;
    only_whoever_asked_gets_the_grant(place).await;
    emergencies_stop_it(place).await;
    a_grant_ends_by_time(place).await;
    what_is_over_cannot_be_changed(place).await;
}

async fn ready(place: &dyn Place) -> (World, SessionRecord, SecretRecord) {
    let world = World::fresh(place).await;
    let session = world.session(1).await;
    let secret = world.put("NPM_TOKEN", "one").await;
    (world, session, secret)
}

/// A crowd redeems one grant at once, again and again: one of them gets the secrets, each time.
async fn a_grant_works_once(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let is_shared = world.store(0).database().is_shared();
    let rounds = match rounds() {
        // In the long run the file that one server has for itself is tried ten times as often.
        many @ 1000.. if !is_shared => many * 10,
        rounds => rounds,
    };
    for round in 0..rounds {
        let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
        let mut crowd = JoinSet::new();
        for number in 0..CROWD {
            let world = world.clone();
            crowd.spawn(async move { world.redeem(number, hash).await });
        }
        let answers = crowd.join_all().await;
        let released: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(released.len(), 1, "round {round}");
        let ciphertext = released[0].secrets[0].ciphertext.as_ref().unwrap();
        assert_eq!(ciphertext.as_bytes(), b"one");
        let approval = released[0].approval.id;
        let replayed = Err(Refusal::GrantUsed { approval });
        let count = answers.iter().filter(|it| **it == replayed).count();
        assert_eq!(count, CROWD - 1, "round {round}");
        assert_eq!(world.status(approval).await, ApprovalStatus::Fetched);
    }
    let count = |records: Vec<_>| records.len() as u64;
    assert_eq!(count(world.records("fetched").await), rounds);
    let replays = count(world.records("grant_replayed").await);
    assert_eq!(replays, rounds * (CROWD as u64 - 1));
    world.log_is_whole().await;
}

async fn an_approval_becomes_one_grant(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    for _ in 0..5 {
        let new = new_approval(&session, std::slice::from_ref(&secret));
        let id = world.ask(new).await.unwrap().id;
        let early = world.grant(id, &session).await;
        assert_eq!(early, Err(Refusal::Status(ApprovalStatus::Pending)));
        world.decide(id, "alice", Decision::Approve).await.unwrap();
        let mut crowd = JoinSet::new();
        for number in 0..16 {
            let (world, new) = (world.clone(), new_grant(id, &session, moment(2)));
            crowd.spawn(async move {
                let hash = new.grant.hash;
                let granted = world.store(number).grant(new, entry("granted")).await;
                answer(granted).map(|_| hash)
            });
        }
        let answers = crowd.join_all().await;
        let hashes: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(hashes.len(), 1);
        let refused = Err(Refusal::Status(ApprovalStatus::Granted));
        assert_eq!(answers.iter().filter(|it| **it == refused).count(), 15);
        // A no comes too late, and the grant works.
        let late = world.decide(id, "bob", Decision::Deny).await;
        assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Granted)));
        world.redeem(1, *hashes[0]).await.unwrap();
    }
}

/// What is changed after a person looked at it.
#[derive(Debug, Clone, Copy)]
enum Drift {
    /// Another value.
    Replaced,
    /// The same value as another version.
    Repeated,
    /// It is gone.
    Deleted,
    /// It was deleted, and the same value stored again.
    Resurrected,
    /// Another value under the same version, by whoever can write to the database.
    Swapped,
}

async fn drift(world: &World, drift: Drift, key: &str) {
    let delete = || {
        let place = super::world::secret_place(key);
        world
            .store(0)
            .delete_secret(place, Condition::Any, entry("deleted"))
    };
    match drift {
        Drift::Replaced => {
            world.put(key, "other").await;
        }
        Drift::Repeated => {
            world.put(key, key).await;
        }
        Drift::Deleted => delete().await.unwrap(),
        Drift::Resurrected => {
            delete().await.unwrap();
            world.put(key, key).await;
        }
        Drift::Swapped => {
            let sql = "UPDATE secret_versions SET ciphertext = $2, sha256 = $3 WHERE key = $1";
            let values = vec![
                key.into(),
                b"other".as_slice().into(),
                Ciphertext::stored(b"other".to_vec()).digest().into(),
            ];
            let swapped = world.store(0).database();
            let swapped = swapped.write(statement(sql, values, Vec::new()));
            swapped.await.unwrap();
        }
    }
}

async fn only_what_was_approved_is_released(place: &dyn Place) {
    let (world, session, steady) = ready(place).await;
    let all = [
        Drift::Replaced,
        Drift::Repeated,
        Drift::Deleted,
        Drift::Resurrected,
        Drift::Swapped,
    ];
    for (number, change) in all.into_iter().enumerate() {
        let key = format!("KEY_{number}");
        let changed = Refusal::Changed { key: key.clone() };
        let secret = world.put(&key, &key).await;
        let both = [steady.clone(), secret];
        let id = world.ask(new_approval(&session, &both)).await.unwrap().id;
        world.decide(id, "alice", Decision::Approve).await.unwrap();
        let hash = world.granted(&session, &both).await;
        drift(&world, change, &key).await;
        assert_eq!(world.grant(id, &session).await, Err(changed.clone()));
        let redeemed = world.redeem(0, hash).await;
        assert_eq!(redeemed, Err(changed), "{change:?}");
        assert_eq!(world.status(id).await, ApprovalStatus::Approved);
    }
    // The same key elsewhere is another secret.
    let hash = world.granted(&session, std::slice::from_ref(&steady)).await;
    for (project, profile) in [("other", "default"), ("my-app", "staging")] {
        let mut new = super::world::new_secret("NPM_TOKEN", "elsewhere");
        new.place = SecretPlace {
            project: project.to_owned(),
            profile: profile.to_owned(),
            ..new.place
        };
        world.store(0).put_secret(new, entry("put")).await.unwrap();
    }
    let released = world.redeem(0, hash).await.unwrap().secrets;
    assert_eq!(released.len(), 1);
    let ciphertext = released[0].ciphertext.as_ref().unwrap();
    assert_eq!(ciphertext.as_bytes(), b"one");
}

async fn only_whoever_asked_gets_the_grant(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let new = new_approval(&session, std::slice::from_ref(&secret));
    let id = world.ask(new).await.unwrap().id;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    let other = world.session(2).await;
    assert_eq!(world.grant(id, &other).await, Err(Refusal::NotTheirs));
    let unknown = world.grant(Uuid::now_v7(), &session).await;
    assert_eq!(unknown, Err(Refusal::Missing));
    // A new session of the same run is the same requester.
    let again = world.session(1).await;
    let hash = world.grant(id, &again).await.unwrap();
    world.redeem(0, hash).await.unwrap();
    let strange: TokenHash = Token::generate(TokenKind::Grant).unwrap().hash();
    assert_eq!(world.redeem(0, strange).await, Err(Refusal::Missing));
    let session_hash = world.redeem(0, session.hash).await;
    assert_eq!(session_hash, Err(Refusal::Missing));
}

async fn emergencies_stop_it(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let store = world.store(0);
    let new = new_approval(&session, std::slice::from_ref(&secret));
    let id = world.ask(new).await.unwrap().id;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
    store.set_frozen(true, entry("frozen")).await.unwrap();
    assert_eq!(world.grant(id, &session).await, Err(Refusal::Frozen));
    assert_eq!(world.redeem(1, hash).await, Err(Refusal::Frozen));
    store.set_frozen(false, entry("unfrozen")).await.unwrap();
    world.redeem(1, hash).await.unwrap();
    // An ended session's grants have ended.
    let hash = world.grant(id, &session).await.unwrap();
    let end = store.end_session(session.id, entry("logout"));
    end.await.unwrap();
    assert_eq!(world.redeem(0, hash).await, Err(Refusal::SessionEnded));
    // Everything ends at once, but the session of whoever does it.
    let (admin, other) = (world.session(3).await, world.session(4).await);
    let hash = world.granted(&other, std::slice::from_ref(&secret)).await;
    let new = new_approval(&other, std::slice::from_ref(&secret));
    let id = world.ask(new).await.unwrap().id;
    let ended = store.revoke_all(Some(admin.id), moment(2), entry("revoke_all"));
    let ended = ended.await.unwrap();
    assert_eq!((ended.sessions, ended.approvals), (1, 1));
    assert_eq!(world.status(id).await, ApprovalStatus::Cancelled);
    assert!(world.redeem(0, hash).await.is_err());
    let at = moment(3);
    assert_eq!(store.session(other.hash, at).await.unwrap(), None);
    assert_eq!(store.session(admin.hash, at).await.unwrap(), Some(admin));
}

async fn a_grant_ends_by_time(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let store = world.store(0);
    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
    let late = answer(store.redeem(hash, moment(62), entry("fetched")).await);
    assert_eq!(late, Err(Refusal::GrantExpired));
    let expired = store.expire(moment(62), 10).await.unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(world.status(expired[0]).await, ApprovalStatus::Expired);
    // A clock that is set back does not bring it back.
    assert_eq!(world.redeem(0, hash).await, Err(Refusal::GrantExpired));
    // A used one does not expire.
    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
    let used = world.redeem(0, hash).await.unwrap().approval.id;
    assert!(store.expire(moment(9999), 10).await.unwrap().is_empty());
    assert_eq!(world.status(used).await, ApprovalStatus::Fetched);
}

/// The database itself refuses what no statement of the server does.
async fn what_is_over_cannot_be_changed(place: &dyn Place) {
    let (world, session, secret) = ready(place).await;
    let database = world.store(0).database();
    let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
    let fetched = world.redeem(0, hash).await.unwrap().approval.id;
    let new = new_approval(&session, std::slice::from_ref(&secret));
    let denied = world.ask(new).await.unwrap().id;
    world.decide(denied, "alice", Decision::Deny).await.unwrap();
    for status in ApprovalStatus::ALL {
        for (id, was) in [
            (fetched, ApprovalStatus::Fetched),
            (denied, ApprovalStatus::Denied),
        ] {
            if status != was {
                let sql = "UPDATE approvals SET status = $2 WHERE id = $1";
                let values = vec![id.into(), status.as_str().into()];
                let changed = database.write(statement(sql, values, Vec::new()));
                assert!(changed.await.is_err(), "{was:?} to {status:?}");
            }
            assert_eq!(world.status(id).await, was);
        }
    }
    for sql in [
        "UPDATE grants SET used_at = NULL WHERE hash = $1",
        "UPDATE grants SET expires_at = expires_at + 1 WHERE hash = $1",
        "UPDATE grants SET used_at = used_at + 1 WHERE hash = $1",
    ] {
        let changed = statement(sql, vec![hash.into()], Vec::new());
        assert!(database.write(changed).await.is_err(), "{sql}");
    }
    assert!(matches!(
        world.redeem(0, hash).await,
        Err(Refusal::GrantUsed { .. })
    ));
}
