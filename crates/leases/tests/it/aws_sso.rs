//! `aws-sso` against a strict stand-in, and its cache against botocore.

mod login;

use std::path::{Path, PathBuf};

use fnox_core::{Clock as _, ExitStatus, SystemClock};
use fnox_testkit::stand_in::aws_sso::{IdentityCenter, Login, Registration};
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaving as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::matrix::{AWS_SESSION, Subject, fails_closed};
use crate::support::{Project, cached, minted};

type Center = Issuer<IdentityCenter>;

const SESSION: &str = "corp";

fn start() -> Center {
    Issuer::start(IdentityCenter::example())
}

/// The keys of a lease that leads to the stand-in through the AWS files.
fn keys(center: &Center) -> String {
    format!(
        "type = 'aws-sso'\nprofile = 'dev'\noidc_endpoint = '{0}'\nportal_endpoint = '{0}'\nduration = '1h'",
        center.url()
    )
}

fn files() -> String {
    format!(
        "[sso-session {SESSION}]\nsso_start_url = {}\nsso_region = us-east-1\n\
         sso_registration_scopes = sso:account:access\n\
         [profile dev]\nsso_session = {SESSION}\nsso_account_id = {}\nsso_role_name = {}\n",
        IdentityCenter::START_URL,
        IdentityCenter::ACCOUNT,
        IdentityCenter::ROLE
    )
}

fn write_files(home: &Path) {
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    std::fs::write(home.join(".aws/config"), files()).unwrap();
}

fn project(center: &Center) -> Project {
    project_with(center, "")
}

fn project_with(center: &Center, more: &str) -> Project {
    let project = Project::new(&format!("[leases.x]\n{}\n{more}\n", keys(center)));
    write_files(&project.root);
    project
}

/// The file of the session, as the AWS CLI names it: `sha1("corp")`.
fn cache_file(home: &Path) -> PathBuf {
    home.join(".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A login of the AWS CLI that ends `left` from now.
fn seed(center: &Center, home: &Path, left: SignedDuration) -> (Registration, Login) {
    let now = SystemClock.now();
    let (client, mut login) = center.change(|center| {
        let client = center.registered(now);
        let login = center.logged_in(&client, now);
        (client, login)
    });
    login.expires_at = now + left;
    center.change(|center| {
        for one in &mut center.logins {
            if one.access == login.access {
                one.expires_at = login.expires_at;
            }
        }
    });
    let path = cache_file(home);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let time = |moment: Timestamp| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let text = json!({
        "startUrl": IdentityCenter::START_URL,
        "region": "us-east-1",
        "accessToken": login.access,
        "expiresAt": time(login.expires_at),
        "clientId": client.id,
        "clientSecret": client.secret,
        "registrationExpiresAt": time(client.expires_at),
        "refreshToken": login.refresh,
        "ofTheFuture": {"a": 1},
    });
    std::fs::write(&path, text.to_string()).unwrap();
    (client, login)
}

fn count(center: &Center, path: &str) -> usize {
    let requests = center.requests();
    requests
        .iter()
        .filter(|request| request.path == path)
        .count()
}

fn nothing_undocumented(center: &Center) {
    assert_eq!(center.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_login_of_the_aws_cli_becomes_a_session_of_the_role() {
    let center = start();
    let project = project_with(&center, "region = 'eu-central-1'");
    let hour = SignedDuration::from_hours(1);
    let (_, login) = seed(&center, &project.root, hour);
    let before = std::fs::read(cache_file(&project.root)).unwrap();
    let held = minted(project.exec("x").await.unwrap());
    let names: Vec<&str> = held
        .credential
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_REGION",
            "AWS_DEFAULT_REGION"
        ]
    );
    let requests = center.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0].header("x-amz-sso_bearer_token"),
        Some(login.access.as_str())
    );
    // The portal's own end counts: one hour, not the 15 minutes that are asked for by default.
    let left = held
        .credential
        .expires_at
        .unwrap()
        .duration_since(SystemClock.now());
    assert!(left > SignedDuration::from_mins(55), "{left}");
    assert!(held.withhold.iter().any(|name| name == "AWS_PROFILE"));
    assert_eq!(std::fs::read(cache_file(&project.root)).unwrap(), before);
    cached(project.exec("x").await.unwrap());
    nothing_undocumented(&center);
}

