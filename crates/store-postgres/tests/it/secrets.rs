//! Sealed values and the key ring.

use std::collections::BTreeMap;

use fnox_core::seal::{Algorithm, Sealed};
use fnox_vault::store::{Described, KeyRingStore, Refusal, Resealed, SecretStore, StoredSecret};
use fnox_vault_wire::methods::SecretKind;
use tokio::task::JoinSet;

use crate::support::{Database, after, ring, secret};

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_secret_comes_back_as_it_was_stored() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let mut first = secret("github-token", 1, "k1");
    first.sealed.ciphertext = vec![0xa5; 512 * 1024 + 16];
    let name = first.record.name.clone();
    here.insert(first.clone()).await.unwrap();
    assert_eq!(*there.secret(&name).await.unwrap().unwrap(), first);
    assert_eq!(*there.metadata(&name).await.unwrap().unwrap(), first.record);
    let refused = there.insert(first).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Exists));

    let change = Described {
        kind: Some(SecretKind::Pat),
        description: None,
        tags: Some(BTreeMap::new()),
        updated_at: after(5),
    };
    there.describe_secret(&name, change).await.unwrap();
    let told = here.metadata(&name).await.unwrap().unwrap();
    assert_eq!((&told.kind, told.tags.len()), (&SecretKind::Pat, 0));
    assert_eq!(told.description.as_deref(), Some("for tests"));
    assert_eq!(told.updated_at, after(5));
    let stored = here.secret(&name).await.unwrap().unwrap();
    assert_eq!(
        stored.sealed_kind,
        SecretKind::Opaque,
        "the seal binds the old kind"
    );

    there.delete(&name).await.unwrap();
    assert!(here.secret(&name).await.unwrap().is_none());
    let refused = here.delete(&name).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Missing));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn old_versions_are_kept_as_told() {
    let database = Database::create().await;
    let store = database.store().await;
    store.insert(secret("a", 1, "k1")).await.unwrap();
    for version in 2..=5 {
        store
            .add_version(secret("a", version, "k1"), 3)
            .await
            .unwrap();
    }
    for version in [5, 7] {
        let refused = store
            .add_version(secret("a", version, "k1"), 3)
            .await
            .unwrap_err();
        assert_eq!(refused.refusal(), Some(&Refusal::Moved));
    }
    let refused = store
        .add_version(secret("b", 2, "k1"), 3)
        .await
        .unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Missing));
    assert_eq!(store.count_by_key().await.unwrap(), [("k1".to_owned(), 3)]);
    let name = secret("a", 1, "k1").record.name;
    assert_eq!(store.prune(Some(&name), 0).await.unwrap(), 2);
    assert_eq!(
        store.secret(&name).await.unwrap().unwrap().record.version,
        5
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn secrets_are_listed_in_the_order_of_bytes() {
    let database = Database::create().await;
    let store = database.store().await;
    for name in ["b", "B", "é", "a", "Z", "a b"] {
        store.insert(secret(name, 1, "k1")).await.unwrap();
    }
    let names = async |after: Option<&str>, limit| {
        let found = store.list(after, limit).await.unwrap();
        found
            .into_iter()
            .map(|record| record.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None, 4).await, ["B", "Z", "a", "a b"]);
    assert_eq!(names(Some("a b"), 4).await, ["b", "é"]);
    assert_eq!(names(Some("a\0x"), 1).await, ["a b"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_value_sealed_by_a_key_that_is_not_active_any_more_is_refused() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    here.save(&ring(1, "k1")).await.unwrap();
    here.insert(secret("a", 1, "k1")).await.unwrap();
    there.save(&ring(2, "k2")).await.unwrap();
    assert_eq!(here.load().await.unwrap(), Some(ring(2, "k2")));

    let refused = here.insert(secret("b", 1, "k1")).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::StaleKey));
    let refused = here.add_version(secret("a", 2, "k1"), 3).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::StaleKey));
    assert!(
        here.secret(&secret("b", 1, "k1").record.name)
            .await
            .unwrap()
            .is_none()
    );
    here.add_version(secret("a", 2, "k2"), 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn no_value_slips_past_a_change_of_the_key() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    here.save(&ring(1, "k1")).await.unwrap();
    let mut inserts = JoinSet::new();
    for index in 0..60 {
        let here = here.clone();
        inserts.spawn(async move {
            let secret = secret(&format!("secret {index:02}"), 1, "k1");
            here.insert(secret).await
        });
    }
    inserts.join_next().await.unwrap().unwrap().unwrap();
    there.save(&ring(2, "k2")).await.unwrap();
    let seen = there
        .sealed_otherwise("k2", None, 1000)
        .await
        .unwrap()
        .len();
    let mut stored = 1;
    while let Some(answer) = inserts.join_next().await {
        match answer.unwrap() {
            Ok(()) => stored += 1,
            Err(error) => assert_eq!(error.refusal(), Some(&Refusal::StaleKey)),
        }
    }
    assert_eq!(seen, stored, "a value of the old key came after the change");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_ring_is_replaced_only_by_its_successor() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    assert_eq!(here.load().await.unwrap(), None);
    let refused = here.save(&ring(2, "k2")).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Moved));
    here.save(&ring(1, "k1")).await.unwrap();
    for generation in [1, 3] {
        let refused = there.save(&ring(generation, "k2")).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(&Refusal::Moved));
    }
    there.save(&ring(2, "k2")).await.unwrap();
}

fn resealed(old: &StoredSecret, key_id: &str) -> Resealed {
    Resealed {
        id: old.record.id,
        name: old.record.name.clone(),
        version: old.record.version,
        old_nonce: old.sealed.nonce.clone(),
        key_id: key_id.to_owned(),
        algorithm: Algorithm::Aes256Gcm,
        sealed: Sealed {
            nonce: vec![7; 12],
            ciphertext: vec![8; 40],
        },
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn values_are_sealed_anew_only_if_they_are_what_they_were() {
    let database = Database::create().await;
    let store = database.store().await;
    store.save(&ring(1, "k1")).await.unwrap();
    let (first, second) = (secret("a", 1, "k1"), secret("b", 1, "k1"));
    store.insert(first.clone()).await.unwrap();
    store.insert(second.clone()).await.unwrap();
    store.save(&ring(2, "k2")).await.unwrap();
    assert_eq!(
        store.sealed_otherwise("k2", None, 10).await.unwrap().len(),
        2
    );

    let mut moved = resealed(&second, "k2");
    moved.old_nonce = vec![0xff; 24];
    let stale = resealed(&second, "k1");
    let items = vec![resealed(&first, "k2"), moved, stale];
    assert_eq!(store.reseal(items).await.unwrap(), 1);
    let found = store.secret(&first.record.name).await.unwrap().unwrap();
    assert_eq!(
        (found.key_id.as_str(), found.record.algorithm),
        ("k2", Algorithm::Aes256Gcm)
    );
    assert_eq!(
        store.sealed_otherwise("k2", None, 10).await.unwrap(),
        [second]
    );
    let algorithm = Some(Algorithm::XChaCha20Poly1305);
    assert_eq!(
        store
            .sealed_otherwise("k2", algorithm, 10)
            .await
            .unwrap()
            .len(),
        2
    );
    let counts = [("k1".to_owned(), 1), ("k2".to_owned(), 1)];
    assert_eq!(store.count_by_key().await.unwrap(), counts);
}
