//! The provider `external`, with the example in Python and with programs that misbehave.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::spec::Capability;
use fnox_core::SecretString;
use fnox_providers::{ErrorKind, Provider, ProviderError};
use fnox_testkit::wait;

use crate::conformance::{Backend, Checked, check, check_as};
use crate::kinds;
use crate::world::{World, named, read, request};

/// The example of the documentation.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/external-provider/fnox-provider-example")
        .canonicalize()
        .unwrap()
}

/// A world with the example on PATH, and the keys of a provider that keeps its values in `shelf`.
fn with_example() -> (World, String) {
    let world = World::new();
    std::os::unix::fs::symlink(example(), world.path("bin/fnox-provider-example")).unwrap();
    std::fs::create_dir(world.path("shelf")).unwrap();
    let keys = format!(
        "type = \"external\"\nprogram = \"example\"\noptions = {{ folder = \"{}\" }}",
        world.path("shelf").display()
    );
    (world, keys)
}

/// A world in which the program is this shell script, and its provider.
fn scripted(script: &str) -> (World, Box<dyn Provider>) {
    let world = World::new();
    world.program("fnox-provider-x", script);
    let provider = world.open("type = \"external\"\nprogram = \"x\"");
    (world, provider)
}

/// The hello of a script that can do everything.
const HELLO: &str = r#"read -r hello; read -r request
echo '{"type":"hello","protocol":1,"capabilities":["get","put","delete","encrypt","test"]}'
"#;

async fn fails(script: &str) -> ProviderError {
    let (_world, provider) = scripted(script);
    read(provider.as_ref(), "a").await.unwrap_err()
}

#[tokio::test]
pub(crate) async fn the_example_does_what_every_backend_must() -> Checked<kinds::External> {
    let (world, keys) = with_example();
    let provider = world.open(&keys);
    check(&Backend {
        kind: kinds::External,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    })
    .await
}

#[tokio::test]
async fn values_of_every_length_are_exact() {
    let (world, keys) = with_example();
    let provider = world.open(&keys);
    for length in [0, 1, 2, 3, 57, 4095, 4096, 65_535, 65_536] {
        let value: String = "aä\n\t\u{0}\"\\\r".chars().cycle().take(length).collect();
        let secret = SecretString::from(value.as_str());
        provider.put("exact", &secret).await.unwrap();
        assert_eq!(read(provider.as_ref(), "exact").await.unwrap(), value);
    }
    // A value that is no text cannot be a secret's.
    let kept = world.snapshot();
    let (file, _) = kept
        .iter()
        .find(|(path, _)| path.starts_with(world.path("shelf")))
        .unwrap();
    std::fs::write(file, [0xff, 0xfe]).unwrap();
    let error = read(provider.as_ref(), "exact").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("not UTF-8"), "{error}");
}

#[tokio::test]
async fn a_batch_is_one_process_and_options_go_in_by_stdin() {
    let script = format!(
        "echo \"$#\" >> \"$HOME/runs\"; env > \"$HOME/env\"\n{HELLO}\
         printf '%s\\n%s\\n' \"$hello\" \"$request\" > \"$HOME/input\"\n\
         echo '{{\"type\":\"values\",\"values\":[{{\"id\":1,\"value\":\"Qg==\"}},{{\"id\":0,\"value\":\"QQ==\"}}]}}'"
    );
    let world = World::new();
    world.program("fnox-provider-x", &script);
    let provider = world.open(
        "type = \"external\"\nprogram = \"x\"\noptions = { token = \"opt-secret\", port = 7, fast = true }",
    );
    let answers = provider
        .get_many(&[named("A", "one"), named("B", "two")])
        .await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "A");
    assert_eq!(answers[1].as_ref().unwrap().expose_secret(), "B");
    assert_eq!(world.read("runs"), "0\n", "one process, no arguments");
    assert!(!world.read("env").contains("opt-secret"));
    let input = world.read("input");
    let lines: Vec<serde_json::Value> = input
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["provider"], "p");
    assert_eq!(lines[0]["profile"], "default");
    assert_eq!(
        lines[1]["options"],
        serde_json::json!({ "token": "opt-secret", "port": 7, "fast": true })
    );
    let item = serde_json::json!({ "id": 1, "name": "B", "reference": "two" });
    assert_eq!(lines[1]["items"][1], item);
}

