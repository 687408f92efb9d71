//! Sessions and what tools may ask for within them.

use fnox_vault_wire::Code;
use fnox_vault_wire::methods::{CloseSession, OpenSession, RenewLease, RequestLease, ToolBinding};
use jiff::SignedDuration;

use crate::support::{POLICY, World, admin, agent, code, orchestrator};

fn session(max_concurrent_leases: u32, max_renewals_per_lease: u32) -> OpenSession {
    OpenSession {
        user: "sam".to_owned(),
        channel: "chat".to_owned(),
        max_session_secs: 300,
        max_concurrent_leases,
        max_renewals_per_lease,
        tool_bindings: vec![ToolBinding {
            tool_name: "http".to_owned(),
            allowed_secrets: vec!["token".to_owned()],
            allowed_domains: vec!["*.example.com".to_owned()],
        }],
    }
}

fn within(token: &str, tool: Option<&str>, secret: &str) -> RequestLease {
    let mut params = RequestLease::new("coder", secret, "api.example.com");
    params.session_token = Some(token.into());
    params.tool_name = tool.map(str::to_owned);
    params
}

#[tokio::test]
async fn a_tool_gets_only_what_its_session_binds_to_it() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let opened = world
        .engine
        .open_session(&orchestrator(1), session(2, 1))
        .await
        .unwrap();
    let token = opened.session_token.expose_secret();
    let ask = async |params: RequestLease| world.engine.request_lease(&coder, &params).await;
    let grant = ask(within(token, Some("http"), "token")).await.unwrap();
    assert_eq!(
        grant.expires_at, opened.expires_at,
        "a lease ends with its session"
    );
    assert_eq!(
        code(ask(within(token, Some("jira"), "token")).await),
        Code::AccessDenied
    );
    assert_eq!(
        code(ask(within(token, None, "token")).await),
        Code::AccessDenied
    );
    assert_eq!(
        code(ask(within(token, Some("http"), "once")).await),
        Code::AccessDenied
    );
    assert_eq!(
        code(ask(within("fxvs_wrong", Some("http"), "token")).await),
        Code::SessionNotFound
    );
}

#[tokio::test]
async fn its_limit_counts_live_leases_and_is_given_back() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let opened = world
        .engine
        .open_session(&orchestrator(1), session(1, 1))
        .await
        .unwrap();
    let token = opened.session_token.expose_secret();
    let ask = async || {
        world
            .engine
            .request_lease(&coder, &within(token, Some("http"), "token"))
            .await
    };
    let id = ask().await.unwrap().lease_id;
    assert_eq!(code(ask().await), Code::SessionLeaseLimit);
    world.revoke(&coder, id).await.unwrap();
    let id = ask().await.unwrap().lease_id;
    let renewal = RenewLease {
        lease_id: id,
        extension_secs: 200,
    };
    world.clock.advance(SignedDuration::from_secs(150));
    let refused = world.engine.renew_lease(&coder, &renewal).await;
    assert_eq!(
        code(refused),
        Code::RenewalLimitReached,
        "it lives as long as its session already"
    );
}

#[tokio::test]
async fn leases_die_with_their_session() {
    let mut world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let opened = world
        .engine
        .open_session(&orchestrator(1), session(5, 1))
        .await
        .unwrap();
    let params = within(opened.session_token.expose_secret(), Some("http"), "token");
    let id = world
        .engine
        .request_lease(&coder, &params)
        .await
        .unwrap()
        .lease_id;
    world.restart(POLICY).await;
    let close = CloseSession {
        session_id: opened.session_id,
    };
    assert_eq!(
        code(world.engine.close_session(&orchestrator(2), &close).await),
        Code::SessionNotFound
    );
    assert_eq!(
        world
            .engine
            .close_session(&orchestrator(1), &close)
            .await
            .unwrap(),
        1
    );
    // Closing it once more is no error, for whoever may close it.
    for (who, told) in [
        (orchestrator(1), Some(0)),
        (admin(), Some(0)),
        (orchestrator(2), None),
    ] {
        let closed = world.engine.close_session(&who, &close).await;
        assert_eq!(closed.ok(), told, "{who:?}");
    }
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseRevoked
    );
    let refused = code(world.engine.request_lease(&coder, &params).await);
    assert!(
        matches!(refused, Code::SessionRevoked | Code::SessionNotFound),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let world = World::new(POLICY).await;
    let coder = agent("coder", 1000);
    let opened = world
        .engine
        .open_session(&orchestrator(1), session(5, 1))
        .await
        .unwrap();
    let params = within(opened.session_token.expose_secret(), Some("http"), "token");
    let id = world
        .engine
        .request_lease(&coder, &params)
        .await
        .unwrap()
        .lease_id;
    world.clock.advance(SignedDuration::from_secs(300));
    assert_eq!(
        code(world.access(&coder, id, "api.example.com").await),
        Code::LeaseExpired
    );
    assert_eq!(
        code(world.engine.request_lease(&coder, &params).await),
        Code::SessionExpired
    );
    for wrong in [0, 86_401] {
        let params = OpenSession {
            max_session_secs: wrong,
            ..session(1, 1)
        };
        assert_eq!(
            code(world.engine.open_session(&orchestrator(1), params).await),
            Code::InvalidConfig
        );
    }
}
