//! Where credentials and region come from.

use fnox_aws::{AwsClient, AwsErrorKind, AwsOptions, kms};
use fnox_core::Env;
use fnox_testkit::stand_in::sts::sigv4::Authorization;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{ACCESS_KEY, env, options};

async fn refusing() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(
            ResponseTemplate::new(400).set_body_string(r#"{"__type":"NotFoundException"}"#),
        )
        .mount(&server)
        .await;
    server
}

/// Who signed a call that is made with this environment.
async fn signer(env: &Env, options: AwsOptions) -> (String, String) {
    let server = refusing().await;
    let options = AwsOptions {
        endpoint_url: Some(server.uri()),
        ..options
    };
    let client = AwsClient::connect(env, options).await.unwrap();
    let error = kms::generate_data_key(&client, "alias/x", &kms::EncryptionContext::new())
        .await
        .unwrap_err();
    assert!(error.is("NotFoundException"), "{error}");
    let requests = server.received_requests().await.unwrap();
    let header = requests[0].headers["authorization"].to_str().unwrap();
    let authorization = Authorization::parse(header).unwrap();
    (authorization.access_key_id, authorization.region)
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    let config = "[profile dev]\nregion = us-west-2\n[default]\nregion = eu-west-3\n";
    std::fs::write(folder.join("config"), config).unwrap();
    let credentials = "[dev]\naws_access_key_id = AKIADEV\naws_secret_access_key = s\n";
    std::fs::write(folder.join("credentials"), credentials).unwrap();
    home
}

fn signed_by(key: &str, region: &str) -> (String, String) {
    (key.to_owned(), region.to_owned())
}

#[tokio::test]
async fn keys_of_the_environment_are_used_as_they_are() {
    let found = signer(&env(&[]), AwsOptions::default()).await;
    assert_eq!(found, signed_by(ACCESS_KEY, "eu-central-1"));
    // As in the SDKs: keys win over AWS_PROFILE, and a profile that was asked for by name over keys.
    let home = home();
    let home = home.path().to_str().unwrap();
    let with_profile = env(&[("HOME", home), ("AWS_PROFILE", "dev")]);
    let found = signer(&with_profile, AwsOptions::default()).await;
    assert_eq!(found, signed_by(ACCESS_KEY, "eu-central-1"));
    let options = AwsOptions {
        profile: Some("dev".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..AwsOptions::default()
    };
    let found = signer(&with_profile, options).await;
    assert_eq!(found, signed_by("AKIADEV", "us-east-1"));
}

#[tokio::test]
async fn a_profile_gives_keys_and_region() {
    let home = home();
    let env: Env = [
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_PROFILE", "dev"),
    ]
    .into_iter()
    .collect();
    let found = signer(&env, AwsOptions::default()).await;
    assert_eq!(found, signed_by("AKIADEV", "us-west-2"));
}

#[tokio::test]
async fn a_missing_or_impossible_region_is_told() {
    let env: Env = [
        ("HOME", "/nonexistent"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .into_iter()
    .collect();
    let error = AwsClient::connect(&env, AwsOptions::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Configuration);
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
    let options = AwsOptions {
        region: Some("x.evil.example/".to_owned()),
        ..AwsOptions::default()
    };
    let error = AwsClient::connect(&env, options).await.unwrap_err();
    assert!(error.message.contains("not an AWS region"), "{error}");
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_named() {
    let home = home();
    let env: Env = [
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_REGION", "eu-west-1"),
    ]
    .into_iter()
    .collect();
    let options = AwsOptions {
        profile: Some("nobody".to_owned()),
        ..options("http://127.0.0.1:1")
    };
    let client = AwsClient::connect(&env, options).await.unwrap();
    let error = kms::generate_data_key(&client, "alias/x", &kms::EncryptionContext::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Credentials);
    assert!(error.message.contains("`nobody`"), "{error}");
}
