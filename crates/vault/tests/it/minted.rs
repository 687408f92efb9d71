//! Leases of credentials that are made when they are used.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::credential::IssueErrorKind;
use fnox_testkit::wait::until;
use fnox_vault::VaultError;
use fnox_vault_wire::methods::{AccessSecret, LeaseGrant, RenewLease, RequestLease, RevokeLeases};
use fnox_vault_wire::{Code, LeaseId};
use jiff::SignedDuration;

use crate::press::Press;
use crate::support::{World, admin, agent, code};

const POLICY: &str = r#"
[[rule]]
agent = "coder"
secret = { any = true }
hosts = ["a.com"]
ttl = "10m"
max_ttl = "1h"
renewable = true
max_lifetime = "4h"
"#;

const HOST: &str = "a.com";

async fn lending() -> (Arc<World>, Arc<Press>) {
    let world = World::new(POLICY).await;
    let press = Press::new(&world.clock);
    let mints = Arc::clone(&press);
    world.engine.lend_mints(mints).await.unwrap();
    (Arc::new(world), press)
}

async fn lease(world: &World, secret: &str) -> LeaseId {
    let who = agent("coder", 1000);
    world.request(&who, secret, HOST).await.unwrap().lease_id
}

async fn lease_for(world: &World, secret: &str, seconds: u64) -> Result<LeaseGrant, VaultError> {
    let params = RequestLease {
        ttl_secs: Some(seconds),
        ..RequestLease::new("coder", secret, HOST)
    };
    let who = agent("coder", 1000);
    world.engine.request_lease(&who, &params).await
}

async fn access(world: &World, id: LeaseId) -> Result<String, VaultError> {
    let value = world.access(&agent("coder", 1000), id, HOST).await?;
    Ok(String::from_utf8(value).unwrap())
}

async fn renew(world: &World, id: LeaseId, seconds: i64) -> Result<LeaseGrant, VaultError> {
    let params = RenewLease {
        lease_id: id,
        extension_secs: seconds,
    };
    let who = agent("coder", 1000);
    world.engine.renew_lease(&who, &params).await
}

async fn uses(world: &World, id: LeaseId) -> u32 {
    let leases = world.stores.leases.lease(id).await.unwrap();
    leases.unwrap().uses
}

/// Waits for something that other tasks do.
fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    until(what, Duration::from_secs(20), is_so);
}