#[tokio::test]
async fn it_fails_closed() {
    let center = start();
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    write_files(&root);
    let (client, login) = seed(&center, &root, SignedDuration::from_hours(8));
    fails_closed(&Subject {
        issuer: &center,
        lease: keys(&center),
        env: vec![("HOME".to_owned(), root.to_str().unwrap().to_owned())],
        masters: vec![
            client.secret.clone(),
            login.access.clone(),
            login.refresh.clone(),
        ],
        produces: AWS_SESSION.to_vec(),
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
    // The ledgers of all these projects are below this home, and the login is where the AWS CLI keeps it only.
    no_login_outside_of_the_cache(&root, &[&client.secret, &login.access, &login.refresh]);
}

fn no_login_outside_of_the_cache(home: &Path, values: &[&str]) {
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path != cache_file(home) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                assert!(
                    !values.iter().any(|value| text.contains(value)),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_login_that_nears_its_end_is_refreshed_and_written_back() {
    for rotates in [false, true] {
        let center = start();
        center.change(|center| center.rotates = rotates);
        let project = project(&center);
        let (client, login) = seed(&center, &project.root, SignedDuration::from_mins(4));
        minted(project.exec("x").await.unwrap());
        assert_eq!(count(&center, "/token"), 1);
        let now = center.change(|center| center.logins.last().unwrap().clone());
        let file = read(&cache_file(&project.root));
        assert_eq!(file["accessToken"], now.access.as_str());
        assert_eq!(file["refreshToken"], now.refresh.as_str());
        assert_eq!(now.refresh == login.refresh, !rotates);
        assert_eq!(file["clientId"], client.id.as_str());
        assert_eq!(file["clientSecret"], client.secret.as_str());
        assert_eq!(file["ofTheFuture"], json!({"a": 1}));
        nothing_undocumented(&center);
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_refreshed_is_used_while_it_is_good() {
    let center = start();
    center.change(|center| center.session_is_over = true);
    let project = project(&center);
    seed(&center, &project.root, SignedDuration::from_mins(4));
    minted(project.exec("x").await.unwrap());
}

#[tokio::test]
async fn a_login_that_is_over_needs_a_person_and_says_how() {
    let center = start();
    center.change(|center| center.session_is_over = true);
    let project = project(&center);
    seed(&center, &project.root, -SignedDuration::from_mins(1));
    let before = std::fs::read(cache_file(&project.root)).unwrap();
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let help = error.help().unwrap();
    assert!(help.contains("`fnox lease create x -i`"), "{help}");
    assert!(help.contains("`aws sso login --profile dev`"), "{help}");
    assert_eq!(std::fs::read(cache_file(&project.root)).unwrap(), before);
    // Nothing was issued, so nothing is on record.
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
    nothing_undocumented(&center);
}

#[tokio::test]
async fn without_any_login_the_lease_is_not_skipped() {
    let center = start();
    let project = project(&center);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(error.to_string().contains("nobody is logged in"), "{error}");
    assert_eq!(center.requests().len(), 0);
}

#[tokio::test]
async fn an_old_registration_is_not_tried() {
    let center = start();
    let project = project(&center);
    seed(&center, &project.root, -SignedDuration::from_mins(1));
    let path = cache_file(&project.root);
    let mut file = read(&path);
    file["registrationExpiresAt"] = json!("2020-01-01T00:00:00UTC");
    std::fs::write(&path, file.to_string()).unwrap();
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert_eq!(center.requests().len(), 0);
}

#[tokio::test]
async fn a_token_that_the_portal_does_not_know_is_refreshed_once() {
    let center = start();
    let project = project(&center);
    let (_, login) = seed(&center, &project.root, SignedDuration::from_hours(1));
    center.change(|center| center.logins[0].access = "another".to_owned());
    minted(project.exec("x").await.unwrap());
    assert_eq!(count(&center, "/token"), 1);
    assert_eq!(count(&center, "/federation/credentials"), 2);
    assert_ne!(
        read(&cache_file(&project.root))["accessToken"],
        login.access.as_str()
    );

    center.change(|center| {
        center.session_is_over = true;
        center.logins.clear();
    });
    center.forget_requests();
    let error = project.create("x", |_| {}).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert_eq!(count(&center, "/token"), 1);
}

#[tokio::test]
async fn a_role_that_is_not_assigned_is_denied_by_name() {
    let center = start();
    let project = project_with(&center, "role_name = 'Administrator'");
    seed(&center, &project.root, SignedDuration::from_hours(1));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    let text = error.to_string();
    assert!(
        text.contains("Administrator") && text.contains(IdentityCenter::ACCOUNT),
        "{text}"
    );
}

#[tokio::test]
async fn many_leases_of_one_login_refresh_it_once() {
    let center = start();
    // An old refresh token is over, so a second refresh would fail.
    center.change(|center| {
        center.rotates = true;
        for number in 0..8 {
            let role = (
                IdentityCenter::ACCOUNT.to_owned(),
                format!("R{number}"),
                3600,
            );
            center.roles.push(role);
        }
    });
    let leases: Vec<String> = (0..8)
        .map(|number| {
            format!(
                "[leases.x{number}]\n{}\nrole_name = 'R{number}'\n",
                keys(&center)
            )
        })
        .collect();
    let project = Project::new(&leases.concat());
    write_files(&project.root);
    seed(&center, &project.root, -SignedDuration::from_mins(1));
    let names: Vec<String> = (0..8).map(|number| format!("x{number}")).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| project.exec(name))).await;
    for one in all {
        minted(one.unwrap());
    }
    assert_eq!(count(&center, "/token"), 1);
    assert_eq!(count(&center, "/federation/credentials"), 8);
}

#[tokio::test]
async fn another_profile_of_the_same_name_is_another_principal() {
    let center = start();
    center.change(|center| {
        let role = ("210987654321".to_owned(), "Developer".to_owned(), 3600);
        center.roles.push(role);
    });
    let project = project(&center);
    seed(&center, &project.root, SignedDuration::from_hours(1));
    minted(project.exec("x").await.unwrap());
    cached(project.exec("x").await.unwrap());
    let other = files().replace(IdentityCenter::ACCOUNT, "210987654321");
    std::fs::write(project.root.join(".aws/config"), other).unwrap();
    minted(project.exec("x").await.unwrap());
    let last = center.requests().pop().unwrap();
    assert!(last.query.contains("account_id=210987654321"), "{last:?}");
}

#[tokio::test]
async fn keys_of_the_lease_do_without_files() {
    let center = start();
    let url = center.url();
    let project = Project::new(&format!(
        "[leases.x]\ntype = 'aws-sso'\nstart_url = '{}'\nsso_region = 'us-east-1'\naccount_id = '{}'\n\
         role_name = '{}'\noidc_endpoint = '{url}'\nportal_endpoint = '{url}'\n",
        IdentityCenter::START_URL,
        IdentityCenter::ACCOUNT,
        IdentityCenter::ROLE
    ));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let help = error.help().unwrap();
    assert!(
        help.contains("fnox lease create x -i") && !help.contains("aws sso"),
        "{help}"
    );
}

#[tokio::test]
async fn what_would_be_called_depends_on_the_login_and_nobody_is_called() {
    let center = start();
    let project = project(&center);
    let told = || async {
        let explanation = project
            .manager()
            .explain(&"x".parse().unwrap(), None, "fnox-lease")
            .await
            .unwrap();
        explanation
            .calls
            .into_iter()
            .map(|call| call.target.rsplit_once('/').unwrap().1.to_owned())
            .collect::<Vec<String>>()
    };
    assert_eq!(
        told().await,
        ["register", "device_authorization", "token", "credentials"]
    );
    seed(&center, &project.root, SignedDuration::from_mins(1));
    assert_eq!(told().await, ["token", "credentials"]);
    seed(&center, &project.root, SignedDuration::from_hours(1));
    assert_eq!(told().await, ["credentials"]);
    assert_eq!(center.request_count(), 0);
}
