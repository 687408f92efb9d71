//! The key source, against moto's KMS.

use std::sync::Arc;

use fnox_aws::{AwsClient, Operation, Repeat, Service};
use fnox_store_aws_sm::KmsKeySource;
use fnox_vault::key_source::{KeySource as _, StoredKey};
use serde_json::{Value, json};

use crate::support::moto;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

async fn kms_key(client: &AwsClient) -> String {
    let create = Operation {
        service: Service::Kms,
        name: "CreateKey",
        repeat: Repeat::OnlyUndone,
    };
    let answer: Value = client.call(create, &json!({})).await.unwrap();
    answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

async fn source() -> (KmsKeySource, Arc<AwsClient>) {
    let client = moto().await;
    let id = kms_key(&client).await;
    (KmsKeySource::new(Arc::clone(&client), id), client)
}

fn edited(stored: &StoredKey, edit: impl FnOnce(&mut Value)) -> StoredKey {
    let mut json: Value = serde_json::from_slice(&BASE64.decode(&stored.blob).unwrap()).unwrap();
    edit(&mut json);
    StoredKey {
        id: stored.id.clone(),
        blob: BASE64.encode(json.to_string()),
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_key_comes_back_from_what_is_stored() {
    let (source, _) = source().await;
    assert!(source.describe().starts_with("kms:") && source.can_rotate());
    assert!(source.load(&[]).await.unwrap().is_empty());
    let one = source.add("vault-1").await.unwrap();
    let two = source.add("vault-1").await.unwrap();
    assert_ne!(one.key.id(), two.key.id());
    let stored = [one.stored.unwrap(), two.stored.unwrap()];
    assert_eq!(stored[0].id, one.key.id());
    let loaded = source.load(&stored).await.unwrap();
    for (loaded, made) in loaded.iter().zip([&one.key, &two.key]) {
        assert_eq!(loaded.id(), made.id());
        assert_eq!(loaded.expose_bytes(), made.expose_bytes());
    }
    source.retain(one.key.id()).await.unwrap();
    assert_eq!(source.load(&stored[..1]).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn nothing_of_the_key_is_stored_in_the_clear() {
    let (source, _) = source().await;
    let made = source.add("vault-1").await.unwrap();
    let stored = made.stored.unwrap();
    let key = made.key.expose_bytes();
    let json = BASE64.decode(&stored.blob).unwrap();
    let head: Value = serde_json::from_slice(&json).unwrap();
    let blob = BASE64.decode(head["blob"].as_str().unwrap()).unwrap();
    for bytes in [json, blob] {
        assert!(!bytes.windows(32).any(|it| it == key.as_slice()));
    }
    assert_eq!(head["vault"], "vault-1");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn another_context_another_id_and_another_form_are_refused() {
    let (source, _) = source().await;
    let stored = source.add("vault-1").await.unwrap().stored.unwrap();
    let other_vault = edited(&stored, |json| json["vault"] = json!("vault-2"));
    let other_id = StoredKey {
        id: "0123456789abcdef".to_owned(),
        ..stored.clone()
    };
    let newer = edited(&stored, |json| json["format"] = json!(2));
    let unknown = edited(&stored, |json| json["x"] = json!(2));
    let garbage = StoredKey {
        blob: "~".to_owned(),
        ..stored.clone()
    };
    for (stored, told) in [
        (other_vault, "belongs to another vault"),
        (other_id, "another key than 0123456789abcdef"),
        (newer, "of format 2"),
        (unknown, "cannot be read"),
        (garbage, "cannot be read"),
    ] {
        let error = source.load(&[stored]).await.unwrap_err();
        let text = format!("{error} {}", error.remedy.clone().unwrap_or_default());
        assert!(text.contains(told), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_key_that_is_not_there_is_told() {
    let client = moto().await;
    let source = KmsKeySource::new(client, "alias/no-such-key");
    let error = source.add("vault-1").await.unwrap_err();
    assert_eq!(error.name, "kms:alias/no-such-key");
    assert!(error.problem.contains("NotFoundException"), "{error}");
}
