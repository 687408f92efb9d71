//! `vault` against a strict stand-in.

mod logins;
mod renewal;
mod withdrawal;
mod wrapped;

use std::time::Duration;

use fnox_core::ExitStatus;
use fnox_leases::{Held, Manager, Revocation, RevocationOutcome};
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::vault::Vault;
use jiff::SignedDuration;

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const DATABASE: &str = "secret_path = 'database/creds/app'\nenv_map = { username = 'DB_USER', password = 'DB_PASSWORD' }";

const APPROLE: &str = "auth = 'approle'";

fn lease(vault: &Issuer<Vault>, more: &str) -> String {
    format!(
        "type = 'vault'\naddress = '{}'\nduration = '1h'\n{more}\n",
        vault.url()
    )
}

fn with(vault: &Issuer<Vault>, more: &str, env: &[(&str, &str)]) -> Project {
    let mut project = Project::with_env(&format!("[leases.x]\n{}", lease(vault, more)), env);
    project.limits.call = Duration::from_secs(3);
    project
}

/// A project with a token that somebody gave.
fn given(vault: &Issuer<Vault>, more: &str) -> Project {
    with(vault, more, &[("VAULT_TOKEN", Vault::GIVEN)])
}

/// A project that logs in with an AppRole.
fn logging_in(vault: &Issuer<Vault>, more: &str) -> Project {
    let env = [
        ("VAULT_ROLE_ID", Vault::ROLE_ID),
        ("VAULT_SECRET_ID", Vault::SECRET_ID),
    ];
    with(vault, &format!("{more}\n{APPROLE}"), &env)
}

fn value<'a>(held: &'a Held, name: &str) -> &'a str {
    held.credential.variable(name).unwrap().expose_secret()
}

fn no_complaints(vault: &Issuer<Vault>) {
    assert_eq!(vault.complaints(), Vec::<String>::new());
}

async fn revoked(manager: Manager<'_>) -> Revocation {
    manager.revoke("x").await.unwrap().remove(0)
}

fn paths(vault: &Issuer<Vault>) -> Vec<String> {
    let requests = vault.requests();
    requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.path.replace("/v1/", "")))
        .collect()
}

