//! Tokens.

use fnox_core::SecretString;
use fnox_vault::{Identity, PeerBinding};
use fnox_vault_wire::Code;
use fnox_vault_wire::methods::{
    CreateToken, LeaseStatus, ListLeases, RevocationReason, Role, TokenCreated,
};
use jiff::SignedDuration;

use crate::support::{POLICY, World, admin, code};

async fn token(world: &World, max_uses: Option<u32>, peer: Option<&str>) -> TokenCreated {
    let params = CreateToken {
        agent: "coder".to_owned(),
        role: Role::Agent,
        ttl_secs: 120,
        max_uses,
        peer: peer.map(str::to_owned),
    };
    world.engine.create_token(&admin(), &params).await.unwrap()
}

async fn present(
    world: &World,
    token: &SecretString,
    from: Option<PeerBinding>,
) -> Option<Identity> {
    let outcome = world
        .engine
        .authenticate(token, from, "tcp(127.0.0.1:1)")
        .await;
    match outcome {
        Ok(identity) => Some(identity),
        Err(error) => {
            assert_eq!(error.known_code(), Some(Code::AuthenticationFailed));
            assert_eq!(
                error.message,
                "authentication failed: the token is not valid here"
            );
            None
        }
    }
}

#[tokio::test]
async fn a_token_makes_its_holder_an_agent_until_it_ends() {
    let world = World::new(POLICY).await;
    let created = token(&world, None, None).await;
    assert!(created.token.expose_secret().starts_with("fxv_") && created.token.len() == 4 + 43);
    let holder = present(&world, &created.token, None).await.unwrap();
    assert_eq!(holder.role, Role::Agent);
    assert_eq!(holder.peer, PeerBinding::Token(created.id));
    let grant = world
        .request(&holder, "token", "a.example.com")
        .await
        .unwrap();
    assert_eq!(
        grant.expires_at, created.expires_at,
        "a lease does not outlive the token that asked for it"
    );
    world.clock.advance(SignedDuration::from_secs(120));
    assert!(present(&world, &created.token, None).await.is_none());
    assert!(
        present(&world, &SecretString::from("fxv_wrong"), None)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_token_has_only_so_many_uses_also_after_a_restart() {
    let mut world = World::new(POLICY).await;
    let created = token(&world, Some(2), None).await;
    assert!(present(&world, &created.token, None).await.is_some());
    world.restart(POLICY).await;
    assert!(present(&world, &created.token, None).await.is_some());
    assert!(present(&world, &created.token, None).await.is_none());
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_peer_is_worth_nothing_elsewhere() {
    let world = World::new(POLICY).await;
    let created = token(&world, None, Some("uid:1000")).await;
    assert!(
        present(&world, &created.token, Some(PeerBinding::Uid(1001)))
            .await
            .is_none()
    );
    assert!(present(&world, &created.token, None).await.is_none());
    assert!(
        present(&world, &created.token, Some(PeerBinding::Uid(1000)))
            .await
            .is_some()
    );
}

#[tokio::test]
async fn withdrawing_a_token_ends_its_leases_and_its_connections() {
    let world = World::new(POLICY).await;
    let created = token(&world, None, None).await;
    let holder = present(&world, &created.token, None).await.unwrap();
    let id = world
        .request(&holder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    let mut ended = world.engine.withdrawn_tokens();
    assert_eq!(
        world
            .engine
            .revoke_token(&admin(), created.id)
            .await
            .unwrap(),
        1
    );
    assert_eq!(ended.try_recv().unwrap(), created.id);
    assert_eq!(
        code(world.access(&holder, id, "a.example.com").await),
        Code::LeaseRevoked
    );
    assert!(present(&world, &created.token, None).await.is_none());
    assert_eq!(
        code(
            world
                .engine
                .revoke_token(&admin(), fnox_vault_wire::TokenId::generate())
                .await
        ),
        Code::TokenNotFound
    );
    let listed = world.engine.list_tokens(&admin()).await.unwrap();
    assert!(
        listed
            .iter()
            .any(|token| token.id == created.id && token.revoked)
    );
}

#[tokio::test]
async fn a_withdrawal_that_a_crash_cut_short_is_finished_at_the_next_start() {
    use fnox_vault::store::Change;
    let mut world = World::new(POLICY).await;
    let created = token(&world, None, None).await;
    let holder = present(&world, &created.token, None).await.unwrap();
    let id = world
        .request(&holder, "token", "a.example.com")
        .await
        .unwrap()
        .lease_id;
    // The token is withdrawn, and the vault dies before it comes to the leases.
    let change = Change::RevokeToken { id: created.id };
    world
        .stores
        .leases
        .commit(change, Vec::new())
        .await
        .unwrap();
    world.restart(POLICY).await;
    let listed = world
        .engine
        .list_leases(
            &admin(),
            &ListLeases {
                all: true,
                ..ListLeases::default()
            },
        )
        .await
        .unwrap();
    let lease = listed
        .leases
        .iter()
        .find(|lease| lease.lease_id == id)
        .unwrap();
    assert_eq!(
        (lease.status, lease.reason),
        (LeaseStatus::Revoked, Some(RevocationReason::TokenRevoked))
    );
}

#[tokio::test]
async fn refused_tokens_are_on_record_and_their_text_is_not() {
    let world = World::new(POLICY).await;
    let created = token(&world, None, None).await;
    present(&world, &created.token, None).await.unwrap();
    present(&world, &SecretString::from("fxv_somebody-elses"), None).await;
    let log = format!("{:?}", world.log().await);
    assert!(log.contains("the token is not known") && log.contains("authenticated"));
    assert!(!log.contains("somebody-elses") && !log.contains(created.token.expose_secret()));
}
