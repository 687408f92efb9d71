//! `gcp-iam` against a stand-in of Google Cloud.

mod google_client;

use fnox_core::{Clock as _, ExitStatus, SystemClock};
use fnox_leases::LeaseError;
use fnox_testkit::stand_in::gcp::Gcp;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::jwt;
use serde_json::{Value, json};

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const CI: &str = "ci@p.iam.gserviceaccount.com";
const DEPLOY: &str = "deploy@p.iam.gserviceaccount.com";
const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/gh";
const POOL: &str =
    "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/";
const KEY: &str = "GCP_SERVICE_ACCOUNT_KEY";
const VARIABLE: &str = "CLOUDSDK_AUTH_ACCESS_TOKEN";

/// Google with a service account `ci`, its key, and the right to impersonate `deploy`.
fn google() -> (Issuer<Gcp>, Value) {
    let google = Issuer::start(Gcp::new());
    let key = google.change(|gcp| {
        gcp.grant(&format!("serviceAccount:{CI}"), DEPLOY);
        // What a key's file says of the endpoint is Google's; the lease says another one.
        gcp.add_key(CI, jwt::FIRST, "https://oauth2.googleapis.com/token")
    });
    (google, key)
}

fn lease(google: &Issuer<Gcp>, more: &str) -> String {
    let url = google.url();
    format!(
        "type = 'gcp-iam'\nservice_account_email = '{DEPLOY}'\nduration = '1h'\nendpoint = '{url}'\n\
         sts_endpoint = '{url}/v1/token'\ntoken_endpoint = '{url}/token'\n{more}"
    )
}

fn project(google: &Issuer<Gcp>, more: &str, env: &[(&str, &str)]) -> Project {
    Project::with_env(&format!("[leases.x]\n{}\n", lease(google, more)), env)
}

/// A token of the CI's issuer.
fn job_token(subject: &str, audience: &str) -> String {
    let now = SystemClock.now().as_second();
    let claims = json!({
        "iss": "https://ci.example", "sub": subject, "aud": audience, "iat": now, "exp": now + 3600,
    });
    jwt::signed(&claims, jwt::SECOND, "ci-1")
}

fn trust_ci(google: &Issuer<Gcp>) {
    google.change(|gcp| {
        gcp.add_provider(PROVIDER, "https://ci.example", jwt::SECOND, "ci-1");
        gcp.grant(&format!("{POOL}repo:o/r"), DEPLOY);
    });
}

async fn token_of(project: &Project) -> String {
    let held = minted(project.exec("x").await.unwrap());
    held.credential.variables[0].1.expose_secret().to_owned()
}

fn told(error: &LeaseError) -> String {
    format!("{error} | {}", error.help().unwrap_or_default())
}

