//! `keeper-sm` against a stand-in that opens and checks every call, and both against Keeper's client for Python.

use std::os::unix::fs::PermissionsExt as _;

use fnox_core::SecretString;
use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::keeper::Keeper;
use serde_json::{Value, json};

use crate::bad_server::{Subject, fails_closed};
use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const KEYS: &str = "type = \"keeper-sm\"\nconfig_file = \"ksm.json\"";

/// A tenant whose record `Shop` a bound device may read.
fn serving() -> (Issuer<Keeper>, World, String) {
    let server = Issuer::start(Keeper::new());
    let url = server.url().to_owned();
    let uid = server.change(|keeper| {
        keeper.files_at = url;
        keeper.login("Shop", "p/w ü")
    });
    let world = World::new();
    world.write("ksm.json", Keeper::config(server.url()).to_string());
    (server, world, uid)
}

/// A tenant and a device that has a one-time token only.
fn unbound() -> (Issuer<Keeper>, World, String) {
    let (server, mut world, uid) = serving();
    world.write("ksm.json", Keeper::service_config().to_string());
    world.set("KSM_TOKEN", token(&server, Keeper::TOKEN));
    (server, world, uid)
}

/// A token for a host instead of a region.
fn token(server: &Issuer<Keeper>, token: &str) -> String {
    format!("{}:{token}", server.url())
}

