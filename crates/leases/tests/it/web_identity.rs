//! OIDC tokens as masters: from a file, a variable, a CI.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::ExitStatus;
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::matrix::{self, AWS_SESSION, Subject};
use crate::support::{Project, aws_lease, keys_of_lease, minted};

fn token(subject: &str) -> String {
    let claims = format!(r#"{{"sub":"{subject}","aud":"sts.amazonaws.com","iss":"https://i"}}"#);
    format!(
        "{}.{}.c2ln",
        URL_SAFE_NO_PAD.encode("{}"),
        URL_SAFE_NO_PAD.encode(claims)
    )
}

fn accept(sts: &Sts, token: &str, subject: &str) {
    sts.change(|account| {
        account
            .web_identities
            .push((token.to_owned(), subject.to_owned()));
    });
}

#[tokio::test]
async fn a_token_file_is_exchanged_without_a_signature() {
    let sts = Sts::start();
    let project = Project::new(&aws_lease(&sts, "web_identity_token_file = 'token'"));
    let token = token("job-1");
    accept(&sts, &token, "job-1");
    std::fs::write(project.root.join("project/token"), format!("{token}\n")).unwrap();
    minted(project.exec("aws").await.unwrap());
    assert_eq!(sts.count("AssumeRoleWithWebIdentity"), 1);
    assert_eq!(sts.calls()[0].access_key_id, None);
    fnox_testkit::Canary::new(&token[..]).assert_absent(&[], &[&project.leases_folder()]);
}

#[tokio::test]
async fn it_fails_closed() {
    let sts = Sts::start();
    let token = token("job-1");
    accept(&sts, &token, "job-1");
    matrix::fails_closed(&Subject {
        issuer: &sts,
        lease: keys_of_lease(&sts, "web_identity_token_variable = 'CI_TOKEN'"),
        env: vec![("CI_TOKEN".to_owned(), token.clone())],
        masters: vec![token],
        produces: AWS_SESSION.to_vec(),
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn a_refused_token_shows_its_claims_and_not_itself() {
    let sts = Sts::start();
    let token = token("somebody-else");
    let project = Project::with_env(
        &aws_lease(&sts, "web_identity_token_variable = 'CI_TOKEN'"),
        &[("CI_TOKEN", &token)],
    );
    let error = project.exec("aws").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("sub \"somebody-else\""), "{text}");
    assert!(text.contains("aud \"sts.amazonaws.com\""), "{text}");
    assert!(!text.contains(&token), "{text}");
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
}

#[tokio::test]
async fn a_token_file_that_is_configured_and_missing_is_a_failure() {
    let sts = Sts::start();
    let project = Project::new(&aws_lease(&sts, "web_identity_token_file = 'nothing'"));
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(error.to_string().contains("project/nothing"), "{error}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_the_call_has_no_parameter_for_is_an_error() {
    let sts = Sts::start();
    let project = Project::new(&aws_lease(
        &sts,
        "web_identity_token_file = 'token'\nexternal_id = 'abc'",
    ));
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(
        error.location().is_some() && error.to_string().contains("external_id"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_meant_for_another_role_is_its_master() {
    let sts = Sts::start();
    let token = token("pod");
    accept(&sts, &token, "pod");
    let mut project = Project::new(&aws_lease(&sts, ""));
    let file = project.root.join("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_str().unwrap().to_owned();
    project.set(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ROLE_ARN", Account::OPS_ROLE),
    ]);
    minted(project.exec("aws").await.unwrap());
    let actions: Vec<String> = sts.calls().into_iter().map(|call| call.action).collect();
    assert_eq!(actions, ["AssumeRoleWithWebIdentity", "AssumeRole"]);

    project.set(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ROLE_ARN", Account::DEV_ROLE),
    ]);
    minted(project.exec("aws").await.unwrap());
    assert_eq!(sts.count("AssumeRole"), 1);
}

#[tokio::test]
async fn a_github_job_asks_its_token_service() {
    let sts = Sts::start();
    let service = MockServer::start().await;
    let token = token("repo:o/r:ref:refs/heads/main");
    accept(&sts, &token, "repo:o/r:ref:refs/heads/main");
    Mock::given(method("GET"))
        .and(path("/idtoken"))
        .and(query_param("api-version", "2.0"))
        .and(query_param("audience", "sts.amazonaws.com"))
        .and(header("authorization", "Bearer request-token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({
            "count": 1, "value": token
        })))
        .expect(1)
        .mount(&service)
        .await;
    let url = format!("{}/idtoken?api-version=2.0", service.uri());
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token"),
    ];
    let project = Project::with_env(&aws_lease(&sts, ""), &variables);
    let held = minted(project.exec("aws").await.unwrap());
    assert!(
        held.withhold
            .iter()
            .any(|name| name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    );

    let denied = MockServer::start().await;
    let url = format!("{}/idtoken?x=1", denied.uri());
    let mut project = project;
    project.set(&[("ACTIONS_ID_TOKEN_REQUEST_URL", &url), variables[1]]);
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
    assert!(error.help().unwrap().contains("id-token: write"));
}
