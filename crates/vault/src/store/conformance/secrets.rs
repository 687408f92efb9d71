//! Promises of [`SecretStore`](crate::store::SecretStore).

use fnox_core::seal::{Algorithm, Sealed};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;

use super::{Subject, moment, name, next, reopened, ring, sealed, secret, unlocked};
use crate::store::{Described, Refusal, Resealed, StoreError, StoredSecret, Stores};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    come_back_as_they_were(subject).await;
    have_names_of_their_own(subject).await;
    count_their_versions(subject).await;
    are_described_anew(subject).await;
    are_deleted_with_all_versions(subject).await;
    are_listed_in_pages(subject).await;
    take_large_values(subject).await;
    are_resealed_only_as_they_were(subject).await;
    are_pruned(subject).await;
    if subject.judges_keys() {
        are_refused_under_an_old_key(subject).await;
    }
    survive(subject).await;
}

async fn found(stores: &Stores, text: &str) -> Option<StoredSecret> {
    let found = stores.secrets.secret(&name(text)).await.unwrap();
    let record = stores.secrets.metadata(&name(text)).await.unwrap();
    assert_eq!(found.as_ref().map(|it| &it.record), record.as_deref());
    found.map(|it| (*it).clone())
}

async fn versions(stores: &Stores) -> u64 {
    let counts = stores.secrets.count_by_key().await.unwrap();
    counts.into_iter().map(|(_, count)| count).sum()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &Refusal) {
    let error = result.unwrap_err();
    assert_eq!(error.refusal(), Some(expected), "{error}");
}

async fn come_back_as_they_were(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    assert_eq!(found(&stores, "a").await, None);
    let mut one = secret("a");
    one.record.kind = SecretKind::OAuth2 {
        refresh_ciphertext: Some(vec![0, 255]),
        refresh_nonce: None,
    };
    stores.secrets.insert(one.clone()).await.unwrap();
    assert_eq!(found(&stores, "a").await, Some(one));
    let mut bare = secret("Bare/\u{e4} 1");
    bare.record.description = None;
    bare.record.tags.clear();
    bare.record.algorithm = Algorithm::Aes256Gcm;
    bare.sealed = Sealed {
        nonce: vec![0; 12],
        ciphertext: vec![0; 16],
    };
    stores.secrets.insert(bare.clone()).await.unwrap();
    assert_eq!(found(&stores, "Bare/\u{e4} 1").await, Some(bare));
    assert_eq!(found(&stores, "bare/\u{e4} 1").await, None);
}

async fn have_names_of_their_own(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = secret("a");
    stores.secrets.insert(one.clone()).await.unwrap();
    refused(stores.secrets.insert(secret("a")).await, &Refusal::Exists);
    assert_eq!(found(&stores, "a").await, Some(one));
    assert_eq!(versions(&stores).await, 1);
}

async fn count_their_versions(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = secret("a");
    let orphan = next(&one);
    refused(
        stores.secrets.add_version(orphan, 3).await,
        &Refusal::Missing,
    );
    stores.secrets.insert(one.clone()).await.unwrap();
    let two = next(&one);
    refused(
        stores.secrets.add_version(next(&two), 3).await,
        &Refusal::Moved,
    );
    refused(
        stores.secrets.add_version(one.clone(), 3).await,
        &Refusal::Moved,
    );
    let mut of_another = two.clone();
    of_another.record.id = SecretId::generate();
    refused(
        stores.secrets.add_version(of_another, 3).await,
        &Refusal::Moved,
    );
    assert_eq!(found(&stores, "a").await, Some(one.clone()));
    let mut newest = one;
    for count in [2, 3, 3, 3] {
        newest = next(&newest);
        stores.secrets.add_version(newest.clone(), 3).await.unwrap();
        assert_eq!(found(&stores, "a").await, Some(newest.clone()));
        assert_eq!(versions(&stores).await, count);
    }
}

