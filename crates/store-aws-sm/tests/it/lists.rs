//! Many secrets, and what is beside them.

use std::sync::Arc;

use fnox_aws::secrets_manager::{self, NewSecret, NewValue, Tag};
use fnox_aws::{AwsClient, Blob};
use fnox_testkit::FakeClock;
use fnox_vault::store::{SecretStore as _, StoreError};
use jiff::SignedDuration;

use crate::support::{forgetful, moto, name, next, secret, unique, with_clock};

async fn put(client: &AwsClient, aws_name: &str, bytes: &[u8], tag: &str) {
    let new = NewSecret {
        name: aws_name.to_owned(),
        client_request_token: "0".repeat(32),
        secret_binary: Blob::new(bytes.to_vec()),
        description: None,
        kms_key_id: None,
        tags: vec![Tag {
            key: tag.to_owned(),
            value: "x".to_owned(),
        }],
    };
    secrets_manager::create_secret(client, &new).await.unwrap();
}

#[tokio::test]
#[ignore = "needs moto"]
async fn more_than_one_page_of_secrets_is_listed() {
    let client = moto().await;
    let prefix = unique();
    let store = forgetful(&client, &prefix);
    let mut names: Vec<String> = (0..125).map(|at| format!("s {at}")).collect();
    for text in &names {
        store.insert(secret(text, 1)).await.unwrap();
    }
    names.sort_unstable();
    // A store that wrote nothing knows only what AWS tells.
    for store in [store, forgetful(&client, &prefix)] {
        let all = store.list(None, 1000).await.unwrap();
        let listed: Vec<&str> = all.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(listed, names);
        let page = store.list(Some(&names[99]), 7).await.unwrap();
        let listed: Vec<&str> = page.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(listed, &names[100..107]);
        let counts = store.count_by_key().await.unwrap();
        assert_eq!(counts, [("k1".to_owned(), 125)]);
        let waiting = store.sealed_otherwise("k2", None, 50).await.unwrap();
        assert_eq!(waiting.len(), 50);
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn others_below_the_prefix_are_left_alone() {
    let client = moto().await;
    let prefix = unique();
    let store = forgetful(&client, &prefix);
    let below = forgetful(&client, &format!("{prefix}/prod"));
    let beside = forgetful(&client, &format!("{prefix}-x"));
    for store in [&store, &below, &beside] {
        store.insert(secret("a", 1)).await.unwrap();
    }
    put(&client, &format!("{prefix}/theirs"), b"password", "owner").await;
    for store in [&store, &below, &beside] {
        let listed = store.list(None, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].name, name("a"));
    }
    let error = store.secret(&name("theirs")).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(!error.to_string().contains("password"));
    let error = store.insert(secret("theirs", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let error = store.delete(&name("theirs")).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let kept = secrets_manager::get_secret_value(&client, &format!("{prefix}/theirs")).await;
    assert_eq!(
        kept.unwrap().secret_binary.unwrap().expose_bytes(),
        b"password"
    );
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_value_that_was_replaced_is_found_out() {
    let client = moto().await;
    let prefix = unique();
    let store = forgetful(&client, &prefix);
    store.insert(secret("a", 1)).await.unwrap();
    store.insert(secret("b", 1)).await.unwrap();
    let a = secrets_manager::get_secret_value(&client, &format!("{prefix}/a")).await;
    let a = a.unwrap().secret_binary.unwrap();
    let mut newer = a.expose_bytes().to_vec();
    newer[7] = 9;
    let damaged = a.expose_bytes()[..100].to_vec();
    for (at, (bytes, told)) in [
        (a.expose_bytes().to_vec(), "belongs to another name"),
        (newer, "written by a newer fnox (format 9"),
        (damaged, "is damaged"),
        (b"x".to_vec(), "something else"),
    ]
    .into_iter()
    .enumerate()
    {
        let value = NewValue {
            secret_id: format!("{prefix}/b"),
            client_request_token: format!("{at:032}"),
            secret_binary: Blob::new(bytes),
            description: None,
        };
        secrets_manager::put_secret_value(&client, &value)
            .await
            .unwrap();
        let error = store.secret(&name("b")).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        // A secret that cannot be read must not look as if it were not there: keys are retired by lists.
        let fresh = forgetful(&client, &prefix);
        let error = fresh.count_by_key().await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn what_others_write_is_seen_after_the_time_of_the_cache() {
    let client = moto().await;
    let prefix = unique();
    let clock = Arc::new(FakeClock::at("2026-01-01T00:00:00Z"));
    let store = with_clock(&client, &prefix, &clock);
    let one = secret("a", 1);
    store.insert(one.clone()).await.unwrap();
    assert_eq!(store.list(None, 9).await.unwrap().len(), 1);
    let other = forgetful(&client, &prefix);
    other.add_version(next(&one), 3).await.unwrap();
    other.insert(secret("b", 1)).await.unwrap();
    let version = async || store.metadata(&name("a")).await.unwrap().unwrap().version;
    clock.advance(SignedDuration::from_secs(29));
    assert_eq!(version().await, 1);
    assert_eq!(store.list(None, 9).await.unwrap().len(), 1);
    clock.advance(SignedDuration::from_secs(2));
    assert_eq!(version().await, 2);
    assert_eq!(store.list(None, 9).await.unwrap().len(), 2);
    // Its own writes it sees at once.
    store.delete(&name("a")).await.unwrap();
    assert!(store.secret(&name("a")).await.unwrap().is_none());
    assert_eq!(store.list(None, 9).await.unwrap().len(), 1);
}
