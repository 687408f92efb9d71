//! `oauth2-client-credentials` against a strict stand-in.

use fnox_core::{Clock as _, ExitStatus, LeaseName};
use fnox_leases::{Acquire, RevocationOutcome};
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::oauth2::OAuth2;
use jiff::SignedDuration;
use serde_json::json;

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const SECRET: &str = "OAUTH2_CLIENT_SECRET";

fn lease(server: &Issuer<OAuth2>, more: &str) -> String {
    format!(
        "type = 'oauth2-client-credentials'\ntoken_url = '{}/token'\nclient_id = '{}'\n{more}\n",
        server.url(),
        OAuth2::CLIENT
    )
}

fn project(server: &Issuer<OAuth2>, more: &str) -> Project {
    let env = [(SECRET, OAuth2::SECRET)];
    Project::with_env(&format!("[leases.x]\n{}", lease(server, more)), &env)
}

#[tokio::test]
async fn it_fails_closed_by_both_ways_of_authentication() {
    for (in_body, more) in [(false, ""), (true, "auth_method = 'post'")] {
        let server = Issuer::start(OAuth2::new());
        server.change(|server| server.in_body = in_body);
        matrix::fails_closed(&Subject {
            issuer: &server,
            lease: lease(&server, more),
            env: vec![(SECRET.to_owned(), OAuth2::SECRET.to_owned())],
            masters: vec![OAuth2::SECRET.to_owned()],
            produces: vec!["OAUTH2_ACCESS_TOKEN"],
            tells_expiry: true,
            leaves_intents: true,
        })
        .await;
    }
}

#[tokio::test]
async fn the_servers_own_life_counts_as_a_number_or_a_text_and_the_leases_without_one() {
    for (expires_in, seconds) in [
        (json!(600), 600),
        (json!("120"), 120),
        (json!(120.0), 120),
        (json!(null), 300),
    ] {
        let server = Issuer::start(OAuth2::new());
        server.change(|server| server.expires_in = expires_in);
        let project = project(
            &server,
            "duration = '5m'\nscope = 'read'\nparams = { resource = 'r' }",
        );
        let held = minted(project.exec("x").await.unwrap());
        let left = held
            .credential
            .expires_at
            .unwrap()
            .duration_since(project.clock.now());
        assert_eq!(left, SignedDuration::from_secs(seconds));
        let token = held.credential.variables[0].1.expose_secret();
        let asked = server.change(|server| server.token(token).map(<[_]>::to_vec));
        let asked: Vec<String> = asked
            .unwrap()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            asked,
            ["grant_type=client_credentials", "scope=read", "resource=r"]
        );
    }
}

#[tokio::test]
async fn a_token_is_withdrawn_where_the_server_can_and_only_expires_where_it_cannot() {
    let server = Issuer::start(OAuth2::new());
    let revocation = format!("revocation_url = '{}/revoke'", server.url());
    let project = project(&server, &revocation);
    let held = minted(project.exec("x").await.unwrap());
    let token = held.credential.variables[0].1.expose_secret().to_owned();
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(
        matches!(revoked[0].outcome, RevocationOutcome::Revoked),
        "{revoked:?}"
    );
    assert!(server.change(|server| server.token(&token).is_none()));
    assert_eq!(server.complaints(), Vec::<String>::new());

    let plain = self::project(&server, "");
    minted(plain.exec("x").await.unwrap());
    let revoked = plain.manager().revoke("x").await.unwrap();
    assert!(matches!(
        revoked[0].outcome,
        RevocationOutcome::ExpiresOnly { .. }
    ));
}

