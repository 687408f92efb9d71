//! Deleting, and names that were used before.

use std::sync::Arc;

use fnox_aws::secrets_manager::{self, Deletion};
use fnox_store_aws_sm::AwsSmStore;
use fnox_testkit::FakeClock;
use fnox_vault::store::{Refusal, SecretStore as _};

use crate::support::{forgetful, moto, name, next, secret, unique, with_clock};

async fn is_there(store: &AwsSmStore, text: &str) -> bool {
    store.secret(&name(text)).await.unwrap().is_some()
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_deleted_value_does_not_come_back_when_aws_restores_the_secret() {
    let client = moto().await;
    let prefix = unique();
    let store = forgetful(&client, &prefix);
    store.insert(secret("a", 20)).await.unwrap();
    store.delete(&name("a")).await.unwrap();
    let aws_name = format!("{prefix}/a");
    let told = secrets_manager::describe_secret(&client, &aws_name).await;
    assert!(told.unwrap().deleted_date.is_some());

    secrets_manager::restore_secret(&client, &aws_name)
        .await
        .unwrap();
    let value = secrets_manager::get_secret_value(&client, &aws_name).await;
    let bytes = value.unwrap().secret_binary.unwrap();
    assert!(!bytes.expose_bytes().windows(20).any(|it| it == [0xff; 20]));
    let store = forgetful(&client, &prefix);
    assert!(!is_there(&store, "a").await);
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    assert_eq!(store.count_by_key().await.unwrap(), []);
    let error = store.add_version(next(&secret("a", 1)), 3).await;
    assert_eq!(error.unwrap_err().refusal(), Some(&Refusal::Missing));
    // Deleting once more finishes it.
    let error = store.delete(&name("a")).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::Missing));
    let told = secrets_manager::describe_secret(&client, &aws_name).await;
    assert!(told.unwrap().deleted_date.is_some());
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_name_is_free_again_however_it_was_deleted() {
    let client = moto().await;
    let prefix = unique();
    let store = forgetful(&client, &prefix);
    let aws_name = format!("{prefix}/a");
    for deletion in [Deletion::Days(7), Deletion::Force] {
        store.insert(secret("a", 1)).await.unwrap();
        let deleted = secrets_manager::delete_secret(&client, &aws_name, deletion);
        deleted.await.unwrap();
        assert!(!is_there(&store, "a").await);
        let again = secret("a", 2);
        store.insert(again.clone()).await.unwrap();
        let found = store.secret(&name("a")).await.unwrap().unwrap();
        assert_eq!(*found, again);
        store.delete(&name("a")).await.unwrap();
        let anew = secret("a", 3);
        store.insert(anew.clone()).await.unwrap();
        let found = store.metadata(&name("a")).await.unwrap().unwrap();
        assert_eq!(*found, anew.record);
        let told = secrets_manager::describe_secret(&client, &aws_name).await;
        let told = told.unwrap();
        assert_eq!(told.description.as_deref(), Some("for tests"));
        let id = anew.record.id.to_string();
        assert_eq!(told.tag("fnox:id"), Some(id.as_str()));
        store.delete(&name("a")).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn force_leaves_nothing_behind() {
    let client = moto().await;
    let prefix = unique();
    let store = with_clock(
        &client,
        &prefix,
        &Arc::new(FakeClock::at("2026-01-01T00:00:00Z")),
    );
    store.insert(secret("a", 1)).await.unwrap();
    store.delete(&name("a")).await.unwrap();
    assert!(!is_there(&store, "a").await);
    let told = secrets_manager::describe_secret(&client, &format!("{prefix}/a")).await;
    assert!(told.unwrap_err().is("ResourceNotFoundException"));
}
