//! `gitlab` against a strict stand-in, and the stand-in against python-gitlab.

use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::RevocationOutcome;
use fnox_testkit::stand_in::gitlab::GitLab;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const MASTER: &str = "GITLAB_TOKEN";
const PROJECT: &str = "project = 'platform/app'";
const GROUP: &str = "group = 'platform'";

fn lease(gitlab: &Issuer<GitLab>, more: &str) -> String {
    format!("type = 'gitlab'\nurl = '{}'\n{more}\n", gitlab.url())
}

fn project(gitlab: &Issuer<GitLab>, more: &str) -> Project {
    let text = format!("[leases.x]\n{}", lease(gitlab, more));
    Project::with_env(&text, &[(MASTER, GitLab::MASTER)])
}

fn live(gitlab: &Issuer<GitLab>) -> usize {
    gitlab.change(|service| service.tokens().len())
}

#[tokio::test]
async fn it_fails_closed_for_projects_and_groups() {
    for holder in [PROJECT, GROUP] {
        let gitlab = Issuer::start(GitLab::new());
        matrix::fails_closed(&Subject {
            issuer: &gitlab,
            lease: lease(&gitlab, holder),
            env: vec![(MASTER.to_owned(), GitLab::MASTER.to_owned())],
            masters: vec![GitLab::MASTER.to_owned()],
            produces: vec![MASTER],
            tells_expiry: true,
            leaves_intents: true,
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_has_the_role_and_scopes_of_the_lease_and_the_first_date_after_it() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(
        &gitlab,
        &format!(
            "{PROJECT}\nscopes = ['read_repository', 'read_registry']\naccess_level = 'reporter'\nenv_var = 'CI_READ'"
        ),
    );
    let held = minted(project.exec("x").await.unwrap());
    let value = held.credential.variable("CI_READ").unwrap().expose_secret();
    let body = gitlab.change(|service| service.token(value).unwrap().body.clone());
    assert_eq!(body["scopes"], json!(["read_repository", "read_registry"]));
    assert_eq!(body["access_level"], json!(20));
    let name = body["name"].as_str().unwrap();
    assert!(name.starts_with("fnox-lease-fnox-exec-x-gitlab-"), "{name}");
    // The lease ends when it should; the token at the midnight after it.
    let end = held.credential.expires_at.unwrap();
    assert_eq!(
        end.duration_since(project.clock.now()),
        SignedDuration::from_mins(15)
    );
    let date: Date = body["expires_at"].as_str().unwrap().parse().unwrap();
    let midnight = date.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let longer = midnight.duration_since(end);
    assert!(longer > SignedDuration::ZERO, "{longer:?}");
    assert!(longer <= SignedDuration::from_hours(24), "{longer:?}");
    assert_eq!(gitlab.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn an_earlier_date_of_the_server_ends_the_lease_and_a_later_one_is_refused() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(&gitlab, &format!("{PROJECT}\nduration = '24h'"));
    let today = project.clock.now().to_zoned(TimeZone::UTC).date();
    let tomorrow = today.tomorrow().unwrap();
    gitlab.change(|service| service.other_date = Some(json!(tomorrow.to_string())));
    let held = minted(project.exec("x").await.unwrap());
    let midnight = tomorrow.to_zoned(TimeZone::UTC).unwrap().timestamp();
    assert_eq!(held.credential.expires_at, Some(midnight));

    for date in [json!("2099-01-01"), Value::Null] {
        gitlab.change(|service| service.other_date = Some(date.clone()));
        let other = self::project(&gitlab, PROJECT);
        let before = live(&gitlab);
        let error = other.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
        // Nobody was given it, and `cleanup` deletes it.
        assert_eq!(live(&gitlab), before + 1);
        let report = other.manager().cleanup().await.unwrap();
        assert!(report.failure().is_none(), "{report:?}");
        assert_eq!(live(&gitlab), before);
    }
}

#[tokio::test]
async fn cleanup_deletes_at_the_end_of_the_lease_what_lives_until_midnight() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(&gitlab, PROJECT);
    let held = minted(project.exec("x").await.unwrap());
    project.clock.set_wall(held.credential.expires_at.unwrap());
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
    assert_eq!(report.settled[0].lease_id, held.credential.id);
    assert_eq!(live(&gitlab), 0);
}

#[tokio::test]
async fn a_token_whose_answer_was_lost_is_found_by_its_name_and_deleted() {
    for (holder, can_search) in [(PROJECT, true), (PROJECT, false), (GROUP, true)] {
        let gitlab = Issuer::start(GitLab::new());
        gitlab.change(|service| {
            service.page_limit = 2;
            service.can_search = can_search;
            for name in ["a", "b", "fnox-lease-x-gitlab-0000000000000000"] {
                service.add(name);
            }
        });
        let before = live(&gitlab);
        let project = project(&gitlab, holder);
        gitlab.misbehave(Some(Misbehaviour::HangUp));
        project.exec("x").await.unwrap_err();
        gitlab.misbehave(None);
        assert_eq!(live(&gitlab), before + 1);

        let report = project.manager().cleanup().await.unwrap();
        assert!(report.failure().is_none(), "{report:?}");
        assert_eq!(report.settled.len(), 1);
        assert_eq!(live(&gitlab), before);
        assert_eq!(gitlab.complaints(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn deleting_is_done_once_and_a_failure_is_tried_again() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(&gitlab, PROJECT);
    minted(project.exec("x").await.unwrap());
    for misbehaviour in [
        Misbehaviour::Status(403),
        Misbehaviour::Status(500),
        Misbehaviour::HangUp,
    ] {
        gitlab.misbehave(Some(misbehaviour));
        let revoked = project.manager().revoke("x").await.unwrap();
        assert!(revoked[0].failure().is_some(), "{misbehaviour:?}");
    }
    gitlab.misbehave(None);
    assert_eq!(live(&gitlab), 0);
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");

    minted(project.exec("x").await.unwrap());
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(
        matches!(revoked[0].outcome, RevocationOutcome::Revoked),
        "{revoked:?}"
    );
    assert_eq!(live(&gitlab), 0);
    assert_eq!(gitlab.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_project_out_of_sight_is_no_withdrawal_until_its_tokens_must_have_ended() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(&gitlab, PROJECT);
    let held = minted(project.exec("x").await.unwrap());
    gitlab.change(|service| service.is_there = false);
    let revoked = project.manager().revoke("x").await.unwrap();
    let failure = revoked[0].failure().unwrap();
    assert!(
        failure.to_string().contains("404 Project Not Found"),
        "{failure}"
    );
    assert_eq!(live(&gitlab), 1);

    let later = held.credential.expires_at.unwrap() + SignedDuration::from_hours(24);
    project.clock.set_wall(later);
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
    let records = project.manager().list().await.unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.state == LeaseState::Revoked),
        "{records:?}"
    );
}

#[tokio::test]
async fn what_gitlab_refuses_is_explained() {
    let gitlab = Issuer::start(GitLab::new());
    let refused = async |more: &str| project(&gitlab, more).exec("x").await.unwrap_err();
    let help = |error: &fnox_leases::LeaseError| error.help().unwrap();

    let error = refused("project = 'platform/other'").await;
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(
        help(&error).contains("no project `platform/other`"),
        "{error}"
    );
    assert!(error.location().is_some());

    let error = refused(&format!("{PROJECT}\nscopes = ['everything']")).await;
    assert!(
        error.to_string().contains("scopes does not have"),
        "{error}"
    );
    assert!(error.location().is_some());

    let error = refused(&format!("{PROJECT}\naccess_level = 'owner'")).await;
    assert!(help(&error).contains("their own role"), "{error}");

    gitlab.change(|service| service.level = 30);
    let error = refused(PROJECT).await;
    assert_eq!(error.exit_status(), ExitStatus::Denied, "{error}");
    assert!(help(&error).contains("Maintainer"), "{error}");

    gitlab.change(|service| service.has_scope = false);
    let error = refused(PROJECT).await;
    assert_eq!(error.exit_status(), ExitStatus::Denied, "{error}");
    assert!(help(&error).contains("scope `api`"), "{error}");

    let text = format!("[leases.x]\n{}", lease(&gitlab, PROJECT));
    let stranger = Project::with_env(&text, &[(MASTER, "glpat-stranger")]);
    let error = stranger.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(!format!("{error:?}").contains("glpat-stranger"));
    assert_eq!(live(&gitlab), 0);
    assert_eq!(gitlab.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_are_wrong_are_told_without_a_call() {
    let gitlab = Issuer::start(GitLab::new());
    for (more, wanted) in [
        ("", "whose token it is"),
        ("project = 'a'\ngroup = 'b'", "cannot both be"),
        ("project = 'a/../b'", "must be a path"),
        ("group = ''", "must be a path"),
        ("group = 'a'\nscopes = ['READ API']", "which is no scope"),
    ] {
        let error = project(&gitlab, more).exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{more}: {error}");
    }
    let plain = Project::with_env(
        "[leases.x]\ntype = 'gitlab'\nproject = 'a'\nurl = 'http://gitlab.example.com'",
        &[(MASTER, GitLab::MASTER)],
    );
    let error = plain.exec("x").await.unwrap_err();
    assert!(error.to_string().contains("https://"), "{error}");
    assert_eq!(gitlab.requests().len(), 0);
}

#[tokio::test]
async fn it_is_explained_without_a_call() {
    let gitlab = Issuer::start(GitLab::new());
    let project = project(&gitlab, PROJECT);
    let told = project
        .manager()
        .explain(&"x".parse().unwrap(), None, "label")
        .await
        .unwrap();
    let [call] = told.calls.as_slice() else {
        panic!("{told:?}");
    };
    assert!(
        call.target
            .ends_with("/api/v4/projects/platform%2Fapp/access_tokens")
    );
    assert_eq!(call.details[2].1, "30 (developer)");
    assert!(!format!("{told:?}").contains(GitLab::MASTER));
    assert_eq!(gitlab.requests().len(), 0);
}

/// What a client that this project did not write sends, the stand-in takes.
#[test]
#[ignore = "needs FNOX_TEST_API_CLIENTS_PYTHON"]
fn the_stand_in_serves_python_gitlab() {
    let gitlab = Issuer::start(GitLab::new());
    let output = crate::support::python("FNOX_TEST_API_CLIENTS_PYTHON")
        .arg("-c")
        .arg(include_str!("gitlab_client.py"))
        .args([gitlab.url(), GitLab::PROJECT, GitLab::GROUP])
        .env("MASTER", GitLab::MASTER)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{stderr} {:?}",
        gitlab.complaints()
    );
    assert_eq!(gitlab.complaints(), Vec::<String>::new());
    assert_eq!(live(&gitlab), 0);
    assert!(gitlab.requests().len() >= 8);
}
