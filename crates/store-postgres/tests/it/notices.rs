//! What one vault changes, the other hears within a second.

use std::time::Duration;

use fnox_core::lease::LeaseState;
use fnox_vault::store::{
    Change, Described, Foreign, KeyRingStore, LeaseStore, SecretStore, TokenRecord,
};
use fnox_vault::{Lease, PeerBinding};
use fnox_vault_wire::methods::RevocationReason;
use fnox_vault_wire::{Role, TokenId};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::support::{DEADLINE, Database, after, entries, grant, lease, now, ring, secret};

async fn next(receiver: &mut Receiver<Foreign>) -> Foreign {
    let heard = timeout(DEADLINE, receiver.recv()).await;
    heard.expect("nothing was heard").unwrap()
}

/// Hears until all of these leases were told in a state.
async fn hear_all(receiver: &mut Receiver<Foreign>, leases: &[Lease], state: LeaseState) {
    let mut missing: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    while !missing.is_empty() {
        match next(receiver).await {
            Foreign::Leases(told) => {
                for lease in told.iter().filter(|lease| lease.state == state) {
                    missing.retain(|id| *id != lease.id);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_revocation_reaches_the_other_vault_within_a_second_and_not_its_own() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let mut own = here.foreign_changes().unwrap();
    let mut heard = there.foreign_changes().unwrap();
    let leases: Vec<_> = (0..300).map(|_| lease("coder")).collect();
    for lease in &leases {
        here.commit(grant(lease), entries("granted")).await.unwrap();
    }
    hear_all(&mut heard, &leases, LeaseState::Active).await;

    let revoke = Change::Revoke {
        ids: leases.iter().map(|lease| lease.id).collect(),
        reason: RevocationReason::AdminRevoked,
    };
    here.commit(revoke, entries("revoked")).await.unwrap();
    let all = hear_all(&mut heard, &leases, LeaseState::Revoked);
    timeout(Duration::from_secs(1), all)
        .await
        .expect("not within a second");
    assert!(own.try_recv().is_err(), "a vault heard itself");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn tokens_the_ring_and_secrets_are_told_too() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let mut heard = there.foreign_changes().unwrap();

    here.save(&ring(1, "k1")).await.unwrap();
    assert!(matches!(next(&mut heard).await, Foreign::RingChanged));

    let secret = secret("a name", 1, "k1");
    let name = secret.record.name.clone();
    here.insert(secret.clone()).await.unwrap();
    let mut second = secret;
    (second.record.version, second.sealed.nonce) = (2, vec![9; 24]);
    here.add_version(second, 3).await.unwrap();
    let change = Described {
        updated_at: after(1),
        ..Described::default()
    };
    here.describe_secret(&name, change).await.unwrap();
    here.delete(&name).await.unwrap();
    for _ in 0..4 {
        let told = next(&mut heard).await;
        assert!(
            matches!(&told, Foreign::SecretChanged(told) if told == "a name"),
            "{told:?}"
        );
    }

    let token = TokenRecord {
        id: TokenId::generate(),
        hash: [1; 32],
        agent: "coder".to_owned(),
        role: Role::Agent,
        created_at: now(),
        expires_at: after(60),
        max_uses: None,
        uses: 0,
        peer: Some(PeerBinding::Cid(7)),
        revoked: false,
    };
    let id = token.id;
    here.commit(Change::CreateToken(token), Vec::new())
        .await
        .unwrap();
    here.commit(Change::RevokeToken { id }, Vec::new())
        .await
        .unwrap();
    let told = next(&mut heard).await;
    assert!(
        matches!(told, Foreign::TokenRevoked(told) if told == id),
        "{told:?}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_notice_that_nobody_understands_means_read_everything() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut heard = store.foreign_changes().unwrap();
    database.tamper("NOTIFY fnox_vault, 'something else'").await;
    assert!(matches!(next(&mut heard).await, Foreign::Unknown));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_listener_that_was_cut_off_comes_back_and_says_so() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let mut heard = there.foreign_changes().unwrap();
    database
        .tamper(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    assert!(matches!(next(&mut heard).await, Foreign::Unknown));
    let lease = lease("coder");
    here.commit(grant(&lease), entries("granted"))
        .await
        .unwrap();
    hear_all(&mut heard, &[lease], LeaseState::Active).await;
}
