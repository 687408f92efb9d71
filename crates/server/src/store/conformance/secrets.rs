//! Promises about secrets.

use tokio::task::JoinSet;

use super::Place;
use super::world::{World, answer, entry, new_secret, secret_place};
use crate::store::{Condition, Refusal, SecretRecord};

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    versions_count_on(place).await;
    one_of_many_writers_wins(place).await;
    lists_page_by_page(place).await;
}

async fn versions_count_on(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    let mut first = new_secret("A", "one");
    first.condition = Condition::Version(1);
    let refused = answer(store.put_secret(first.clone(), entry("put")).await);
    assert_eq!(refused, Err(Refusal::Moved { found: 0 }));
    first.condition = Condition::Absent;
    first.description = Some("the first".to_owned());
    first.require_approval = Some(true);
    let stored = store.put_secret(first.clone(), entry("put")).await.unwrap();
    let refused = answer(store.put_secret(first, entry("put")).await);
    assert_eq!(refused, Err(Refusal::Moved { found: 1 }));
    // What a new version does not say is as it was.
    let mut second = new_secret("A", "two");
    second.condition = Condition::Version(1);
    second.keep = 2;
    let stored_again = store
        .put_secret(second.clone(), entry("put"))
        .await
        .unwrap();
    assert_eq!(stored_again.version, 2);
    assert_eq!(stored_again.description, stored.description);
    assert!(stored_again.require_approval);
    second.condition = Condition::Any;
    store.put_secret(second, entry("put")).await.unwrap();
    let kept = store.versions(secret_place("A")).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|record| record.version).collect();
    assert_eq!(kept, [3, 2]);
    let newest = store
        .secret(secret_place("A"), true)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(newest.ciphertext.unwrap().as_bytes(), b"two");
    let delete = |condition| store.delete_secret(secret_place("A"), condition, entry("deleted"));
    let refused = answer(delete(Condition::Version(2)).await);
    assert_eq!(refused, Err(Refusal::Moved { found: 3 }));
    delete(Condition::Version(3)).await.unwrap();
    assert_eq!(answer(delete(Condition::Any).await), Err(Refusal::Missing));
    assert_eq!(store.secret(secret_place("A"), false).await.unwrap(), None);
    assert_eq!(store.versions(secret_place("A")).await.unwrap(), []);
    // Whoever takes a deleted secret for one that never was, or for the one that it was, stores nothing.
    let mut again = new_secret("A", "four");
    for (condition, version) in [
        (Condition::Absent, 1),
        (Condition::Any, 3),
        (Condition::Any, 5),
    ] {
        (again.condition, again.version) = (condition, Some(version));
        let refused = answer(store.put_secret(again.clone(), entry("put")).await);
        assert_eq!(refused, Err(Refusal::NotNext { next: 4 }));
        assert_eq!(store.versions(secret_place("A")).await.unwrap(), []);
    }
    (again.condition, again.version) = (Condition::Absent, Some(4));
    let again = store.put_secret(again, entry("put")).await.unwrap();
    assert_eq!((again.version, again.description), (4, None));
    assert!(!again.require_approval);
}

async fn one_of_many_writers_wins(place: &dyn Place) {
    let world = World::fresh(place).await;
    world.put("A", "one").await;
    let mut crowd = JoinSet::new();
    for number in 0..16 {
        let world = world.clone();
        crowd.spawn(async move {
            let mut new = new_secret("A", &format!("two, by {number}"));
            new.condition = Condition::Version(1);
            let put = world.store(number).put_secret(new, entry("put"));
            answer(put.await).map(|record| record.version)
        });
    }
    let answers = crowd.join_all().await;
    assert_eq!(answers.iter().filter(|it| **it == Ok(2)).count(), 1);
    let moved = Err(Refusal::Moved { found: 2 });
    assert_eq!(answers.iter().filter(|it| **it == moved).count(), 15);
}

async fn lists_page_by_page(place: &dyn Place) {
    let world = World::fresh(place).await;
    let store = world.store(0);
    for (project, profile, key) in [
        ("my-app", "default", "B"),
        ("my-app", "default", "A"),
        ("my-app", "staging", "A"),
        ("other", "default", "A"),
        // Sorted by code points, whatever the database's language is.
        ("my-app", "default", "_A"),
        ("my-app", "default", "C"),
    ] {
        let mut new = new_secret(key, "x");
        new.place.project = project.to_owned();
        new.place.profile = profile.to_owned();
        store.put_secret(new, entry("put")).await.unwrap();
    }
    let deleted = store.delete_secret(secret_place("C"), Condition::Any, entry("deleted"));
    deleted.await.unwrap();
    let names = |found: Vec<SecretRecord>| -> Vec<String> {
        let name = |it: &SecretRecord| format!("{}/{}", it.place.profile, it.place.key);
        found.iter().map(name).collect()
    };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.secrets("my-app".to_owned(), None, after, 2);
        let page = page.await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.place.profile.clone(), last.place.key.clone()));
        found.extend(names(page));
    }
    assert_eq!(found, ["default/A", "default/B", "default/_A", "staging/A"]);
    let staging = Some("staging".to_owned());
    let found = store.secrets("my-app".to_owned(), staging, None, 9).await;
    assert_eq!(names(found.unwrap()), ["staging/A"]);
}