#[tokio::test]
async fn failures_have_the_kind_that_the_program_says() {
    let (world, keys) = with_example();
    let error = read(world.open(&keys).as_ref(), "gone").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    world.write("shelf/.password", "right");
    let error = world.open(&keys).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(error.remedy.as_deref(), Some("set the option `password`"));
    let with = |word: &str| keys.replace("{ folder", &format!("{{ password = \"{word}\", folder"));
    let error = world.open(&with("wrong")).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    world.open(&with("right")).check().await.unwrap();
    let gone = keys.replace("shelf", "no-shelf");
    let error = world.open(&gone).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let relative = "type = \"external\"\nprogram = \"example\"\noptions = { folder = \"shelf\" }";
    let error = world.open(relative).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn a_program_may_encrypt_or_only_read() {
    let encrypting = format!(
        "{HELLO}python3 -c '\nimport json, sys\nrequest = json.loads(sys.argv[1])\n\
         turn = lambda text: text[::-1]\n\
         field = \"value\" if request[\"type\"] == \"encrypt\" else \"reference\"\n\
         kind = {{\"encrypt\": \"encrypted\", \"get\": \"values\"}}.get(request[\"type\"], \"done\")\n\
         answers = [{{\"id\": item[\"id\"], \"value\": turn(item[field])}} for item in request.get(\"items\", [])]\n\
         print(json.dumps({{\"type\": kind, \"values\": answers}}))' \"$request\""
    );
    let world = World::new();
    // The request is an argument of python3 here, which is why values are short.
    world.program("fnox-provider-x", &encrypting);
    let provider = world.open("type = \"external\"\nprogram = \"x\"\ncapability = \"encrypt\"");
    let pairs = [
        crate::world::pair("A", "one"),
        crate::world::pair("B", "two\n"),
    ];
    let stored = provider.encrypt(&pairs).await.unwrap();
    for ((_, value), stored) in pairs.iter().zip(&stored) {
        let read = read(provider.as_ref(), stored).await.unwrap();
        assert_eq!(read, value.expose_secret());
    }
    let reading = r#"read -r hello; read -r request
echo '{"type":"hello","protocol":1,"capabilities":["get","test"]}'
case $request in
  *'"type":"test"'*) echo '{"type":"done"}';;
  *) python3 -c '
import json, sys
known = {"one": "MQ=="}
answers = []
for item in json.loads(sys.argv[1])["items"]:
    value = known.get(item["reference"])
    error = {"error": {"kind": "not_found"}}
    answers.append({"id": item["id"], **({"value": value} if value else error)})
print(json.dumps({"type": "values", "values": answers}))' "$request";;
esac"#;
    let (world, provider) = scripted(reading);
    let backend = Backend {
        kind: kinds::External,
        provider: provider.as_ref(),
        existing: vec![("one".to_owned(), "1".to_owned())],
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    };
    check_as(&backend, Capability::ReadsOnly).await;
    let error = provider.put("a", &SecretString::from("v")).await;
    let remedy = error.unwrap_err().remedy.unwrap();
    assert!(remedy.contains("capability = \"read\""), "{remedy}");
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let mut world = World::new();
    world.time_limit = Duration::from_secs(3);
    let script = format!("{HELLO}sleep 1000 & echo $! > \"$HOME/child\"; wait");
    world.program("fnox-provider-x", &script);
    let provider = world.open("type = \"external\"\nprogram = \"x\"");
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.message.contains("did not answer within 3 s"),
        "{error}"
    );
    let state = format!("/proc/{}/stat", world.read("child").trim());
    wait::until("the child to be gone", Duration::from_secs(10), || {
        std::fs::read_to_string(&state).map_or(true, |text| text.contains(") Z "))
    });
}