/// The reasons of an event's records.
async fn reasons(world: &World, event: &str) -> Vec<String> {
    let log = world.log().await;
    let found = log.into_iter().filter(|record| record.entry.event == event);
    found
        .map(|record| record.entry.reason.unwrap_or_default())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_uses_at_once_have_one_credential() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    press.close_gate();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { access(&world, id).await.unwrap() });
    }
    eventually("the first call", || press.calls() == ["issue one"]);
    press.gate.add_permits(64);
    let values = tasks.join_all().await;
    assert_eq!(values, vec!["value 1".to_owned(); 64]);
    assert_eq!(press.working(), 1);
    assert_eq!(uses(&world, id).await, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_per_operation_each_use_has_its_own() {
    let (world, press) = lending().await;
    let id = lease(&world, "each").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { access(&world, id).await.unwrap() });
    }
    let mut values = tasks.join_all().await;
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 64);
    world.revoke(&agent("coder", 1000), id).await.unwrap();
    eventually("the withdrawals", || press.working() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_leases_never_share_a_credential() {
    let (world, press) = lending().await;
    let one = lease(&world, "one").await;
    let other = lease(&world, "one").await;
    assert_eq!(access(&world, one).await.unwrap(), "value 1");
    assert_eq!(access(&world, other).await.unwrap(), "value 2");
    world.revoke(&admin(), one).await.unwrap();
    eventually("one withdrawal", || press.working() == 1);
    assert_eq!(access(&world, other).await.unwrap(), "value 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_cut_to_its_lease_and_a_lease_to_what_a_credential_can_live() {
    let (world, press) = lending().await;
    let grant = lease_for(&world, "one", 3600).await.unwrap();
    let left = grant.expires_at.duration_since(world.engine_now());
    assert_eq!(left.as_secs(), 900);
    world.clock.advance(SignedDuration::from_secs(840));
    access(&world, grant.lease_id).await.unwrap();
    assert_eq!(press.last_lifetime(), 60);
    // One that nobody can withdraw must not be given for less than it will live.
    assert_eq!(
        code(lease_for(&world, "pair", 299).await),
        Code::InvalidConfig
    );
    let grant = lease_for(&world, "pair", 300).await.unwrap();
    access(&world, grant.lease_id).await.unwrap();
    assert_eq!(press.last_lifetime(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_does_not_answer_costs_no_use_and_tells_agents_no_details() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    for (failure, wanted) in [
        (IssueErrorKind::Unavailable, Code::MintUnavailable),
        (IssueErrorKind::Refused, Code::MintRefused),
    ] {
        press.fail_with(Some(failure));
        let error = access(&world, id).await.unwrap_err();
        assert_eq!(error.code(), wanted);
        assert!(!error.to_string().contains("arn:"), "{error}");
        assert_eq!(uses(&world, id).await, 0);
    }
    let denied = reasons(&world, "access_denied").await;
    assert!(denied.iter().all(|reason| reason.contains("role/details")));
    press.fail_with(None);
    assert_eq!(access(&world, id).await.unwrap(), "value 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_joins_both_ids_from_the_issue_to_the_end() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    access(&world, id).await.unwrap();
    world.revoke(&admin(), id).await.unwrap();
    eventually("the withdrawal", || press.working() == 0);
    let is_recorded = || async { !reasons(&world, "credential_withdrawn").await.is_empty() };
    while !is_recorded().await {
        tokio::task::yield_now().await;
    }
    let log = world.log().await;
    for event in [
        "credential_issued",
        "secret_accessed",
        "credential_withdrawn",
    ] {
        let record = log.iter().find(|record| record.entry.event == event);
        let entry = &record.unwrap_or_else(|| panic!("no {event}")).entry;
        assert_eq!(entry.lease, Some(id.0), "{event}");
        assert_eq!(entry.secret.as_deref(), Some("one"), "{event}");
        assert!(
            entry
                .reason
                .as_ref()
                .unwrap()
                .starts_with("credential issued-1")
        );
    }
    let read = log
        .iter()
        .find(|record| record.entry.event == "master_read");
    assert_eq!(read.unwrap().entry.secret.as_deref(), Some("token"));
    let verified = world.engine.audit_verify(&admin(), &[]).await.unwrap();
    assert!(verified.intact, "{:?}", verified.flaws);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_withdrawn_while_its_credential_is_made_leaves_nothing_that_works() {
    let (world, press) = lending().await;
    for secret in ["one", "each"] {
        press.close_gate();
        let id = lease(&world, secret).await;
        let using = {
            let world = Arc::clone(&world);
            tokio::spawn(async move { access(&world, id).await })
        };
        eventually("the call", || !press.calls().is_empty());
        world.revoke(&admin(), id).await.unwrap();
        press.gate.add_permits(1_000);
        assert_eq!(code(using.await.unwrap()), Code::LeaseRevoked, "{secret}");
        eventually("the withdrawal", || {
            press.working() == 0 && press.calls().contains(&"withdraw".to_owned())
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_hangs_up_leaves_a_credential_that_its_lease_still_holds() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    press.close_gate();
    let using = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { access(&world, id).await })
    };
    eventually("the call", || !press.calls().is_empty());
    using.abort();
    assert!(using.await.unwrap_err().is_cancelled());
    press.gate.add_permits(1_000);
    // The second use waits for what the first one began.
    assert_eq!(access(&world, id).await.unwrap(), "value 1");
    assert_eq!(uses(&world, id).await, 1);
    assert!(press.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_exhausted_lease_got_works_until_its_time_is_over_or_it_is_given_back() {
    let (world, press) = lending().await;
    let once = || async {
        let params = RequestLease {
            max_uses: Some(1),
            ..RequestLease::new("coder", "one", HOST)
        };
        let who = agent("coder", 1000);
        let id = world
            .engine
            .request_lease(&who, &params)
            .await
            .unwrap()
            .lease_id;
        access(&world, id).await.unwrap();
        world.engine.sweep().await;
        assert_eq!(press.working(), 1);
        id
    };
    let id = once().await;
    world.revoke(&agent("coder", 1000), id).await.unwrap();
    eventually("what was given back", || press.working() == 0);
    once().await;
    world.clock.advance(SignedDuration::from_secs(600));
    world.engine.sweep().await;
    eventually("what is over", || press.working() == 0);
    once().await;
    let all = RevokeLeases {
        agent: Some("coder".to_owned()),
        ..RevokeLeases::default()
    };
    world.engine.revoke_leases(&admin(), &all).await.unwrap();
    eventually("what was withdrawn by name", || press.working() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewing_a_lease_renews_its_credential_first() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    // Nothing was issued yet, so there is nothing to renew.
    renew(&world, id, 600).await.unwrap();
    assert!(press.calls().is_empty());
    access(&world, id).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(300));
    press.calls();
    press.fail_with(Some(IssueErrorKind::Unavailable));
    assert_eq!(code(renew(&world, id, 800).await), Code::MintUnavailable);
    press.fail_with(None);
    let before = world.stores.leases.lease(id).await.unwrap().unwrap();
    assert_eq!(before.renewals, 1);
    let grant = renew(&world, id, 800).await.unwrap();
    assert!(grant.expires_at > before.expires_at);
    assert_eq!(press.calls(), ["renew one issued-1"; 2]);
    assert_eq!(press.last_lifetime(), 800);
    assert_eq!(access(&world, id).await.unwrap(), "value 2");
    assert_eq!(reasons(&world, "credential_renewed").await.len(), 1);
    // Both end with the lease.
    world.revoke(&admin(), id).await.unwrap();
    eventually("both withdrawals", || press.working() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_ends_before_its_lease_is_replaced_by_a_use_and_kept_while_that_fails() {
    let (world, press) = lending().await;
    let id = lease(&world, "one").await;
    press.give_only(100);
    assert_eq!(access(&world, id).await.unwrap(), "value 1");
    world.clock.advance(SignedDuration::from_secs(70));
    assert_eq!(access(&world, id).await.unwrap(), "value 1");
    world.clock.advance(SignedDuration::from_secs(20));
    press.fail_with(Some(IssueErrorKind::Unavailable));
    assert_eq!(access(&world, id).await.unwrap(), "value 1");
    world.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(code(access(&world, id).await), Code::MintUnavailable);
    press.fail_with(None);
    assert_eq!(access(&world, id).await.unwrap(), "value 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_withdrawn_is_tried_again_and_what_a_crash_left_behind_is_found() {
    let (world, press) = lending().await;
    press.leave_behind("01939b6e-7e1c-7c3a-9f5e-3a1d5f6b7c8d");
    let id = lease(&world, "one").await;
    access(&world, id).await.unwrap();
    world.engine.settle_minted().await;
    assert_eq!(press.working(), 1, "what a lease holds is left alone");
    press.fail_with(Some(IssueErrorKind::Unavailable));
    world.revoke(&admin(), id).await.unwrap();
    eventually("the withdrawal that fails", || {
        press.calls().contains(&"withdraw".to_owned())
    });
    world.engine.settle_minted().await;
    assert_eq!(press.working(), 1);
    press.fail_with(None);
    world.engine.settle_minted().await;
    assert_eq!(press.working(), 0);
    let told = reasons(&world, "credential_withdrawn").await;
    assert!(
        told.contains(&"credential left-behind".to_owned()),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|reason| reason.ends_with("the issuer is away"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_ends_withdraws_everything_and_issues_nothing_more() {
    let (world, press) = lending().await;
    let ids = [lease(&world, "one").await, lease(&world, "each").await];
    for id in ids {
        access(&world, id).await.unwrap();
    }
    world.engine.close_minted().await;
    assert_eq!(press.working(), 0);
    for id in ids {
        assert_eq!(code(access(&world, id).await), Code::ShuttingDown);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_variables_are_an_object_unless_one_is_asked_for() {
    let (world, _press) = lending().await;
    let id = lease(&world, "pair").await;
    assert_eq!(
        access(&world, id).await.unwrap(),
        r#"{"KEY":"value 1","SECRET":"value 1"}"#
    );
    let one = |id, name: &str| {
        let params = AccessSecret {
            variable: Some(name.to_owned()),
            ..AccessSecret::new(id, HOST)
        };
        let world = Arc::clone(&world);
        async move {
            let who = agent("coder", 1000);
            let delivered = world.engine.access_secret(&who, &params).await?;
            Ok::<_, VaultError>(delivered.secret.expose_secret().to_vec())
        }
    };
    assert_eq!(one(id, "SECRET").await.unwrap(), b"value 1");
    assert_eq!(code(one(id, "NONE").await), Code::InvalidRequest);
    assert_eq!(uses(&world, id).await, 2);
    // What the mint's own table picks cannot be widened by who asks.
    let each = lease(&world, "each").await;
    assert_eq!(code(one(each, "OTHER").await), Code::AccessDenied);
    let stored = lease(&world, "token").await;
    assert_eq!(code(one(stored, "TOKEN").await), Code::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_a_mint_or_a_secret() {
    let (world, press) = lending().await;
    assert_eq!(code(world.store("one", b"x").await), Code::InvalidRequest);
    let listed = world
        .engine
        .list_secrets(&admin(), None, None)
        .await
        .unwrap();
    let names: Vec<&str> = listed.secrets.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["each", "once", "one", "pair", "token"]);
    assert_eq!(listed.secrets[0].tags["mint"], "press");
    let other = World::new(POLICY).await;
    other.store("pair", b"x").await.unwrap();
    let error = other.engine.lend_mints(press).await.unwrap_err();
    assert!(error.to_string().contains("`pair` is a mint"), "{error}");
}
