//! How many leases there may be, and how much may be asked for at once.

use std::sync::Arc;

use fnox_vault::EngineOptions;
use fnox_vault_wire::Code;
use fnox_vault_wire::methods::{AuditQuery, ListLeases, PruneSecrets};
use jiff::SignedDuration;

use crate::support::{POLICY, World, admin, agent, code};

fn at_most(max_leases_per_agent: u32) -> EngineOptions {
    EngineOptions {
        max_leases_per_agent,
        ..EngineOptions::default()
    }
}

#[tokio::test]
async fn only_live_leases_count() {
    let world = World::with_options(POLICY, at_most(2)).await;
    let coder = agent("coder", 1000);
    let first = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap();
    assert_eq!(
        code(world.request(&coder, "token", "a.example.com").await),
        Code::InvalidConfig
    );
    world.revoke(&coder, first).await.unwrap();
    let once = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    assert_eq!(
        code(world.request(&coder, "token", "a.example.com").await),
        Code::InvalidConfig
    );
    world.access(&coder, once, "api.example.com").await.unwrap();
    world
        .request(&coder, "token", "a.example.com")
        .await
        .expect("one of them is spent");
    world.clock.advance(SignedDuration::from_mins(10));
    world
        .request(&coder, "token", "a.example.com")
        .await
        .expect("both are over, and nobody had to collect them");
}

#[tokio::test]
async fn a_cap_is_exact_however_many_ask_at_once() {
    let world = Arc::new(World::with_options(POLICY, at_most(10)).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            world
                .request(&agent("coder", 1000), "token", "a.example.com")
                .await
                .is_ok()
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.into_iter().filter(|granted| *granted).count(), 10);
}

#[tokio::test]
async fn a_rate_is_counted_for_each_agent_and_rule() {
    let policy =
        "[[rule]]\nagent = \"coder*\"\nsecret = \"token\"\nhosts = [\"a.com\"]\nrate = \"2/m\"\n";
    let world = World::new(policy).await;
    let coder = agent("coder", 1000);
    let ask = async |name: &str| {
        let params = fnox_vault_wire::methods::RequestLease::new(name, "token", "a.com");
        world
            .engine
            .request_lease(&agent(name, 1000), &params)
            .await
    };
    assert!(ask("coder").await.is_ok() && ask("coder").await.is_ok());
    assert_eq!(code(ask("coder").await), Code::RateLimited);
    assert!(ask("coder2").await.is_ok(), "each agent has its own");
    world.clock.advance(SignedDuration::from_mins(1));
    assert!(world.request(&coder, "token", "a.com").await.is_ok());
}

#[tokio::test]
async fn pages_and_versions_that_cannot_be_are_refused_and_not_rounded() {
    let world = World::new(POLICY).await;
    let engine = &world.engine;
    for limit in [0, 501] {
        let listed = engine.list_secrets(&admin(), None, Some(limit)).await;
        assert_eq!(code(listed), Code::InvalidConfig, "{limit}");
    }
    for limit in [0, 1001, u32::MAX] {
        let leases = ListLeases {
            limit: Some(limit),
            ..ListLeases::default()
        };
        let listed = engine.list_leases(&admin(), &leases).await;
        assert_eq!(code(listed), Code::InvalidConfig, "{limit}");
        let records = AuditQuery {
            limit: Some(limit),
            ..AuditQuery::default()
        };
        let listed = engine.audit_query(&admin(), records).await;
        assert_eq!(code(listed), Code::InvalidConfig, "{limit}");
    }
    let none = PruneSecrets {
        name: None,
        keep: Some(0),
    };
    let pruned = engine.prune_secrets(&admin(), &none).await;
    assert_eq!(code(pruned), Code::InvalidConfig);
    assert!(engine.list_secrets(&admin(), None, Some(500)).await.is_ok());
}
