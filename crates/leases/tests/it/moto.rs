//! Against moto, a server that this project did not write.

use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region};
use fnox_core::Credential;
use fnox_testkit::services;

use crate::support::{Project, cached, minted};

/// Who the holder of a credential is, by the word of the server.
async fn caller(url: &str, credential: &Credential) -> String {
    let value = |name: &str| {
        credential
            .variable(name)
            .unwrap()
            .expose_secret()
            .to_owned()
    };
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .http_client(http)
        .endpoint_url(url)
        .credentials_provider(Credentials::new(
            value("AWS_ACCESS_KEY_ID"),
            value("AWS_SECRET_ACCESS_KEY"),
            Some(value("AWS_SESSION_TOKEN")),
            None,
            "test",
        ));
    let client = aws_sdk_sts::Client::from_conf(config.build());
    let answer = client.get_caller_identity().send().await.unwrap();
    answer.arn().unwrap().to_owned()
}

fn project(url: &str, more: &str) -> Project {
    Project::with_env(
        &format!(
            "[leases.aws]\ntype = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{url}'\n\
             role_arn = 'arn:aws:iam::123456789012:role/dev-role'\nduration = '1h'\n{more}\n"
        ),
        &[
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
        ],
    )
}

#[tokio::test]
#[ignore = "needs moto"]
async fn the_holder_is_the_assumed_role() {
    let url = services::moto().url;
    let project = project(&url, "session_name = 'a.session'\ntags = { team = 'x' }");
    let held = minted(project.exec("aws").await.unwrap());
    let arn = caller(&url, &held.credential).await;
    assert_eq!(
        arn,
        "arn:aws:sts::123456789012:assumed-role/dev-role/a.session"
    );
    let again = cached(project.exec("aws").await.unwrap());
    assert_eq!(again.credential.variables, held.credential.variables);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_token_becomes_the_assumed_role() {
    let url = services::moto().url;
    let project = project(&url, "web_identity_token_file = 'token'");
    std::fs::write(project.root.join("project/token"), "e30.e30.e30").unwrap();
    let held = minted(project.exec("aws").await.unwrap());
    let arn = caller(&url, &held.credential).await;
    assert!(
        arn.ends_with("assumed-role/dev-role/fnox-exec-aws"),
        "{arn}"
    );
}
