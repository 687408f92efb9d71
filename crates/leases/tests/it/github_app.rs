//! `github-app` against a strict stand-in.

use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::RevocationOutcome;
use fnox_testkit::services;
use fnox_testkit::stand_in::github::GitHub;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::jwt;
use jiff::SignedDuration;
use serde_json::json;

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const KEY: &str = "FNOX_GITHUB_APP_PRIVATE_KEY";

fn lease(github: &Issuer<GitHub>, more: &str) -> String {
    format!(
        "type = 'github-app'\napp_id = '{}'\nduration = '1h'\napi_base = '{}'\n{more}\n",
        GitHub::APP,
        github.url()
    )
}

fn project(github: &Issuer<GitHub>, more: &str) -> Project {
    let env = [(KEY, jwt::FIRST.private)];
    Project::with_env(&format!("[leases.x]\n{}", lease(github, more)), &env)
}

fn installed(more: &str) -> String {
    format!("installation_id = '{}'\n{more}", GitHub::INSTALLATION)
}

#[tokio::test]
async fn it_fails_closed() {
    let github = Issuer::start(GitHub::new());
    matrix::fails_closed(&Subject {
        issuer: &github,
        lease: lease(&github, &installed("")),
        env: vec![(KEY.to_owned(), jwt::FIRST.private.to_owned())],
        masters: vec![jwt::FIRST.private.to_owned()],
        produces: vec!["GITHUB_TOKEN"],
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn a_token_is_as_narrow_as_the_lease_says_and_is_withdrawn() {
    let github = Issuer::start(GitHub::new());
    let project = project(
        &github,
        &installed(
            "repositories = ['hello']\npermissions = { contents = 'read' }\nenv_var = 'GH_TOKEN'",
        ),
    );
    let held = minted(project.exec("x").await.unwrap());
    let token = held.credential.variable("GH_TOKEN").unwrap();
    let asked = github.change(|github| github.token(token.expose_secret()).cloned());
    assert_eq!(
        asked,
        Some(json!({"permissions": {"contents": "read"}, "repositories": ["hello"]}))
    );
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(
        matches!(revoked[0].outcome, RevocationOutcome::Revoked),
        "{revoked:?}"
    );
    assert_eq!(github.change(|github| github.live_tokens()), 0);
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_gone_already_counts_as_withdrawn_and_a_failure_is_tried_again() {
    let github = Issuer::start(GitHub::new());
    let project = project(&github, &installed(""));
    let held = minted(project.exec("x").await.unwrap());
    for misbehaviour in [
        Misbehaviour::Status(403),
        Misbehaviour::Status(500),
        Misbehaviour::HangUp,
    ] {
        github.misbehave(Some(misbehaviour));
        let revoked = project.manager().revoke("x").await.unwrap();
        assert!(revoked[0].failure().is_some(), "{misbehaviour:?}");
    }
    github.misbehave(None);
    // The one that hung up had done its work: the token is gone.
    let report = project.manager().cleanup().await.unwrap();
    assert_eq!(report.settled[0].lease_id, held.credential.id);
    assert!(report.failure().is_none());
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Revoked);
}

#[tokio::test]
async fn a_token_is_withdrawn_whatever_its_variable_is_called_now() {
    let github = Issuer::start(GitHub::new());
    let mut project = project(&github, &installed(""));
    minted(project.exec("x").await.unwrap());
    let renamed = lease(&github, &installed("env_var = 'GH_TOKEN'"));
    project.edit(&format!("[leases.x]\n{renamed}"));
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(revoked[0].failure().is_none(), "{revoked:?}");
    assert_eq!(github.change(|github| github.live_tokens()), 0);
}

#[tokio::test]
async fn a_server_that_does_not_know_the_call_has_withdrawn_nothing() {
    let github = Issuer::start(GitHub::new());
    let project = project(&github, &installed(""));
    minted(project.exec("x").await.unwrap());
    for misbehaviour in [Misbehaviour::Status(404), Misbehaviour::Garbage] {
        github.misbehave(Some(misbehaviour));
        let revoked = project.manager().revoke("x").await.unwrap();
        assert!(revoked[0].failure().is_some(), "{misbehaviour:?}");
    }
}

#[tokio::test]
async fn a_new_token_is_not_taken_for_gone_because_one_server_has_not_heard_of_it() {
    let github = Issuer::start(GitHub::new());
    let project = project(&github, &installed(""));
    minted(project.exec("x").await.unwrap());
    github.change(|github| github.lag = 1);
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(revoked[0].failure().is_none(), "{revoked:?}");
    assert_eq!(github.change(|github| github.live_tokens()), 0);
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_that_was_lost_on_the_way_is_not_said_to_be_withdrawn() {
    let github = Issuer::start(GitHub::new());
    let text = lease(&github, &installed("")).replace("'1h'", "'5m'");
    let env = [(KEY, jwt::FIRST.private)];
    let project = Project::with_env(&format!("[leases.x]\n{text}"), &env);
    github.misbehave(Some(Misbehaviour::HangUp));
    project.exec("x").await.unwrap_err();
    github.misbehave(None);
    github.forget_requests();
    let report = project.manager().cleanup().await.unwrap();
    let RevocationOutcome::ExpiresOnly {
        expires_at: Some(end),
    } = report.settled[0].outcome
    else {
        panic!("{report:?}");
    };
    // It lives for an hour, not for the five minutes that were asked for.
    let left = end.duration_since(project.clock.now());
    assert_eq!(left, SignedDuration::from_hours(1));
    assert_eq!(github.requests().len(), 0);
}

#[tokio::test]
async fn the_installation_of_a_user_or_an_organisation_is_found() {
    let github = Issuer::start(GitHub::new());
    for account in [GitHub::ACCOUNT, GitHub::USER] {
        let project = project(&github, &format!("account = '{account}'"));
        minted(project.exec("x").await.unwrap());
    }
    let nobody = project(&github, "account = 'nobody'");
    let error = nobody.exec("x").await.unwrap_err();
    assert!(
        error.to_string().contains("not installed for `nobody`"),
        "{error}"
    );
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.location().is_some());
    assert_eq!(nobody.manager().list().await.unwrap().len(), 0);
    assert_eq!(github.complaints(), Vec::<String>::new());
}

async fn refused(project: &Project, status: ExitStatus) -> String {
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), status, "{error}");
    format!("{error} | {}", error.help().unwrap_or_default())
}

#[tokio::test]
async fn what_github_refuses_is_explained() {
    let github = Issuer::start(GitHub::new());
    for (more, wanted) in [
        (
            installed("repositories = ['other']"),
            "is not a part of the installation",
        ),
        (
            installed("permissions = { contents = 'admin' }"),
            "was not granted",
        ),
        ("installation_id = '1'".to_owned(), "no such installation"),
    ] {
        let told = refused(&project(&github, &more), ExitStatus::Configuration).await;
        // What was sent is told: who the app said that it is.
        assert!(
            told.contains(wanted) && told.contains("iss=\"12345\""),
            "{told}"
        );
    }
    let stranger = lease(&github, &installed("")).replace(GitHub::APP, "54321");
    let env = [(KEY, jwt::FIRST.private)];
    let stranger = Project::with_env(&format!("[leases.x]\n{stranger}"), &env);
    let told = refused(&stranger, ExitStatus::Configuration).await;
    assert!(told.contains("`app_id` is neither"), "{told}");

    github.change(|github| github.is_suspended = true);
    let suspended = refused(&project(&github, &installed("")), ExitStatus::Denied).await;
    assert!(
        suspended.contains("suspended the installation"),
        "{suspended}"
    );
    github.change(|github| github.is_limited = true);
    let limited = refused(&project(&github, &installed("")), ExitStatus::Unavailable).await;
    assert!(
        limited.contains("limits the calls of the app until 2"),
        "{limited}"
    );

    let env = [(KEY, jwt::SECOND.private)];
    let text = format!("[leases.x]\n{}", lease(&github, &installed("")));
    let told = refused(
        &Project::with_env(&text, &env),
        ExitStatus::AuthenticationNeeded,
    )
    .await;
    assert!(told.contains(KEY), "{told}");
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_clock_is_told_by_how_much() {
    let github = Issuer::start(GitHub::new());
    for (seconds, wanted) in [(-7200, "behind GitHub's"), (7200, "ahead of GitHub's")] {
        let project = project(&github, &installed(""));
        let off = project.clock.now() + SignedDuration::from_secs(seconds);
        project.clock.set_wall(off);
        let told = refused(&project, ExitStatus::AuthenticationNeeded).await;
        assert!(
            told.contains("clock: it is 7") && told.contains(wanted),
            "{told}"
        );
    }
}

#[tokio::test]
async fn the_key_may_come_as_a_file_as_a_path_or_in_one_line() {
    let github = Issuer::start(GitHub::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pem");
    std::fs::write(&path, jwt::FIRST.private).unwrap();
    let path = path.to_str().unwrap();
    let one_line = jwt::FIRST.private.replace('\n', "\\n");
    let by_file = format!("private_key_file = '{path}'");
    for (more, env) in [
        (by_file.as_str(), vec![]),
        ("", vec![(KEY, path)]),
        ("", vec![(KEY, one_line.as_str())]),
        (
            "private_key_variable = 'OTHER'",
            vec![("OTHER", jwt::FIRST.private), (KEY, "not-this-one")],
        ),
    ] {
        let text = format!("[leases.x]\n{}", lease(&github, &installed(more)));
        let held = minted(Project::with_env(&text, &env).exec("x").await.unwrap());
        assert_eq!(held.withhold[1..], ["GH_TOKEN", "GITHUB_TOKEN"]);
    }
    let missing = format!("private_key_file = '{path}.none'");
    let text = format!("[leases.x]\n{}", lease(&github, &installed(&missing)));
    let told = refused(
        &Project::with_env(&text, &[]),
        ExitStatus::AuthenticationNeeded,
    )
    .await;
    assert!(told.contains("app.pem.none cannot be used"), "{told}");
}

/// The stand-in as a client that is not ours sees it, and our token in that client's hands.
#[tokio::test]
#[ignore = "needs PyGithub"]
async fn an_independent_client_finds_the_installation_gets_a_token_and_withdraws_ours() {
    let github = Issuer::start(GitHub::new());
    let project = project(&github, &installed(""));
    let held = minted(project.exec("x").await.unwrap());
    let token = held.credential.variables[0].1.expose_secret();
    let python = services::github_python();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/github_client.py");
    let output = tokio::process::Command::new(python)
        .args([script, github.url(), GitHub::APP, GitHub::ACCOUNT])
        .env("KEY", jwt::FIRST.private)
        .env("TOKEN", token)
        .env("no_proxy", "*")
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    // Its own token works, ours does not any more.
    assert!(github.change(|github| github.token(told.trim()).is_some()));
    assert!(github.change(|github| github.token(token).is_none()));
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_is_none_and_keys_that_are_wrong_are_told_without_a_call() {
    let github = Issuer::start(GitHub::new());
    let text = format!("[leases.x]\n{}", lease(&github, &installed("")));
    let error = Project::with_env(&text, &[(KEY, "not-a-key-at-all")])
        .exec("x")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("not a private RSA key"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("not-a-key-at-all"));
    for (more, wanted) in [
        ("", "which installation"),
        ("installation_id = 'x'", "must be a number"),
        ("installation_id = '1'\naccount = 'a'", "keep one"),
        (
            "installation_id = '1'\nrepositories = ['o/r']",
            "without their owner",
        ),
        (
            "installation_id = '1'\npermissions = { contents = 'all' }",
            "neither read",
        ),
        (
            "installation_id = '1'\npermissions = { pull-requests = 'read' }",
            "`pull_requests`",
        ),
        (
            "installation_id = '1'\nrepositories = ['a']\nrepository_ids = [1]",
            "one of them",
        ),
        (
            "installation_id = '1'\nenv_var = 'A-B'",
            "name of a variable",
        ),
    ] {
        let error = project(&github, more).exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{more}: {error}");
    }
    assert_eq!(github.requests().len(), 0);
}