fn no_complaints(server: &Issuer<Keeper>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

fn data(server: &Issuer<Keeper>) -> Value {
    server.change(|keeper| serde_json::from_str(&keeper.records[0].data).unwrap())
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::KeeperSm> {
    let (server, world, _) = serving();
    let existing: Vec<(String, String)> = server.change(|keeper| {
        values()
            .into_iter()
            .map(|value| (keeper.login("A login", &value), value))
            .collect()
    });
    let provider = world.open(KEYS);
    let checked = check(&Backend {
        kind: kinds::KeeperSm,
        provider: &*provider,
        existing,
        state: &|| {
            let records = server.change(|keeper| format!("{:?}", keeper.records));
            format!("{records}{:?}", world.snapshot()).into_bytes()
        },
    })
    .await;
    no_complaints(&server);
    checked
}

#[tokio::test]
async fn it_fails_closed() {
    let (server, world, _) = serving();
    let secrets = Keeper::secrets();
    fails_closed(Subject {
        server: &server,
        world,
        keys: KEYS.to_owned(),
        reference: "Shop/field/password",
        secrets: &[&secrets[0], &secrets[1], "p/w"],
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_call_for_the_records_that_are_wanted() {
    let (server, world, uid) = serving();
    let other = server.change(|keeper| {
        keeper.login("Unwanted", "x");
        keeper.records[1].is_in_folder = true;
        let other = keeper.login("Other", "second");
        keeper.records[2].is_in_folder = true;
        other
    });
    let wanted = [
        format!("{uid}/field/password"),
        format!("keeper://{other}"),
        format!("{uid}/field/login"),
        "AAAAAAAAAAAAAAAAAAAAAA/title".to_owned(),
        format!("{uid}/nonsense"),
    ];
    let requests: Vec<_> = wanted.iter().map(|text| request(text)).collect();
    let answers = world.open(KEYS).get_many(&requests).await;
    let shown: Vec<_> = answers[..3]
        .iter()
        .map(|answer| answer.as_ref().unwrap().expose_secret())
        .collect();
    assert_eq!(shown, ["p/w ü", "second", "bob"]);
    assert_eq!(answers[3].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    let error = answers[4].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert_eq!(server.requests().len(), 1);
    no_complaints(&server);
}

#[tokio::test]
async fn a_title_finds_its_record_and_two_of_it_none() {
    let (server, world, uid) = serving();
    assert_eq!(
        read(&*world.open(KEYS), "Shop/type").await.unwrap(),
        "login"
    );
    server.change(|keeper| keeper.login("Shop", "x"));
    let error = read(&*world.open(KEYS), "Shop/type").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.remedy.unwrap().contains("UID"));
    let by_uid = format!("{uid}/type");
    assert_eq!(read(&*world.open(KEYS), &by_uid).await.unwrap(), "login");
    let error = read(&*world.open(KEYS), "shop/type").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    no_complaints(&server);
}

#[tokio::test]
async fn files_are_fetched_once_and_opened() {
    let (server, world, uid) = serving();
    server.change(|keeper| {
        keeper.records[0].files = vec![
            (
                "a.pem".to_owned(),
                "A key".to_owned(),
                b"line\nline\n".to_vec(),
            ),
            ("b.bin".to_owned(), "B".to_owned(), vec![0xff, 0xfe]),
        ];
    });
    let wanted = ["file/a.pem", "file/A key", "file/gone", "file/b.bin"]
        .map(|path| request(&format!("{uid}/{path}")));
    let answers = world.open(KEYS).get_many(&wanted).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "line\nline\n");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    let error = answers[3].as_ref().unwrap_err();
    assert!(error.message.contains("no text"), "{error}");
    assert_eq!(server.requests().len(), 3, "one call, and each file once");
    no_complaints(&server);
}

#[tokio::test]
async fn a_change_leaves_all_else_of_the_record_as_it_was() {
    let (server, world, uid) = serving();
    let odd = r#"{ "title":"Shop","type":"login", "x-unknown":[1.50,{"deep":null}],
        "fields":[{"type":"password","required":true,"value":["old"]},{"type":"name","value":[{"first":"Jo","last":"Do"}]}],"custom":[]}   "#;
    server.change(|keeper| keeper.records[0].data = odd.to_owned());
    let provider = world.open(KEYS);
    let value = SecretString::from("n\"ew\n");
    for (path, from, to) in [
        ("field/password", r#""old""#, r#""n\"ew\n""#),
        ("field/name[0][last]", r#""Do""#, r#""n\"ew\n""#),
    ] {
        let before = server.change(|keeper| keeper.records[0].data.clone());
        let reference = format!("{uid}/{path}");
        assert_eq!(provider.put(&reference, &value).await.unwrap(), reference);
        let after = server.change(|keeper| keeper.records[0].data.clone());
        assert_eq!(after, before.replace(from, to));
    }
    provider.put("Shop/notes", &value).await.unwrap();
    assert_eq!(data(&server)["notes"], "n\"ew\n");
    let empty = SecretString::from("");
    let error = provider.put("Shop/notes", &empty).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("empty"), "{error}");
    assert_eq!(data(&server)["notes"], "n\"ew\n");
    provider.delete("Shop/notes").await.unwrap();
    assert_eq!(data(&server)["notes"], "");
    provider
        .put("Shop/custom_field/New one", &value)
        .await
        .unwrap();
    provider
        .put("Shop/custom_field/Second", &value)
        .await
        .unwrap();
    let added = json!({"type": "secret", "label": "New one", "value": ["n\"ew\n"]});
    assert_eq!(data(&server)["custom"][0], added);
    provider.delete("Shop/custom_field/New one").await.unwrap();
    assert_eq!(data(&server)["custom"].as_array().unwrap().len(), 1);
    assert_eq!(data(&server)["custom"][0]["label"], "Second");
    no_complaints(&server);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_before_anything_is() {
    let (server, world, uid) = serving();
    let provider = world.open(KEYS);
    let value = SecretString::from("v");
    let before = server.change(|keeper| format!("{:?}", keeper.records));
    for path in [
        "title",
        "type",
        "file/x",
        "field/absent",
        "field/password[]",
        "field/password[3]",
        "field/login[0][first]",
    ] {
        let error = provider
            .put(&format!("{uid}/{path}"), &value)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{path}: {error}");
        assert!(error.remedy.is_some(), "{path}: {error}");
    }
    server.change(|keeper| keeper.records[0].is_editable = false);
    let error = provider.put("Shop", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    let error = provider.put("Nobody", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    server.change(|keeper| keeper.records[0].is_editable = true);
    assert_eq!(
        server.change(|keeper| format!("{:?}", keeper.records)),
        before
    );
    no_complaints(&server);
}

#[tokio::test]
async fn a_change_of_somebody_else_is_told_and_not_overwritten() {
    let (server, world, uid) = serving();
    let theirs =
        r#"{"title":"Shop","type":"login","fields":[{"type":"password","value":["theirs"]}]}"#;
    server.change(|keeper| keeper.rival = Some(theirs.to_owned()));
    let provider = world.open(KEYS);
    let reference = format!("{uid}/field/password");
    let value = SecretString::from("ours");
    let error = provider.put(&reference, &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("somebody else"), "{error}");
    assert_eq!(read(&*provider, &reference).await.unwrap(), "theirs");
    provider.put(&reference, &value).await.unwrap();
    assert_eq!(read(&*provider, &reference).await.unwrap(), "ours");
    no_complaints(&server);
}

#[tokio::test]
async fn a_lost_answer_of_a_change_says_that_it_may_be_made() {
    let (server, mut world, uid) = serving();
    world.time_limit = std::time::Duration::from_secs(2);
    server.misbehave(Some(Misbehaviour::SilenceAfter(1)));
    let provider = world.open(KEYS);
    let value = SecretString::from("ours");
    let error = provider
        .put(&format!("{uid}/notes"), &value)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.remedy.unwrap().contains("may have stored"));
    assert_eq!(server.requests().len(), 2, "it is not sent again");
}

#[tokio::test]
async fn a_one_time_token_becomes_a_configuration_for_this_user_only() {
    let (server, world, _) = unbound();
    let provider = world.open(KEYS);
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert_eq!(server.requests().len(), 0, "a check uses no token");
    assert_eq!(read(&*provider, "Shop").await.unwrap(), "p/w ü");
    assert_eq!(
        read(&*provider, "Shop/notes").await.unwrap_err().kind,
        ErrorKind::NotFound
    );
    provider.check().await.unwrap();
    let written: Value = serde_json::from_str(&world.read("ksm.json")).unwrap();
    let mode = world
        .path("ksm.json")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for member in [
        "hostname",
        "clientId",
        "privateKey",
        "appKey",
        "serverPublicKey",
        "appOwnerPublicKey",
    ] {
        assert!(written[member].is_string(), "{member}: {written}");
    }
    assert_eq!(written.get("clientKey"), None, "the token is used");
    assert!(!world.path("ksm.json.pending").exists());
    assert_eq!(read(&*world.open(KEYS), "Shop").await.unwrap(), "p/w ü");
    no_complaints(&server);
}

#[tokio::test]
async fn the_private_key_is_kept_before_the_token_is_used() {
    let (server, mut world, _) = unbound();
    server.change(|keeper| keeper.repeats_binding = true);
    world.time_limit = std::time::Duration::from_secs(2);
    server.misbehave(Some(Misbehaviour::HangUp));
    let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.remedy.unwrap().contains("try again"));
    let pending = world.path("ksm.json.pending");
    assert_eq!(
        pending.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    server.misbehave(None);
    world.time_limit = std::time::Duration::from_secs(20);
    // The token itself is not needed any more.
    world.set("KSM_TOKEN", "");
    assert_eq!(read(&*world.open(KEYS), "Shop").await.unwrap(), "p/w ü");
    assert!(!pending.exists());
    no_complaints(&server);
}

#[tokio::test]
async fn a_used_token_is_refused_and_nothing_stays_behind() {
    let (server, mut world, _) = unbound();
    read(&*world.open(KEYS), "Shop").await.unwrap();
    world.write("other.json", Keeper::service_config().to_string());
    let other = KEYS.replace("ksm.json", "other.json");
    let error = read(&*world.open(&other), "Shop").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(error.remedy.unwrap().contains("works once"));
    assert!(!world.path("other.json.pending").exists());
    assert_eq!(
        world.read("other.json"),
        Keeper::service_config().to_string()
    );
    world.set("FNOX_KEEPER_TOKEN", token(&server, Keeper::OTHER_TOKEN));
    read(&*world.open(&other), "Shop").await.unwrap();
    no_complaints(&server);
}

#[tokio::test]
async fn two_runs_with_one_token_bind_one_device() {
    let (server, world, _) = unbound();
    let (one, other) = (world.open(KEYS), world.open(KEYS));
    let (one, other) = tokio::join!(read(&*one, "Shop"), read(&*other, "Shop"));
    assert_eq!(
        (one.unwrap(), other.unwrap()),
        ("p/w ü".to_owned(), "p/w ü".to_owned())
    );
    assert_eq!(
        server.change(|keeper| keeper.devices.len()),
        2,
        "one of them was there before"
    );
    no_complaints(&server);
}

#[tokio::test]
async fn a_configuration_may_be_in_a_variable_and_in_base64() {
    use base64::Engine as _;
    let (server, mut world, _) = serving();
    let config = Keeper::config(server.url()).to_string();
    let encoded = base64::prelude::BASE64_STANDARD.encode(&config);
    let path = world.path("ksm.json").display().to_string();
    for text in [&config, &encoded, &path] {
        world.set("KSM_CONFIG", text.clone());
        assert_eq!(
            read(&*world.open("type = \"keeper-sm\""), "Shop")
                .await
                .unwrap(),
            "p/w ü"
        );
    }
    world.write("ksm.json", encoded);
    assert_eq!(read(&*world.open(KEYS), "Shop").await.unwrap(), "p/w ü");
    world.set("KSM_CONFIG", "");
    world.write(".keeper/ksm-config.json", config);
    read(&*world.open("type = \"keeper-sm\""), "Shop")
        .await
        .unwrap();
    no_complaints(&server);
}

#[tokio::test]
async fn what_is_missing_or_broken_is_told_and_nobody_is_asked() {
    let (server, mut world, _) = serving();
    let bare = "type = \"keeper-sm\"";
    let error = read(&*world.open(bare), "Shop").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    let absent = KEYS.replace("ksm.json", "absent.json");
    let error = read(&*world.open(&absent), "Shop").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.message.contains("absent.json"), "{error}");
    for text in [
        "nonsense",
        "[1]",
        "{}",
        r#"{"appKey":"AAAA"}"#,
        r#"{"appKey":7}"#,
    ] {
        world.write("ksm.json", text);
        let provider = world.open(KEYS);
        for error in [
            read(&*provider, "Shop").await.unwrap_err(),
            provider.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}: {error}");
            assert!(error.remedy.is_some(), "{text}: {error}");
        }
    }
    world.write("ksm.json", "");
    for token in [Keeper::TOKEN, "XX", "US:short"] {
        world.set("KSM_TOKEN", token);
        let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{token}: {error}");
        assert!(!format!("{error:?}").contains(token), "{error}");
    }
    let mut config = Keeper::config("http://192.0.2.1");
    world.write("ksm.json", config.to_string());
    let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
    assert!(error.message.contains("https://"), "{error}");
    config["hostname"] = server.url().into();
    config["serverPublicKey"] = "AAAA".into();
    world.write("ksm.json", config.to_string());
    let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
    assert!(error.message.contains("serverPublicKey"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let (server, world, _) = serving();
    for (status, body, kind, remedy) in [
        (
            403,
            json!({"result_code": "access_denied", "message": "Unable to validate application access"}),
            ErrorKind::AuthenticationNeeded,
            "devices",
        ),
        (
            403,
            json!({"error": "client_version", "result_code": "invalid_client_version", "additional_info": "mp1"}),
            ErrorKind::Unavailable,
            "newer",
        ),
        (
            400,
            json!({"result_code": "bad_request"}),
            ErrorKind::Misconfigured,
            "application",
        ),
    ] {
        server.change(|keeper| (keeper.refusal, keeper.refusals) = (Some((status, body)), 1));
        let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.remedy.as_ref().unwrap().contains(remedy), "{error:?}");
    }
    let value = SecretString::from("v");
    let provider = world.open(KEYS);
    read(&*provider, "Shop").await.unwrap();
    server.change(|keeper| keeper.devices.clear());
    let error = provider.put("Shop", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    no_complaints(&server);
}

#[tokio::test]
async fn a_device_that_asks_too_often_waits_as_long_as_it_is_told() {
    let (server, mut world, _) = serving();
    let busy = json!({"error": "throttled", "message": "get_secret", "retry_after": 1});
    server.change(|keeper| (keeper.refusal, keeper.refusals) = (Some((403, busy)), 1));
    read(&*world.open(KEYS), "Shop").await.unwrap();
    assert_eq!(server.requests().len(), 2);
    // Keeper's own ten seconds are longer than the time limit.
    world.time_limit = std::time::Duration::from_secs(5);
    for status in [403, 429] {
        let busy = json!({"error": "throttled", "message": "get_secret"});
        server.change(|keeper| (keeper.refusal, keeper.refusals) = (Some((status, busy)), 9));
        server.forget_requests();
        let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.remedy.unwrap().contains("wait"));
        assert_eq!(
            server.requests().len(),
            1,
            "asking again would make it longer"
        );
    }
}

#[tokio::test]
async fn the_service_says_which_of_its_keys_it_wants() {
    let (server, world, _) = serving();
    let mut config = Keeper::config(server.url());
    config.as_object_mut().unwrap().remove("serverPublicKey");
    config["serverPublicKeyId"] = 10.into();
    world.write("ksm.json", config.to_string());
    server.change(|keeper| keeper.key_id = "12".to_owned());
    // The stand-in has nobody's private key: it sees the number, and cannot open the call.
    read(&*world.open(KEYS), "Shop").await.unwrap_err();
    let numbers: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("publickeyid").unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["10", "12"]);
    server.change(|keeper| keeper.key_id = "77".to_owned());
    let error = read(&*world.open(KEYS), "Shop").await.unwrap_err();
    assert!(error.message.contains("its key 77"), "{error}");
}

#[tokio::test]
async fn each_call_has_a_transmission_key_of_its_own() {
    let (server, world, _) = serving();
    let provider = world.open(KEYS);
    for _ in 0..3 {
        read(&*provider, "Shop").await.unwrap();
    }
    let keys: std::collections::BTreeSet<_> = server
        .requests()
        .iter()
        .map(|request| request.header("transmissionkey").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 3);
    for request in server.requests() {
        let shown = format!(
            "{:?} {}",
            request.headers,
            String::from_utf8_lossy(&request.body)
        );
        for secret in Keeper::secrets() {
            assert!(!shown.contains(&secret));
        }
    }
}

/// Keeper's own client binds a device at the stand-in, reads and changes; it reads fnox's configuration, and fnox reads its own.
#[tokio::test]
#[ignore = "needs FNOX_TEST_KEEPER_PYTHON"]
async fn the_stand_in_serves_keepers_own_client() {
    let (server, world, uid) = unbound();
    server.change(|keeper| {
        keeper.records[0].files = vec![("a.txt".to_owned(), "A".to_owned(), b"content".to_vec())];
        keeper.login("In a folder", "second");
        keeper.records[1].is_in_folder = true;
    });
    read(&*world.open(KEYS), "Shop").await.unwrap();
    let environment = fnox_core::Env::of_process();
    let output = std::process::Command::new(environment.var("FNOX_TEST_KEEPER_PYTHON").unwrap())
        .arg("-c")
        .arg(include_str!("keeper_client.py"))
        .args([server.url(), &uid])
        .arg(world.path("ksm.json"))
        .arg(world.path("theirs.json"))
        .env("TOKEN", Keeper::OTHER_TOKEN)
        .env("SERVICE", Keeper::service_config().to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{:?}", server.complaints());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "all good\n",
        "{told}"
    );
    let mut theirs: Value = serde_json::from_str(&world.read("theirs.json")).unwrap();
    theirs["hostname"] = server.url().into();
    world.write("theirs.json", theirs.to_string());
    let keys = KEYS.replace("ksm.json", "theirs.json");
    let reference = format!("{uid}/field/password");
    assert_eq!(
        read(&*world.open(&keys), &reference).await.unwrap(),
        "of their client"
    );
    no_complaints(&server);
}
