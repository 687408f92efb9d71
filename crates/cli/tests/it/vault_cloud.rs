//! A vault whose secrets are in AWS Secrets Manager and whose key is in KMS, against moto.

use fnox_testkit::Sandbox;
use fnox_testkit::services::{self, Moto};

use crate::support::{fails, sandbox};
use crate::vault_support::{GITHUB, Vault};

const CREATE_KEY: &str =
    "import boto3; print(boto3.client('kms').create_key()['KeyMetadata']['KeyId'], end='')";

const BINARIES: &str = "
import boto3, sys
client = boto3.client('secretsmanager')
for page in client.get_paginator('list_secrets').paginate():
    for secret in page['SecretList']:
        if secret['Name'].startswith(sys.argv[1]):
            sys.stdout.buffer.write(client.get_secret_value(SecretId=secret['Name'])['SecretBinary'])
";

/// A sandbox that knows moto.
fn with_moto(moto: &Moto) -> Sandbox {
    let sandbox = sandbox()
        .with_env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_env("AWS_SECRET_ACCESS_KEY", "secret");
    let variables = moto.client_variables().into_iter();
    variables.fold(sandbox, |sandbox, (name, value)| {
        sandbox.with_env(name, value)
    })
}

fn python(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.run_program(services::boto3_python(), [&["-c"], arguments].concat());
    run.finish().succeeds().stdout
}

#[test]
#[ignore = "needs moto"]
fn secrets_live_in_secrets_manager_and_the_key_in_kms() {
    let sandbox = with_moto(&services::moto());
    let folder = sandbox.root().file_name().unwrap();
    let prefix = folder.to_str().unwrap().to_owned();
    let key = python(&sandbox, &[CREATE_KEY]);
    sandbox.write_private(
        sandbox.config_folder().join("vault.toml"),
        format!("store = \"aws-sm:{prefix}\"\nkey = \"kms:{key}\"\n[audit]\nstore = \"sqlite:local.db\"\n"),
    );
    let mut vault = Vault::serving_in(sandbox, GITHUB, &[]);
    vault.store("github-token", "hunter2");
    vault.stop();
    vault.start();
    let status = vault.json(&["status"]);
    let details = &status["health"]["details"];
    assert!(
        details["store"].as_str().unwrap().starts_with("aws-sm:"),
        "{details}"
    );
    assert!(
        details["key_source"].as_str().unwrap().starts_with("kms:"),
        "{details}"
    );
    let ask = [
        "lease",
        "request",
        "github-token@github.com",
        "--agent",
        "coder-1",
    ];
    let lease = vault.ok(&ask);
    let access = ["lease", "access", lease.trim(), "--host", "github.com"];
    assert_eq!(vault.ok(&access), "hunter2");
    assert_eq!(vault.json(&["audit", "verify"])["intact"], true);
    let stored = python(&vault.sandbox, &[BINARIES, &prefix]);
    assert!(!stored.is_empty() && !stored.contains("hunter2"), "sealed");
    vault.ok(&["key", "rotate", "--source"]);
    vault.ok(&["secret", "delete", "github-token"]);
}

#[test]
fn what_is_wrong_with_aws_is_told_at_the_start() {
    let sandbox = sandbox();
    let init = |store: &str, key: &str, code: i32| {
        fails(
            &sandbox,
            code,
            &["vault", "init", "--store", store, "--key", key],
        )
    };
    let error = init("aws-sm:a//", "env:K", 3);
    assert!(error.contains("prefix"), "{error}");
    let error = init("aws-sm:fnox", "env:K", 3);
    assert!(error.contains("region"), "{error}");
    let error = init("sqlite:v.db", "kms:alias/x", 3);
    assert!(error.contains("region"), "{error}");
    // Nobody listens there.
    let nowhere = sandbox_at("http://127.0.0.1:9");
    let error = fails(&nowhere, 6, &["vault", "init", "--store", "aws-sm:fnox"]);
    assert!(error.contains("vault::store"), "{error}");
}

fn sandbox_at(url: &str) -> Sandbox {
    sandbox()
        .with_env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_env("AWS_SECRET_ACCESS_KEY", "secret")
        .with_env("AWS_REGION", "eu-central-1")
        .with_env("AWS_ENDPOINT_URL", url)
}
