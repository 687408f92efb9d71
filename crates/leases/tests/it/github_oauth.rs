//! `github-oauth` against a strict stand-in, without a keychain and with a real one.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::prompt::Prompt;
use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::{Acquire, Acquired, LeaseError, RevocationOutcome};
use fnox_testkit::services::Session;
use fnox_testkit::stand_in::github_login::{GitHubLogin, Step};
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use jiff::SignedDuration;

use crate::support::{Project, Typist, cached, minted};

const NO_CACHE: &str = "keyring_cache = false";

fn lease(github: &Issuer<GitHubLogin>, more: &str) -> String {
    format!(
        "[leases.x]\ntype = 'github-oauth'\nclient_id = '{}'\nscope = '{}'\nopen_browser = false\n\
         auth_base = '{url}/login/oauth'\napi_base = '{url}/api/v3'\n{more}\n",
        GitHubLogin::CLIENT,
        GitHubLogin::SCOPE,
        url = github.url()
    )
}

/// A project with a person at the terminal.
fn attended(
    github: &Issuer<GitHubLogin>,
    more: &str,
    env: &[(&str, &str)],
) -> (Project, Arc<Typist>) {
    let mut project = Project::with_env(&lease(github, more), env);
    let typist = Typist::typing(&[]);
    project.prompt = Arc::clone(&typist) as Arc<dyn Prompt>;
    (project, typist)
}

fn github(steps: &[Step]) -> Issuer<GitHubLogin> {
    let github = Issuer::start(GitHubLogin::new());
    github.change(|github| github.steps = steps.iter().copied().collect());
    github
}

fn told(error: &LeaseError) -> String {
    format!("{error} | {}", error.help().unwrap_or_default())
}

fn paths(github: &Issuer<GitHubLogin>) -> Vec<String> {
    github
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect()
}

async fn refused(github: &Issuer<GitHubLogin>, status: ExitStatus) -> LeaseError {
    let (project, _) = attended(github, NO_CACHE, &[]);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), status, "{}", told(&error));
    assert_eq!(github.complaints(), Vec::<String>::new());
    error
}

