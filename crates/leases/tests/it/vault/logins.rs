//! Where the token comes from.

use std::os::unix::fs::PermissionsExt as _;

use fnox_core::{Clock as _, ExitStatus, SystemClock};
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::jwt;
use fnox_testkit::stand_in::vault::Vault;
use serde_json::json;

use super::{APPROLE, DATABASE, given, no_complaints, paths, value, with};
use crate::support::{minted, skipped};

type Variables<'a> = &'a [(&'a str, &'a str)];

/// A token of the CI that the role trusts.
pub(super) fn identity_token(subject: &str) -> String {
    let now = SystemClock.now().as_second();
    let claims = json!({
        "iss": Vault::ISSUER,
        "sub": subject,
        "aud": Vault::AUDIENCE,
        "iat": now,
        "exp": now + 600,
    });
    jwt::signed(&claims, jwt::FIRST, "first")
}

#[tokio::test]
async fn every_login_gets_the_credential() {
    let vault = Issuer::start(Vault::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{}\n", identity_token(Vault::SUBJECT))).unwrap();
    let file = file.to_str().unwrap();
    let cases = [
        (
            format!("auth = 'approle'\nrole_id = '{}'", Vault::ROLE_ID),
            "approle/login",
        ),
        (
            format!("auth = 'jwt'\nidentity_token_file = '{file}'"),
            "jwt/login",
        ),
        (
            format!(
                "auth = 'jwt'\nauth_mount = 'github'\nrole = 'ci'\nidentity_token_file = '{file}'"
            ),
            "github/login",
        ),
        (
            format!("auth = 'kubernetes'\nrole = 'ci'\ntoken_file = '{file}'"),
            "kubernetes/login",
        ),
        (
            format!("auth = 'userpass'\nusername = '{}'", Vault::USER),
            "userpass/login/mitchellh",
        ),
    ];
    for (keys, path) in cases {
        let env = [
            ("VAULT_SECRET_ID", Vault::SECRET_ID),
            ("VAULT_PASSWORD", Vault::PASSWORD),
        ];
        let project = with(&vault, &format!("{DATABASE}\n{keys}"), &env);
        let held = minted(project.exec("x").await.unwrap());
        assert!(value(&held, "DB_PASSWORD").starts_with("db-password"));
        assert_eq!(paths(&vault)[0], format!("POST auth/{path}"));
        vault.forget_requests();
    }
    no_complaints(&vault);
}

#[tokio::test]
async fn a_given_token_is_looked_for_in_one_order_and_only_one_is_tried() {
    let vault = Issuer::start(Vault::new());
    let command = format!("credential_command = 'echo {}'", Vault::GIVEN);
    let wrong = "hvs.wrong-token";
    let good = Vault::GIVEN;
    let cases: [(&str, Variables<'_>, bool); 8] = [
        ("", &[("VAULT_TOKEN", good)], true),
        ("", &[("BAO_TOKEN", good)], true),
        (
            "",
            &[("FNOX_VAULT_TOKEN", good), ("VAULT_TOKEN", wrong)],
            true,
        ),
        (
            "",
            &[("VAULT_TOKEN", good), ("FNOX_VAULT_TOKEN", wrong)],
            false,
        ),
        (&command, &[], true),
        (&command, &[("VAULT_TOKEN", wrong)], false),
        ("auth = 'token-file'", &[("VAULT_TOKEN", wrong)], true),
        ("", &[], true),
    ];
    for (keys, env, works) in cases {
        let project = with(&vault, &format!("{DATABASE}\n{keys}"), env);
        std::fs::write(project.root.join(".vault-token"), format!("{good}\n")).unwrap();
        let outcome = project.exec("x").await;
        assert_eq!(outcome.is_ok(), works, "{keys} {env:?}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
            assert!(!format!("{error:?}").contains(wrong), "{error}");
        }
    }
    let key = format!("{DATABASE}\ntoken = '{good}'");
    minted(
        with(&vault, &key, &[("VAULT_TOKEN", wrong)])
            .exec("x")
            .await
            .unwrap(),
    );
    no_complaints(&vault);
}

#[tokio::test]
async fn another_login_is_another_principal() {
    let vault = Issuer::start(Vault::new());
    let project = with(&vault, DATABASE, &[]);
    let file = project.root.join(".vault-token");
    std::fs::write(&file, Vault::GIVEN).unwrap();
    minted(project.exec("x").await.unwrap());
    std::fs::write(&file, "hvs.of-somebody-else").unwrap();
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
}

#[tokio::test]
async fn a_command_gets_address_and_namespace_and_must_print_a_token() {
    let vault = Issuer::start(Vault::new());
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("token");
    let text = format!(
        "#!/bin/sh\n[ \"$VAULT_ADDR\" = {}/ ] || exit 3\necho {}\n",
        vault.url(),
        Vault::GIVEN
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let keys = format!("{DATABASE}\ncredential_command = '{}'", script.display());
    minted(with(&vault, &keys, &[]).exec("x").await.unwrap());
    let filled = format!(
        "test {{{{ address }}}} = \"$VAULT_ADDR\" && test {{{{ secret_path }}}} = database/creds/app && echo {}",
        Vault::GIVEN
    );
    let keys = format!("{DATABASE}\ncredential_command = '{filled}'");
    minted(with(&vault, &keys, &[]).exec("x").await.unwrap());
    let hostile = "secret_path = 'kv/a;id'\nenv_map = { a = 'A' }\ncredential_command = 'echo {{ secret_path }}'";
    let error = with(&vault, hostile, &[]).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.to_string().contains("`secret_path`"), "{error}");
    for (command, wanted) in [
        ("echo no token at all", "did not print a token"),
        ("true", "did not print a token"),
        ("echo not logged in >&2; exit 1", "not logged in"),
    ] {
        let keys = format!("{DATABASE}\ncredential_command = '{command}'");
        let error = with(&vault, &keys, &[]).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    no_complaints(&vault);
}

#[tokio::test]
async fn a_refused_login_tells_the_claims_and_never_the_token() {
    let vault = Issuer::start(Vault::new());
    let token = identity_token("repo:org/other");
    let keys =
        format!("{DATABASE}\nauth = 'jwt'\nrole = 'ci'\nidentity_token_variable = 'CI_TOKEN'");
    let error = with(&vault, &keys, &[("CI_TOKEN", &token)])
        .exec("x")
        .await
        .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let text = error.to_string();
    for wanted in ["repo:org/other", Vault::ISSUER, "claim \"sub\""] {
        assert!(text.contains(wanted), "{text}");
    }
    let signature = token.rsplit('.').next().unwrap();
    assert!(!format!("{error:?}").contains(signature));
    let env = [("VAULT_SECRET_ID", "wrong-secret-id-value")];
    let keys = format!("{DATABASE}\n{APPROLE}\nrole_id = '{}'", Vault::ROLE_ID);
    let error = with(&vault, &keys, &env).exec("x").await.unwrap_err();
    assert!(error.to_string().contains("invalid role or secret ID"));
    assert!(!format!("{error:?}").contains("wrong-secret-id-value"));
    let keys = format!("{keys}\nauth_mount = 'nowhere'");
    let error = with(&vault, &keys, &env).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.help().unwrap().contains("auth_mount"), "{error}");
    no_complaints(&vault);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let vault = Issuer::start(Vault::new());
    let skip = skipped(with(&vault, DATABASE, &[]).exec("x").await.unwrap());
    assert!(format!("{skip:?}").contains("Set VAULT_TOKEN"), "{skip:?}");
    let mut project = given(&vault, DATABASE);
    project.edit(&format!("[leases.x]\ntype = 'vault'\n{DATABASE}\n"));
    let skip = skipped(project.exec("x").await.unwrap());
    assert!(format!("{skip:?}").contains("Set VAULT_ADDR."), "{skip:?}");
    project.set(&[]);
    let skip = skipped(project.exec("x").await.unwrap());
    assert!(
        format!("{skip:?}").contains("Set VAULT_ADDR and VAULT_TOKEN."),
        "{skip:?}"
    );
    for name in ["VAULT_ADDR", "BAO_ADDR", "FNOX_VAULT_ADDR"] {
        project.set(&[("VAULT_TOKEN", Vault::GIVEN), (name, vault.url())]);
        minted(project.exec("x").await.unwrap());
    }
    assert_eq!(vault.requests().len(), 3 * 2);
}
