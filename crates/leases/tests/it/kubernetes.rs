//! `kubernetes` against a strict stand-in.

mod kubeconfig;
mod plugin;
mod tls;

use std::path::{Path, PathBuf};

use fnox_core::ExitStatus;
use fnox_leases::{Held, RevocationOutcome};
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::kubernetes::Kubernetes;
use serde_json::json;

use crate::matrix::{self, Subject};
use crate::support::{Project, cached, minted, skipped};

const LEASE: &str = "type = 'kubernetes'\nservice_account = 'deploy'\nduration = '1h'\n";

/// A kubeconfig of one context.
fn kubeconfig(server: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\npreferences: {{}}\n\
         clusters:\n- name: c\n  cluster:\n    server: {server}\n{cluster}\
         contexts:\n- name: here\n  context:\n    cluster: c\n    user: u\n    namespace: apps\n\
         users:\n- name: u\n  user:\n{user}"
    )
}

fn with_token(server: &str) -> String {
    let user = format!("    token: {}\n", Kubernetes::USER_TOKEN);
    kubeconfig(server, "", &user)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn project(more: &str, env: &[(&str, &str)]) -> Project {
    Project::with_env(&format!("[leases.x]\n{LEASE}{more}\n"), env)
}

/// A project with a kubeconfig.
fn reading(text: &str, more: &str) -> (Folder, Project) {
    let folder = Folder::new();
    let path = folder.write("config", text);
    let project = project(more, &[("KUBECONFIG", path.to_str().unwrap())]);
    (folder, project)
}

fn token(held: &Held) -> &str {
    held.credential
        .variable("KUBE_TOKEN")
        .unwrap()
        .expose_secret()
}

fn no_complaints(server: &Issuer<Kubernetes>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn it_fails_closed() {
    let server = Issuer::start(Kubernetes::new());
    let folder = Folder::new();
    // The address is a variable's, so that the matrix can change it: the file is named after it.
    for url in [server.url(), "http://127.0.0.1:1"] {
        folder.write(&url.replace("://", "/"), &with_token(url));
    }
    let path = folder.path().join(server.url().replace("://", "/"));
    let lease = format!(
        "{LEASE}kubeconfig = '{}/{}'",
        folder.path().display(),
        server.url()
    );
    // `http://` in a path is the folder `http:`.
    std::os::unix::fs::symlink(folder.path().join("http"), folder.path().join("http:")).unwrap();
    assert!(path.exists());
    matrix::fails_closed(&Subject {
        issuer: &server,
        lease,
        env: Vec::new(),
        masters: vec![Kubernetes::USER_TOKEN.to_owned()],
        produces: vec!["KUBE_TOKEN"],
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn a_token_is_of_the_account_and_the_audiences_and_ends_when_the_server_says() {
    let server = Issuer::start(Kubernetes::new());
    server.change(|server| server.longest = 1800);
    let (_folder, project) = reading(
        &with_token(server.url()),
        "audiences = ['vault', 'registry']\nenv_var = 'TOKEN'",
    );
    let held = minted(project.exec("x").await.unwrap());
    let claims = server.change(|server| server.issued()[0].clone());
    assert_eq!(claims["sub"], "system:serviceaccount:apps:deploy");
    assert_eq!(claims["aud"], json!(["vault", "registry"]));
    let end = held.credential.expires_at.unwrap().as_second();
    assert_eq!(claims["exp"], end);
    assert!(held.credential.variable("TOKEN").is_some());
    assert!(held.withhold.contains(&"KUBECONFIG".to_owned()));
    let body = server.requests()[0].json().unwrap();
    assert_eq!(body["spec"]["expirationSeconds"], 3600);
    // It can only expire, and that is said.
    let done = project.manager().revoke("x").await.unwrap();
    assert!(matches!(
        done[0].outcome,
        RevocationOutcome::ExpiresOnly { .. }
    ));
    no_complaints(&server);
}

#[tokio::test]
async fn less_than_ten_minutes_is_told_without_a_call() {
    let server = Issuer::start(Kubernetes::new());
    let (_folder, mut project) = reading(&with_token(server.url()), "");
    let text = std::fs::read_to_string(project.root.join("project/fnox.toml")).unwrap();
    project.edit(&text.replace("'1h'", "'5m'"));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    let text = format!("{error} {:?}", error.help());
    for wanted in ["5m", "10m", "duration"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn what_the_cluster_refuses_is_explained() {
    let server = Issuer::start(Kubernetes::new());
    let (_folder, forbidden) = reading(&with_token(server.url()), "");
    server.change(|server| server.is_forbidden = true);
    let error = forbidden.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    let help = error.help().unwrap();
    for wanted in [
        "`serviceaccounts/token`",
        "resourceNames [\"deploy\"]",
        "user `u` of context `here`",
        "namespace apps",
    ] {
        assert!(help.contains(wanted), "{help}");
    }
    server.change(|server| server.is_forbidden = false);
    let (_folder, nowhere) = reading(&with_token(server.url()), "namespace = 'nowhere'");
    let error = nowhere.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(
        error
            .help()
            .unwrap()
            .contains("kubectl get serviceaccounts -n nowhere")
    );
    assert!(error.location().is_some());
    let wrong = kubeconfig(server.url(), "", "    token: wrong-token-of-somebody\n");
    let (_folder, stranger) = reading(&wrong, "");
    let error = stranger.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(!format!("{error:?}").contains("wrong-token-of-somebody"));
    no_complaints(&server);
}

#[tokio::test]
async fn names_that_are_none_are_told_without_a_call() {
    let server = Issuer::start(Kubernetes::new());
    for more in [
        "namespace = '../kube-system'",
        "namespace = 'a/b'",
        "env_var = 'a b'",
    ] {
        let (_folder, project) = reading(&with_token(server.url()), more);
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration, "{more}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn another_user_or_context_is_another_principal() {
    let server = Issuer::start(Kubernetes::new());
    let (folder, project) = reading(&with_token(server.url()), "");
    minted(project.exec("x").await.unwrap());
    cached(project.exec("x").await.unwrap());
    let other = with_token(server.url()).replace("namespace: apps", "namespace: default");
    folder.write("config", &other);
    minted(project.exec("x").await.unwrap());
    let other = other.replace("here", "there");
    folder.write("config", &other);
    minted(project.exec("x").await.unwrap());
    folder.write(
        "config",
        &other.replace(Kubernetes::USER_TOKEN, "of-somebody-else"),
    );
    project.exec("x").await.unwrap_err();
    no_complaints(&server);
}

#[tokio::test]
async fn nothing_to_mint_with_is_skipped_and_says_so() {
    let skip = skipped(project("", &[]).exec("x").await.unwrap());
    assert!(format!("{skip:?}").contains("Set KUBECONFIG"), "{skip:?}");
    let env = [("KUBECONFIG", "/nonexistent/one:/nonexistent/two")];
    skipped(project("", &env).exec("x").await.unwrap());
    let error = project("kubeconfig = '/nonexistent/one'", &[])
        .exec("x")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("there is no /nonexistent/one"));
}

#[tokio::test]
async fn explain_names_the_call_and_the_user_and_calls_nobody() {
    let server = Issuer::start(Kubernetes::new());
    let (_folder, project) = reading(&with_token(server.url()), "audiences = ['vault']");
    let name = "x".parse().unwrap();
    let plan = project.manager().explain(&name, None, "l").await.unwrap();
    let text = format!("{plan:?}");
    for wanted in [
        "/api/v1/namespaces/apps/serviceaccounts/deploy/token",
        "user `u` of context `here`",
        "3600",
        "vault",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    assert!(!text.contains(Kubernetes::USER_TOKEN));
    assert_eq!(server.requests().len(), 0);
}

/// What the Kubernetes client for Python sends, for tokens and for Secrets as the provider reads them, the stand-in takes, and it reads
/// the same kubeconfig as fnox.
#[tokio::test]
#[ignore = "needs FNOX_TEST_KUBERNETES_PYTHON"]
async fn the_stand_in_serves_an_independent_client() {
    let server = Issuer::start(Kubernetes::new());
    server.change(|server| {
        server.set_secret("apps", "database", "password", "ünïcödé 🔑\n".as_bytes());
        server.set_secret("apps", "database", "binary", &[0xff, 0]);
    });
    let (folder, project) = reading(&with_token(server.url()), "");
    let python = fnox_core::Env::of_process();
    let output = std::process::Command::new(python.var("FNOX_TEST_KUBERNETES_PYTHON").unwrap())
        .arg("-c")
        .arg(include_str!("kubernetes_client.py"))
        .arg(folder.path().join("config"))
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{:?}", server.complaints());
    minted(project.exec("x").await.unwrap());
    let issued = server.change(|server| server.issued().to_vec());
    assert_eq!(issued[0]["sub"], issued[1]["sub"]);
    assert_eq!(issued[0]["aud"], issued[1]["aud"]);
    no_complaints(&server);
}
