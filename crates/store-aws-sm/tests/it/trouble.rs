//! Limits, and an AWS that does not answer as it should.

use fnox_testkit::services;
use fnox_vault::store::{SecretStore as _, StoreError};
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{client, forgetful, moto, name, next, secret, unique};

#[tokio::test]
async fn a_value_over_the_limit_is_refused_before_anything_is_sent() {
    let server = MockServer::start().await;
    let store = forgetful(&client(&server.uri()).await, "p");
    let large = secret("a", 70_000);
    for error in [
        store.insert(large.clone()).await.unwrap_err(),
        store.add_version(next(&large), 1).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error}");
        let told = "aws-sm:p (eu-central-1) cannot hold 69 KiB, which one version of this secret would take: \
                    AWS's limit is 64 KiB";
        assert_eq!(error.to_string(), told);
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs moto"]
async fn kept_versions_count_too_and_nothing_is_lost_by_the_refusal() {
    let client = client(&services::moto().url).await;
    let store = forgetful(&client, &unique());
    let one = secret("a", 40_000);
    store.insert(one.clone()).await.unwrap();
    let error = store.add_version(next(&one), 2).await.unwrap_err();
    assert!(
        error.to_string().contains("2 versions (fewer may be kept)"),
        "{error}"
    );
    assert_eq!(*store.secret(&name("a")).await.unwrap().unwrap(), one);
    store.add_version(next(&one), 1).await.unwrap();
    let two = store.secret(&name("a")).await.unwrap().unwrap();
    assert_eq!(*two, next(&one));
}

#[tokio::test]
async fn failures_of_aws_are_told_and_pass() {
    let server = MockServer::start().await;
    let fail = |status: u16, body: &str| ResponseTemplate::new(status).set_body_string(body);
    for answer in [
        fail(400, r#"{"__type":"AccessDeniedException","Message":"no"}"#),
        fail(400, r#"{"__type":"DecryptionFailure"}"#),
        fail(200, "garbage"),
        fail(404, "<html>"),
    ] {
        let once = Mock::given(any()).respond_with(answer).up_to_n_times(1);
        once.mount(&server).await;
    }
    let store = forgetful(&client(&server.uri()).await, "p");
    let a = name("a");
    for told in [
        "AccessDeniedException",
        "DecryptionFailure",
        "not what",
        "404",
    ] {
        let error = store.secret(&a).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let missing = fail(400, r#"{"__type":"ResourceNotFoundException"}"#);
    Mock::given(header("x-amz-target", "secretsmanager.GetSecretValue"))
        .respond_with(missing)
        .mount(&server)
        .await;
    assert!(store.secret(&a).await.unwrap().is_none());
}

#[tokio::test]
async fn a_list_with_a_hole_is_no_list() {
    let server = MockServer::start().await;
    let answers = [
        (
            "ListSecrets",
            r#"{"SecretList":[{"Name":"p/a"},{"Name":"p/b"}]}"#,
        ),
        (
            "BatchGetSecretValue",
            r#"{"SecretValues":[],"Errors":[{"SecretId":"p/a",
            "ErrorCode":"ResourceNotFoundException","Message":"m"}]}"#,
        ),
    ];
    for (operation, answer) in answers {
        let target = format!("secretsmanager.{operation}");
        Mock::given(header("x-amz-target", target.as_str()))
            .respond_with(ResponseTemplate::new(200).set_body_string(answer))
            .mount(&server)
            .await;
    }
    let store = forgetful(&client(&server.uri()).await, "p");
    let error = store.count_by_key().await.unwrap_err();
    assert!(error.to_string().contains("1 secrets of 2"), "{error}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn the_place_can_be_checked_before_it_is_needed() {
    forgetful(&moto().await, &unique()).check().await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = forgetful(&client(&url).await, "p").check().await;
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}
