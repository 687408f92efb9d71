//! Promises about sessions, used tokens and names.

use fnox_core::TokenKind;
use tokio::task::JoinSet;

use super::Place;
use super::world::{World, answer, entry, moment, new_session};
use crate::store::{KnownName, NewSession, Refusal, Replay};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    a_token_opens_one_session(place).await;
    sessions_end(place).await;
    names_belong_to_their_first_id(place).await;
    own_tokens_end_and_no_other_session_with_them(place).await;
}

fn with_token(id: u8, run: u64) -> NewSession {
    NewSession {
        replay: Some(Replay {
            id: [id; 32],
            keep_until: moment(365),
        }),
        ..new_session(run)
    }
}

async fn a_token_opens_one_session(place: &dyn Place) {
    let world = World::fresh(place).await;
    for round in 0..5 {
        let mut crowd = JoinSet::new();
        for number in 0..32 {
            let world = world.clone();
            crowd.spawn(async move {
                let new = with_token(round, 1);
                let opened = world.store(number).open_session(new, entry("login"));
                answer(opened.await)
            });
        }
        let answers = crowd.join_all().await;
        assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), 1);
        let replayed = |it: &&Result<_, _>| **it == Err(Refusal::Replayed);
        assert_eq!(answers.iter().filter(replayed).count(), 31);
    }
    assert_eq!(world.records("token_replayed").await.len(), 5 * 31);
    assert_eq!(world.records("login").await.len(), 5);
    let database = place.reopen(world.into_database()).await;
    let world = World::of([database]).await;
    let open = |id| {
        world
            .store(0)
            .open_session(with_token(id, 1), entry("login"))
    };
    assert_eq!(answer(open(3).await), Err(Refusal::Replayed));
    // Forgotten only when nobody would take the token any more.
    let keep = std::time::Duration::from_hours(24);
    world.store(0).forget(moment(364), keep).await.unwrap();
    assert_eq!(answer(open(3).await), Err(Refusal::Replayed));
    world.store(0).forget(moment(366), keep).await.unwrap();
    assert_eq!(answer(open(3).await), Ok(None));
}

async fn sessions_end(place: &dyn Place) {
    let world = World::fresh(place).await;
    let session = world.session(1).await;
    let find = |seconds| world.store(1).session(session.hash, moment(seconds));
    assert_eq!(find(0).await.unwrap().as_ref(), Some(&session));
    assert!(find(899).await.unwrap().is_some());
    assert_eq!(find(900).await.unwrap(), None);
    let end = || world.store(0).end_session(session.id, entry("logout"));
    end().await.unwrap();
    assert_eq!(answer(end().await), Err(Refusal::Missing));
    assert_eq!(find(0).await.unwrap(), None);
}

async fn names_belong_to_their_first_id(place: &dyn Place) {
    let world = World::fresh(place).await;
    let open = |id: &str, name: &str| {
        let name = Some(KnownName {
            issuer: "github".to_owned(),
            stable_id: id.to_owned(),
            name: name.to_owned(),
        });
        let new = NewSession {
            name,
            ..new_session(1)
        };
        let opened = world.store(0).open_session(new, entry("login"));
        async move { answer(opened.await) }
    };
    let resurrected = |known: &str| {
        Err(Refusal::Resurrected {
            name: "octo/hello".to_owned(),
            known: known.to_owned(),
        })
    };
    assert_eq!(open("1", "octo/hello").await, Ok(None));
    assert_eq!(open("1", "octo/hello").await, Ok(None));
    assert_eq!(open("2", "octo/hello").await, resurrected("1"));
    let before = Ok(Some("octo/hello".to_owned()));
    assert_eq!(open("1", "octo/renamed").await, before);
    // The old name is free: its id has another one now, and keeps that.
    assert_eq!(open("2", "octo/hello").await, Ok(None));
    assert_eq!(open("1", "octo/hello").await, resurrected("2"));
    let forget = || {
        let (issuer, name) = ("github".to_owned(), "octo/hello".to_owned());
        world.store(0).forget_name(issuer, name, entry("forgot"))
    };
    forget().await.unwrap();
    assert_eq!(answer(forget().await), Err(Refusal::Missing));
    let before = Ok(Some("octo/renamed".to_owned()));
    assert_eq!(open("1", "octo/hello").await, before);
    assert_eq!(world.records("name_resurrected").await.len(), 2);
}

async fn own_tokens_end_and_no_other_session_with_them(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let person = world.session(1).await;
    let (year, now) = (std::time::Duration::from_hours(24 * 365), moment(1));
    let first = store.issue_token(TokenKind::Bootstrap, None, year, now);
    let first = first.await.unwrap();
    let scim = store.issue_token(TokenKind::Provisioning, None, year, moment(2));
    let scim = scim.await.unwrap();
    let listed = world.store(1).own_tokens(moment(3)).await.unwrap();
    let hashes: Vec<_> = listed.iter().map(|token| token.hash).collect();
    assert_eq!(hashes, [first.hash(), scim.hash()]);
    let end = store.end_own_token(person.id, entry("token_revoked"));
    assert_eq!(answer(end.await), Err(Refusal::Missing));
    let end = store.end_own_token(listed[1].id, entry("token_revoked"));
    end.await.unwrap();
    let again = store.end_own_token(listed[1].id, entry("token_revoked"));
    assert_eq!(answer(again.await), Err(Refusal::Missing));
    assert_eq!(world.records("token_revoked").await.len(), 1);
    let found = world.store(1).session(scim.hash(), moment(4)).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(store.own_tokens(moment(4)).await.unwrap().len(), 1);
    // Whoever ends everything ends these too.
    let ended = store.revoke_all(Some(person.id), moment(5), entry("everything_revoked"));
    assert_eq!(ended.await.unwrap().sessions, 1);
    assert_eq!(store.own_tokens(moment(6)).await.unwrap(), []);
    assert!(
        store
            .session(person.hash, moment(6))
            .await
            .unwrap()
            .is_some()
    );
}
