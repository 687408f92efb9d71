//! Leases, tokens and sessions, over two vaults on one database.

use std::sync::Arc;

use fnox_core::lease::LeaseState;
use fnox_store_postgres::PostgresStore;
use fnox_vault::store::{
    Caps, Change, LeaseStore, Refusal, SessionRecord, StoreError, TokenRecord,
};
use fnox_vault::{Lease, PeerBinding};
use fnox_vault_wire::methods::{RevocationReason, ToolBinding};
use fnox_vault_wire::{LeaseId, Role, SessionId, TokenId};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::support::{Database, after, caps, entries, grant, keys, lease, now, verify};

async fn count_answers(
    stores: &[Arc<PostgresStore>],
    changes: impl IntoIterator<Item = Change>,
) -> (usize, Vec<StoreError>) {
    let mut calls = JoinSet::new();
    for (index, change) in changes.into_iter().enumerate() {
        let store = stores[index % stores.len()].clone();
        calls.spawn(async move { store.commit(change, entries("change")).await });
    }
    let (mut made, mut refused) = (0, Vec::new());
    while let Some(answer) = calls.join_next().await {
        match answer.unwrap() {
            Ok(_) => made += 1,
            Err(error) => refused.push(error),
        }
    }
    (made, refused)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_thousand_spends_over_two_vaults_give_exactly_ten() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    let lease = lease("coder");
    stores[0]
        .commit(grant(&lease), entries("granted"))
        .await
        .unwrap();

    let spends = (0..1000).map(|_| Change::Spend {
        id: lease.id,
        now: now(),
    });
    let (made, refused) = count_answers(&stores, spends).await;

    assert_eq!((made, refused.len()), (10, 990));
    for error in refused {
        let Some(Refusal::NotLive(Some(told))) = error.refusal() else {
            panic!("{error}");
        };
        assert_eq!((told.uses, told.state), (10, LeaseState::Exhausted));
    }
    let report = verify(&stores[1], &keys()).await;
    assert!(report.flaws.is_empty(), "{:?}", report.flaws);
    assert_eq!(report.records, 11, "a refused spend left a record");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn caps_are_exact_over_two_vaults() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    let session = SessionId::generate();
    let cases = [
        (caps(7), Caps::OF_AGENT, 7),
        (
            Caps {
                per_rule: Some(5),
                ..caps(100)
            },
            Caps::BY_RULE,
            5,
        ),
        (
            Caps {
                per_session: Some(3),
                ..caps(100)
            },
            Caps::OF_SESSION,
            3,
        ),
    ];
    for (index, (caps, what, limit)) in cases.into_iter().enumerate() {
        let grants = (0..60).map(|_| {
            let mut lease = lease(&format!("agent {index}"));
            lease.session = caps.per_session.map(|_| session);
            Change::Grant { lease, caps }
        });
        let (made, refused) = count_answers(&stores, grants).await;
        assert_eq!(made, limit as usize, "{what}");
        for error in refused {
            assert_eq!(error.refusal(), Some(&Refusal::Cap { what, limit }));
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn caps_count_only_leases_that_live_when_the_new_one_is_issued() {
    let database = Database::create().await;
    let store = database.store().await;
    let first = lease("coder");
    let one = |mut lease: Lease, issued_at| {
        lease.issued_at = issued_at;
        Change::Grant {
            lease,
            caps: caps(1),
        }
    };
    store
        .commit(one(first.clone(), now()), Vec::new())
        .await
        .unwrap();
    let early = store
        .commit(one(lease("coder"), after(899)), Vec::new())
        .await;
    assert!(matches!(
        early.unwrap_err().refusal(),
        Some(Refusal::Cap { .. })
    ));
    store
        .commit(one(lease("coder"), after(900)), Vec::new())
        .await
        .unwrap();
    let again = store.commit(grant(&first), Vec::new()).await.unwrap_err();
    assert_eq!(again.refusal(), Some(&Refusal::Exists));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_lease_comes_back_as_it_was_stored() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let mut plain = lease("coder");
    (plain.tool, plain.max_uses) = (None, None);
    plain.session = Some(SessionId::generate());
    for lease in [lease("coder"), plain] {
        assert_eq!(one(&here, grant(&lease)).await, lease);
        assert_eq!(there.lease(lease.id).await.unwrap(), Some(lease));
    }
    assert_eq!(there.live_leases().await.unwrap().len(), 2);
}

fn spend(id: LeaseId, now: Timestamp) -> Change {
    Change::Spend { id, now }
}

fn renew(id: LeaseId, expires_at: Timestamp) -> Change {
    let now = now();
    Change::Renew {
        id,
        now,
        expires_at,
    }
}

fn revoke(ids: Vec<LeaseId>, reason: RevocationReason) -> Change {
    Change::Revoke { ids, reason }
}

/// One commit that moves one lease.
async fn one(store: &PostgresStore, change: Change) -> Lease {
    let mut moved = store.commit(change, entries("change")).await.unwrap();
    assert_eq!(moved.len(), 1);
    moved.remove(0)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_lease_is_used_renewed_and_shortened_as_the_changes_say() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lease = lease("coder");
    lease.max_uses = Some(2);
    let id = lease.id;
    one(&store, grant(&lease)).await;

    let late = store.commit(spend(id, after(900)), Vec::new()).await;
    let late = late.unwrap_err();
    assert!(matches!(late.refusal(), Some(Refusal::NotLive(Some(told))) if told.uses == 0));

    let renewed = one(&store, renew(id, after(1000))).await;
    assert_eq!((renewed.expires_at, renewed.renewals), (after(1000), 1));
    let kept = one(&store, renew(id, after(1))).await;
    assert_eq!(kept.expires_at, after(1000), "a renewal made it shorter");

    one(&store, spend(id, now())).await;
    let spent = one(&store, spend(id, now())).await;
    assert_eq!((spent.uses, spent.state), (2, LeaseState::Exhausted));
    let refunded = one(&store, Change::Refund { id }).await;
    assert_eq!((refunded.uses, refunded.state), (1, LeaseState::Active));

    let expires_at = after(500);
    let shortened = one(&store, Change::Shorten { id, expires_at }).await;
    assert_eq!(shortened.expires_at, expires_at);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn nothing_revives_a_revoked_lease() {
    let database = Database::create().await;
    let store = database.store().await;
    let lease = lease("coder");
    let id = lease.id;
    one(&store, grant(&lease)).await;
    one(&store, spend(id, now())).await;
    let reason = RevocationReason::PolicyChanged;
    let revoked = one(&store, revoke(vec![id], reason)).await;
    assert_eq!(
        (revoked.state, revoked.reason),
        (LeaseState::Revoked, Some(reason))
    );

    let silent = [
        revoke(vec![id], RevocationReason::Released),
        Change::Expire { ids: vec![id] },
        Change::Shorten {
            id,
            expires_at: after(1),
        },
    ];
    for change in silent {
        assert_eq!(store.commit(change, Vec::new()).await.unwrap(), []);
    }
    let refunded = one(&store, Change::Refund { id }).await;
    assert_eq!((refunded.uses, refunded.state), (0, LeaseState::Revoked));
    for change in [spend(id, now()), renew(id, after(1000))] {
        let refused = store.commit(change, Vec::new()).await.unwrap_err();
        assert!(matches!(refused.refusal(), Some(Refusal::NotLive(Some(_)))));
    }
    let stored = store.lease(id).await.unwrap().unwrap();
    assert_eq!(stored.reason, Some(reason));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_is_over_is_revoked_silently_and_what_is_unknown_not_at_all() {
    let database = Database::create().await;
    let store = database.store().await;
    let (live, expired) = (lease("coder"), lease("coder"));
    for lease in [&live, &expired] {
        store.commit(grant(lease), Vec::new()).await.unwrap();
    }
    let moved = store
        .commit(
            Change::Expire {
                ids: vec![expired.id],
            },
            Vec::new(),
        )
        .await
        .unwrap();
    assert_eq!(moved[0].state, LeaseState::Expired);

    let ids = vec![expired.id, LeaseId::generate(), live.id];
    let reason = RevocationReason::AdminRevoked;
    let moved = store
        .commit(Change::Revoke { ids, reason }, Vec::new())
        .await
        .unwrap();
    assert_eq!(
        moved.iter().map(|lease| lease.id).collect::<Vec<_>>(),
        [live.id]
    );
    let silent = store.lease(expired.id).await.unwrap().unwrap();
    assert_eq!(silent.state, LeaseState::Revoked);

    let unknown = Change::Spend {
        id: LeaseId::generate(),
        now: now(),
    };
    let refused = store.commit(unknown, Vec::new()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::NotLive(None)));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn leases_are_listed_in_pages_and_forgotten_when_over() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut ids = Vec::new();
    for index in 0..7 {
        let lease = lease(if index < 5 { "coder" } else { "tester" });
        store.commit(grant(&lease), Vec::new()).await.unwrap();
        ids.push(lease.id);
    }
    ids.sort();
    let page = store.leases(None, None, None, 4).await.unwrap();
    let rest = store
        .leases(None, None, Some(page[3].id), 100)
        .await
        .unwrap();
    let listed: Vec<_> = page.iter().chain(&rest).map(|lease| lease.id).collect();
    assert_eq!(listed, ids);
    let (agent, secret) = (page[0].agent.clone(), page[0].secret.clone());
    let of_agent = store
        .leases(Some(&agent), Some(&secret), None, 100)
        .await
        .unwrap();
    assert!(of_agent.len() < 7 && of_agent.iter().all(|lease| lease.agent == agent));

    let over = vec![ids[0], ids[1]];
    store
        .commit(Change::Expire { ids: over }, Vec::new())
        .await
        .unwrap();
    assert_eq!(store.forget(after(900)).await.unwrap(), 0);
    assert_eq!(store.forget(after(901)).await.unwrap(), 2);
    assert_eq!(store.leases(None, None, None, 100).await.unwrap().len(), 5);
}

fn token(byte: u8) -> TokenRecord {
    TokenRecord {
        id: TokenId::generate(),
        hash: [byte; 32],
        agent: "coder".to_owned(),
        role: Role::Agent,
        created_at: now(),
        expires_at: after(60),
        max_uses: Some(2),
        uses: 0,
        peer: Some(PeerBinding::Uid(1000)),
        revoked: false,
    }
}

fn session(byte: u8) -> SessionRecord {
    SessionRecord {
        id: SessionId::generate(),
        hash: [byte; 32],
        user: "mira".to_owned(),
        channel: "chat".to_owned(),
        owner: PeerBinding::Local,
        created_at: now(),
        expires_at: after(60),
        max_concurrent_leases: 3,
        max_renewals_per_lease: 1,
        tool_bindings: vec![ToolBinding {
            tool_name: "git".to_owned(),
            allowed_secrets: vec!["github-token".to_owned()],
            allowed_domains: vec!["*.github.com".to_owned()],
        }],
        closed: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn tokens_are_counted_exactly_and_end() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    let token = token(1);
    let id = token.id;
    stores[0]
        .commit(Change::CreateToken(token.clone()), entries("token"))
        .await
        .unwrap();
    assert_eq!(
        stores[1].token(&token.hash).await.unwrap(),
        Some(token.clone())
    );
    let again = Change::CreateToken(TokenRecord {
        id: TokenId::generate(),
        ..token.clone()
    });
    let refused = stores[1].commit(again, Vec::new()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Exists));

    let late = Change::UseToken { id, now: after(60) };
    let refused = stores[1].commit(late, Vec::new()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::NotLive(None)));
    let uses = (0..20).map(|_| Change::UseToken { id, now: now() });
    assert_eq!(count_answers(&stores, uses).await.0, 2);

    stores[1]
        .commit(Change::RevokeToken { id }, Vec::new())
        .await
        .unwrap();
    assert!(stores[0].tokens().await.unwrap()[0].revoked);
    let unknown = Change::RevokeToken {
        id: TokenId::generate(),
    };
    let refused = stores[0].commit(unknown, Vec::new()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Missing));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_ended_token_or_session_gets_no_lease_from_a_vault_that_has_not_heard_of_it() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let (token, session) = (token(1), session(2));
    here.commit(Change::CreateToken(token.clone()), Vec::new())
        .await
        .unwrap();
    here.commit(Change::OpenSession(session.clone()), Vec::new())
        .await
        .unwrap();
    assert_eq!(
        there.session(&session.hash).await.unwrap(),
        Some(session.clone())
    );
    assert_eq!(there.sessions().await.unwrap().len(), 1);

    let mut of_token = lease("coder");
    of_token.peer = PeerBinding::Token(token.id);
    let mut of_session = lease("coder");
    of_session.session = Some(session.id);
    for lease in [&of_token, &of_session] {
        there.commit(grant(lease), Vec::new()).await.unwrap();
    }
    here.commit(Change::RevokeToken { id: token.id }, Vec::new())
        .await
        .unwrap();
    here.commit(Change::CloseSession { id: session.id }, Vec::new())
        .await
        .unwrap();
    assert_eq!(there.sessions().await.unwrap(), []);
    for lease in [&mut of_token, &mut of_session] {
        lease.id = LeaseId::generate();
        let refused = there.commit(grant(lease), Vec::new()).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(&Refusal::NotLive(None)));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_text_that_the_server_cannot_hold_fails_alone() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut bad = lease("coder");
    bad.rule = Arc::from("rule\0");
    let good: Vec<_> = (0..50).map(|_| grant(&lease("coder"))).collect();
    let changes = good.into_iter().chain([grant(&bad)]);
    let (made, failed) = count_answers(std::slice::from_ref(&store), changes).await;
    assert_eq!(made, 50);
    assert!(
        matches!(failed[..], [StoreError::Unsupported { .. }]),
        "{failed:?}"
    );
}