async fn are_described_anew(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let change = |description: &str| Described {
        description: Some(description.to_owned()),
        updated_at: moment(9),
        ..Described::default()
    };
    refused(
        stores
            .secrets
            .describe_secret(&name("a"), change("x"))
            .await,
        &Refusal::Missing,
    );
    let mut one = secret("a");
    stores.secrets.insert(one.clone()).await.unwrap();
    let a = name("a");
    let described = stores.secrets.describe_secret(&a, change("new"));
    described.await.unwrap();
    one.record.description = Some("new".to_owned());
    one.record.updated_at = moment(9);
    assert_eq!(found(&stores, "a").await, Some(one.clone()));
    let change = Described {
        kind: Some(SecretKind::SshKey),
        tags: Some([("k".to_owned(), String::new())].into()),
        updated_at: moment(10),
        ..Described::default()
    };
    let described = stores.secrets.describe_secret(&a, change);
    described.await.unwrap();
    one.record.kind = SecretKind::SshKey;
    one.record.tags = [("k".to_owned(), String::new())].into();
    one.record.updated_at = moment(10);
    // The kind that was sealed in stays.
    assert_eq!(found(&stores, "a").await, Some(one));
}

async fn are_deleted_with_all_versions(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = secret("a");
    stores.secrets.insert(one.clone()).await.unwrap();
    stores.secrets.add_version(next(&one), 3).await.unwrap();
    stores.secrets.insert(secret("b")).await.unwrap();
    stores.secrets.delete(&name("a")).await.unwrap();
    assert_eq!(found(&stores, "a").await, None);
    assert_eq!(versions(&stores).await, 1);
    refused(stores.secrets.delete(&name("a")).await, &Refusal::Missing);
    let again = secret("a");
    stores.secrets.insert(again.clone()).await.unwrap();
    assert_eq!(found(&stores, "a").await, Some(again));
}

async fn are_listed_in_pages(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    assert_eq!(stores.secrets.list(None, 10).await.unwrap(), []);
    // In the order of bytes, not of any language.
    let mut names = vec!["B", "Z/9", "_", "a", "a b", "a-b", "a.b", "ab", "\u{e4}"];
    for text in names.iter().rev() {
        stores.secrets.insert(secret(text)).await.unwrap();
    }
    names.sort_unstable();
    for size in [1, 2, 4, 9, 100] {
        let mut listed: Vec<String> = Vec::new();
        loop {
            let after = listed.last().map(String::as_str);
            let page = stores.secrets.list(after, size).await.unwrap();
            assert!(page.len() <= size);
            if page.is_empty() {
                break;
            }
            listed.extend(page.iter().map(|record| record.name.as_str().to_owned()));
        }
        assert_eq!(listed, names, "pages of {size}");
    }
    let rest = stores.secrets.list(Some("a c"), 1).await.unwrap();
    assert_eq!(
        rest[0].name.as_str(),
        "a-b",
        "a name that is gone has a place"
    );
}

async fn take_large_values(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut large = secret("large");
    large.sealed.ciphertext = (0..subject.largest_value())
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    stores.secrets.insert(large.clone()).await.unwrap();
    assert_eq!(found(&stores, "large").await, Some(large));
}

