//! The client when connections break.

use std::time::Duration;

use fnox_vault_wire::frame::FrameError;
use fnox_vault_wire::methods::{GetMetadata, Health, RevocationReason, RevokeLease};
use fnox_vault_wire::{ClientError, Code, LeaseId, WireError};
use serde_json::json;

use crate::script::{Vault, health};

fn revocation() -> RevokeLease {
    RevokeLease {
        lease_id: LeaseId::generate(),
        reason: RevocationReason::Released,
    }
}

#[tokio::test]
async fn the_next_request_opens_another_connection() {
    let vault = Vault::new();
    let (client, line) = vault.with_client().await;
    drop(line);
    for version in ["first", "second"] {
        let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
            let mut line = vault.accept().await;
            let asked = line.asked().await;
            line.answer(&asked, health(version)).await;
        });
        assert_eq!(outcome.unwrap().version, version);
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (outcome, lost) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        drop(line);
        asked.id
    });
    assert!(matches!(outcome, Err(ClientError::Closed)));

    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let mut line = vault.accept().await;
        let asked = line.asked().await;
        assert_ne!(asked.id, lost);
        line.answer(&asked, health("once")).await;
    });
    assert_eq!(outcome.unwrap().version, "once");
}

#[tokio::test]
async fn a_request_that_was_not_all_written_goes_over_the_next_connection() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    // More than a socket's buffer holds: it cannot be written while nobody reads.
    let params = GetMetadata {
        name: "n".repeat(900_000),
    };
    let (outcome, ()) = tokio::join!(client.call(&params), async {
        line.reader.set_limit(16);
        let begun = line.reader.next().await;
        assert!(
            matches!(begun, Err(FrameError::TooLarge { .. })),
            "{begun:?}"
        );
        drop(line);
        let mut line = vault.accept().await;
        let asked = line.asked().await;
        assert_eq!(asked.params["name"].as_str().map(str::len), Some(900_000));
        let error = WireError::new(Code::SecretNotFound, "the second time");
        line.refuse(asked.id, error).await;
    });
    assert_eq!(outcome.unwrap_err().to_string(), "the second time");
}

#[tokio::test]
async fn everybody_hears_that_the_vault_is_gone() {
    let vault = Vault::new();
    let (client, line) = vault.with_client().await;
    drop((line, vault));
    let outcomes = futures_util::future::join_all((0..10).map(|_| client.call(&Health {}))).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, ClientError::Connect { .. } | ClientError::Closed),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_was_fired_arrives_although_the_connection_breaks() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let params = revocation();
    client.fire(&params);
    let first = line.asked().await;
    drop(line);
    // It was read, but not answered: nobody knows whether it was done.
    let mut line = vault.accept().await;
    let second = line.asked().await;
    assert_eq!(first.id, second.id);
    assert_eq!(second.params["lease_id"], json!(params.lease_id));
    let ((), ()) = tokio::join!(client.settle(), line.answer(&second, json!({})));
}

#[tokio::test]
async fn what_was_fired_arrives_although_the_client_is_dropped() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    for _ in 0..2000 {
        client.fire(&revocation());
    }
    drop(client);
    for _ in 0..2000 {
        let asked = line.asked().await;
        assert_eq!(asked.method, "revoke_lease");
        line.answer(&asked, json!({})).await;
    }
    assert!(line.ends().await);
}

#[tokio::test]
async fn settling_ends_when_what_was_fired_is_given_up() {
    let vault = Vault::new();
    let mut options = vault.options();
    options.background_timeout = Duration::from_millis(30);
    let (client, line) = tokio::join!(fnox_vault_wire::Client::connect(options), vault.accept());
    let client = client.unwrap();
    drop((line, vault));
    client.fire(&revocation());
    client.settle().await;
}

#[tokio::test]
async fn a_call_nobody_waits_for_any_more_is_not_sent_later() {
    let vault = Vault::new();
    let (client, line) = vault.with_client().await;
    drop(line);
    let patience = Duration::from_millis(20);
    // The vault accepts no connection in time, so the hello waits.
    let late = client.call_with_limit(&Health {}, patience).await;
    assert!(matches!(late, Err(ClientError::TimedOut)));
    let params = GetMetadata {
        name: "n".to_owned(),
    };
    let (outcome, ()) = tokio::join!(client.call(&params), async {
        let mut line = vault.accept().await;
        let asked = line.asked().await;
        assert_eq!(asked.method, "get_metadata");
        line.refuse(asked.id, WireError::new(Code::SecretNotFound, "n"))
            .await;
    });
    assert_eq!(
        outcome.unwrap_err().known_code(),
        Some(Code::SecretNotFound)
    );
}

#[tokio::test]
async fn a_vault_that_hangs_up_on_every_connection_does_not_keep_the_caller_for_ever() {
    let vault = Vault::new();
    let mut options = vault.options();
    options.request_timeout = Duration::from_millis(200);
    let (client, line) = tokio::join!(fnox_vault_wire::Client::connect(options), vault.accept());
    let client = client.unwrap();
    drop(line);
    let (outcome, connections) = tokio::join!(client.call(&Health {}), async {
        let mut connections = 0;
        let hang_up = async {
            loop {
                drop(vault.accept().await);
                connections += 1;
            }
        };
        let _still_hanging_up = tokio::time::timeout(Duration::from_millis(150), hang_up).await;
        connections
    });
    assert!(matches!(
        outcome,
        Err(ClientError::TimedOut | ClientError::Closed)
    ));
    // Pauses that double leave room for a few attempts; without them there would be hundreds.
    assert!(connections < 20, "{connections} connections");
}
