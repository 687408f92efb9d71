//! Another policy while leases live.

use std::sync::Arc;

use fnox_vault::EngineOptions;
use fnox_vault::policy::{Policy, PolicySource};
use fnox_vault_wire::Code;
use fnox_vault_wire::methods::PolicyExplain;
use jiff::SignedDuration;

use crate::support::{POLICY, World, admin, agent, code};

fn load(text: &str) -> Policy {
    Policy::load(text, "policy.toml").unwrap().policy
}

#[tokio::test]
async fn live_leases_are_judged_by_the_new_policy() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let kept = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap();
    let forbidden = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    let stricter = "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"*.example.com\"]\nttl = \"1m\"\nmax_ttl = \"2m\"\n";
    let told = world
        .engine
        .set_policy(&admin(), load(stricter), Vec::new())
        .await
        .unwrap();
    assert_eq!(
        (told.rules, told.leases_revoked, told.leases_shortened),
        (1, 1, 1)
    );
    assert_eq!(
        code(world.access(&coder, forbidden, "api.example.com").await),
        Code::LeaseRevoked
    );
    world.clock.advance(SignedDuration::from_secs(119));
    assert!(
        world
            .access(&coder, kept.lease_id, "a.example.com")
            .await
            .is_ok()
    );
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        code(world.access(&coder, kept.lease_id, "a.example.com").await),
        Code::LeaseExpired
    );
    assert!(
        world
            .log()
            .await
            .iter()
            .any(|record| record.entry.event == "policy_changed")
    );
}

/// A place that says this.
#[derive(Debug)]
struct Says(Result<&'static str, &'static str>);

impl PolicySource for Says {
    fn origin(&self) -> String {
        "policy.toml".to_owned()
    }

    fn read(&self) -> Result<String, String> {
        self.0.map(str::to_owned).map_err(str::to_owned)
    }
}

#[tokio::test]
async fn what_the_source_of_the_policy_refuses_changes_nothing() {
    let with = |source: Says| EngineOptions {
        policy_source: Some(Arc::new(source)),
        ..EngineOptions::default()
    };
    let refusing = Says(Err("refusing policy.toml: it belongs to another user"));
    let world = World::with_options(POLICY, with(refusing)).await;
    let coder = agent("coder", 1000);
    let error = world.engine.policy_reload(&admin()).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidPolicy);
    assert!(error.to_string().contains("another user"), "{error}");
    assert_eq!(world.last(1).await, ["policy_changed denied"]);
    assert!(
        world
            .request(&coder, "token", "a.example.com")
            .await
            .is_ok()
    );

    let world = World::with_options(POLICY, with(Says(Ok("")))).await;
    assert_eq!(world.engine.policy_reload(&admin()).await.unwrap().rules, 0);
    assert_eq!(
        code(world.request(&coder, "token", "a.example.com").await),
        Code::AccessDenied
    );
}

#[tokio::test]
async fn a_policy_that_changed_while_the_vault_was_off_is_obeyed_at_its_start() {
    let mut world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    world.restart("").await;
    assert_eq!(
        code(world.access(&coder, id, "a.example.com").await),
        Code::LeaseRevoked
    );
}

#[tokio::test]
async fn a_renewal_asks_the_policy_of_today() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    let same_but_not_renewable = "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"*.example.com\"]\nttl = \"20m\"\n";
    world
        .engine
        .set_policy(&admin(), load(same_but_not_renewable), Vec::new())
        .await
        .unwrap();
    let params = fnox_vault_wire::methods::RenewLease {
        lease_id: id,
        extension_secs: 60,
    };
    assert_eq!(
        code(world.engine.renew_lease(&coder, &params).await),
        Code::InvalidConfig
    );
}

#[tokio::test]
async fn an_agent_hears_only_of_what_concerns_it() {
    let world = World::new(POLICY).await;
    let ask = |agent: &str, secret: &str| PolicyExplain {
        agent: agent.to_owned(),
        secret: secret.to_owned(),
        host: "api.example.com".to_owned(),
        tool: None,
    };
    let told = world
        .engine
        .policy_explain(&admin(), &ask("other", "token"))
        .unwrap();
    assert!(!told.allowed && told.misses.len() == 2, "{told:?}");
    let own = world
        .engine
        .policy_explain(&agent("coder", 1), &ask("somebody-else", "token"))
        .unwrap();
    assert!(own.allowed, "an agent always asks about itself: {own:?}");
    let stranger = world
        .engine
        .policy_explain(&agent("other", 1), &ask("coder", "token"))
        .unwrap();
    assert!(
        !stranger.allowed && stranger.misses.is_empty() && stranger.rule.is_none(),
        "{stranger:?}"
    );
}
