//! The ways to log in of `vault`, against the stand-in that is held to HashiCorp's pages on each method.

use fnox_core::{Clock as _, SystemClock};
use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::jwt;
use fnox_testkit::stand_in::vault::Vault;
use serde_json::json;

use crate::bad_server::{Subject, fails_closed};
use crate::world::{World, read, request};

/// A token of the CI, or of the pod, that the role trusts.
fn identity_token(subject: &str) -> String {
    let now = SystemClock.now().as_second();
    let claims = json!({
        "iss": Vault::ISSUER, "sub": subject, "aud": Vault::AUDIENCE, "iat": now, "exp": now + 600,
    });
    jwt::signed(&claims, jwt::FIRST, "first")
}

fn serving() -> (Issuer<Vault>, World) {
    let server = Issuer::start(Vault::new());
    let mut world = World::new();
    world.set("VAULT_ADDR", server.url());
    (server, world)
}

fn keys(path: &str, more: &str) -> String {
    format!("type = \"vault\"\npath = \"{path}\"\n{more}")
}

fn no_complaints(server: &Issuer<Vault>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

/// The keys of each login, and its path.
fn logins() -> Vec<(String, &'static str)> {
    vec![
        (
            format!("auth = \"approle\"\nrole_id = \"{}\"", Vault::ROLE_ID),
            "approle/login",
        ),
        (
            "auth = \"jwt\"\nidentity_token_file = \"token\"".to_owned(),
            "jwt/login",
        ),
        (
            "auth = \"jwt\"\nauth_mount = \"github\"\nrole = \"ci\"\nidentity_token_file = \"token\"".to_owned(),
            "github/login",
        ),
        (
            "auth = \"kubernetes\"\nrole = \"ci\"\ntoken_file = \"token\"".to_owned(),
            "kubernetes/login",
        ),
        (
            format!("auth = \"userpass\"\nusername = \"{}\"", Vault::USER),
            "userpass/login/mitchellh",
        ),
    ]
}

#[tokio::test]
async fn every_login_reads_and_is_made_once_a_run() {
    for (login, path) in logins() {
        let (server, mut world) = serving();
        world.write("token", format!("{}\n", identity_token(Vault::SUBJECT)));
        world.set("VAULT_SECRET_ID", Vault::SECRET_ID);
        world.set("VAULT_PASSWORD", Vault::PASSWORD);
        for (engine, value) in [("kv", "kv-one-password"), ("secret", "kv-two-password")] {
            server.forget_requests();
            let provider = world.open(&keys(engine, &login));
            for answer in provider
                .get_many(&["app/password", "app/password"].map(request))
                .await
            {
                assert_eq!(answer.unwrap().expose_secret(), value, "{path}");
            }
            assert_eq!(read(&*provider, "app/password").await.unwrap(), value);
            let asked = server.requests();
            let of_login = asked
                .iter()
                .filter(|request| request.path.contains("/login"));
            assert_eq!(of_login.count(), 1, "{path}");
            assert_eq!(asked[0].path, format!("/v1/auth/{path}"));
        }
        no_complaints(&server);
    }
}

#[tokio::test]
async fn it_fails_closed() {
    let (server, mut world) = serving();
    world.set("VAULT_TOKEN", Vault::GIVEN);
    fails_closed(Subject {
        server: &server,
        world,
        keys: keys("secret", ""),
        reference: "app/password",
        secrets: &[Vault::GIVEN, "kv-two-password"],
    })
    .await;
}

#[tokio::test]
async fn a_login_fails_closed() {
    let (server, mut world) = serving();
    world.set("VAULT_PASSWORD", Vault::PASSWORD);
    let login = format!("auth = \"userpass\"\nusername = \"{}\"", Vault::USER);
    fails_closed(Subject {
        server: &server,
        world,
        keys: keys("kv", &login),
        reference: "app/password",
        secrets: &[Vault::PASSWORD, "kv-one-password"],
    })
    .await;
}

#[tokio::test]
async fn a_login_that_is_refused_says_what_was_sent_and_shows_no_secret() {
    for (login, path) in logins() {
        let (server, mut world) = serving();
        let token = identity_token("repo:org/other");
        world.write("token", &token);
        world.set("VAULT_SECRET_ID", "wrong-secret-id");
        world.set("VAULT_PASSWORD", "wrong-password");
        let error = world.open(&keys("kv", &login)).check().await.unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::AuthenticationNeeded,
            "{path}: {error}"
        );
        assert!(error.remedy.is_some());
        let shown = format!("{error:?}");
        for secret in ["wrong-secret-id", "wrong-password", token.as_str()] {
            assert!(!shown.contains(secret), "{shown}");
        }
        if login.contains("\"token\"") {
            assert!(shown.contains("repo:org/other"), "{shown}");
        }
        no_complaints(&server);
    }
}