#[tokio::test]
async fn programs_that_break_the_protocol_are_unavailable() {
    let values = r#"{"type":"values","values":"#;
    for (script, reason) in [
        ("exit 0".to_owned(), "it printed nothing"),
        (
            "exit 3".to_owned(),
            "ended before it answered (exit status: 3)",
        ),
        ("echo rubbish".to_owned(), "its first line is not the hello"),
        (HELLO.to_owned(), "ended before it answered"),
        (
            format!("{HELLO}echo rubbish"),
            "its second line is no answer",
        ),
        (
            format!("{HELLO}echo '{values}[]}}'"),
            "it does not answer 0",
        ),
        (
            format!(
                "{HELLO}echo '{values}[{{\"id\":0,\"value\":\"QQ==\"}},{{\"id\":1,\"value\":\"QQ==\"}}]}}'"
            ),
            "it answers 1, which was not asked for",
        ),
        (
            format!("{HELLO}echo '{values}[{{\"id\":0,\"value\":\"QQ==\"}}]}}'; exit 1"),
            "ended before it answered (exit status: 1)",
        ),
        (
            format!("{HELLO}echo '{values}[{{\"id\":0,\"value\":\"QQ==\"}}]}}'; echo more"),
            "more than two lines",
        ),
        (
            "yes 0123456789abcdef".to_owned(),
            "printed more than 16 MiB",
        ),
    ] {
        let error = fails(&script).await;
        assert_eq!(error.kind, ErrorKind::Unavailable, "{script}: {error}");
        assert!(error.message.contains(reason), "{script}: {error}");
    }
}

#[tokio::test]
async fn another_version_and_a_missing_ability_are_told() {
    let error = fails("read -r hello; echo '{\"type\":\"hello\",\"protocol\":2}'").await;
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("speaks version 2"), "{error}");
    let error = fails("read -r hello; echo '{\"type\":\"hello\",\"protocol\":1}'; echo '{}'").await;
    assert_ne!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn what_a_program_complains_about_is_shown_without_secrets() {
    let script =
        "read -r hello; read -r request; printf 'cannot use put-secret\\033[2J\\n' >&2; exit 1";
    let (_world, provider) = scripted(script);
    let value = SecretString::from("put-secret");
    let error = provider.put("a", &value).await.unwrap_err();
    assert!(error.message.contains("cannot use [redacted]"), "{error}");
    assert!(!error.message.contains('\u{1b}'), "{error}");
}

#[test]
fn only_a_name_or_an_absolute_path_is_started() {
    let world = World::new();
    let path = world.write("local", "#!/bin/sh\ntouch started\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (program, kind) in [
        ("./local", ErrorKind::Misconfigured),
        ("local/", ErrorKind::Misconfigured),
        ("", ErrorKind::Misconfigured),
        ("gone", ErrorKind::Unavailable),
    ] {
        let keys = format!("type = \"external\"\nprogram = \"{program}\"");
        let error = world.try_open(&keys).unwrap_err();
        assert_eq!(error.kind, kind, "{program}: {error}");
        assert_eq!(error.key, Some("program"));
    }
    let keys = format!("type = \"external\"\nprogram = \"{}\"", path.display());
    world.open(&keys);
    assert!(
        !world.path("started").exists(),
        "nothing runs when it is opened"
    );
}

#[tokio::test]
async fn nothing_asked_is_nothing_run() {
    let (world, provider) = scripted("touch \"$HOME/ran\"");
    assert!(provider.get_many(&[]).await.is_empty());
    assert!(provider.encrypt(&[]).await.unwrap().is_empty());
    assert!(!world.path("ran").exists());
    let _ = provider.get_many(&[request("a")]).await;
    assert!(world.path("ran").exists());
}
