//! Two vaults, each with its own memory, on one database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::{AgentId, SecretBytes, SecretString, SystemClock};
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity, PeerBinding, VaultError};
use fnox_vault_wire::methods::{
    AccessSecret, KeyRotate, LeaseEvent, RequestLease, RevocationReason, RevokeLease, Role,
    SecretKind, StoreSecret,
};
use fnox_vault_wire::{Code, LeaseId, SecretValue};

use crate::support::{Cluster, DEADLINE, Database};

const POLICY: &str = "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"a.com\"]\nmax_uses = 10\n\
                      [[rule]]\nagent = \"coder\"\nsecret = \"free\"\nhosts = [\"a.com\"]\n";

async fn parts(database: &Database) -> EngineParts {
    let key = SecretString::from("5a".repeat(32).as_str());
    EngineParts {
        stores: database.locked_store().await.unwrap().stores(),
        live: None,
        source: Arc::new(EnvKey::new("FNOX_TEST_VAULT_KEY", Some(key)).unwrap()),
        policy: Policy::load(POLICY, "policy.toml").unwrap().policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions {
            max_leases_per_agent: 5,
            ..EngineOptions::default()
        },
    }
}

/// Two running vaults with the secrets `token` and `free`.
pub(crate) async fn vaults(database: &Database) -> [Engine; 2] {
    let first = Engine::create(parts(database).await).await.unwrap();
    for name in ["token", "free"] {
        let params = StoreSecret {
            name: name.to_owned(),
            plaintext: SecretValue(SecretBytes::new(b"hunter2".to_vec())),
            kind: SecretKind::Opaque,
            description: None,
            tags: BTreeMap::new(),
            algorithm: None,
        };
        first
            .store_secret(&Identity::local(), params)
            .await
            .unwrap();
    }
    let second = Engine::open(parts(database).await).await.unwrap();
    for engine in [&first, &second] {
        let engine = engine.clone();
        tokio::spawn(async move { engine.run().await });
    }
    [first, second]
}

fn coder() -> Identity {
    Identity {
        role: Role::Agent,
        agent: Some(AgentId::parse("coder").unwrap()),
        peer: PeerBinding::Uid(1000),
        origin: "unix(uid=1000)".to_owned(),
        expires_at: None,
    }
}

async fn request(engine: &Engine, secret: &str) -> Result<LeaseId, VaultError> {
    let params = RequestLease::new("coder", secret, "a.com");
    engine
        .request_lease(&coder(), &params)
        .await
        .map(|grant| grant.lease_id)
}

async fn access(engine: &Engine, lease_id: LeaseId) -> Result<Vec<u8>, VaultError> {
    let params = AccessSecret::new(lease_id, "a.com");
    let delivered = engine.access_secret(&coder(), &params).await?;
    Ok(delivered.secret.expose_secret().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn a_thousand_accesses_through_both_give_ten_values() {
    let database = Database::create().await;
    let vaults = vaults(&database).await;
    let id = request(&vaults[0], "token").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let engine = vaults[number % 2].clone();
        tasks.spawn(async move { access(&engine, id).await });
    }
    let outcomes = tasks.join_all().await;
    let delivered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(delivered, 10);
    let codes: Vec<Code> = outcomes
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.code())
        .collect();
    assert!(
        codes.iter().all(|code| *code == Code::LeaseExpired),
        "{codes:?}"
    );
    assert!(
        vaults[1]
            .audit_verify(&Identity::local(), &[])
            .await
            .unwrap()
            .intact
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn an_agents_limit_counts_what_both_have_granted() {
    let database = Database::create().await;
    let vaults = vaults(&database).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60 {
        let engine = vaults[number % 2].clone();
        tasks.spawn(async move { request(&engine, "free").await.is_ok() });
    }
    let granted = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|granted| *granted)
        .count();
    assert_eq!(granted, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn what_one_withdraws_the_other_does_not_give_and_its_subscribers_hear() {
    let database = Database::create().await;
    let vaults = vaults(&database).await;
    let id = request(&vaults[0], "free").await.unwrap();
    assert_eq!(
        access(&vaults[1], id).await.unwrap(),
        b"hunter2",
        "the other vault knows the lease"
    );
    let mut events = vaults[1].events();
    let params = RevokeLease {
        lease_id: id,
        reason: RevocationReason::AdminRevoked,
    };
    vaults[0]
        .revoke_lease(&Identity::local(), &params)
        .await
        .unwrap();
    assert_eq!(
        access(&vaults[1], id).await.unwrap_err().code(),
        Code::LeaseRevoked
    );
    let event = tokio::time::timeout(DEADLINE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(&event.event, LeaseEvent::LeaseRevoked { lease_id, .. } if *lease_id == id),
        "{event:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_key_that_one_replaces_the_other_learns() {
    let database = Database::create().await;
    let vaults = vaults(&database).await;
    let id = request(&vaults[1], "free").await.unwrap();
    vaults[0]
        .key_rotate(&Identity::local(), &KeyRotate::default())
        .await
        .unwrap();
    assert_eq!(access(&vaults[1], id).await.unwrap(), b"hunter2");
    let params = fnox_vault_wire::methods::UpdateSecret {
        name: "free".to_owned(),
        plaintext: Some(SecretValue(SecretBytes::new(b"new".to_vec()))),
        kind: None,
        description: None,
        tags: None,
        algorithm: None,
        if_version: None,
    };
    vaults[1]
        .update_secret(&Identity::local(), params)
        .await
        .unwrap();
    assert_eq!(access(&vaults[0], id).await.unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_stops_takes_no_answered_thing_with_it_and_service_resumes() {
    let cluster = tokio::task::spawn_blocking(Cluster::create).await.unwrap();
    let database = Database::create_in(&cluster.url).await;
    let vaults = vaults(&database).await;
    let id = request(&vaults[0], "token").await.unwrap();
    access(&vaults[0], id).await.unwrap();
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.run("kill");
        cluster
    })
    .await
    .unwrap();
    for _ in 0..3 {
        let refused = tokio::time::timeout(DEADLINE, access(&vaults[0], id))
            .await
            .unwrap();
        assert_eq!(refused.unwrap_err().code(), Code::Storage);
    }
    assert_eq!(
        vaults[0].health(&Identity::local()).await.status,
        "degraded"
    );
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.run("start");
        cluster
    })
    .await
    .unwrap();
    // One use was answered; three may have been counted, and were not.
    let mut delivered = 1;
    tokio::time::timeout(DEADLINE, async {
        while access(&vaults[1], id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    delivered += 1;
    while access(&vaults[0], id).await.is_ok() {
        delivered += 1;
    }
    assert!(
        (7..=10).contains(&delivered),
        "{delivered} values of a lease with ten uses"
    );
    assert_eq!(vaults[0].health(&Identity::local()).await.status, "ok");
    assert!(
        vaults[0]
            .audit_verify(&Identity::local(), &[])
            .await
            .unwrap()
            .intact
    );
    drop(database);
    drop(cluster);
}