#[tokio::test]
async fn a_mount_without_a_login_is_a_wrong_configuration() {
    let (server, mut world) = serving();
    world.set("VAULT_SECRET_ID", Vault::SECRET_ID);
    world.set("VAULT_ROLE_ID", Vault::ROLE_ID);
    let login = "auth = \"approle\"\nauth_mount = \"elsewhere\"";
    let error = world.open(&keys("kv", login)).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.remedy.unwrap().contains("auth_mount"));
    no_complaints(&server);
}

#[tokio::test]
async fn a_command_prints_the_token_and_nothing_else() {
    let (server, mut world) = serving();
    let command = |text: &str| keys("kv", &format!("credential_command = '{text}'"));
    let good = command(&format!("[ -n \"$VAULT_ADDR\" ] && echo {}", Vault::GIVEN));
    assert_eq!(
        read(&*world.open(&good), "app/password").await.unwrap(),
        "kv-one-password"
    );
    let filled = command(&format!(
        "test {{{{ address }}}} = \"$VAULT_ADDR\" && test {{{{ path }}}} = kv && test -z \"{{{{ namespace }}}}\" && echo {}",
        Vault::GIVEN
    ));
    assert_eq!(
        read(&*world.open(&filled), "app/password").await.unwrap(),
        "kv-one-password"
    );
    for bad in ["echo {{ pth }}", "echo {{ path"] {
        let error = world.try_open(&command(bad)).unwrap_err();
        assert_eq!(
            (error.kind, error.key),
            (ErrorKind::Misconfigured, Some("credential_command")),
            "{bad}"
        );
    }
    for bad in ["exit 3", "true", "echo two words"] {
        let error = world.open(&command(bad)).check().await.unwrap_err();
        assert_eq!(
            (error.kind, error.key),
            (ErrorKind::AuthenticationNeeded, Some("credential_command")),
            "{bad}"
        );
    }
    // A token of the environment comes first.
    world.set("BAO_TOKEN", Vault::GIVEN);
    world.open(&command("exit 3")).check().await.unwrap();
    no_complaints(&server);
}

#[test]
fn what_is_missing_or_unsafe_is_named() {
    let (_server, mut world) = serving();
    for (login, key) in [
        ("auth = \"approle\"", "role_id"),
        ("auth = \"kubernetes\"", "role"),
        ("auth = \"userpass\"", "username"),
        ("auth = \"userpass\"\nusername = \"ada\"", "password"),
        ("auth = \"userpass\"\nusername = \"../ada\"", "username"),
        ("auth = \"jwt\"\nauth_mount = \"a/../b\"", "auth_mount"),
    ] {
        let error = world.try_open(&keys("kv", login)).unwrap_err();
        assert_eq!(error.key, Some(key), "{error}");
    }
    world.set("VAULT_TOKEN", "t");
    world.set("VAULT_SKIP_VERIFY", "true");
    let error = world.try_open(&keys("kv", "")).unwrap_err();
    assert!(error.message.contains("VAULT_SKIP_VERIFY"), "{error}");
    world.set("VAULT_SKIP_VERIFY", "false");
    assert!(world.try_open(&keys("kv", "")).is_ok());
}
