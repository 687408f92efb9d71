//! Somebody else who writes below the same prefix.

use std::sync::{Arc, Mutex};

use fnox_vault::store::{Refusal, SecretStore as _, StoreError};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{client, forgetful, next, secret};

/// A Secrets Manager with one secret, in which others write.
struct Shared {
    binary: Mutex<Value>,
    token: Mutex<Value>,
    labels: fn(token: &str) -> Value,
}

impl Respond for Shared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let input: Value = serde_json::from_slice(&request.body).unwrap();
        let target = request.headers["x-amz-target"].to_str().unwrap();
        let answer = match target.strip_prefix("secretsmanager.").unwrap() {
            "CreateSecret" => {
                *self.binary.lock().unwrap() = input["SecretBinary"].clone();
                json!({})
            }
            "GetSecretValue" => json!({
                "Name": input["SecretId"], "VersionId": "base",
                "SecretBinary": *self.binary.lock().unwrap(),
            }),
            "PutSecretValue" => {
                *self.token.lock().unwrap() = input["ClientRequestToken"].clone();
                json!({})
            }
            "DescribeSecret" => {
                let token = self.token.lock().unwrap();
                let labels = (self.labels)(token.as_str().unwrap());
                json!({"Name": input["SecretId"], "VersionIdsToStages": labels})
            }
            "TagResource" => json!({}),
            other => panic!("{other} is not asked for"),
        };
        ResponseTemplate::new(200).set_body_string(answer.to_string())
    }
}

async fn written(labels: fn(token: &str) -> Value) -> Result<(), StoreError> {
    let server = MockServer::start().await;
    let shared = Shared {
        binary: Mutex::default(),
        token: Mutex::default(),
        labels,
    };
    Mock::given(any()).respond_with(shared).mount(&server).await;
    let store = forgetful(&client(&server.uri()).await, "p");
    let one = secret("a", 1);
    store.insert(one.clone()).await.unwrap();
    store.add_version(next(&one), 3).await
}

#[tokio::test]
async fn a_write_that_replaced_what_it_had_read_is_good() {
    let alone = |token: &str| json!({token: ["AWSCURRENT"], "base": ["AWSPREVIOUS"]});
    written(alone).await.unwrap();
}

#[tokio::test]
async fn a_write_that_was_replaced_at_once_is_told() {
    let overtaken = |token: &str| json!({"theirs": ["AWSCURRENT"], token: ["AWSPREVIOUS"]});
    let error = written(overtaken).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::Moved));
}

#[tokio::test]
async fn a_write_that_replaced_somebody_elses_is_told() {
    let lost = |token: &str| json!({token: ["AWSCURRENT"], "theirs": ["AWSPREVIOUS"], "base": []});
    let error = written(lost).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("only one vault"), "{error}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn writes_of_one_vault_wait_for_each_other() {
    let moto = crate::support::moto().await;
    let store = Arc::new(forgetful(&moto, &crate::support::unique()));
    let one = secret("a", 1);
    store.insert(one.clone()).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, two) = (Arc::clone(&store), next(&one));
            tokio::spawn(async move { store.add_version(two, 3).await })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error.refusal(), Some(&Refusal::Moved), "{error}"),
        }
    }
    assert_eq!(done, 1);
}
