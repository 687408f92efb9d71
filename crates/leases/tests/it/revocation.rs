//! `lease revoke` and `lease cleanup`.

use fnox_core::ExitStatus;
use fnox_core::lease::LeaseState;
use fnox_leases::RevocationOutcome;
use fnox_testkit::stand_in::Sts;
use jiff::SignedDuration;

use crate::support::{Project, aws_lease, borrowed, keys_of, minted};

const LEASE: &str = "[leases.db]\ntype = 'command'\nconsumes = []\n\
    create_command = '''echo '{\"credentials\":{\"TOKEN\":\"t0ken-value\"}}' '''\n\
    revoke_command = '''[ ! -e refuse ] || { echo refused >&2; exit 1; }; echo \"$FNOX_LEASE_ID\" >> revoked'''\n";

fn revoked(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.root.join("project/revoked"));
    text.unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_issuer_withdraws_it_and_exec_mints_anew() {
    let project = Project::new(LEASE);
    let held = minted(project.exec("db").await.unwrap());
    let done = project.manager().revoke("db").await.unwrap();
    assert!(
        matches!(done[0].outcome, RevocationOutcome::Revoked),
        "{done:?}"
    );
    assert_eq!(revoked(&project), [held.credential.id.as_str()]);
    let again = project.manager().revoke(&held.credential.id).await.unwrap();
    assert!(matches!(
        again[0].outcome,
        RevocationOutcome::AlreadyRevoked
    ));
    assert_eq!(project.manager().revoke("db").await.unwrap().len(), 0);
    minted(project.exec("db").await.unwrap());
}

#[tokio::test]
async fn a_failed_withdrawal_stays_unrevoked_and_unused_and_can_be_repeated() {
    let project = Project::new(LEASE);
    let first = minted(project.exec("db").await.unwrap());
    let refuse = project.root.join("project/refuse");
    std::fs::write(&refuse, "").unwrap();
    let done = project.manager().revoke_all().await.unwrap();
    let error = done[0].failure().unwrap();
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    let record = &project.manager().list().await.unwrap()[0];
    assert_eq!(record.state, LeaseState::Active);
    assert!(
        record
            .revocation_failure
            .as_deref()
            .unwrap()
            .contains("refused")
    );
    // Somebody wanted it gone: it is not handed out again.
    minted(project.exec("db").await.unwrap());

    std::fs::remove_file(&refuse).unwrap();
    let report = project.manager().cleanup().await.unwrap();
    assert_eq!(report.settled.len(), 1);
    assert!(report.failure().is_none());
    assert_eq!(revoked(&project), [first.credential.id]);
}

/// More than the ledger learns of at once, one of them refused in the middle, and one that nobody can withdraw.
#[tokio::test]
async fn many_are_withdrawn_together_and_each_has_its_own_outcome() {
    let lease = |name: &str| {
        format!(
            "[leases.{name}]\ntype = 'command'\nconsumes = []\n\
             create_command = '''echo '{{\"credentials\":{{\"TOKEN\":\"t0ken-value\"}},\"lease_id\":\"{name}\"}}' '''\n"
        )
    };
    let mut config = lease("forgotten");
    for index in 0..40 {
        config.push_str(&lease(&format!("db{index}")));
        config.push_str(
            "revoke_command = '''[ $FNOX_LEASE_ID != db7 ] || exit 1; echo \"$FNOX_LEASE_ID\" >> revoked'''\n",
        );
    }
    let project = Project::new(&config);
    minted(project.exec("forgotten").await.unwrap());
    for index in 0..40 {
        minted(project.exec(&format!("db{index}")).await.unwrap());
    }
    let done = project.manager().revoke_all().await.unwrap();
    assert_eq!(done.len(), 41);
    for one in &done {
        let is_right = match one.lease.as_str() {
            "forgotten" => matches!(one.outcome, RevocationOutcome::ExpiresOnly { .. }),
            "db7" => one.failure().is_some(),
            _ => matches!(one.outcome, RevocationOutcome::Revoked),
        };
        assert!(is_right, "{one:?}");
    }
    assert_eq!(revoked(&project).len(), 39);
    for record in project.manager().list().await.unwrap() {
        let expected = match record.lease.as_str() {
            "db7" => LeaseState::Active,
            _ => LeaseState::Revoked,
        };
        assert_eq!(record.state, expected, "{record:?}");
        assert_eq!(record.revocation_failure.is_some(), record.lease == "db7");
    }
}

