//! The life of one lease.

use fnox_core::audit::Outcome;
use fnox_vault::Identity;
use fnox_vault_wire::methods::{Delivery, RenewLease, RequestLease, Role};
use fnox_vault_wire::{Code, LeaseId};
use jiff::{SignedDuration, Timestamp};

use crate::support::{POLICY, World, admin, agent, code, orchestrator};

fn renewal(lease_id: LeaseId, extension_secs: i64) -> RenewLease {
    RenewLease {
        lease_id,
        extension_secs,
    }
}

#[tokio::test]
async fn a_lease_gives_the_value_at_its_host_until_it_expires() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let grant = world
        .request(&coder, "token", "API.example.com.")
        .await
        .unwrap();
    assert_eq!(grant.allowed_domains, ["api.example.com"]);
    assert_eq!(grant.expires_at.to_string(), "2026-01-02T03:14:05Z");
    assert_eq!(
        (grant.renewable, grant.remaining_uses, grant.delivery),
        (true, None, Delivery::Value)
    );
    assert_eq!(
        world
            .access(&coder, grant.lease_id, "api.example.com")
            .await
            .unwrap(),
        b"value of token"
    );
    let other_port = world
        .access(&coder, grant.lease_id, "api.example.com:443")
        .await;
    assert!(
        other_port.is_ok(),
        "a host without a port means every port of it"
    );
    assert_eq!(
        code(world.access(&coder, grant.lease_id, "b.example.com").await),
        Code::AccessDenied
    );
    world.clock.advance(SignedDuration::from_secs(599));
    assert!(
        world
            .access(&coder, grant.lease_id, "api.example.com")
            .await
            .is_ok()
    );
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        code(
            world
                .access(&coder, grant.lease_id, "api.example.com")
                .await
        ),
        Code::LeaseExpired
    );
}

#[tokio::test]
async fn who_is_not_granted_a_secret_learns_nothing_about_it() {
    let world = World::new(POLICY).await;
    let stranger = agent("stranger", 1000);
    let exists = world
        .request(&stranger, "token", "api.example.com")
        .await
        .unwrap_err()
        .to_string();
    let does_not = world
        .request(&stranger, "nothing", "api.example.com")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(exists.replace("token", "nothing"), does_not);
    assert_eq!(
        code(world.request(&agent("coder", 1), "token", "evil.com").await),
        Code::AccessDenied
    );
    assert_eq!(
        code(
            world
                .request(&agent("coder", 1), "token", "*.example.com")
                .await
        ),
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn a_handle_is_worth_nothing_to_anybody_else() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    for thief in [
        agent("other", 1000),
        agent("coder", 1001),
        orchestrator(1001),
        admin(),
    ] {
        assert_eq!(
            code(world.access(&thief, id, "api.example.com").await),
            Code::LeaseNotFound,
            "{thief:?}"
        );
    }
    for thief in [agent("other", 1000), agent("coder", 1001)] {
        assert_eq!(code(world.revoke(&thief, id).await), Code::LeaseNotFound);
        assert_eq!(
            code(world.engine.renew_lease(&thief, &renewal(id, 60)).await),
            Code::LeaseNotFound
        );
    }
    assert!(world.access(&coder, id, "api.example.com").await.is_ok());
    world.revoke(&orchestrator(5), id).await.unwrap();
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseRevoked
    );
}

#[tokio::test]
async fn the_last_use_is_the_last() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let grant = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap();
    assert_eq!(grant.remaining_uses, Some(1));
    assert!(
        world
            .access(&coder, grant.lease_id, "api.example.com")
            .await
            .is_ok()
    );
    assert_eq!(
        code(
            world
                .access(&coder, grant.lease_id, "api.example.com")
                .await
        ),
        Code::LeaseExpired
    );
}

#[tokio::test]
async fn a_use_counts_only_if_something_was_delivered() {
    let mut world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    assert_eq!(
        code(world.access(&coder, id, "b.example.com").await),
        Code::AccessDenied
    );
    world
        .engine
        .delete_secret(&admin(), "nothing")
        .await
        .unwrap_err();
    assert!(
        world.access(&coder, id, "api.example.com").await.is_ok(),
        "a refused access spends nothing"
    );
    world.engine.undelivered(&coder, id).await.unwrap();
    world.restart(POLICY).await;
    assert!(
        world.access(&coder, id, "api.example.com").await.is_ok(),
        "the use was given back, durably"
    );
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseExpired
    );
}

