//! Prolonging leases.

use fnox_core::Clock as _;
use fnox_leases::{Acquire, Held};
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::vault::Vault;
use jiff::SignedDuration;
use std::sync::Arc;

use super::{DATABASE, given, logging_in, no_complaints, paths, value};
use crate::support::{Project, minted};

/// A stand-in and a project that share a clock.
fn on_one_clock(
    service: Vault,
    project: impl Fn(&Issuer<Vault>) -> Project,
) -> (Issuer<Vault>, Project) {
    let clock = Arc::new(fnox_testkit::FakeClock::at("2026-11-25T12:00:00Z"));
    let vault = Issuer::with_clock(service, Arc::clone(&clock) as _);
    let mut project = project(&vault);
    project.clock = clock;
    (vault, project)
}

async fn renewed(project: &Project, held: &Held) -> Held {
    let request = Acquire::for_exec(&held.lease);
    project.manager().renew(held, request).await.unwrap()
}

fn left(project: &Project, held: &Held) -> i64 {
    let end = held.credential.expires_at.unwrap();
    end.duration_since(project.clock.now()).as_secs()
}

#[tokio::test]
async fn a_lease_is_prolonged_and_stays_the_same() {
    let (vault, project) = on_one_clock(Vault::new(), |vault| given(vault, DATABASE));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(50));
    let prolonged = renewed(&project, &held).await;
    assert_eq!(prolonged.credential.id, held.credential.id);
    assert_eq!(
        value(&prolonged, "DB_PASSWORD"),
        value(&held, "DB_PASSWORD")
    );
    assert_eq!(left(&project, &prolonged), 3600);
    assert_eq!(vault.change(|vault| vault.leases().len()), 1);
    no_complaints(&vault);
}

#[tokio::test]
async fn a_success_with_less_than_was_asked_for_is_followed_by_a_new_lease() {
    let mut service = Vault::new();
    service.max_ttl = 3900;
    let (vault, project) = on_one_clock(service, |vault| given(vault, DATABASE));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(55));
    // The longest life leaves 10 of the 60 minutes: it is prolonged to there.
    let prolonged = renewed(&project, &held).await;
    assert_eq!(prolonged.credential.id, held.credential.id);
    assert_eq!(left(&project, &prolonged), 600);
    project.clock.advance(SignedDuration::from_mins(9));
    let new = renewed(&project, &prolonged).await;
    assert_ne!(new.credential.id, held.credential.id);
    assert_eq!(left(&project, &new), 3600);
    no_complaints(&vault);
}

#[tokio::test]
async fn a_refused_renewal_is_followed_by_a_new_lease() {
    let (vault, project) = on_one_clock(Vault::new(), |vault| given(vault, DATABASE));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(50));
    vault.change(|vault| {
        let fault = (400, "past the max TTL, cannot renew".to_owned());
        vault.faults.insert("sys/leases/renew".to_owned(), fault);
    });
    let new = renewed(&project, &held).await;
    assert_ne!(new.credential.id, held.credential.id);
    no_complaints(&vault);
}

#[tokio::test]
async fn a_lease_ends_with_its_token_and_the_token_is_prolonged_first() {
    let (vault, project) = on_one_clock(Vault::new(), |vault| logging_in(vault, DATABASE));
    let held = minted(project.exec("x").await.unwrap());
    // The lease is of one hour, the login of half an hour.
    assert_eq!(left(&project, &held), 1800);
    project.clock.advance(SignedDuration::from_mins(25));
    vault.forget_requests();
    let prolonged = renewed(&project, &held).await;
    assert_eq!(prolonged.credential.id, held.credential.id);
    assert_eq!(left(&project, &prolonged), 3600);
    assert_eq!(
        paths(&vault),
        ["POST auth/token/renew-self", "POST sys/leases/renew"]
    );
    // Nearer to the login's longest life than the lease would live: it tells its real end.
    project.clock.advance(SignedDuration::from_mins(55));
    let second = renewed(&project, &prolonged).await;
    project.clock.advance(SignedDuration::from_mins(55));
    let third = renewed(&project, &second).await;
    project.clock.advance(SignedDuration::from_mins(55));
    let fourth = renewed(&project, &third).await;
    assert_eq!(fourth.credential.id, held.credential.id);
    assert_eq!(left(&project, &fourth), (240 - 25 - 3 * 55) * 60);
    // At its end there is a new login, and what hung from the old one is gone.
    project.clock.advance(SignedDuration::from_mins(49));
    let new = renewed(&project, &fourth).await;
    assert_ne!(new.credential.id, held.credential.id);
    project.clock.advance(SignedDuration::from_mins(2));
    let another = project.create("x", |request| request.reuse = false).await;
    minted(another.unwrap());
    let leases = vault.change(|vault| vault.leases());
    assert!(leases.iter().all(|(id, _)| *id != held.credential.id));
    no_complaints(&vault);
}

#[tokio::test]
async fn a_given_token_that_ends_sooner_is_the_end_of_the_lease() {
    let (vault, project) = on_one_clock(Vault::new(), |vault| given(vault, DATABASE));
    let end = project.clock.now() + SignedDuration::from_mins(20);
    vault.change(|vault| vault.token(Vault::GIVEN).unwrap().expires_at = Some(end));
    let held = minted(project.exec("x").await.unwrap());
    assert_eq!(left(&project, &held), 1200);
    project.clock.advance(SignedDuration::from_mins(21));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(
        error.exit_status(),
        fnox_core::ExitStatus::AuthenticationNeeded
    );
    assert_eq!(vault.change(|vault| vault.leases()), []);
    no_complaints(&vault);
}

#[tokio::test]
async fn what_has_no_renewable_lease_is_replaced() {
    let more = "secret_path = 'kv/app'\nenv_map = { password = 'A' }";
    let (vault, project) = on_one_clock(Vault::new(), |vault| given(vault, more));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(50));
    let new = renewed(&project, &held).await;
    assert_ne!(new.credential.id, held.credential.id);
    assert_eq!(left(&project, &new), 3600);
    assert!(!paths(&vault).contains(&"POST sys/leases/renew".to_owned()));
    no_complaints(&vault);
}
