//! Logins that people make, and boto3 as another reader and writer of them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use fnox_core::prompt::Prompt;
use fnox_core::{ExitStatus, SecretString};
use fnox_testkit::stand_in::aws_sso::{Decision, IdentityCenter};
use fnox_testkit::stand_in::issuer::{Misbehaving as _, Misbehaviour};
use fnox_testkit::{Sandbox, services};
use jiff::SignedDuration;

use super::{
    Center, cache_file, count, no_login_outside_of_the_cache, nothing_undocumented, project,
    project_with, read, seed, start,
};
use crate::support::minted;

/// A person who sees messages, and does something about them.
struct Person {
    seen: Mutex<Vec<String>>,
    acts: Box<dyn Fn(&str) + Send + Sync>,
}

impl Person {
    fn new(acts: impl Fn(&str) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            acts: Box::new(acts),
        })
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Person")
    }
}

impl Prompt for Person {
    fn message(&self, text: &str) {
        self.seen.lock().unwrap().push(text.to_owned());
        (self.acts)(text);
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_refresh_that_fails_is_no_reason_to_ask_a_person() {
    let center = start();
    let mut project = project(&center);
    project.limits.call = std::time::Duration::from_secs(2);
    let person = Person::new(|_| {});
    project.prompt = person.clone();
    seed(&center, &project.root, -SignedDuration::from_mins(1));
    for misbehaviour in [
        Misbehaviour::Status(500),
        Misbehaviour::HangUp,
        Misbehaviour::Garbage,
        Misbehaviour::EmptyAnswer,
        Misbehaviour::Redirect,
        Misbehaviour::Silence,
        Misbehaviour::TooManyFor(3600),
    ] {
        center.misbehave(Some(misbehaviour));
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(
            error.exit_status(),
            ExitStatus::Unavailable,
            "{misbehaviour:?}: {error}"
        );
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
    assert_eq!(person.seen.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_person_logs_in_with_a_code() {
    let center = start();
    center.change(|center| center.decision = Decision::YesAfter(1));
    let mut project = project(&center);
    let person = Person::new(|_| {});
    project.prompt = person.clone();
    minted(project.exec("x").await.unwrap());
    let seen = person.seen.lock().unwrap().concat();
    assert!(
        seen.contains("https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-EFGH"),
        "{seen}"
    );
    assert!(seen.contains("ABCD-EFGH"), "{seen}");
    assert_eq!(count(&center, "/token"), 2);
    let (client, login) = center.change(|center| {
        let client = center.registrations[0].clone();
        (client, center.logins[0].clone())
    });
    assert_eq!(
        client.grants,
        [
            "urn:ietf:params:oauth:grant-type:device_code",
            "refresh_token"
        ]
    );
    let file = read(&cache_file(&project.root));
    assert_eq!(file["accessToken"], login.access.as_str());
    assert_eq!(file["refreshToken"], login.refresh.as_str());
    assert_eq!(file["startUrl"], IdentityCenter::START_URL);
    assert_eq!(file["region"], "us-east-1");
    no_login_outside_of_the_cache(
        &project.root,
        &[&client.secret, &login.access, &login.refresh],
    );
    nothing_undocumented(&center);
}

#[tokio::test]
async fn a_person_who_says_no_or_nothing_gets_nothing() {
    for (decision, status) in [
        (Decision::No, ExitStatus::Denied),
        (Decision::Never, ExitStatus::AuthenticationNeeded),
    ] {
        let center = start();
        center.change(|center| center.decision = decision);
        let mut project = project(&center);
        project.prompt = Person::new(|_| {});
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), status, "{error}");
        assert!(!cache_file(&project.root).exists());
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
}

/// What a browser does: it opens the page and goes where it is sent.
fn browse(message: &str) {
    let page = message.lines().last().unwrap().to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .unwrap();
            let answer = client.get(page).send().await.unwrap();
            let next = answer.headers()["location"].to_str().unwrap().to_owned();
            let shown = client.get(next).send().await.unwrap();
            assert_eq!(shown.status(), 200);
        });
    });
}

#[tokio::test]
async fn a_person_logs_in_in_the_browser() {
    let center = start();
    let mut project = project_with(&center, "flow = 'browser'");
    project.prompt = Person::new(browse);
    minted(project.exec("x").await.unwrap());
    assert_eq!(count(&center, "/authorize"), 1);
    assert_eq!(count(&center, "/device_authorization"), 0);
    let client = center.change(|center| center.registrations[0].clone());
    assert_eq!(client.grants, ["authorization_code", "refresh_token"]);
    let login = center.change(|center| center.logins[0].clone());
    assert_eq!(
        read(&cache_file(&project.root))["accessToken"],
        login.access.as_str()
    );
    nothing_undocumented(&center);
}

const READER: &str = r"
import boto3
session = boto3.Session(profile_name='dev')
print(session.get_credentials().get_frozen_credentials().access_key)
";

fn boto3(center: &Center, home: &Path) -> String {
    let sandbox = Sandbox::new(services::boto3_python());
    let run = sandbox
        .run(["-c", READER])
        .envs([
            ("HOME", home.to_str().unwrap().to_owned()),
            (
                "AWS_CONFIG_FILE",
                home.join(".aws/config").to_str().unwrap().to_owned(),
            ),
            ("AWS_ENDPOINT_URL_SSO", center.url().to_owned()),
            ("AWS_ENDPOINT_URL_SSO_OIDC", center.url().to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("no_proxy", "*".to_owned()),
        ])
        .finish()
        .succeeds();
    run.stdout.trim().to_owned()
}

#[tokio::test]
#[ignore = "needs boto3"]
async fn boto3_goes_on_with_a_login_that_was_made_here() {
    let center = start();
    let mut project = project(&center);
    project.prompt = Person::new(|_| {});
    minted(project.exec("x").await.unwrap());
    center.forget_requests();
    let key = boto3(&center, &project.root);
    assert_eq!(
        Some(key),
        center.change(|center| center.issued.last().cloned())
    );
    // It neither registered nor refreshed.
    assert_eq!(center.request_count(), 1);
    nothing_undocumented(&center);
}

#[tokio::test]
#[ignore = "needs boto3"]
async fn boto3_refreshes_a_login_that_was_made_here_and_is_read_again() {
    let center = start();
    center.change(|center| {
        center.token_life = 600;
        center.rotates = true;
    });
    let mut project = project(&center);
    project.prompt = Person::new(|_| {});
    minted(project.exec("x").await.unwrap());
    let path = cache_file(&project.root);
    let ours = read(&path);
    center.forget_requests();
    // 10 minutes are left, and botocore refreshes 15 minutes before the end.
    center.change(|center| center.token_life = 3600);
    boto3(&center, &project.root);
    assert_eq!(count(&center, "/token"), 1);
    let theirs = read(&path);
    assert_ne!(theirs["accessToken"], ours["accessToken"]);
    assert_ne!(theirs["refreshToken"], ours["refreshToken"]);
    project.prompt = Arc::new(fnox_core::prompt::NoPrompt);
    minted(project.create("x", |_| {}).await.unwrap());
    let last = center.requests().pop().unwrap();
    assert_eq!(
        last.header("x-amz-sso_bearer_token"),
        theirs["accessToken"].as_str()
    );
    assert_eq!(count(&center, "/token"), 1);
    nothing_undocumented(&center);
}