#[tokio::test]
async fn a_use_that_is_given_back_revives_nothing_that_was_withdrawn() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.access(&coder, id, "api.example.com").await.unwrap();
    world.revoke(&admin(), id).await.unwrap();
    world.engine.undelivered(&coder, id).await.unwrap();
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseRevoked
    );
}

#[tokio::test]
async fn a_renewal_never_shortens_and_never_passes_the_end() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let grant = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap();
    let (id, granted_until) = (grant.lease_id, grant.expires_at);
    let same = world
        .engine
        .renew_lease(&coder, &renewal(id, 1))
        .await
        .unwrap();
    assert_eq!(same.expires_at, granted_until);
    let longest = world
        .engine
        .renew_lease(&coder, &renewal(id, 86_400))
        .await
        .unwrap();
    assert_eq!(
        longest.expires_at,
        granted_until + SignedDuration::from_mins(10),
        "the rule's max_ttl"
    );
    let end: Timestamp = "2026-01-02T04:04:05Z".parse().unwrap();
    for _ in 0..5 {
        world.clock.advance(SignedDuration::from_mins(10));
        let renewed = world.engine.renew_lease(&coder, &renewal(id, 86_400)).await;
        assert!(renewed.map_or(end, |grant| grant.expires_at) <= end);
    }
    assert_eq!(
        code(world.engine.renew_lease(&coder, &renewal(id, 60)).await),
        Code::RenewalLimitReached
    );
    for wrong in [0, -1, 86_401, i64::MIN, i64::MAX] {
        assert_eq!(
            code(world.engine.renew_lease(&coder, &renewal(id, wrong)).await),
            Code::InvalidConfig
        );
    }
    let once = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    assert_eq!(
        code(world.engine.renew_lease(&coder, &renewal(once, 60)).await),
        Code::InvalidConfig
    );
}

#[tokio::test]
async fn what_is_asked_for_is_bounded_by_the_rule() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let mut params = RequestLease::new("coder", "token", "api.example.com");
    params.ttl_secs = Some(60);
    let grant = world.engine.request_lease(&coder, &params).await.unwrap();
    assert_eq!(grant.expires_at.to_string(), "2026-01-02T03:05:05Z");
    params.ttl_secs = Some(u64::MAX);
    params.max_uses = Some(3);
    let grant = world.engine.request_lease(&coder, &params).await.unwrap();
    assert_eq!(grant.expires_at.to_string(), "2026-01-02T03:24:05Z");
    assert_eq!(grant.remaining_uses, Some(3));
    for (ttl_secs, max_uses) in [(Some(0), None), (None, Some(0))] {
        let params = RequestLease {
            ttl_secs,
            max_uses,
            ..params.clone()
        };
        assert_eq!(
            code(world.engine.request_lease(&coder, &params).await),
            Code::InvalidConfig
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_no_time_back() {
    let mut world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.clock.advance(SignedDuration::from_mins(9));
    world
        .clock
        .set_wall("2026-01-01T00:00:00Z".parse().unwrap());
    assert!(world.access(&coder, id, "api.example.com").await.is_ok());
    world.clock.advance(SignedDuration::from_mins(1));
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseExpired
    );
    // After a restart only the wall clock is left, and it is wrong. The log knows better.
    let id = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.clock.advance(SignedDuration::from_mins(5));
    world.restart(POLICY).await;
    world.clock.advance(SignedDuration::from_mins(10));
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseExpired
    );
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_what_would_be_over() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.engine.sweep().await;
    world
        .clock
        .set_wall("2026-01-02T04:00:00Z".parse().unwrap());
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseExpired
    );
    assert_eq!(
        world.engine.sweep().await,
        1,
        "the sweep notices that somebody set the clock"
    );
}

#[tokio::test]
async fn leases_survive_a_restart_with_their_uses() {
    let mut world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let token = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    let once = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    let revoked = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.access(&coder, once, "api.example.com").await.unwrap();
    world.revoke(&coder, revoked).await.unwrap();
    world.restart(POLICY).await;
    assert!(world.access(&coder, token, "api.example.com").await.is_ok());
    assert_eq!(
        code(world.access(&coder, once, "api.example.com").await),
        Code::LeaseExpired
    );
    assert_eq!(
        code(world.access(&coder, revoked, "api.example.com").await),
        Code::LeaseRevoked
    );
    assert_eq!(
        code(
            world
                .access(&agent("other", 1000), token, "api.example.com")
                .await
        ),
        Code::LeaseNotFound
    );
}

