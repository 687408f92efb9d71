//! Withdrawing leases, and what is left of those that nobody knows.

use fnox_core::Clock as _;
use fnox_core::lease::LeaseState;
use fnox_leases::RevocationOutcome;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::vault::Vault;
use jiff::SignedDuration;

use super::{DATABASE, given, logging_in, no_complaints, paths, revoked, value};
use crate::support::minted;

#[tokio::test]
async fn what_is_gone_already_counts_as_withdrawn() {
    let vault = Issuer::start(Vault::new());
    for (status, said) in [
        (404, ""),
        (400, "lease not found"),
        (400, "invalid lease ID"),
    ] {
        let project = given(&vault, DATABASE);
        minted(project.exec("x").await.unwrap());
        vault.change(|vault| {
            let fault = (status, said.to_owned());
            vault.faults.insert("sys/leases/revoke".to_owned(), fault);
        });
        let done = revoked(project.manager()).await;
        assert!(matches!(done.outcome, RevocationOutcome::Revoked));
        vault.change(|vault| vault.faults.clear());
    }
    // A second time, a lease that ended, and a login that ended.
    let project = logging_in(&vault, DATABASE);
    let held = minted(project.exec("x").await.unwrap());
    vault.change(|vault| vault.end_lease(&held.credential.id));
    let login = vault.change(|vault| vault.logins().remove(0));
    vault.change(|vault| vault.end_token(&login));
    let done = revoked(project.manager()).await;
    assert!(
        matches!(done.outcome, RevocationOutcome::Revoked),
        "{done:?}"
    );
    no_complaints(&vault);
}

#[tokio::test]
async fn a_withdrawal_that_fails_stays_on_record_and_is_tried_again() {
    let vault = Issuer::start(Vault::new());
    let project = given(&vault, DATABASE);
    let held = minted(project.exec("x").await.unwrap());
    let fault = |status: u16, said: &str| {
        vault.change(|vault| {
            let fault = (status, said.to_owned());
            vault.faults.insert("sys/leases/revoke".to_owned(), fault);
        });
    };
    for (status, said) in [
        (400, "failed to revoke entry: connection refused"),
        (500, "internal error"),
    ] {
        fault(status, said);
        let done = revoked(project.manager()).await;
        assert!(done.failure().is_some(), "{status}");
    }
    vault.change(|vault| vault.faults.clear());
    vault.change(|vault| vault.denied.insert("sys/leases/revoke".to_owned()));
    let done = revoked(project.manager()).await;
    let remedy = done.failure().unwrap().help().unwrap();
    assert!(
        remedy.contains("path \"sys/leases/revoke\" { capabilities = [\"update\"] }"),
        "{remedy}"
    );
    vault.change(|vault| vault.denied.clear());
    for misbehaviour in [Misbehaviour::EmptyAnswer, Misbehaviour::Garbage] {
        // The work was done, but who answered so was not Vault.
        vault.misbehave(Some(misbehaviour));
        let done = revoked(project.manager()).await;
        assert!(done.failure().is_some(), "{misbehaviour:?}");
    }
    vault.misbehave(Some(Misbehaviour::Silence));
    assert!(revoked(project.manager()).await.failure().is_some());
    vault.misbehave(None);
    let report = project.manager().cleanup().await.unwrap();
    assert_eq!(report.settled[0].lease_id, held.credential.id);
    assert!(report.failure().is_none(), "{report:?}");
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Revoked);
    assert_eq!(vault.change(|vault| vault.leases()), []);
    no_complaints(&vault);
}

#[tokio::test]
async fn a_lease_that_ended_by_itself_needs_no_right_to_be_forgotten() {
    let vault = Issuer::start(Vault::new());
    vault.change(|vault| vault.denied.insert("sys/leases/revoke".to_owned()));
    let project = given(&vault, DATABASE);
    minted(project.exec("x").await.unwrap());
    project.clock.advance(SignedDuration::from_hours(2));
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
}

/// The right to withdraw leases is not needed, and the given token stays.
#[tokio::test]
async fn a_child_of_the_given_token_asks_and_ends_with_its_lease() {
    let vault = Issuer::start(Vault::new());
    vault.change(|vault| vault.denied.insert("sys/leases/revoke".to_owned()));
    let project = given(&vault, &format!("{DATABASE}\nchild_token = true"));
    let held = minted(project.exec("x").await.unwrap());
    let child = vault.change(|vault| vault.logins().remove(0));
    let leases = vault.change(|vault| vault.leases());
    assert_eq!(leases, [(held.credential.id.clone(), child)]);
    let metadata = vault.change(|vault| vault.metadata());
    let name = metadata[0]["fnox"].as_str().unwrap();
    assert!(name.starts_with("vault-"), "{name}");
    assert_eq!(
        paths(&vault),
        ["POST auth/token/create", "GET database/creds/app"]
    );
    let done = revoked(project.manager()).await;
    assert!(matches!(done.outcome, RevocationOutcome::Revoked));
    assert_eq!(vault.change(|vault| vault.leases()), []);
    assert_eq!(vault.change(|vault| vault.logins()), Vec::<String>::new());
    minted(project.exec("x").await.unwrap());
    // Who may not make children is told so, and nothing is left open.
    vault.change(|vault| vault.denied.insert("auth/token/create".to_owned()));
    let project = given(&vault, &format!("{DATABASE}\nchild_token = true"));
    let error = project.exec("x").await.unwrap_err();
    assert!(
        error.help().unwrap().contains("auth/token/create"),
        "{error}"
    );
    assert!(project.manager().list().await.unwrap().is_empty());
    no_complaints(&vault);
}