#[tokio::test]
async fn it_fails_closed_with_a_token() {
    let vault = Issuer::start(Vault::new());
    matrix::fails_closed(&Subject {
        issuer: &vault,
        lease: lease(&vault, DATABASE),
        env: vec![("VAULT_TOKEN".to_owned(), Vault::GIVEN.to_owned())],
        masters: vec![Vault::GIVEN.to_owned()],
        produces: vec!["DB_USER", "DB_PASSWORD"],
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn it_fails_closed_with_an_approle() {
    let vault = Issuer::start(Vault::new());
    let pair = [
        ("VAULT_ROLE_ID", Vault::ROLE_ID),
        ("VAULT_SECRET_ID", Vault::SECRET_ID),
    ];
    matrix::fails_closed(&Subject {
        issuer: &vault,
        lease: lease(&vault, &format!("{DATABASE}\n{APPROLE}")),
        env: pair
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        masters: pair.map(|(_, value)| value.to_owned()).to_vec(),
        produces: vec!["DB_USER", "DB_PASSWORD"],
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn it_fails_closed_with_an_identity_token() {
    let vault = Issuer::start(Vault::new());
    let token = logins::identity_token(Vault::SUBJECT);
    let keys = "auth = 'jwt'\nrole = 'ci'\nidentity_token_variable = 'CI_TOKEN'";
    matrix::fails_closed(&Subject {
        issuer: &vault,
        lease: lease(&vault, &format!("{DATABASE}\n{keys}")),
        env: vec![("CI_TOKEN".to_owned(), token.clone())],
        masters: vec![token],
        produces: vec!["DB_USER", "DB_PASSWORD"],
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn values_are_found_in_both_versions_of_kv_and_are_read_anew_after_the_duration() {
    let vault = Issuer::start(Vault::new());
    for (path, password, url) in [
        ("kv/app", "kv-one-password", "kv-one-url"),
        ("secret/data/app", "kv-two-password", "kv-two-url"),
    ] {
        let more =
            format!("secret_path = '{path}'\nenv_map = {{ password = 'P', 'db.url' = 'U' }}");
        let project = given(&vault, &more);
        let held = minted(project.exec("x").await.unwrap());
        assert_eq!((value(&held, "P"), value(&held, "U")), (password, url));
        let hour = held.created_at + SignedDuration::from_hours(1);
        assert!(held.credential.expires_at.unwrap() <= hour);
        // Nothing is issued, so nothing is withdrawn.
        vault.forget_requests();
        let done = revoked(project.manager()).await;
        assert!(matches!(done.outcome, RevocationOutcome::Revoked));
        assert_eq!(vault.requests().len(), 0);
    }
    let more = "secret_path = 'kv/short'\nenv_map = { password = 'P' }";
    let held = minted(given(&vault, more).exec("x").await.unwrap());
    let minute = held.created_at + SignedDuration::from_secs(60);
    assert!(held.credential.expires_at.unwrap() <= minute);
    no_complaints(&vault);
}

#[tokio::test]
async fn the_parameters_go_into_the_body_and_the_engines_own_end_counts() {
    let vault = Issuer::start(Vault::new());
    for method in ["post", "put"] {
        let more = format!(
            "method = '{method}'\nsecret_path = 'aws/sts/deploy'\nenv_map = {{ secret_key = 'AWS_SECRET_ACCESS_KEY' }}\n\
             parameters = {{ role_session_name = 'ada' }}"
        );
        let held = minted(given(&vault, &more).exec("x").await.unwrap());
        let hour = held.created_at + SignedDuration::from_hours(1);
        let end = held.credential.expires_at.unwrap();
        assert!(end <= hour && end > hour - SignedDuration::from_mins(1));
        let request = vault.requests().swap_remove(0);
        assert_eq!(request.method, method.to_uppercase());
        assert_eq!(
            request.json().unwrap(),
            serde_json::json!({"role_session_name": "ada", "ttl": "3600s"})
        );
        vault.forget_requests();
    }
    let more = "method = 'post'\nsecret_path = 'pki/issue/web'\nenv_map = { private_key = 'KEY' }\n\
                parameters = { common_name = 'a.example.com', ttl = '2h' }";
    let held = minted(given(&vault, more).exec("x").await.unwrap());
    // Ten minutes by the clock of Vault, which is not ours.
    let end = held.created_at + SignedDuration::from_mins(11);
    assert!(held.credential.expires_at.unwrap() <= end);
    vault.misbehave(Some(Misbehaviour::ExpiredAnswer));
    let error = given(&vault, more).exec("x").await.unwrap_err();
    assert!(error.help().unwrap().contains("clock"), "{error}");
    no_complaints(&vault);
}

#[tokio::test]
async fn a_name_that_is_not_in_the_answer_takes_no_other_with_it() {
    let vault = Issuer::start(Vault::new());
    let more = "secret_path = 'database/creds/app'\nenv_map = { pass = 'P', username = 'U' }";
    for project in [given(&vault, more), logging_in(&vault, more)] {
        let held = minted(project.exec("x").await.unwrap());
        assert!(!value(&held, "U").is_empty());
        assert!(held.credential.variable("P").is_none());
    }
    assert_eq!(vault.change(|vault| vault.leases()).len(), 2);
    no_complaints(&vault);
}

#[tokio::test]
async fn where_no_name_is_in_the_answer_those_that_are_are_listed_and_the_lease_is_withdrawn() {
    let vault = Issuer::start(Vault::new());
    let more = "secret_path = 'database/creds/app'\nenv_map = { pass = 'P' }";
    for project in [given(&vault, more), logging_in(&vault, more)] {
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
        let text = error.to_string();
        assert!(
            text.contains("no `pass` for P; it has: password, username"),
            "{text}"
        );
        assert!(!format!("{error:?}").contains("db-password"));
        assert!(error.location().is_some());
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
        assert_eq!(vault.change(|vault| vault.leases()), []);
    }
    assert_eq!(vault.change(|vault| vault.logins()), Vec::<String>::new());
    no_complaints(&vault);
}

#[tokio::test]
async fn the_namespace_is_the_leases_or_the_environments() {
    let mut service = Vault::new();
    service.namespace = Some("team/a".to_owned());
    let vault = Issuer::start(service);
    let token = ("VAULT_TOKEN", Vault::GIVEN);
    let named = format!("{DATABASE}\nnamespace = '/team/a/'");
    minted(given(&vault, &named).exec("x").await.unwrap());
    for name in ["VAULT_NAMESPACE", "BAO_NAMESPACE", "FNOX_VAULT_NAMESPACE"] {
        let project = with(&vault, DATABASE, &[token, (name, "team/a/")]);
        minted(project.exec("x").await.unwrap());
    }
    let error = given(&vault, DATABASE).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert!(error.help().unwrap().contains("namespace"), "{error}");
    no_complaints(&vault);
}

#[tokio::test]
async fn refusals_say_which_policy_is_missing() {
    let vault = Issuer::start(Vault::new());
    vault.change(|vault| vault.denied.insert("database/creds/app".to_owned()));
    let error = given(&vault, DATABASE).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    let help = error.help().unwrap();
    assert!(
        help.contains("path \"database/creds/app\" { capabilities = [\"read\"] }"),
        "{help}"
    );
    let env = [("VAULT_TOKEN", "hvs.wrong-token-wrong-token")];
    let error = with(&vault, DATABASE, &env).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(!format!("{error:?}").contains("wrong-token"));
    for path in ["kv/none", "nowhere/at/all"] {
        let more = format!("secret_path = '{path}'\nenv_map = {{ a = 'A' }}");
        let error = given(&vault, &more).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
        assert!(error.help().unwrap().contains("secret/data"), "{error}");
    }
    for status in [412, 472, 473, 503] {
        vault.change(|vault| {
            let fault = (status, "Vault is sealed".to_owned());
            vault.faults.insert("kv/app".to_owned(), fault);
        });
        let more = "secret_path = 'kv/app'\nenv_map = { password = 'A' }";
        let error = given(&vault, more).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{status}");
        assert!(error.to_string().contains("sealed"), "{error}");
    }
    no_complaints(&vault);
}

#[tokio::test]
async fn what_could_lead_elsewhere_is_told_without_a_call() {
    let vault = Issuer::start(Vault::new());
    let one = "env_map = { a = 'A' }";
    for (more, wanted) in [
        (
            "secret_path = 'kv/../sys/seal'\nenv_map = { a = 'A' }",
            "must be a path",
        ),
        (
            "secret_path = 'kv/a?b'\nenv_map = { a = 'A' }",
            "must be a path",
        ),
        ("secret_path = 'kv/a'\nenv_map = {}", "names no variable"),
        (
            "secret_path = 'kv/a'\nenv_map = { a = 'a b' }",
            "no name of a variable",
        ),
        (
            "secret_path = 'kv/a'\nenv_map = { a = 'X', b = 'X' }",
            "makes X of `a` and of `b`",
        ),
        (
            "secret_path = 'kv/a'\nenv_map = { AWS_KEY = 'access_key', AWS_SECRET = 'secret-key' }",
            "`\"access_key\" = \"AWS_KEY\"`",
        ),
        (
            &format!("secret_path = 'kv/a'\n{one}\nauth = 'kubernetes'"),
            "needs `role`",
        ),
        (
            &format!("secret_path = 'kv/a'\n{one}\nauth = 'userpass'"),
            "needs `username`",
        ),
        (
            &format!("secret_path = 'kv/a'\n{one}\nauth = 'userpass'\nusername = '../x'"),
            "one name",
        ),
        (
            &format!("secret_path = 'kv/a'\n{one}\nchild_token = true\n{APPROLE}"),
            "a token of its own",
        ),
    ] {
        let error = given(&vault, more).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration, "{more}");
        assert!(error.to_string().contains(wanted), "{more}: {error}");
    }
    let token = ("VAULT_TOKEN", Vault::GIVEN);
    for (name, text, wanted) in [
        ("VAULT_SKIP_VERIFY", "1", "ca_file"),
        ("BAO_SKIP_VERIFY", "true", "ca_file"),
        ("VAULT_CAPATH", "/etc/ssl/certs", "one PEM file"),
    ] {
        let project = with(&vault, DATABASE, &[token, (name, text)]);
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        assert!(error.help().unwrap().contains(wanted), "{error}");
    }
    assert_eq!(vault.requests().len(), 0);
    let off = [token, ("VAULT_SKIP_VERIFY", "false")];
    minted(with(&vault, DATABASE, &off).exec("x").await.unwrap());
}

#[tokio::test]
async fn explain_says_what_would_be_called_and_calls_nobody() {
    let vault = Issuer::start(Vault::new());
    let project = logging_in(&vault, &format!("{DATABASE}\nwrapped = true"));
    let name = "x".parse().unwrap();
    let plan = project
        .manager()
        .explain(&name, None, "fnox-lease")
        .await
        .unwrap();
    let text = format!("{plan:?}");
    for wanted in [
        "/v1/auth/approle/login",
        "/v1/database/creds/app",
        "/v1/sys/wrapping/unwrap",
        "VAULT_ROLE_ID, VAULT_SECRET_ID",
        "3600s",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains(Vault::SECRET_ID));
    assert_eq!(vault.requests().len(), 0);
}

/// What the library hvac for Python sends, the stand-in takes.
#[test]
#[ignore = "needs FNOX_TEST_HVAC_PYTHON"]
fn the_stand_in_serves_an_independent_client() {
    let mut service = Vault::new();
    service.namespace = Some("team".to_owned());
    let vault = Issuer::start(service);
    let python = fnox_core::Env::of_process();
    let output = std::process::Command::new(python.var("FNOX_TEST_HVAC_PYTHON").unwrap())
        .arg("-c")
        .arg(include_str!("vault_client.py"))
        .args([vault.url(), "team", Vault::ROLE, Vault::USER])
        .env("TOKEN", Vault::GIVEN)
        .env("ROLE_ID", Vault::ROLE_ID)
        .env("SECRET_ID", Vault::SECRET_ID)
        .env("PASSWORD", Vault::PASSWORD)
        .env("JWT", logins::identity_token(Vault::SUBJECT))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{:?}", vault.complaints());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all good\n");
    no_complaints(&vault);
}