#[tokio::test]
async fn a_lease_that_only_a_gateway_may_use_gives_no_value() {
    let policy = "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"a.com\"]\ndelivery = \"inject\"\n";
    let world = World::new(policy).await;
    let coder = agent("coder", 1000);
    let grant = world.request(&coder, "token", "a.com").await.unwrap();
    assert_eq!(grant.delivery, Delivery::Inject);
    assert_eq!(
        code(world.access(&coder, grant.lease_id, "a.com").await),
        Code::AccessDenied
    );
    let gateway = Identity {
        role: Role::Gateway,
        ..agent("gateway", 1001)
    };
    let used = world.access(&gateway, grant.lease_id, "a.com").await;
    assert_eq!(used.unwrap(), b"value of token");
    assert_eq!(
        code(world.access(&gateway, grant.lease_id, "b.com").await),
        Code::AccessDenied
    );
    let other = agent("other", 1002);
    assert_eq!(
        code(world.access(&other, grant.lease_id, "a.com").await),
        Code::LeaseNotFound
    );
}

#[tokio::test]
async fn a_gateway_spends_what_others_asked_for_in_the_name_of_an_agent() {
    let world = World::new(POLICY).await;
    let gateway = Identity {
        role: Role::Gateway,
        ..agent("gateway", 1001)
    };
    let host = "api.example.com";
    for asker in [orchestrator(1002), admin()] {
        let granted = world.request(&asker, "token", host).await.unwrap();
        let used = world.access(&gateway, granted.lease_id, host).await;
        assert_eq!(used.unwrap(), b"value of token");
        let own = world
            .access(&agent("coder", 1003), granted.lease_id, host)
            .await;
        assert_eq!(code(own), Code::LeaseNotFound, "another peer asked");
    }
}

#[tokio::test]
async fn a_gateway_asks_and_withdraws_in_its_own_name_alone() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let grant = world
        .request(&coder, "token", "api.example.com")
        .await
        .unwrap();
    let gateway = Identity {
        role: Role::Gateway,
        ..agent("gateway", 1001)
    };
    assert_eq!(
        code(world.request(&gateway, "token", "api.example.com").await),
        Code::AccessDenied
    );
    assert_eq!(
        code(world.revoke(&gateway, grant.lease_id).await),
        Code::LeaseNotFound
    );
    world
        .access(&gateway, grant.lease_id, "api.example.com")
        .await
        .unwrap();
}

#[tokio::test]
async fn everything_is_on_record_with_who_and_what() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let id = world
        .request(&coder, "once", "api.example.com")
        .await
        .unwrap()
        .lease_id;
    world.access(&coder, id, "api.example.com").await.unwrap();
    let _ = world.access(&coder, id, "api.example.com").await;
    let _ = world.request(&coder, "once", "evil.com").await;
    world.revoke(&coder, id).await.unwrap();
    assert_eq!(
        world.last(5).await,
        [
            "lease_granted ok",
            "secret_accessed ok",
            "access_denied denied",
            "lease_denied denied",
            "lease_revoked ok"
        ]
    );
    let log = world.log().await;
    let accessed = log
        .iter()
        .find(|record| record.entry.event == "secret_accessed")
        .unwrap();
    let entry = &accessed.entry;
    assert_eq!(entry.actor, "agent coder");
    assert_eq!(entry.peer.as_deref(), Some("unix(uid=1000)"));
    assert_eq!(entry.agent.as_deref(), Some("coder"));
    assert_eq!(entry.secret.as_deref(), Some("once"));
    assert_eq!(entry.host.as_deref(), Some("api.example.com"));
    assert_eq!(entry.lease, Some(id.0));
    assert_eq!(entry.rule.as_deref(), Some("rule 2"));
    assert_eq!(entry.outcome, Outcome::Ok);
    assert!(
        world
            .engine
            .audit_verify(&admin(), &[])
            .await
            .unwrap()
            .intact
    );
}