async fn are_resealed_only_as_they_were(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = secret("a");
    let two = next(&one);
    stores.secrets.insert(one.clone()).await.unwrap();
    stores.secrets.add_version(two.clone(), 3).await.unwrap();
    let waiting = stores.secrets.sealed_otherwise("k1", None, 10).await;
    assert_eq!(waiting.unwrap(), []);
    let aes = Some(Algorithm::Aes256Gcm);
    let waiting = stores.secrets.sealed_otherwise("k1", aes, 10).await;
    assert_eq!(waiting.unwrap().len(), 2);
    let waiting = stores.secrets.sealed_otherwise("k2", None, 1).await;
    assert_eq!(waiting.unwrap().len(), 1);
    let mut waiting = stores
        .secrets
        .sealed_otherwise("k2", None, 10)
        .await
        .unwrap();
    waiting.sort_by_key(|version| version.record.version);
    assert_eq!(waiting[0].sealed, one.sealed);
    assert_eq!(waiting[0].record.version, 1);
    assert_eq!(waiting[1].sealed, two.sealed);

    let anew = |of: &StoredSecret, old_nonce: Vec<u8>| Resealed {
        id: of.record.id,
        name: of.record.name.clone(),
        version: of.record.version,
        old_nonce,
        key_id: "k2".to_owned(),
        algorithm: Algorithm::Aes256Gcm,
        sealed: Sealed {
            nonce: vec![9; 12],
            ciphertext: vec![of.record.version.to_be_bytes()[3]; 40],
        },
    };
    let stale = anew(&two, vec![77; 24]);
    let good = anew(&one, one.sealed.nonce.clone());
    let resealed = stores.secrets.reseal(vec![stale, good]).await;
    assert_eq!(resealed.unwrap(), 1);
    assert_eq!(found(&stores, "a").await, Some(two.clone()));
    let resealed = stores
        .secrets
        .reseal(vec![anew(&two, two.sealed.nonce.clone())])
        .await;
    assert_eq!(resealed.unwrap(), 1);
    let newest = found(&stores, "a").await.unwrap();
    assert_eq!(newest.record.algorithm, Algorithm::Aes256Gcm);
    assert_eq!((newest.key_id.as_str(), newest.record.version), ("k2", 2));
    assert_eq!(newest.record.updated_at, two.record.updated_at);
    let counts = stores.secrets.count_by_key().await.unwrap();
    assert_eq!(counts, [("k2".to_owned(), 2)]);
    let listed = stores.secrets.list(None, 1).await.unwrap();
    assert_eq!(listed[0], newest.record);
}

async fn are_pruned(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    for text in ["a", "b"] {
        let mut version = secret(text);
        stores.secrets.insert(version.clone()).await.unwrap();
        for _ in 0..4 {
            version = next(&version);
            let added = stores.secrets.add_version(version.clone(), 10);
            added.await.unwrap();
        }
    }
    assert_eq!(stores.secrets.prune(None, 10).await.unwrap(), 0);
    let a = name("a");
    assert_eq!(stores.secrets.prune(Some(&a), 3).await.unwrap(), 2);
    assert_eq!(versions(&stores).await, 8);
    // The newest is never dropped.
    assert_eq!(stores.secrets.prune(None, 0).await.unwrap(), 6);
    assert_eq!(versions(&stores).await, 2);
    assert_eq!(found(&stores, "b").await.unwrap().record.version, 5);
    assert_eq!(stores.secrets.prune(Some(&name("c")), 1).await.unwrap(), 0);
}

async fn are_refused_under_an_old_key(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    stores.ring.save(&ring::ring(1, "k1")).await.unwrap();
    let one = secret("a");
    stores.secrets.insert(one.clone()).await.unwrap();
    stores.ring.save(&ring::ring(2, "k2")).await.unwrap();
    refused(stores.secrets.insert(secret("b")).await, &Refusal::StaleKey);
    refused(
        stores.secrets.add_version(next(&one), 3).await,
        &Refusal::StaleKey,
    );
    assert_eq!(found(&stores, "a").await, Some(one.clone()));
    assert_eq!(found(&stores, "b").await, None);
    let mut two = next(&one);
    two.key_id = String::from("k2");
    stores.secrets.add_version(two.clone(), 3).await.unwrap();
    assert_eq!(found(&stores, "a").await, Some(two));
}

async fn survive(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = secret("a");
    let mut two = next(&one);
    two.sealed = sealed(200);
    stores.secrets.insert(one).await.unwrap();
    stores.secrets.add_version(two.clone(), 3).await.unwrap();
    stores.secrets.insert(secret("gone")).await.unwrap();
    stores.secrets.delete(&name("gone")).await.unwrap();
    let Some(stores) = reopened(subject, stores).await else {
        return;
    };
    assert_eq!(found(&stores, "a").await, Some(two));
    assert_eq!(found(&stores, "gone").await, None);
    assert_eq!(versions(&stores).await, 2);
}
