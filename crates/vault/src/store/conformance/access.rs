//! Promises of [`LeaseStore`](crate::store::LeaseStore) about tokens and sessions.

use fnox_vault_wire::methods::ToolBinding;
use fnox_vault_wire::{Role, SessionId, TokenId};

use super::{Subject, entry, moment, records, reopened, unlocked};
use crate::identity::PeerBinding;
use crate::store::{Change, Refusal, SessionRecord, StoreError, Stores, TokenRecord};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    tokens_come_back(subject).await;
    tokens_are_counted(subject).await;
    tokens_are_withdrawn(subject).await;
    sessions_come_back(subject).await;
    both_are_forgotten(subject).await;
    survive(subject).await;
}

fn token(seed: u8) -> TokenRecord {
    TokenRecord {
        id: TokenId::generate(),
        hash: [seed; 32],
        agent: "coder \u{e4}".to_owned(),
        role: Role::Agent,
        created_at: moment(i64::from(seed)),
        expires_at: moment(3600),
        max_uses: Some(2),
        uses: 0,
        peer: Some(PeerBinding::Uid(1000)),
        revoked: false,
    }
}

fn session(seed: u8) -> SessionRecord {
    SessionRecord {
        id: SessionId::generate(),
        hash: [seed; 32],
        user: "alice".to_owned(),
        channel: "chat".to_owned(),
        owner: PeerBinding::Token(TokenId::generate()),
        created_at: moment(0),
        expires_at: moment(3600),
        max_concurrent_leases: 5,
        max_renewals_per_lease: 3,
        tool_bindings: vec![ToolBinding {
            tool_name: "http".to_owned(),
            allowed_secrets: vec!["github".to_owned()],
            allowed_domains: vec!["*.github.com".to_owned()],
        }],
        closed: false,
    }
}

async fn commit(stores: &Stores, change: Change) -> Result<(), StoreError> {
    let before = records(stores).await;
    let result = stores.leases.commit(change, vec![entry("x")]).await;
    let written = u64::from(result.is_ok() && stores.audit.is_some());
    assert_eq!(records(stores).await, before + written);
    result.map(|moved| assert!(moved.is_empty()))
}

#[track_caller]
fn refused(result: Result<(), StoreError>, expected: &Refusal) {
    let error = result.unwrap_err();
    assert_eq!(error.refusal(), Some(expected), "{error}");
}

async fn tokens_come_back(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (one, mut two) = (token(1), token(2));
    two.max_uses = None;
    two.peer = None;
    two.role = Role::Orchestrator;
    for token in [&two, &one] {
        let change = Change::CreateToken(token.clone());
        commit(&stores, change).await.unwrap();
    }
    let found = stores.leases.token(&[1; 32]).await.unwrap();
    assert_eq!(found, Some(one.clone()));
    assert_eq!(stores.leases.token(&[3; 32]).await.unwrap(), None);
    let all = stores.leases.tokens().await.unwrap();
    assert_eq!(all, [one.clone(), two.clone()], "oldest first");
    let mut same_hash = token(1);
    same_hash.created_at = moment(9);
    refused(
        commit(&stores, Change::CreateToken(same_hash)).await,
        &Refusal::Exists,
    );
    refused(
        commit(&stores, Change::CreateToken(one)).await,
        &Refusal::Exists,
    );
}

async fn tokens_are_counted(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let one = token(1);
    let used = |at| Change::UseToken {
        id: one.id,
        now: moment(at),
    };
    let over = Refusal::NotLive(None);
    refused(commit(&stores, used(1)).await, &over);
    let change = Change::CreateToken(one.clone());
    commit(&stores, change).await.unwrap();
    refused(commit(&stores, used(3600)).await, &over);
    commit(&stores, used(1)).await.unwrap();
    commit(&stores, used(3599)).await.unwrap();
    refused(commit(&stores, used(1)).await, &over);
    let found = stores.leases.token(&[1; 32]).await.unwrap();
    assert_eq!(found.unwrap().uses, 2);
}

async fn tokens_are_withdrawn(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut one = token(1);
    one.max_uses = None;
    let revoke = Change::RevokeToken { id: one.id };
    refused(commit(&stores, revoke.clone()).await, &Refusal::Missing);
    let change = Change::CreateToken(one.clone());
    commit(&stores, change).await.unwrap();
    commit(&stores, revoke).await.unwrap();
    let used = Change::UseToken {
        id: one.id,
        now: moment(1),
    };
    refused(commit(&stores, used).await, &Refusal::NotLive(None));
    let found = stores.leases.token(&[1; 32]).await.unwrap().unwrap();
    assert!(found.revoked);
}

async fn sessions_come_back(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (one, two) = (session(1), session(2));
    let close = Change::CloseSession { id: one.id };
    refused(commit(&stores, close.clone()).await, &Refusal::Missing);
    for session in [&one, &two] {
        let change = Change::OpenSession(session.clone());
        commit(&stores, change).await.unwrap();
    }
    refused(
        commit(&stores, Change::OpenSession(session(1))).await,
        &Refusal::Exists,
    );
    let found = stores.leases.session(&[1; 32]).await.unwrap();
    assert_eq!(found, Some(one.clone()));
    assert_eq!(stores.leases.session(&[9; 32]).await.unwrap(), None);
    let found = stores.leases.session_by_id(two.id).await.unwrap();
    assert_eq!(found, Some(two.clone()));
    let unknown = SessionId::generate();
    assert_eq!(stores.leases.session_by_id(unknown).await.unwrap(), None);
    assert_eq!(stores.leases.sessions().await.unwrap().len(), 2);
    // Once more makes no difference.
    for _ in 0..2 {
        commit(&stores, close.clone()).await.unwrap();
        assert_eq!(
            stores.leases.sessions().await.unwrap(),
            std::slice::from_ref(&two)
        );
        let found = stores.leases.session(&[1; 32]).await.unwrap();
        assert!(found.unwrap().closed);
        let found = stores.leases.session_by_id(one.id).await.unwrap();
        assert!(found.unwrap().closed);
    }
}

async fn both_are_forgotten(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let mut late = token(2);
    late.expires_at = moment(7200);
    for change in [
        Change::CreateToken(token(1)),
        Change::CreateToken(late.clone()),
        Change::OpenSession(session(1)),
    ] {
        commit(&stores, change).await.unwrap();
    }
    assert_eq!(stores.leases.forget(moment(3600)).await.unwrap(), 0);
    assert_eq!(stores.leases.forget(moment(3601)).await.unwrap(), 2);
    assert_eq!(stores.leases.tokens().await.unwrap(), [late]);
    assert_eq!(stores.leases.sessions().await.unwrap(), []);
}

async fn survive(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let (mut one, two, open) = (token(1), token(2), session(1));
    for change in [
        Change::CreateToken(one.clone()),
        Change::CreateToken(two.clone()),
        Change::OpenSession(open.clone()),
        Change::UseToken {
            id: one.id,
            now: moment(1),
        },
        Change::RevokeToken { id: two.id },
    ] {
        commit(&stores, change).await.unwrap();
    }
    let is_durable = stores.leases.is_durable();
    let Some(stores) = reopened(subject, stores).await else {
        return;
    };
    if is_durable {
        one.uses = 1;
        let found = stores.leases.token(&[1; 32]).await.unwrap();
        assert_eq!(found, Some(one));
        let found = stores.leases.token(&[2; 32]).await.unwrap();
        assert!(found.unwrap().revoked);
        assert_eq!(stores.leases.sessions().await.unwrap(), [open]);
    }
}
