//! Against a server that somebody else wrote after the services' models.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use fnox_aws::secrets_manager::{self, Deletion, Filter, NewSecret, NewValue, Tag};
use fnox_aws::{AwsClient, Blob, Operation, Repeat, Service, kms};
use fnox_testkit::services;
use serde_json::{Value, json};

use crate::support::client;

async fn moto() -> AwsClient {
    client(&services::moto().url).await
}

/// A name of its own: the server is shared, and may have seen earlier runs.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos();
    format!("t{nanos}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn token(number: u32) -> String {
    format!("{number:032}")
}

fn secret(name: &str, bytes: &[u8]) -> NewSecret {
    NewSecret {
        name: name.to_owned(),
        client_request_token: token(1),
        secret_binary: Blob::new(bytes.to_vec()),
        description: Some("one".to_owned()),
        kms_key_id: None,
        tags: vec![Tag {
            key: "k".to_owned(),
            value: "v".to_owned(),
        }],
    }
}

async fn kms_key(client: &AwsClient) -> String {
    let create = Operation {
        service: Service::Kms,
        name: "CreateKey",
        repeat: Repeat::OnlyUndone,
    };
    let answer: Value = client.call(create, &json!({})).await.unwrap();
    answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn context(vault: &str) -> kms::EncryptionContext {
    [("fnox:vault".to_owned(), vault.to_owned())].into()
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_data_key_comes_back_only_with_its_context_and_key() {
    let client = moto().await;
    let id = kms_key(&client).await;
    let key = kms::generate_data_key(&client, &id, &context("a"))
        .await
        .unwrap();
    assert!(key.key_arn.ends_with(&id), "{}", key.key_arn);
    let again = kms::decrypt(&client, &key.blob, &context("a"), Some(&id)).await;
    assert_eq!(again.unwrap(), key.plaintext);
    let other = kms::decrypt(&client, &key.blob, &context("b"), Some(&id)).await;
    let error = other.unwrap_err();
    assert!(error.is("InvalidCiphertextException"), "{error}");
    let missing = kms::generate_data_key(&client, "alias/none", &context("a")).await;
    let error = missing.unwrap_err();
    assert!(error.is("NotFoundException"), "{error}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_secret_lives_through_all_operations() {
    let client = moto().await;
    let name = unique();
    let all: Vec<u8> = (0..=255).collect();
    let new = secret(&name, &all);
    secrets_manager::create_secret(&client, &new).await.unwrap();
    // The same once more is no second one.
    secrets_manager::create_secret(&client, &new).await.unwrap();
    let found = secrets_manager::get_secret_value(&client, &name).await;
    let found = found.unwrap();
    assert_eq!(found.version_id, token(1));
    assert_eq!(found.secret_binary.unwrap().expose_bytes(), all);

    let mut next = NewValue {
        secret_id: name.clone(),
        client_request_token: token(2),
        secret_binary: Blob::new(b"two".to_vec()),
        description: None,
    };
    secrets_manager::put_secret_value(&client, &next)
        .await
        .unwrap();
    next.client_request_token = token(3);
    next.description = Some("three".to_owned());
    secrets_manager::update_secret(&client, &next)
        .await
        .unwrap();
    let tag = Tag {
        key: "more".to_owned(),
        value: String::new(),
    };
    secrets_manager::tag_resource(&client, &name, &[tag])
        .await
        .unwrap();
    secrets_manager::untag_resource(&client, &name, &["k"])
        .await
        .unwrap();
    let told = secrets_manager::describe_secret(&client, &name)
        .await
        .unwrap();
    assert_eq!(told.description.as_deref(), Some("three"));
    assert_eq!(told.version("AWSCURRENT"), Some(token(3).as_str()));
    assert_eq!(told.version("AWSPREVIOUS"), Some(token(2).as_str()));
    assert_eq!((told.tag("more"), told.tag("k")), (Some(""), None));

    let days = Deletion::Days(7);
    secrets_manager::delete_secret(&client, &name, days)
        .await
        .unwrap();
    let error = secrets_manager::get_secret_value(&client, &name).await;
    assert!(error.unwrap_err().is("InvalidRequestException"));
    let told = secrets_manager::describe_secret(&client, &name)
        .await
        .unwrap();
    assert!(told.deleted_date.is_some());
    secrets_manager::restore_secret(&client, &name)
        .await
        .unwrap();
    secrets_manager::get_secret_value(&client, &name)
        .await
        .unwrap();
    let force = Deletion::Force;
    secrets_manager::delete_secret(&client, &name, force)
        .await
        .unwrap();
    let error = secrets_manager::describe_secret(&client, &name).await;
    assert!(error.unwrap_err().is("ResourceNotFoundException"));
}

#[tokio::test]
#[ignore = "needs moto"]
async fn lists_have_pages_and_batches_tell_what_is_missing() {
    let client = moto().await;
    let prefix = unique();
    let names: BTreeSet<String> = (0..130).map(|at| format!("{prefix}/{at:03}")).collect();
    for name in &names {
        let new = secret(name, b"x");
        secrets_manager::create_secret(&client, &new).await.unwrap();
    }
    let filter = Filter {
        name_prefix: Some(format!("{prefix}/")),
        tag_key: Some("k".to_owned()),
    };
    let mut listed = BTreeSet::new();
    let (mut pages, mut next) = (0, None);
    loop {
        let page = secrets_manager::list_secrets(&client, &filter, next.as_deref());
        let page = page.await.unwrap();
        pages += 1;
        listed.extend(page.secret_list.into_iter().map(|secret| secret.name));
        next = page.next_token;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((pages, listed), (2, names.clone()));

    let mut asked: Vec<String> = names.into_iter().take(19).collect();
    asked.push(format!("{prefix}/none"));
    let batch = secrets_manager::batch(&client, &asked).await.unwrap();
    assert_eq!(batch.secret_values.len(), 19);
    assert_eq!(batch.errors.len(), 1);
    assert_eq!(batch.errors[0].secret_id, asked[19]);
    assert_eq!(batch.errors[0].error_code, "ResourceNotFoundException");
}