#[tokio::test]
async fn a_login_is_withdrawn_with_its_lease_and_a_given_token_never() {
    let vault = Issuer::start(Vault::new());
    // Without the right to revoke leases too: what hangs from a token goes with it.
    vault.change(|vault| vault.denied.insert("sys/leases/revoke".to_owned()));
    let project = logging_in(&vault, DATABASE);
    let held = minted(project.exec("x").await.unwrap());
    let login = vault.change(|vault| vault.logins().remove(0));
    // The login is kept in the sealed ledger, and the program does not get it.
    assert!(
        held.credential
            .variables
            .iter()
            .all(|(_, value)| value.expose_secret() != login)
    );
    let file = std::fs::read_to_string(project.manager().ledger().path()).unwrap();
    assert!(!file.contains(&login) && !file.contains(value(&held, "DB_PASSWORD")));
    let done = revoked(project.manager()).await;
    assert!(matches!(done.outcome, RevocationOutcome::Revoked));
    assert_eq!(vault.change(|vault| vault.logins()), Vec::<String>::new());
    assert_eq!(vault.change(|vault| vault.leases()), []);

    vault.change(|vault| vault.denied.clear());
    let project = given(&vault, DATABASE);
    minted(project.exec("x").await.unwrap());
    let done = revoked(project.manager()).await;
    assert!(matches!(done.outcome, RevocationOutcome::Revoked));
    assert!(vault.change(|vault| vault.token(Vault::GIVEN).is_some()));
    assert_eq!(vault.change(|vault| vault.leases()), []);
    no_complaints(&vault);
}

#[tokio::test]
async fn a_batch_token_is_not_revoked_and_its_lease_is() {
    let mut service = Vault::new();
    service.token_prefix = "hvb.";
    let vault = Issuer::start(service);
    let project = logging_in(&vault, DATABASE);
    minted(project.exec("x").await.unwrap());
    let done = revoked(project.manager()).await;
    assert!(
        matches!(done.outcome, RevocationOutcome::Revoked),
        "{done:?}"
    );
    assert_eq!(vault.change(|vault| vault.leases()), []);
    assert!(!paths(&vault).contains(&"POST auth/token/revoke-self".to_owned()));
    no_complaints(&vault);
}

/// The login ends the lease whose answer was lost; a given token leaves an intent, which ends at the time to live.
#[tokio::test]
async fn an_answer_that_is_lost_leaves_nothing_behind_a_login_and_an_intent_behind_a_given_token() {
    let vault = Issuer::start(Vault::new());
    let break_it = |vault: &mut Vault| {
        let fault = (500, "internal error".to_owned());
        vault.faults.insert("database/creds/app".to_owned(), fault);
    };
    vault.change(break_it);
    let project = logging_in(&vault, DATABASE);
    project.exec("x").await.unwrap_err();
    assert_eq!(vault.change(|vault| vault.logins()), Vec::<String>::new());
    assert_eq!(project.manager().list().await.unwrap().len(), 0);

    let project = given(&vault, DATABASE);
    project.exec("x").await.unwrap_err();
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Pending);
    let report = project.manager().cleanup().await.unwrap();
    let error = report.failure().unwrap();
    assert!(
        error.to_string().contains("it ends by itself, at "),
        "{error}"
    );
    assert!(
        error
            .help()
            .unwrap()
            .contains("sys/leases/lookup/database/creds/app"),
        "{error}"
    );
    project.clock.advance(SignedDuration::from_hours(1));
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Revoked);
}

#[tokio::test]
async fn a_process_that_is_killed_before_the_answer_leaves_an_intent_that_ends_by_itself() {
    let vault = Issuer::start(Vault::new());
    vault.misbehave(Some(Misbehaviour::Silence));
    let project = logging_in(&vault, DATABASE);
    {
        // A future that is dropped in the middle of a call has done what a killed process has: nothing after it.
        let exec = project.exec("x");
        tokio::pin!(exec);
        let asked = async {
            while vault.requests().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut exec => panic!("nobody answered"),
            () = asked => {}
        }
    }
    vault.misbehave(None);
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_some());
    let end = project.manager().list().await.unwrap()[0]
        .expires_at
        .unwrap();
    project.clock.set_wall(end);
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
    assert!(project.clock.now() >= end);
}