#[tokio::test]
async fn a_key_fails_closed() {
    let (google, key) = google();
    let text = key.to_string();
    matrix::fails_closed(&Subject {
        issuer: &google,
        lease: lease(&google, ""),
        env: vec![(KEY.to_owned(), text.clone())],
        masters: vec![text, key["private_key"].as_str().unwrap().to_owned()],
        produces: vec![VARIABLE],
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
}

#[tokio::test]
async fn a_users_login_fails_closed() {
    let (google, _) = google();
    let file = google.change(|gcp| {
        gcp.grant("user:ada", DEPLOY);
        gcp.add_user("ada")
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adc.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let secret = |name: &str| file[name].as_str().unwrap().to_owned();
    matrix::fails_closed(&Subject {
        issuer: &google,
        lease: lease(&google, ""),
        env: vec![("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), path.clone())],
        masters: vec![path, secret("refresh_token"), secret("client_secret")],
        produces: vec![VARIABLE],
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
}

#[tokio::test]
async fn a_job_token_fails_closed() {
    let (google, _) = google();
    trust_ci(&google);
    let token = job_token("repo:o/r", &format!("https:{PROVIDER}"));
    matrix::fails_closed(&Subject {
        issuer: &google,
        lease: lease(
            &google,
            &format!(
                "workload_identity_provider = '{PROVIDER}'\nidentity_token_variable = 'JOB_TOKEN'"
            ),
        ),
        env: vec![("JOB_TOKEN".to_owned(), token.clone())],
        masters: vec![token],
        produces: vec![VARIABLE],
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
}

#[tokio::test]
async fn an_external_account_fails_closed() {
    let (google, _) = google();
    trust_ci(&google);
    let token = job_token("repo:o/r", PROVIDER);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("external.json");
    std::fs::write(folder.path().join("token"), &token).unwrap();
    let file = external(&google, &json!({"file": "token"}));
    std::fs::write(&path, file.to_string()).unwrap();
    matrix::fails_closed(&Subject {
        issuer: &google,
        lease: lease(&google, &format!("credentials_file = '{}'", path.display())),
        env: Vec::new(),
        masters: vec![token],
        produces: vec![VARIABLE],
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
}

#[tokio::test]
async fn the_machines_account_fails_closed() {
    let (google, _) = google();
    google.change(|gcp| gcp.set_machine(CI));
    let host = google.url().replace("http://", "");
    matrix::fails_closed(&Subject {
        issuer: &google,
        lease: lease(&google, ""),
        env: vec![("GCE_METADATA_HOST".to_owned(), host)],
        masters: Vec::new(),
        produces: vec![VARIABLE],
        tells_expiry: true,
        leaves_intents: false,
    })
    .await;
}

/// The file that `gcloud iam workload-identity-pools create-cred-config` writes.
fn external(google: &Issuer<Gcp>, source: &Value) -> Value {
    json!({
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", google.url()),
        "credential_source": source,
    })
}

#[tokio::test]
async fn the_token_is_of_the_account_with_the_scopes_that_were_asked_for() {
    let (google, key) = google();
    let env = [(KEY, &*key.to_string())];
    let scopes =
        "scopes = ['https://www.googleapis.com/auth/devstorage.read_only']\nenv_var = 'TOKEN'";
    let project = project(&google, scopes, &env);
    let held = minted(project.exec("x").await.unwrap());
    assert_eq!(held.credential.variables[0].0, "TOKEN");
    let token = held.credential.variables[0].1.expose_secret();
    google.change(|gcp| {
        assert_eq!(
            gcp.holder(token),
            Some(&*format!("serviceAccount:{DEPLOY}"))
        );
        let scopes = gcp.scopes(token).unwrap();
        assert_eq!(
            scopes,
            ["https://www.googleapis.com/auth/devstorage.read_only"]
        );
    });
    assert!(
        held.withhold
            .contains(&"GOOGLE_APPLICATION_CREDENTIALS".to_owned())
    );
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn delegates_are_a_chain() {
    let (google, key) = google();
    let middle = "middle@p.iam.gserviceaccount.com";
    let last = "last@p.iam.gserviceaccount.com";
    google.change(|gcp| {
        gcp.grant(&format!("serviceAccount:{CI}"), middle);
        gcp.grant(&format!("serviceAccount:{middle}"), last);
    });
    let env = [(KEY, &*key.to_string())];
    let toml = |delegates: &str| {
        let lease = lease(&google, delegates).replace(DEPLOY, last);
        format!("[leases.x]\n{lease}\n")
    };
    let delegated = Project::with_env(&toml(&format!("delegates = ['{middle}']")), &env);
    let token = token_of(&delegated).await;
    google.change(|gcp| assert_eq!(gcp.holder(&token), Some(&*format!("serviceAccount:{last}"))));
    let direct = Project::with_env(&toml(""), &env);
    let error = direct.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_role_is_told_with_the_principal() {
    let (google, key) = google();
    let stranger = "stranger@p.iam.gserviceaccount.com";
    google.change(|gcp| gcp.add_account(stranger));
    let lease = lease(&google, "").replace(DEPLOY, stranger);
    let env = [(KEY, &*key.to_string())];
    let project = Project::with_env(&format!("[leases.x]\n{lease}\n"), &env);
    let error = project.exec("x").await.unwrap_err();
    let told = told(&error);
    for wanted in [
        "getAccessToken",
        "roles/iam.serviceAccountTokenCreator",
        stranger,
        &format!("serviceAccount:{CI}"),
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert_eq!(error.exit_status(), ExitStatus::Denied);

    let nobody = lease.replace(stranger, "nobody@p.iam.gserviceaccount.com");
    let project = Project::with_env(&format!("[leases.x]\n{nobody}\n"), &env);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.location().is_some(), "{error}");
}

#[tokio::test]
async fn a_refused_job_token_shows_its_claims_and_not_itself() {
    let (google, _) = google();
    trust_ci(&google);
    let keys =
        format!("workload_identity_provider = '{PROVIDER}'\nidentity_token_variable = 'JOB_TOKEN'");
    // Another audience: the pool refuses it. Another subject: the service account does.
    for (token, status, wanted) in [
        (
            job_token("repo:o/r", "https://elsewhere"),
            ExitStatus::AuthenticationNeeded,
            "attribute condition",
        ),
        (
            job_token("repo:o/fork", PROVIDER),
            ExitStatus::Denied,
            "roles/iam.workloadIdentityUser",
        ),
    ] {
        let project = project(&google, &keys, &[("JOB_TOKEN", &token)]);
        let error = project.exec("x").await.unwrap_err();
        let told = told(&error);
        assert_eq!(error.exit_status(), status, "{told}");
        assert!(
            told.contains("iss=\"https://ci.example\"") && told.contains("sub=\"repo:o/"),
            "{told}"
        );
        assert!(told.contains(wanted), "{told}");
        assert!(!told.contains(&token), "{told}");
    }
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_provider_without_a_token_uses_no_key_that_lies_about() {
    let (google, key) = google();
    trust_ci(&google);
    let keys = format!("required = true\nworkload_identity_provider = '{PROVIDER}'");
    let project = project(&google, &keys, &[(KEY, &key.to_string())]);
    let error = project.exec("x").await.unwrap_err();
    assert!(error.to_string().contains("No OIDC token"), "{error}");
    assert_eq!(google.requests().len(), 0);
}

#[tokio::test]
async fn more_than_an_hour_is_the_organisations_to_allow() {
    let (google, key) = google();
    let long = lease(&google, "").replace("'1h'", "'3h'");
    let env = [(KEY, &*key.to_string())];
    let project = Project::with_env(&format!("[leases.x]\n{long}\n"), &env);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(
        told(&error).contains("allowServiceAccountCredentialLifetimeExtension"),
        "{error}"
    );
    assert_eq!(error.location().map(fnox_config::Location::line), Some(4));
    google.change(|gcp| gcp.extend(DEPLOY));
    let held = minted(project.exec("x").await.unwrap());
    let left = held.credential.expires_at.unwrap().as_second() - project.clock.now().as_second();
    assert!((10_700..10_900).contains(&left), "{left}");

    let error = project
        .create("x", |request| request.duration = "13h".parse().ok())
        .await
        .unwrap_err();
    assert!(
        matches!(error, LeaseError::DurationOutOfRange { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_id_token_says_itself_when_it_expires() {
    let (google, key) = google();
    let keys = "token = 'id'\naudience = 'https://run.example'\ninclude_email = true";
    let env = [(KEY, &*key.to_string())];
    let lease = lease(&google, keys).replace("'1h'", "'15m'");
    let project = Project::with_env(&format!("[leases.x]\n{lease}\n"), &env);
    let held = minted(project.exec("x").await.unwrap());
    let token = held.credential.variables[0].1.expose_secret();
    let (_, claims) =
        jwt::verified(token, jwt::SECOND.public, jsonwebtoken::Algorithm::RS256).unwrap();
    assert_eq!(claims["aud"], "https://run.example");
    assert_eq!(claims["email"], DEPLOY);
    let expires_at = held.credential.expires_at.unwrap().as_second();
    assert_eq!(json!(expires_at), claims["exp"]);
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_clock_is_told_when_google_refuses_the_signed_request() {
    let (google, key) = google();
    let project = project(&google, "", &[(KEY, &key.to_string())]);
    project.clock.advance(jiff::SignedDuration::from_secs(7200));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(told(&error).contains("clock"), "{error}");
}

#[tokio::test]
async fn other_clouds_take_the_signed_token_itself() {
    let (google, mut key) = google();
    key["universe_domain"] = json!("cloud.example");
    let project = project(&google, "", &[(KEY, &key.to_string())]);
    token_of(&project).await;
    let paths: Vec<String> = google
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths[0].ends_with(":generateAccessToken"));

    let other = self::project(
        &google,
        "universe_domain = 'googleapis.com'",
        &[(KEY, &key.to_string())],
    );
    let error = other.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration, "{error}");
}

#[tokio::test]
async fn an_external_account_can_have_its_token_from_an_address() {
    let (google, _) = google();
    trust_ci(&google);
    let token = job_token("repo:o/r", PROVIDER);
    google.change(|gcp| {
        gcp.set_subject(
            ("authorization", "Bearer hunter2"),
            &json!({"n": 1, "value": token}).to_string(),
        );
    });
    let source = json!({
        "url": format!("{}/subject", google.url()),
        "headers": {"Authorization": "Bearer hunter2"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    let mut file = external(&google, &source);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("external.json");
    let write = |file: &Value| std::fs::write(&path, file.to_string()).unwrap();
    let key = format!("credentials_file = '{}'", path.display());
    write(&file);
    token_of(&project(&google, &key, &[])).await;

    // Through the service account that the file names, if that is another one; the file does not say whom to ask.
    google.change(|gcp| gcp.grant(&format!("{POOL}repo:o/r"), CI));
    let url = |account: &str| {
        json!(format!(
            "https://evil.example/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        ))
    };
    for (account, calls) in [(CI, 4), (DEPLOY, 3)] {
        google.forget_requests();
        file["service_account_impersonation_url"] = url(account);
        write(&file);
        token_of(&project(&google, &key, &[])).await;
        assert_eq!(google.requests().len(), calls, "{account}");
    }
    assert_eq!(google.complaints(), Vec::<String>::new());

    // An address that is not https.
    file["credential_source"]["url"] = json!("http://metadata.example/token");
    write(&file);
    let error = project(&google, &key, &[]).exec("x").await.unwrap_err();
    let told = told(&error);
    assert!(
        told.contains("credential_source.url") && told.contains("https://"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn gclouds_own_file_is_found() {
    let (google, _) = google();
    let file = google.change(|gcp| {
        gcp.grant("user:ada", DEPLOY);
        gcp.add_user("ada")
    });
    let project = project(&google, "", &[]);
    let folder = project.root.join(".config/gcloud");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("application_default_credentials.json"),
        file.to_string(),
    )
    .unwrap();
    token_of(&project).await;

    google.change(|gcp| *gcp = Gcp::new());
    let error = project.create("x", |_| ()).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(
        told(&error).contains("gcloud auth application-default login"),
        "{error}"
    );
}