#[tokio::test]
async fn an_intent_of_a_dead_process_is_found_and_withdrawn() {
    // The answer is lost, so only the id on record can lead to what was created.
    let text = LEASE.replace(
        "echo '{\"credentials\":{\"TOKEN\":\"t0ken-value\"}}'",
        "echo \"$FNOX_LEASE_ID\" > created; echo nonsense",
    );
    let project = Project::new(&text);
    project.exec("db").await.unwrap_err();
    let created = std::fs::read_to_string(project.root.join("project/created")).unwrap();
    let report = project.manager().cleanup().await.unwrap();
    assert!(matches!(
        report.settled[0].outcome,
        RevocationOutcome::Revoked
    ));
    assert_eq!(revoked(&project), [created.trim()]);
}

#[tokio::test]
async fn a_lease_that_is_being_created_is_left_alone() {
    let project = Project::new(LEASE);
    let text = LEASE.replace(
        "echo '{",
        "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo '{",
    );
    let mut project = project;
    project.edit(&text);
    let exec = project.exec("db");
    let meddle = async {
        let begun = project.root.join("project/begun");
        for _ in 0..1000 {
            if begun.exists() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(project.manager().cleanup().await.unwrap().settled.len(), 0);
        let all = project.manager().revoke_all().await.unwrap();
        let RevocationOutcome::InProgress { holder } = &all[0].outcome else {
            panic!("{all:?}");
        };
        assert!(holder.contains("fnox exec"), "{holder}");
        std::fs::write(project.root.join("project/go"), "").unwrap();
    };
    let (held, ()) = tokio::join!(exec, meddle);
    minted(held.unwrap());
    assert!(revoked(&project).is_empty());
}

#[tokio::test]
async fn a_session_only_expires() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    let held = minted(project.exec("aws").await.unwrap());
    let id = &held.credential.id;
    let done = project
        .manager()
        .revoke(&format!("{}...", &id[..id.len() - 4]))
        .await
        .unwrap();
    let RevocationOutcome::ExpiresOnly { expires_at } = done[0].outcome else {
        panic!("{done:?}");
    };
    assert_eq!(expires_at, held.credential.expires_at);
    minted(project.exec("aws").await.unwrap());
    assert_eq!(sts.count("AssumeRole"), 2);
}

#[tokio::test]
async fn cleanup_settles_what_expired_and_pruning_forgets_it_a_day_later() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    assert_eq!(project.manager().cleanup().await.unwrap().settled.len(), 0);
    assert!(!project.folders.state.exists());
    minted(project.exec("aws").await.unwrap());
    project.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(
        project.manager().list().await.unwrap()[0].state,
        LeaseState::Expired
    );
    assert_eq!(project.manager().cleanup().await.unwrap().settled.len(), 1);
    assert_eq!(project.manager().cleanup().await.unwrap().settled.len(), 0);
    assert_eq!(
        project.manager().list().await.unwrap()[0].state,
        LeaseState::Revoked
    );
}

#[tokio::test]
async fn a_lease_that_left_the_configuration_cannot_be_withdrawn_and_says_so() {
    let mut project = Project::new(LEASE);
    let held = minted(project.exec("db").await.unwrap());
    project.edit("");
    let done = project.manager().revoke(&held.credential.id).await.unwrap();
    let error = done[0].failure().unwrap();
    assert_eq!(error.code(), "lease::not_configured");
    assert!(error.help().unwrap().contains("[leases.db]"));
    assert_eq!(
        project.manager().list().await.unwrap()[0].state,
        LeaseState::Active
    );
}
