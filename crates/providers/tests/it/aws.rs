//! `aws-sm`, `aws-ps` and `aws-kms` against moto, which somebody else wrote after the services' models, and
//! against servers that hang, fail or talk nonsense.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_aws::{AwsClient, AwsOptions, Operation, Repeat, Service};
use fnox_core::SecretString;
use fnox_providers::ErrorKind;
use fnox_testkit::services;
use fnox_testkit::stand_in::Relay;
use serde_json::{Value, json};
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::bad_server::{Subject, an_outage_is_one, what_is_no_such_service_is};
use crate::conformance::{Backend, Checked, Kind, check};
use crate::kinds;
use crate::world::{World, named, pair, read, request};

/// The stores, each with what its table needs beside region and endpoint.
const STORES: [&str; 2] = ["aws-sm", "aws-ps"];

const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn world() -> World {
    let mut world = World::new();
    world.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    world.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    world.set("AWS_EC2_METADATA_DISABLED", "true");
    world
}

fn keys(kind: &str, endpoint: &str, more: &str) -> String {
    format!("type = \"{kind}\"\nregion = \"eu-central-1\"\nendpoint = \"{endpoint}\"\n{more}")
}

/// A prefix of its own: the server is shared, and may have seen earlier runs.
fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos();
    format!(
        "prefix = \"/p{nanos}-{}/\"",
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn call(world: &World, service: Service, name: &'static str, input: Value) -> Value {
    let options = AwsOptions {
        region: Some("eu-central-1".to_owned()),
        endpoint_url: Some(services::moto().url),
        ..AwsOptions::default()
    };
    let client = AwsClient::connect(&world.env(), options).await.unwrap();
    let repeat = Repeat::OnlyUndone;
    let operation = Operation {
        service,
        name,
        repeat,
    };
    client.call(operation, &input).await.unwrap()
}

async fn kms_key(world: &World) -> String {
    let answer = call(world, Service::Kms, "CreateKey", json!({})).await;
    answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

async fn store_conforms<K: Kind>(kind: K) -> Checked<K> {
    let world = world();
    let provider = world.open(&keys(K::NAME, &services::moto().url, &prefix()));
    check(&Backend {
        kind,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &Vec::new,
    })
    .await
}

#[tokio::test]
#[ignore = "needs moto"]
pub(crate) async fn secrets_manager_conforms() -> Checked<kinds::AwsSm> {
    store_conforms(kinds::AwsSm).await
}

#[tokio::test]
#[ignore = "needs moto"]
pub(crate) async fn parameter_store_conforms() -> Checked<kinds::AwsPs> {
    store_conforms(kinds::AwsPs).await
}

#[tokio::test]
#[ignore = "needs moto"]
async fn more_names_than_one_call_takes_come_back_in_order() {
    for kind in STORES {
        let world = world();
        let provider = world.open(&keys(kind, &services::moto().url, &prefix()));
        let names: Vec<String> = (0..45).map(|at| format!("n{at}")).collect();
        for name in &names {
            let value = SecretString::from(format!("value of {name}"));
            provider.put(name, &value).await.unwrap();
        }
        let requests: Vec<_> = names.iter().map(|name| request(name)).collect();
        let answers = provider.get_many(&requests).await;
        for (name, answer) in names.iter().zip(answers) {
            assert_eq!(answer.unwrap().expose_secret(), format!("value of {name}"));
        }
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn names_and_values_that_aws_would_refuse_are_refused_before() {
    for (kind, limit) in [("aws-sm", 65_536), ("aws-ps", 8192)] {
        let world = world();
        let provider = world.open(&keys(kind, &services::moto().url, &prefix()));
        let value = |length: usize| SecretString::from("x".repeat(length));
        provider.put("largest", &value(limit)).await.unwrap();
        for (name, length) in [("a", 0), ("a", limit + 1), ("with space", 1), ("ü", 1)] {
            let error = provider.put(name, &value(length)).await.unwrap_err();
            assert_eq!(
                error.kind,
                ErrorKind::Misconfigured,
                "{name} {length}: {error}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_deleted_secret_is_told_and_bytes_that_are_text_are_read() {
    let world = world();
    let provider = world.open(&keys("aws-sm", &services::moto().url, &prefix()));
    let value = SecretString::from("one");
    provider.put("a", &value).await.unwrap();
    provider.delete("a").await.unwrap();
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert!(error.message.contains("scheduled for deletion"), "{error}");

    let plain = world.open(&keys("aws-sm", &services::moto().url, ""));
    for (bytes, wanted) in [
        (&b"t \n"[..], Ok("t \n")),
        (&[0xff], Err(ErrorKind::Misconfigured)),
    ] {
        let name = prefix().replace(['"', ' ', '='], "");
        let input = json!({"Name": name, "ClientRequestToken": "0".repeat(32), "SecretBinary": BASE64.encode(bytes)});
        let made = call(&world, Service::SecretsManager, "CreateSecret", input).await;
        for reference in [name.as_str(), made["ARN"].as_str().unwrap()] {
            let found = read(plain.as_ref(), reference).await;
            assert_eq!(found.as_deref().map_err(|error| error.kind), wanted);
        }
    }
}

#[tokio::test]
#[ignore = "needs moto"]
pub(crate) async fn kms_conforms_and_binds_values_to_their_place() -> Checked<kinds::AwsKms> {
    let mut world = world();
    let moto = services::moto().url;
    let key = kms_key(&world).await;
    let table = keys("aws-kms", &moto, &format!("key_id = \"{key}\""));
    let provider = world.open(&table);
    let checked = check(&Backend {
        kind: kinds::AwsKms,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &Vec::new,
    })
    .await;

    let stored = provider
        .encrypt(&[pair("A", " v\n")])
        .await
        .unwrap()
        .remove(0);
    let moved = provider.get_many(&[named("B", &stored)]).await.remove(0);
    let error = moved.unwrap_err();
    assert!(error.message.contains("no value of `B`"), "{error}");
    world.profile = "prod".to_owned();
    let elsewhere = world.open(&table);
    assert_eq!(read(elsewhere.as_ref(), &stored).await.unwrap(), " v\n");
    let bound = elsewhere
        .encrypt(&[pair("A", "prod")])
        .await
        .unwrap()
        .remove(0);
    assert!(
        read(provider.as_ref(), &bound)
            .await
            .unwrap_err()
            .message
            .contains("profile `prod`")
    );

    let other = keys(
        "aws-kms",
        &moto,
        &format!("key_id = \"{}\"", kms_key(&world).await),
    );
    let other = world.open(&other);
    assert_eq!(
        (provider.is_current(&stored), other.is_current(&stored)),
        (Some(true), Some(false))
    );
    let again = other.get_to_reencrypt(&[request(&stored)]).await.remove(0);
    assert_eq!(again.unwrap().expose_secret(), " v\n");
    checked
}

/// AWS refuses to write what is being deleted (`PutSecretValue`, `InvalidRequestException`), which moto does not.
#[tokio::test]
async fn a_deleted_secret_is_restored_by_being_set() {
    let server = MockServer::start().await;
    let refusal = r#"{"__type":"InvalidRequestException","Message":"You can't perform this operation on the secret because it was marked for deletion."}"#;
    let target = |name: &str| header("x-amz-target", format!("secretsmanager.{name}").as_str());
    Mock::given(target("PutSecretValue"))
        .respond_with(ResponseTemplate::new(400).set_body_string(refusal))
        .up_to_n_times(1)
        .expect(1)
        .mount(&server)
        .await;
    for name in ["RestoreSecret", "PutSecretValue"] {
        Mock::given(target(name))
            .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
            .expect(1)
            .mount(&server)
            .await;
    }
    let provider = world().open(&keys("aws-sm", &server.uri(), ""));
    let stored = provider.put("a", &SecretString::from("v")).await;
    assert_eq!(stored.unwrap(), "a");
}

/// What the established CLI stores: base64 of what `kms:Encrypt` gives for the value.
#[tokio::test]
#[ignore = "needs moto"]
async fn values_that_kms_encrypted_directly_stay_readable() {
    let world = world();
    let key = kms_key(&world).await;
    let input = json!({"KeyId": key, "Plaintext": BASE64.encode(" old \n")});
    let answer = call(&world, Service::Kms, "Encrypt", input).await;
    let stored = answer["CiphertextBlob"].as_str().unwrap();
    let provider = world.open(&keys(
        "aws-kms",
        &services::moto().url,
        &format!("key_id = \"{key}\""),
    ));
    assert_eq!(read(provider.as_ref(), stored).await.unwrap(), " old \n");
    assert_eq!(provider.is_current(stored), Some(false));
    for nothing in ["", "plain text", "QUJD"] {
        let error = read(provider.as_ref(), nothing).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{nothing}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_role_is_assumed_at_the_sts_that_the_environment_names() {
    let mut world = world();
    let moto = services::moto().url;
    let role = format!(
        "{}\nrole_arn = \"arn:aws:iam::123456789012:role/reader\"",
        prefix()
    );
    world.set("AWS_ENDPOINT_URL_STS", &moto);
    let provider = world.open(&keys("aws-sm", &moto, &role));
    provider.put("a", &SecretString::from("v")).await.unwrap();
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v");
    world.set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    let error = read(world.open(&keys("aws-sm", &moto, &role)).as_ref(), "a").await;
    assert!(error.unwrap_err().message.contains("role/reader"));
    let wrong = keys("aws-sm", &moto, "role_arn = \"reader\"");
    let error = world.try_open(&wrong).unwrap_err();
    assert_eq!(error.key, Some("role_arn"));
}

#[tokio::test]
async fn without_a_login_the_command_that_logs_in_is_told() {
    let mut world = World::new();
    world.set("AWS_EC2_METADATA_DISABLED", "true");
    let profile = keys("aws-sm", "http://127.0.0.1:1", "profile = \"dev\"");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    world.set("AWS_CONFIG_FILE", config.to_str().unwrap());
    let error = read(world.open(&profile).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(
        error.to_string().contains("no AWS profile `dev`"),
        "{error}"
    );
    let text = "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = r\n\
                [sso-session corp]\nsso_region = eu-central-1\nsso_start_url = http://127.0.0.1:1/start\n";
    std::fs::write(&config, text).unwrap();
    let error = read(world.open(&profile).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    let remedy = error.remedy.unwrap();
    assert!(remedy.contains("aws sso login --profile dev"), "{remedy}");
}

#[tokio::test]
async fn servers_that_hang_fail_or_talk_nonsense_end_in_one_error_each() {
    let denied = r#"{"__type":"AccessDeniedException","Message":"User is not authorized"}"#;
    let answers = [
        (
            ResponseTemplate::new(200).set_delay(Duration::from_mins(2)),
            ErrorKind::Unavailable,
        ),
        (ResponseTemplate::new(500), ErrorKind::Unavailable),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            ErrorKind::Unavailable,
        ),
        (
            ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"),
            ErrorKind::Unavailable,
        ),
        (
            ResponseTemplate::new(400).set_body_string(denied),
            ErrorKind::Denied,
        ),
        (
            ResponseTemplate::new(400).set_body_string(r#"{"__type":"ExpiredTokenException"}"#),
            ErrorKind::AuthenticationNeeded,
        ),
    ];
    for (answer, kind) in answers {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        for (type_name, more) in [
            ("aws-sm", ""),
            ("aws-ps", ""),
            ("aws-kms", "key_id = \"k\""),
        ] {
            let mut world = world();
            world.time_limit = Duration::from_secs(2);
            let provider = world.open(&keys(type_name, &server.uri(), more));
            let answers = provider.get_many(&["QUJD", "REVG"].map(request)).await;
            for answer in answers {
                let error = answer.unwrap_err();
                assert_eq!(error.kind, kind, "{type_name}: {error}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn an_outage_of_a_service_is_one_and_a_slow_service_is_waited_for() {
    let moto = services::moto().url;
    let relay = Relay::before(&moto);
    let key = format!("key_id = \"{}\"", kms_key(&world()).await);
    let prefix = prefix();
    for (type_name, more) in [("aws-sm", &prefix), ("aws-ps", &prefix), ("aws-kms", &key)] {
        let provider = world().open(&keys(type_name, &moto, more));
        let reference = match type_name {
            "aws-kms" => provider.encrypt(&[pair("A", "v")]).await.unwrap().remove(0),
            _ => provider.put("a", &SecretString::from("v")).await.unwrap(),
        };
        let mut subject = Subject {
            server: &relay,
            world: world(),
            keys: keys(type_name, relay.url(), more),
            reference: &reference,
            secrets: &[SECRET_KEY],
        };
        an_outage_is_one(&mut subject).await;
        what_is_no_such_service_is(ErrorKind::Unavailable, &subject).await;
    }
}
