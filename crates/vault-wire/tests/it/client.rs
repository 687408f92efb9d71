//! The client over a connection that holds.

use std::time::Duration;

use fnox_core::SecretBytes;
use fnox_vault_wire::hello::ServerHello;
use fnox_vault_wire::methods::{GetMetadata, Health, SecretKind, StoreSecret};
use fnox_vault_wire::{Client, ClientError, Code, SecretValue, WireError};
use serde_json::json;
use uuid::Uuid;

use crate::script::{Vault, health};

fn named(name: &str) -> GetMetadata {
    GetMetadata {
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn answers_in_any_order_reach_those_who_asked() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let asking: Vec<_> = (0..100)
        .map(|number: u32| {
            let client = client.clone();
            tokio::spawn(async move {
                let refused = client.call(&named(&number.to_string())).await.unwrap_err();
                (number.to_string(), refused.to_string())
            })
        })
        .collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(line.asked().await);
    }
    asked.sort_by_key(|asked| asked.params["name"].to_string());
    for asked in asked {
        let name = asked.params["name"].as_str().unwrap();
        line.refuse(asked.id, WireError::new(Code::SecretNotFound, name))
            .await;
    }
    for task in asking {
        let (name, answer) = task.await.unwrap();
        assert_eq!(name, answer);
    }
}

#[tokio::test]
async fn an_error_of_the_vault_keeps_its_code() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        assert_eq!(asked.method, "health");
        assert_eq!(asked.params, json!({}));
        let error = WireError {
            code: "newer_than_this".to_owned(),
            message: "not today".to_owned(),
        };
        line.refuse(asked.id, error).await;
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, ClientError::Remote(_)));
    assert_eq!(
        (error.code(), error.known_code()),
        ("newer_than_this", None)
    );
    assert_eq!(error.to_string(), "not today");
}

#[tokio::test]
async fn a_late_answer_harms_nobody() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let patience = Duration::from_millis(20);
    let late = client.call_with_limit(&Health {}, patience).await;
    assert!(matches!(late, Err(ClientError::TimedOut)));
    let asked = line.asked().await;
    line.answer(&asked, health("late")).await;

    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        line.answer(&asked, health("now")).await;
    });
    assert_eq!(outcome.unwrap().version, "now");
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        line.asked().await;
        line.answer_id(Uuid::from_u128(7), health("for somebody else"))
            .await;
        assert!(line.ends().await);
    });
    assert_eq!(outcome.unwrap_err().code(), "protocol");

    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let mut line = vault.accept().await;
        let asked = line.asked().await;
        line.answer(&asked, health("again")).await;
    });
    assert_eq!(outcome.unwrap().version, "again");
}

#[tokio::test]
async fn an_answer_without_an_id_is_the_answer_to_all_that_wait() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        line.asked().await;
        let error = WireError::new(Code::TooManyRequests, "slowly");
        line.refuse(Uuid::nil(), error).await;
        assert!(line.ends().await);
    });
    assert_eq!(
        outcome.unwrap_err().known_code(),
        Some(Code::TooManyRequests)
    );
}

#[tokio::test]
async fn what_is_not_the_protocol_is_said_to_be_so_without_quoting_it() {
    for answer in [
        json!({"id": "7", "ok": true, "result": {}}),
        json!(["canary"]),
        json!({"canary": 1, "id": Uuid::from_u128(1), "ok": true}),
    ] {
        let vault = Vault::new();
        let (client, mut line) = vault.with_client().await;
        let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
            line.asked().await;
            line.say(&answer).await;
            assert!(line.ends().await);
        });
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), "protocol", "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }

    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        line.answer(&asked, json!({"status": {"canary": 1}})).await;
    });
    let error = outcome.unwrap_err();
    assert!(matches!(&error, ClientError::Protocol { .. }));
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_refused_hello_says_why() {
    let vault = Vault::new();
    let (outcome, ()) = tokio::join!(Client::connect(vault.options()), async {
        let mut line = vault.accept_silently().await;
        let error = WireError::new(Code::AuthenticationFailed, "no valid token");
        line.say(&ServerHello::refusing("fnox-vault", error)).await;
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }));
    assert_eq!(error.known_code(), Some(Code::AuthenticationFailed));
    assert_eq!(
        error.to_string(),
        "the vault refused the connection: no valid token"
    );
}

#[tokio::test]
async fn a_vault_of_another_version_or_protocol_is_refused() {
    for (protocol, version) in [("fnox-vault", 2), ("http", 1)] {
        let vault = Vault::new();
        let (outcome, ()) = tokio::join!(Client::connect(vault.options()), async {
            let mut line = vault.accept_silently().await;
            let mut hello = ServerHello::accepting(protocol);
            hello.version = version;
            line.say(&hello).await;
        });
        assert_eq!(outcome.unwrap_err().code(), "protocol");
    }
}

#[tokio::test]
async fn a_vault_that_does_not_answer_the_hello_is_unreachable() {
    let vault = Vault::new();
    let mut options = vault.options();
    options.connect_timeout = Duration::from_millis(20);
    let (outcome, line) = tokio::join!(Client::connect(options), vault.accept_silently());
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, ClientError::Connect { source, .. } if source.kind() == std::io::ErrorKind::TimedOut)
    );
    drop(line);

    let (outcome, ()) = tokio::join!(Client::connect(vault.options()), async {
        drop(vault.accept_silently().await);
    });
    assert_eq!(outcome.unwrap_err().code(), "vault_unreachable");

    let options = vault.options();
    drop(vault);
    let error = Client::connect(options).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot connect to the vault at unix:")
    );
}

#[tokio::test]
async fn neither_token_nor_secret_is_shown() {
    let vault = Vault::new();
    let options = vault.options();
    assert!(!format!("{options:?}").contains("canary"));
    let (client, mut line) = vault.with_client().await;
    assert!(!format!("{client:?}").contains("canary"));
    let params = StoreSecret {
        name: "n".to_owned(),
        plaintext: SecretValue(SecretBytes::new(b"canary".to_vec())),
        kind: SecretKind::Opaque,
        description: None,
        tags: std::collections::BTreeMap::default(),
        algorithm: None,
    };
    assert!(!format!("{params:?}").contains("canary"));
    let (outcome, ()) = tokio::join!(client.call(&params), async {
        let asked = line.asked().await;
        assert_eq!(asked.params["plaintext"], "Y2FuYXJ5");
        line.refuse(asked.id, WireError::new(Code::SecretAlreadyExists, "n"))
            .await;
    });
    assert!(outcome.is_err());
}

#[tokio::test]
async fn a_request_over_the_limit_is_not_sent() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let error = client
        .call(&named(&"n".repeat(1024 * 1024)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "protocol");
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        assert_eq!(asked.method, "health");
        line.answer(&asked, health("still here")).await;
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let other = client.clone();
    drop(client);
    let (outcome, ()) = tokio::join!(other.call(&Health {}), async {
        let asked = line.asked().await;
        line.answer(&asked, health("one handle left")).await;
    });
    outcome.unwrap();
    drop(other);
    assert!(line.ends().await);
}
