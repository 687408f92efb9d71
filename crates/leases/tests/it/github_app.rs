//! `github-app` against a strict stand-in.

use fnox_core::ExitStatus;
use fnox_core::lease::LeaseState;
use fnox_leases::RevocationOutcome;
use fnox_testkit::stand_in::github::GitHub;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::jwt;
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
async fn the_installation_of_an_account_is_found() {
    let github = Issuer::start(GitHub::new());
    let project = project(&github, &format!("account = '{}'", GitHub::ACCOUNT));
    minted(project.exec("x").await.unwrap());
    let nobody = self::project(&github, "account = 'nobody'");
    let error = nobody.exec("x").await.unwrap_err();
    assert!(
        error.to_string().contains("not installed for `nobody`"),
        "{error}"
    );
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
}

#[tokio::test]
async fn what_github_refuses_is_explained() {
    let github = Issuer::start(GitHub::new());
    for (more, wanted) in [
        ("repositories = ['other']", "does not exist or is not part"),
        ("permissions = { contents = 'admin' }", "was not granted"),
    ] {
        let error = project(&github, &installed(more))
            .exec("x")
            .await
            .unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration, "{error}");
        assert!(error.help().unwrap().contains(wanted), "{error}");
        assert!(error.location().is_some());
    }
    let error = project(&github, "installation_id = '1'")
        .exec("x")
        .await
        .unwrap_err();
    assert!(
        error.help().unwrap().contains("no such installation"),
        "{error}"
    );
    github.change(|github| github.is_suspended = true);
    let error = project(&github, &installed(""))
        .exec("x")
        .await
        .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    let env = [(KEY, jwt::SECOND.private)];
    let other = Project::with_env(
        &format!("[leases.x]\n{}", lease(&github, &installed(""))),
        &env,
    );
    let error = other.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(error.help().unwrap().contains(KEY), "{error}");
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
    ] {
        let error = project(&github, more).exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{more}: {error}");
    }
    assert_eq!(github.requests().len(), 0);
}
