//! The server as its clients see it.

use std::time::Duration;

use fnox_core::SecretString;
use fnox_vault_wire::methods::{
    AccessSecret, DeleteSecret, LeaseEvent, ListLeases, ListSecrets, RequestLease,
    RevocationReason, RevokeLease, RevokeToken, Role, Whoami,
};
use fnox_vault_wire::transport::Connector;
use fnox_vault_wire::{Client, ClientOptions, LeaseId};

use crate::served::{Served, refusal, soon};
use crate::support::POLICY;

async fn lease(client: &Client) -> LeaseId {
    client
        .call(&RequestLease::new("coder", "token", "a.example.com"))
        .await
        .unwrap()
        .lease_id
}

fn access(lease_id: LeaseId) -> AccessSecret {
    AccessSecret::new(lease_id, "a.example.com")
}

#[tokio::test]
async fn the_door_and_the_token_decide_the_role() {
    let served = Served::new(POLICY).await;
    let own = served.administrator().await.call(&Whoami {}).await.unwrap();
    assert_eq!((own.role, own.agent), (Role::Admin, None));
    let agent = served.token("coder", Role::Agent).await.token;
    for connector in [
        Connector::Unix(served.admin_socket.clone()),
        Connector::Unix(served.agent_socket.clone()),
        served.tcp.clone(),
    ] {
        let client = served.connect(connector, &agent).await.unwrap();
        let who = client.call(&Whoami {}).await.unwrap();
        assert_eq!(
            (who.role, who.agent.as_deref()),
            (Role::Agent, Some("coder"))
        );
        assert_eq!(
            refusal(client.call(&ListSecrets::default()).await),
            "access_denied"
        );
        assert_eq!(
            refusal(
                client
                    .call(&DeleteSecret {
                        name: "token".to_owned()
                    })
                    .await
            ),
            "access_denied"
        );
    }
    served.stop().await;
}

#[tokio::test]
async fn the_agents_door_knows_no_administrator_and_nobody_without_a_token() {
    let served = Served::new(POLICY).await;
    let admin = served.token("root", Role::Admin).await.token;
    let agents = Connector::Unix(served.agent_socket.clone());
    assert_eq!(
        refusal(served.connect(agents.clone(), &admin).await.map(drop)),
        "authentication_failed"
    );
    assert!(served.connect(served.tcp.clone(), &admin).await.is_ok());
    for connector in [agents.clone(), served.tcp.clone()] {
        let outcome = Client::connect(ClientOptions::new(connector)).await;
        assert_eq!(refusal(outcome.map(drop)), "authentication_failed");
    }
    let wrong = SecretString::from("fxv_wrong");
    assert_eq!(
        refusal(served.connect(agents, &wrong).await.map(drop)),
        "authentication_failed"
    );
    served.stop().await;
}

#[tokio::test]
async fn a_handle_of_one_agent_is_not_found_by_another() {
    let served = Served::new(POLICY).await;
    let (coder, other) = (served.agent("coder").await, served.agent("other").await);
    let id = lease(&coder).await;
    assert_eq!(refusal(other.call(&access(id)).await), "lease_not_found");
    let own_name_other_token = served.agent("coder").await;
    assert_eq!(
        refusal(own_name_other_token.call(&access(id)).await),
        "lease_not_found"
    );
    assert_eq!(
        coder
            .call(&access(id))
            .await
            .unwrap()
            .secret
            .0
            .expose_secret(),
        b"value of token"
    );
    let seen = other.call(&ListLeases::default()).await.unwrap().leases;
    assert!(seen.is_empty(), "{seen:?}");
    served.stop().await;
}

#[tokio::test]
async fn revocation_reaches_other_connections_and_subscribers() {
    let served = Served::new(POLICY).await;
    let (coder, admin) = (served.agent("coder").await, served.administrator().await);
    let mut events = coder.subscribe().await.unwrap();
    let mut strangers = served.agent("other").await.subscribe().await.unwrap();
    let id = lease(&coder).await;
    let params = RevokeLease {
        lease_id: id,
        reason: RevocationReason::AdminRevoked,
    };
    admin.call(&params).await.unwrap();
    let event = soon(events.next()).await.unwrap();
    assert!(
        matches!(event, LeaseEvent::LeaseRevoked { lease_id, reason: RevocationReason::AdminRevoked, .. } if lease_id == id),
        "{event:?}"
    );
    assert_eq!(refusal(coder.call(&access(id)).await), "lease_revoked");
    let nothing = tokio::time::timeout(Duration::from_millis(50), strangers.next()).await;
    assert!(
        nothing.is_err(),
        "other agents' leases are nobody else's business: {nothing:?}"
    );
    served.stop().await;
}

#[tokio::test]
async fn withdrawing_a_token_ends_its_connections() {
    let served = Served::new(POLICY).await;
    let token = served.token("coder", Role::Agent).await;
    let client = served
        .connect(Connector::Unix(served.agent_socket.clone()), &token.token)
        .await
        .unwrap();
    let id = lease(&client).await;
    let told = served
        .administrator()
        .await
        .call(&RevokeToken { id: token.id })
        .await
        .unwrap();
    assert_eq!((told.leases_revoked, told.connections_closed), (1, 1));
    // Its client tries to come back, and is refused.
    let refused = soon(async {
        loop {
            if let Err(error) = client.call(&access(id)).await {
                return error.code().to_owned();
            }
        }
    })
    .await;
    assert!(
        ["authentication_failed", "lease_revoked", "closed"].contains(&refused.as_str()),
        "{refused}"
    );
    served.stop().await;
}

#[tokio::test]
async fn many_requests_on_one_connection_are_each_answered() {
    let served = Served::new(POLICY).await;
    let coder = served.agent("coder").await;
    let id = lease(&coder).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let coder = coder.clone();
        tasks.spawn(async move { coder.call(&access(id)).await.is_ok() });
    }
    let outcomes = soon(tasks.join_all()).await;
    assert!(outcomes.into_iter().all(|answered| answered));
    served.stop().await;
}

#[tokio::test]
async fn a_vault_that_ends_removes_its_sockets() {
    let served = Served::new(POLICY).await;
    let socket = served.admin_socket.clone();
    let _idle = served.administrator().await;
    assert!(socket.exists());
    soon(served.stop()).await;
    assert!(!socket.exists());
}
