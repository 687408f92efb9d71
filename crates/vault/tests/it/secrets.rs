//! Storing, changing and deleting secrets.

use std::collections::BTreeMap;

use fnox_core::SecretBytes;
use fnox_vault_wire::methods::{
    KeyRewrap, KeyRotate, PruneSecrets, SealAlgorithm, SecretKind, StoreSecret, UpdateSecret,
};
use fnox_vault_wire::{Code, SecretValue};

use crate::support::{POLICY, World, admin, agent, code};

fn update(name: &str, value: Option<&[u8]>) -> UpdateSecret {
    UpdateSecret {
        name: name.to_owned(),
        plaintext: value.map(|value| SecretValue(SecretBytes::new(value.to_vec()))),
        kind: None,
        description: None,
        tags: None,
        algorithm: None,
        if_version: None,
    }
}

#[tokio::test]
async fn a_new_value_reaches_leases_that_live() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    let described = world
        .engine
        .update_secret(&admin(), update("token", Some(b"\xff\0new")))
        .await
        .unwrap();
    assert_eq!(described.version, 2);
    assert_eq!(
        world.access(&coder, id, "a.example.com").await.unwrap(),
        b"\xff\0new"
    );
    let stale = UpdateSecret {
        if_version: Some(1),
        ..update("token", Some(b"x"))
    };
    assert_eq!(
        code(world.engine.update_secret(&admin(), stale).await),
        Code::Conflict
    );
    assert_eq!(
        code(
            world
                .engine
                .update_secret(&admin(), update("nothing", Some(b"x")))
                .await
        ),
        Code::SecretNotFound
    );
}

#[tokio::test]
async fn who_names_no_version_has_the_last_word_or_one_before_it() {
    let world = std::sync::Arc::new(World::new(POLICY).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40u8 {
        let world = std::sync::Arc::clone(&world);
        tasks.spawn(async move {
            let value = [number];
            world
                .engine
                .update_secret(&admin(), update("token", Some(&value)))
                .await
                .is_ok()
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|stored| stored));
    assert_eq!(
        world.engine.secret_metadata("token").await.unwrap().version,
        41
    );
}

#[tokio::test]
async fn a_new_kind_does_not_make_the_value_unreadable() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let change = UpdateSecret {
        kind: Some(SecretKind::Pat),
        description: Some("for the robot".to_owned()),
        tags: Some(BTreeMap::from([("team".to_owned(), "core".to_owned())])),
        ..update("token", None)
    };
    let described = world.engine.update_secret(&admin(), change).await.unwrap();
    assert_eq!((described.kind, described.version), (SecretKind::Pat, 1));
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    assert!(world.access(&coder, id, "a.example.com").await.is_ok());
    world
        .engine
        .key_rotate(&admin(), &KeyRotate::default())
        .await
        .unwrap();
    assert!(
        world.access(&coder, id, "a.example.com").await.is_ok(),
        "nor does sealing it anew"
    );
}

#[tokio::test]
async fn a_value_has_a_limit_and_a_name_has_a_form() {
    let world = World::new(POLICY).await;
    world.store("large", &vec![7; 512 * 1024]).await.unwrap();
    assert_eq!(
        code(world.store("larger", &vec![7; 512 * 1024 + 1]).await),
        Code::InvalidRequest
    );
    assert_eq!(
        code(world.store("large", b"x").await),
        Code::SecretAlreadyExists
    );
    for name in ["", "a\nb", " a", &"x".repeat(129)] {
        assert_eq!(
            code(world.store(name, b"x").await),
            Code::InvalidRequest,
            "{name:?}"
        );
    }
    let params = StoreSecret {
        name: "tagged".to_owned(),
        plaintext: SecretValue(SecretBytes::new(Vec::new())),
        kind: SecretKind::Opaque,
        description: None,
        tags: (0..33)
            .map(|number| (number.to_string(), String::new()))
            .collect(),
        algorithm: Some(SealAlgorithm::XChaCha20Poly1305),
    };
    assert_eq!(
        code(world.engine.store_secret(&admin(), params).await),
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn deleting_a_secret_ends_its_leases() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    let mut events = world.engine.events();
    world.engine.delete_secret(&admin(), "token").await.unwrap();
    assert!(events.try_recv().is_ok(), "subscribers are told");
    assert_eq!(
        code(world.access(&coder, id, "a.example.com").await),
        Code::LeaseRevoked
    );
    assert_eq!(
        code(world.request(&coder, "token", "a.example.com").await),
        Code::SecretNotFound
    );
    assert_eq!(
        code(world.engine.delete_secret(&admin(), "token").await),
        Code::SecretNotFound
    );
    world.store("token", b"another").await.unwrap();
    assert_eq!(
        code(world.access(&coder, id, "a.example.com").await),
        Code::LeaseRevoked
    );
}

#[tokio::test]
async fn old_versions_are_kept_until_they_are_pruned() {
    let world = World::new(POLICY).await;
    for value in [b"2", b"3", b"4", b"5"] {
        world
            .engine
            .update_secret(&admin(), update("token", Some(value)))
            .await
            .unwrap();
    }
    let report = world.engine.key_status().await.unwrap();
    let values: u64 = report.keys.iter().filter_map(|key| key.values).sum();
    assert_eq!(values, 4, "three of token, one of once");
    let params = PruneSecrets {
        name: Some("token".to_owned()),
        keep: Some(1),
    };
    assert_eq!(
        world.engine.prune_secrets(&admin(), &params).await.unwrap(),
        2
    );
}

#[tokio::test]
async fn secrets_are_listed_in_pages() {
    let world = World::new(POLICY).await;
    for number in 0..5 {
        world.store(&format!("s{number}"), b"x").await.unwrap();
    }
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = world
            .engine
            .list_secrets(&admin(), after.as_deref(), Some(2))
            .await
            .unwrap();
        names.extend(page.secrets.into_iter().map(|secret| secret.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["once", "s0", "s1", "s2", "s3", "s4", "token"]);
}

#[tokio::test]
async fn keys_change_while_leases_live() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    let rotated = world
        .engine
        .key_rotate(&admin(), &KeyRotate::default())
        .await
        .unwrap();
    assert_eq!(rotated.rewrapped, 2);
    let params = KeyRewrap {
        algorithm: Some(SealAlgorithm::XChaCha20Poly1305),
    };
    world
        .engine
        .key_rewrap(&admin(), params.algorithm)
        .await
        .unwrap();
    let described = world.engine.secret_metadata("token").await.unwrap();
    assert_eq!(described.algorithm, Some(SealAlgorithm::XChaCha20Poly1305));
    assert!(world.access(&coder, id, "a.example.com").await.is_ok());
    let source = KeyRotate { source: true };
    assert_eq!(
        code(world.engine.key_rotate(&admin(), &source).await),
        Code::NotSupported,
        "a variable holds one key"
    );
}