#[tokio::test]
async fn the_codes_of_the_standard_are_explained() {
    let server = Issuer::start(OAuth2::new());
    let error = project(&server, "scope = 'admin'")
        .exec("x")
        .await
        .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(
        error.to_string().contains("invalid_scope") && error.location().is_some(),
        "{error}"
    );
    let error = project(&server, "auth_method = 'post'")
        .exec("x")
        .await
        .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(
        error.help().unwrap().contains("auth_method = \"basic\""),
        "{error}"
    );
    for (more, wanted) in [
        ("params = { grant_type = 'password' }", "sets itself"),
        ("params = { client_assertion = 'x' }", "sets itself"),
        ("revocation_url = 'http://example.com'", "https://"),
        ("env_var = 'A-B'", "name of a variable"),
    ] {
        let error = project(&server, more).exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn each_code_has_its_exit_code_and_its_remedy_whatever_its_status_is() {
    let server = Issuer::start(OAuth2::new());
    for (status, code, wanted, remedy) in [
        (
            400,
            "unauthorized_client",
            ExitStatus::Denied,
            "does not let client",
        ),
        (403, "access_denied", ExitStatus::Denied, "`audience`"),
        // Some servers refuse with success.
        (
            200,
            "invalid_client",
            ExitStatus::AuthenticationNeeded,
            SECRET,
        ),
        (200, "invalid_scope", ExitStatus::Configuration, "scopes"),
        (
            400,
            "invalid_target",
            ExitStatus::Configuration,
            "`audience`",
        ),
        (
            400,
            "temporarily_unavailable",
            ExitStatus::Unavailable,
            "wait",
        ),
    ] {
        server.change(|server| server.refuses = Some((status, code)));
        let project = project(&server, "");
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), wanted, "{code}: {error}");
        let told = format!("{error} | {}", error.help().unwrap_or_default());
        for part in [code, remedy, OAuth2::CLIENT] {
            assert!(told.contains(part), "{code}: {told}");
        }
        // A refusal has issued nothing.
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_token_that_is_not_a_bearer_token_is_not_handed_out() {
    let server = Issuer::start(OAuth2::new());
    server.change(|server| server.token_type = "DPoP");
    let error = project(&server, "").exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert!(error.to_string().contains("`DPoP`"), "{error}");
    server.change(|server| server.token_type = "bearer");
    minted(project(&server, "").exec("x").await.unwrap());
}

#[tokio::test]
async fn a_withdrawal_needs_the_token_and_the_servers_word() {
    let server = Issuer::start(OAuth2::new());
    let revocation = format!("revocation_url = '{}/revoke'", server.url());
    let mut project = project(&server, &revocation);
    minted(project.exec("x").await.unwrap());
    for misbehaviour in [
        Misbehaviour::Status(404),
        Misbehaviour::Status(503),
        Misbehaviour::Redirect,
    ] {
        server.misbehave(Some(misbehaviour));
        let revoked = project.manager().revoke("x").await.unwrap();
        assert!(revoked[0].failure().is_some(), "{misbehaviour:?}");
    }
    server.misbehave(None);
    assert_eq!(server.change(|server| server.live_tokens()), 1);
    // The variable is called otherwise now; the token is still the one on record.
    let renamed = lease(&server, &format!("{revocation}\nenv_var = 'OTHER'"));
    project.edit(&format!("[leases.x]\n{renamed}"));
    let revoked = project.manager().cleanup().await.unwrap();
    assert!(revoked.failure().is_none(), "{revoked:?}");
    assert_eq!(server.change(|server| server.live_tokens()), 0);

    // A token that was lost on the way is not said to be withdrawn.
    server.misbehave(Some(Misbehaviour::HangUp));
    project.exec("x").await.unwrap_err();
    server.misbehave(None);
    let report = project.manager().cleanup().await.unwrap();
    assert!(matches!(
        report.settled[0].outcome,
        RevocationOutcome::ExpiresOnly { .. }
    ));
    assert_eq!(server.complaints(), Vec::<String>::new());
}

const FIRST: &str = "the-first-refresh-token-of-a-person";

/// A login that began with [`FIRST`].
fn login(server: &Issuer<OAuth2>) -> Project {
    server.change(|server| server.refresh = Some(FIRST.to_owned()));
    let env = [(SECRET, OAuth2::SECRET), ("OAUTH2_REFRESH_TOKEN", FIRST)];
    let lease = lease(server, "grant = 'refresh_token'");
    Project::with_env(&format!("[leases.x]\n{lease}"), &env)
}

/// The files in which logins are kept.
fn kept(project: &Project) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(project.leases_folder())
        .into_iter()
        .flatten()
        .flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "json"));
    paths
}

async fn another(project: &Project) -> Result<String, fnox_leases::LeaseError> {
    let name = LeaseName::parse("x").unwrap();
    let request = Acquire {
        reuse: false,
        ..Acquire::for_exec(&name)
    };
    let held = project.manager().acquire(&name, request).await?;
    Ok(minted(held).credential.variables[0]
        .1
        .expose_secret()
        .to_owned())
}

#[tokio::test]
async fn a_login_goes_on_with_the_refresh_token_that_the_server_gave_last() {
    let server = Issuer::start(OAuth2::new());
    let project = login(&server);
    for round in 1..=3 {
        let token = another(&project).await.unwrap();
        assert_eq!(token, format!("token-{round}-of-the-server"));
        let asked = server
            .change(|server| server.token(&token).map(<[_]>::to_vec))
            .unwrap();
        let expected = match round {
            1 => FIRST.to_owned(),
            _ => format!("refresh-{}-of-the-server", round - 1),
        };
        assert!(
            asked.contains(&("refresh_token".to_owned(), expected)),
            "{asked:?}"
        );
    }
    let [path] = kept(&project).try_into().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for hidden in [FIRST, "refresh-3-of-the-server"] {
        fnox_testkit::Canary::new(hidden).assert_absent(&[("the file", &bytes)], &[]);
    }
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refresh_token_that_does_not_change_is_used_again() {
    let server = Issuer::start(OAuth2::new());
    let project = login(&server);
    server.change(|server| server.rotates = false);
    for _ in 0..2 {
        another(&project).await.unwrap();
    }
    assert_eq!(
        server.change(|server| server.refresh.clone()).as_deref(),
        Some(FIRST)
    );
}

#[tokio::test]
async fn nothing_is_asked_where_a_new_refresh_token_could_not_be_kept() {
    let server = Issuer::start(OAuth2::new());
    let project = login(&server);
    another(&project).await.unwrap();
    let before = server.change(|server| server.live_tokens());
    let [path] = kept(&project).try_into().unwrap();
    // A folder in its place can be neither read nor replaced, also by root.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let error = another(&project).await.unwrap_err();
    assert!(
        error.to_string().contains("refresh token cannot be kept"),
        "{error}"
    );
    assert_eq!(server.change(|server| server.live_tokens()), before);
    // What is there and is not what was written is no reason to begin anew: the server would take that for theft.
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "{}").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();
    let error = another(&project).await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    assert!(server.change(|server| server.refresh.is_some()));
}

#[tokio::test]
async fn a_login_that_is_over_needs_a_person() {
    let server = Issuer::start(OAuth2::new());
    let project = login(&server);
    server.change(|server| server.refresh = Some("somebody-else-used-it".to_owned()));
    let error = another(&project).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let help = error.help().unwrap_or_default();
    assert!(help.contains("set OAUTH2_REFRESH_TOKEN"), "{error}: {help}");
    assert!(!format!("{error:?}{error}").contains(FIRST), "{error}");
}
