//! Events of the vault.

use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::{Health, LeaseEvent, RevocationReason};
use serde_json::json;

use crate::script::{Vault, health};

fn revoked() -> LeaseEvent {
    LeaseEvent::LeaseRevoked {
        lease_id: LeaseId::generate(),
        agent: "agent".to_owned(),
        reason: RevocationReason::AdminRevoked,
    }
}

#[tokio::test]
async fn events_come_between_answers() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let first = revoked();
    let (events, ()) = tokio::join!(client.subscribe(), async {
        let asked = line.asked().await;
        assert_eq!(asked.method, "subscribe");
        // The first event may come before the answer.
        line.tell(&first).await;
        line.answer(&asked, json!({})).await;
    });
    let mut events = events.unwrap();
    assert_eq!(events.next().await, Some(first));

    let second = revoked();
    line.say(&json!({"event": {"type": "newer_than_this", "more": 1}}))
        .await;
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        line.tell(&second).await;
        line.answer(&asked, health("ok")).await;
    });
    outcome.unwrap();
    assert_eq!(events.next().await, Some(second));
}

#[tokio::test]
async fn a_subscription_outlives_its_connection_and_says_so() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (events, ()) = tokio::join!(client.subscribe(), async {
        let asked = line.asked().await;
        line.answer(&asked, json!({})).await;
    });
    let mut events = events.unwrap();
    // No handle is left but the subscriber.
    drop((client, line));
    // Nobody asks for anything: the subscription alone is a reason to connect.
    let mut line = vault.accept().await;
    let asked = line.asked().await;
    assert_eq!(asked.method, "subscribe");
    line.answer(&asked, json!({})).await;
    let event = revoked();
    line.tell(&event).await;
    assert_eq!(events.next().await, Some(LeaseEvent::Lagged { missed: 0 }));
    assert_eq!(events.next().await, Some(event));
}

#[tokio::test]
async fn a_subscriber_that_does_not_listen_hears_how_much_it_missed() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let (events, ()) = tokio::join!(client.subscribe(), async {
        let asked = line.asked().await;
        line.answer(&asked, json!({})).await;
    });
    let mut events = events.unwrap();
    for _ in 0..2000 {
        line.tell(&revoked()).await;
    }
    let last = revoked();
    line.tell(&last).await;
    // An answer that comes after the events shows that the client has read them all.
    let (outcome, ()) = tokio::join!(client.call(&Health {}), async {
        let asked = line.asked().await;
        line.answer(&asked, health("ok")).await;
    });
    outcome.unwrap();
    let Some(LeaseEvent::Lagged { missed }) = events.next().await else {
        panic!("it must hear that it missed some");
    };
    let mut heard = 1;
    while events.next().await != Some(last.clone()) {
        heard += 1;
    }
    assert_eq!(missed + heard, 2001);
}
