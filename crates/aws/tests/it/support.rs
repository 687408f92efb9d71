//! Clients for tests.

use std::time::Duration;

use fnox_aws::{AwsClient, AwsOptions};
use fnox_core::Env;

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(crate) fn env(more: &[(&'static str, &str)]) -> Env {
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "eu-central-1"),
        ("HOME", "/nonexistent"),
    ];
    variables.extend_from_slice(more);
    variables.into_iter().collect()
}

pub(crate) fn options(url: &str) -> AwsOptions {
    AwsOptions {
        endpoint_url: Some(url.to_owned()),
        pause: Duration::from_millis(1),
        ..AwsOptions::default()
    }
}

pub(crate) async fn client(url: &str) -> AwsClient {
    AwsClient::connect(&env(&[]), options(url)).await.unwrap()
}