#[tokio::test]
async fn a_person_is_shown_the_code_and_the_token_comes_when_it_is_confirmed() {
    let github = github(&[Step::Pending]);
    let (project, typist) = attended(&github, NO_CACHE, &[]);
    let held = minted(project.exec("x").await.unwrap());
    let asked = typist.asked.lock().unwrap().join("\n");
    assert!(
        asked.contains("WDJB-MJHT") && asked.contains("https://github.com/login/device"),
        "{asked}"
    );
    let token = held.credential.variable("GITHUB_TOKEN").unwrap();
    assert!(github.change(|github| github.works(token.expose_secret())));
    let left = held
        .credential
        .expires_at
        .unwrap()
        .duration_since(project.clock.now());
    assert_eq!(left, SignedDuration::from_hours(8));
    assert_eq!(held.withhold, ["GH_TOKEN", "GITHUB_TOKEN"]);
    // The second run is given the same one, without a call.
    let before = github.requests().len();
    cached(project.exec("x").await.unwrap());
    assert_eq!(github.requests().len(), before);
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_pace_gets_slower_when_github_says_so() {
    // The stand-in complains of a question that comes sooner than five seconds after the last one.
    let github = github(&[Step::SlowDown]);
    let (project, _) = attended(&github, NO_CACHE, &[]);
    minted(project.exec("x").await.unwrap());
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_command_is_told_and_nothing_is_called() {
    let github = github(&[]);
    for more in [NO_CACHE, ""] {
        let project = Project::new(&lease(&github, more));
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        let told = told(&error);
        assert!(told.contains("`fnox lease create x -i`"), "{told}");
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
    assert_eq!(github.requests().len(), 0);
}

#[tokio::test]
async fn a_login_on_a_machine_without_a_keychain_is_not_kept_and_works() {
    let github = github(&[]);
    let (project, typist) = attended(&github, "", &[]);
    minted(project.exec("x").await.unwrap());
    let asked = typist.asked.lock().unwrap().join("\n");
    assert!(
        asked.contains("not kept") && asked.contains("keyring_cache"),
        "{asked}"
    );
}

#[tokio::test]
async fn what_the_person_or_the_app_refuses_is_explained() {
    let error = refused(&github(&[Step::Denied]), ExitStatus::Denied).await;
    assert!(told(&error).contains("refused there"));
    let error = refused(&github(&[Step::Expired]), ExitStatus::AuthenticationNeeded).await;
    assert!(told(&error).contains("not confirmed in time"));
    let error = refused(&github(&[Step::Unverified]), ExitStatus::Denied).await;
    assert!(told(&error).contains("verify your primary e-mail"));
    let disabled = github(&[]);
    disabled.change(|github| github.device_flow = false);
    let error = refused(&disabled, ExitStatus::Configuration).await;
    assert!(told(&error).contains("Enable Device Flow"));
    assert!(error.location().is_some());
    let github = github(&[]);
    let text = lease(&github, NO_CACHE).replace(GitHubLogin::CLIENT, "Iv1.unknown");
    let (mut project, _) = attended(&github, NO_CACHE, &[]);
    project.edit(&text);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(told(&error).contains("Iv1.unknown"), "{}", told(&error));
}

#[tokio::test]
async fn a_login_fails_closed() {
    let github = github(&[]);
    for (misbehaviour, wanted) in [
        (Misbehaviour::Status(401), ExitStatus::AuthenticationNeeded),
        (Misbehaviour::Status(403), ExitStatus::Denied),
        (Misbehaviour::Status(500), ExitStatus::Unavailable),
        (Misbehaviour::Status(503), ExitStatus::Unavailable),
        (Misbehaviour::TooManyFor(3600), ExitStatus::Unavailable),
        (Misbehaviour::Silence, ExitStatus::Unavailable),
        (Misbehaviour::HangUp, ExitStatus::Unavailable),
        (Misbehaviour::Garbage, ExitStatus::Unavailable),
        (Misbehaviour::EmptyAnswer, ExitStatus::Unavailable),
        (Misbehaviour::Redirect, ExitStatus::Unavailable),
        (Misbehaviour::ExpiredAnswer, ExitStatus::Unavailable),
    ] {
        github.misbehave(Some(misbehaviour));
        let (mut project, _) = attended(&github, NO_CACHE, &[]);
        project.limits.call = Duration::from_secs(2);
        match project.exec("x").await {
            Err(error) => assert_eq!(error.exit_status(), wanted, "{misbehaviour:?}: {error}"),
            Ok(other) => panic!("{misbehaviour:?}: {other:?}"),
        }
    }
    let (mut project, _) = attended(&github, NO_CACHE, &[]);
    project.edit(&lease(&github, NO_CACHE).replace(github.url(), "http://127.0.0.1:1"));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

/// GitHub tells how long a token lives and not until when, so another clock than GitHub's changes nothing.
#[tokio::test]
async fn clocks_that_differ_do_no_harm() {
    let github = github(&[]);
    for seconds in [-600, 600] {
        let (project, _) = attended(&github, NO_CACHE, &[]);
        let off = project.clock.now() + SignedDuration::from_secs(seconds);
        project.clock.set_wall(off);
        let held = minted(project.exec("x").await.unwrap());
        assert!(held.credential.expires_at.unwrap() > off);
    }
}

#[tokio::test]
async fn a_token_that_does_not_expire_says_so_and_none_can_be_withdrawn() {
    let github = github(&[]);
    github.change(|github| github.expires = false);
    let (project, _) = attended(&github, NO_CACHE, &[]);
    let held = minted(project.exec("x").await.unwrap());
    assert_eq!(held.credential.expires_at, None);
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(matches!(
        revoked[0].outcome,
        RevocationOutcome::ExpiresOnly { expires_at: None }
    ));
}

#[tokio::test]
async fn nobody_is_asked_while_a_program_has_the_terminal() {
    let github = github(&[]);
    let (project, typist) = attended(&github, NO_CACHE, &[]);
    let held = minted(project.exec("x").await.unwrap());
    typist.asked.lock().unwrap().clear();
    github.forget_requests();
    let request = Acquire::for_exec(&held.lease);
    let error = project.manager().renew(&held, request).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(typist.asked.lock().unwrap().is_empty());
    assert!(github.requests().is_empty());
}

/// A keyring, and the variables with which it is found.
fn keyring() -> (Session, [(&'static str, String); 1]) {
    let session = Session::with_keyring();
    let variables = session.variables();
    (session, variables)
}

#[tokio::test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
async fn a_kept_login_serves_other_projects_of_the_same_person_without_asking() {
    let github = github(&[]);
    let (_session, variables) = keyring();
    let env = [(variables[0].0, variables[0].1.as_str())];
    let (first, _) = attended(&github, "", &env);
    let one = minted(first.exec("x").await.unwrap());
    github.forget_requests();
    let second = Project::with_env(&lease(&github, ""), &env);
    let two = minted(second.exec("x").await.unwrap());
    let token =
        |held: &fnox_leases::Held| held.credential.variables[0].1.expose_secret().to_owned();
    assert_eq!(token(&one), token(&two));
    assert_eq!(one.credential.expires_at, two.credential.expires_at);
    // It was checked, and that was all.
    assert_eq!(paths(&github), ["/api/v3/user"]);
    // Other scopes are another login.
    let mut third = Project::with_env(&lease(&github, ""), &env);
    third.edit(&lease(&github, "").replace(GitHubLogin::SCOPE, "gist"));
    let error = third.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
async fn a_login_that_nears_its_end_is_refreshed_once_for_all_and_the_old_token_ends() {
    let github = github(&[]);
    let (_session, variables) = keyring();
    let env = [(variables[0].0, variables[0].1.as_str())];
    let (first, _) = attended(&github, "", &env);
    let old = minted(first.exec("x").await.unwrap());
    github.forget_requests();
    let later = SignedDuration::from_mins(8 * 60 - 6);
    // Several projects share the state folder's lock and the keychain.
    let state = first.folders.state.to_str().unwrap().to_owned();
    let shared = [env[0], ("FNOX_STATE_DIR", state.as_str())];
    let projects: Vec<Project> = (0..4)
        .map(|_| {
            let project = Project::with_env(&lease(&github, ""), &shared);
            project.clock.advance(later);
            project
        })
        .collect();
    let all = projects.iter().map(|project| project.exec("x"));
    let mut tokens = Vec::new();
    for outcome in futures_util::future::join_all(all).await {
        let held = minted(outcome.unwrap());
        tokens.push(held.credential.variables[0].1.expose_secret().to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    let refreshed = paths(&github)
        .iter()
        .filter(|path| path.ends_with("access_token"))
        .count();
    assert_eq!(refreshed, 1);
    let old = old.credential.variables[0].1.expose_secret();
    assert!(github.change(|github| github.works(&tokens[0]) && !github.works(old)));
    assert_eq!(github.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
async fn a_token_that_was_ended_at_github_is_not_handed_out_again() {
    let github = github(&[]);
    let (_session, variables) = keyring();
    let env = [(variables[0].0, variables[0].1.as_str())];
    let (first, _) = attended(&github, "", &env);
    minted(first.exec("x").await.unwrap());

    // Only the access token: a refresh helps.
    github.change(GitHubLogin::end_access);
    let second = Project::with_env(&lease(&github, ""), &env);
    let held = minted(second.exec("x").await.unwrap());
    let token = held.credential.variables[0].1.expose_secret();
    assert!(github.change(|github| github.works(token)));

    // GitHub fails while it is refreshed: no token is better than one that may not work.
    let third = Project::with_env(&lease(&github, ""), &env);
    github.misbehave(Some(Misbehaviour::Status(500)));
    let error = third.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    github.misbehave(None);

    // Everything: only a person helps, and the next login is kept again.
    github.change(GitHubLogin::end_tokens);
    let error = third.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let (fourth, _) = attended(&github, "", &env);
    minted(fourth.exec("x").await.unwrap());
    let last = third.exec("x").await;
    assert!(matches!(last, Ok(Acquired::Minted(_))), "{last:?}");
    assert_eq!(github.complaints(), Vec::<String>::new());
}
