//! What goes over the wire, and what is made of answers that nobody wants.

use std::time::Duration;

use fnox_aws::secrets_manager::{self, Deletion, NewSecret, Tag};
use fnox_aws::{AwsClient, AwsError, AwsErrorKind, AwsOptions, Blob, kms};
use fnox_core::{Clock as _, SystemClock};
use fnox_testkit::stand_in::sts::sigv4::{Authorization, SignedParts};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{SECRET_KEY, client, env, options};

const CANARY: &str = "canary-7f3a";

async fn answering(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    for answer in answers {
        Mock::given(any())
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(&server)
            .await;
    }
    server
}

fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body.to_string())
}

fn value() -> Value {
    json!({"ARN": "arn:x", "Name": "a", "VersionId": "v", "SecretBinary": "AAEC", "CreatedDate": 1.5})
}

async fn read(client: &AwsClient) -> Result<secrets_manager::Value, AwsError> {
    secrets_manager::get_secret_value(client, "a").await
}

fn headers(request: &Request) -> Vec<(String, String)> {
    request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn requests_are_signed_with_signature_version_4() {
    let server = answering(vec![answer(200, &value())]).await;
    let env = env(&[("AWS_SESSION_TOKEN", "session")]);
    let client = AwsClient::connect(&env, options(&server.uri()));
    let client = client.await.unwrap();
    let found = read(&client).await.unwrap();
    assert_eq!(found.secret_binary.unwrap().expose_bytes(), [0, 1, 2]);

    let requests = server.received_requests().await.unwrap();
    let request = &requests[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(
        request.headers["x-amz-target"],
        "secretsmanager.GetSecretValue"
    );
    assert_eq!(
        request.headers["content-type"],
        "application/x-amz-json-1.1"
    );
    assert_eq!(request.headers["x-amz-security-token"], "session");
    assert_eq!(request.body, br#"{"SecretId":"a"}"#);
    let header = request.headers["authorization"].to_str().unwrap();
    let authorization = Authorization::parse(header).unwrap();
    assert_eq!(authorization.service, "secretsmanager");
    assert_eq!(authorization.region, "eu-central-1");
    let headers = headers(request);
    let parts = SignedParts {
        method: "POST",
        path: request.url.path(),
        query: "",
        headers: &headers,
        body: &request.body,
    };
    let now = SystemClock.now();
    assert_eq!(authorization.verify(&parts, SECRET_KEY, now), Ok(()));
    let changed = SignedParts {
        body: br#"{"SecretId":"b"}"#,
        ..parts
    };
    assert!(authorization.verify(&changed, SECRET_KEY, now).is_err());
}

#[tokio::test]
async fn throttling_and_failures_are_tried_again() {
    let server = answering(vec![
        answer(400, &json!({"__type": "ThrottlingException"})),
        ResponseTemplate::new(503),
        answer(500, &json!({"__type": "InternalServiceError"})),
        answer(200, &value()),
    ])
    .await;
    assert_eq!(
        read(&client(&server.uri()).await).await.unwrap().version_id,
        "v"
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
}

#[tokio::test]
async fn trying_again_has_an_end_and_refusals_are_not_tried_again() {
    let busy = answer(
        400,
        &json!({"__type": "ThrottlingException", "message": "slow"}),
    );
    let server = answering(vec![busy; 9]).await;
    let error = read(&client(&server.uri()).await).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retryable),
        (AwsErrorKind::Throttled, true)
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 4);

    let refusal = answer(
        400,
        &json!({"__type": "AccessDeniedException", "Message": "no"}),
    )
    .insert_header("x-amzn-RequestId", "req-1");
    let server = answering(vec![refusal]).await;
    let error = read(&client(&server.uri()).await).await.unwrap_err();
    let told = "secretsmanager:GetSecretValue: AccessDeniedException: no (request req-1)";
    assert_eq!(error.to_string(), told);
    assert!(!error.retryable);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_of_unknown_fate_is_not_repeated() {
    let server = answering(vec![ResponseTemplate::new(500), answer(200, &json!({}))]).await;
    let client = client(&server.uri()).await;
    let error = secrets_manager::delete_secret(&client, "a", Deletion::Force).await;
    assert_eq!(error.unwrap_err().kind, AwsErrorKind::Failed);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn answers_of_somebody_else_are_told_and_not_shown() {
    for wrong in [
        ResponseTemplate::new(200).set_body_string(format!("<html>{CANARY}")),
        answer(200, &json!({"VersionId": 7, "x": CANARY})),
        answer(
            200,
            &json!({"Name": "a", "VersionId": "v", "SecretBinary": CANARY}),
        ),
        ResponseTemplate::new(404).set_body_string(CANARY),
        ResponseTemplate::new(200).set_body_bytes(vec![0xff, 0xfe]),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; 4 * 1024 * 1024 + 1]),
    ] {
        let server = answering(vec![wrong]).await;
        let error = read(&client(&server.uri()).await).await.unwrap_err();
        assert_eq!(error.kind, AwsErrorKind::Malformed, "{error:?}");
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = answering(vec![answer(200, &value())]).await;
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str());
    let server = answering(vec![redirect]).await;
    let error = read(&client(&server.uri()).await).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Malformed, "{error:?}");
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn silence_ends() {
    let slow = answer(200, &value()).set_delay(Duration::from_hours(1));
    let server = answering(vec![slow]).await;
    let options = AwsOptions {
        call_limit: Duration::from_millis(100),
        ..options(&server.uri())
    };
    let client = AwsClient::connect(&env(&[]), options).await.unwrap();
    let error = read(&client).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Interrupted, "{error:?}");
    assert!(error.retryable);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = read(&client(&url).await).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Unreachable, "{error:?}");
}

#[tokio::test]
async fn a_data_key_of_another_size_is_refused() {
    let wrong = json!({"CiphertextBlob": "AA==", "Plaintext": "AAEC", "KeyId": "k"});
    let server = answering(vec![answer(200, &wrong)]).await;
    let client = client(&server.uri()).await;
    let error = kms::generate_data_key(&client, "k", &kms::EncryptionContext::new()).await;
    assert_eq!(error.unwrap_err().kind, AwsErrorKind::Malformed);
}

#[tokio::test]
async fn a_new_secret_is_sent_as_the_model_says() {
    let server = answering(vec![answer(200, &json!({}))]).await;
    let secret = NewSecret {
        name: "p/a".to_owned(),
        client_request_token: "0".repeat(32),
        secret_binary: Blob::new(CANARY.as_bytes().to_vec()),
        description: None,
        kms_key_id: Some("alias/k".to_owned()),
        tags: vec![Tag {
            key: "k".to_owned(),
            value: "v".to_owned(),
        }],
    };
    assert!(!format!("{secret:?}").contains(CANARY));
    let client = client(&server.uri()).await;
    secrets_manager::create_secret(&client, &secret)
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    let sent: Value = serde_json::from_slice(&requests[0].body).unwrap();
    let expected = json!({
        "Name": "p/a",
        "ClientRequestToken": "0".repeat(32),
        "SecretBinary": "Y2FuYXJ5LTdmM2E=",
        "KmsKeyId": "alias/k",
        "Tags": [{"Key": "k", "Value": "v"}],
    });
    assert_eq!(sent, expected);
}
