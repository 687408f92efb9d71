//! `1password`, with a program that plays `op` 2: it records what it is given, and answers from files.

use std::time::{Duration, Instant};

use fnox_providers::ErrorKind;
use fnox_testkit::wait;

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, named, read, request};

const OP: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
stamp='[ERROR] 2026/01/02 03:04:05'
[ -z "$OP_FAKE_FAILS" ] || { echo "$stamp $OP_FAKE_FAILS" >&2; exit 1; }
item() {
  file="$HOME/items/${1#op://}"
  [ -f "$file" ] || { echo "$stamp could not read secret '$1': \"x\" isn't an item in the \"V\" vault." >&2; exit 1; }
  cat "$file"
}
case "$1" in
  read) [ "$2" = --no-newline ] || exit 9; item "$3" ;;
  inject)
    while IFS= read -r line; do
      case "$line" in
        '{{ op://'*' }}') uri=${line#'{{ '}; item "${uri%' }}'}"; echo ;;
        *) printf '%s\n' "$line" ;;
      esac
    done ;;
  environment) cat "$HOME/environments/$3" ;;
  whoami) [ -n "$OP_SERVICE_ACCOUNT_TOKEN" ] || { echo "$stamp account is not signed in" >&2; exit 1; } ;;
  account) printf '%s' "${OP_FAKE_ACCOUNTS:-[]}" ;;
esac
"#;

const KEYS: &str = "type = \"1password\"\nvault = \"V\"";

fn world() -> World {
    let mut world = World::new();
    world.program("op", OP);
    world.set("OP_SERVICE_ACCOUNT_TOKEN", "ops_from_env");
    for (index, value) in values().iter().enumerate() {
        world.write(&format!("items/V/item{index}/password"), value);
    }
    world
}

fn calls(world: &World) -> Vec<String> {
    world.read("argv").lines().map(str::to_owned).collect()
}

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::OnePassword> {
    let world = world();
    let provider = world.open(KEYS);
    let existing = values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("item{index}"), value))
        .collect();
    check(&Backend {
        kind: kinds::OnePassword,
        provider: provider.as_ref(),
        existing,
        state: &|| world.snapshot_of("items"),
    })
    .await
}

#[tokio::test]
async fn one_reference_is_one_read_and_several_are_one_inject() {
    let world = world();
    let provider = world.open(&format!("{KEYS}\naccount = \"acme\""));
    assert_eq!(read(provider.as_ref(), "item0").await.unwrap(), "plain");
    let requests = ["item1", "op://V/item2/password", "item1"].map(request);
    let answers = provider.get_many(&requests).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(
        calls(&world),
        [
            "read --no-newline op://V/item0/password --account=acme",
            "inject --account=acme"
        ]
    );
    assert!(world.read("env").contains("LC_ALL=C\n"));
}

#[tokio::test]
async fn one_missing_item_hides_no_other_and_each_is_read_once() {
    let world = world();
    let provider = world.open(KEYS);
    let requests = ["item0", "nope", "item1", "a/b/c"].map(request);
    let answers = provider.get_many(&requests).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "plain");
    let error = answers[1].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("op://V/nope/password"), "{error}");
    assert!(answers[2].is_ok());
    assert_eq!(
        answers[3].as_ref().unwrap_err().kind,
        ErrorKind::Misconfigured
    );
    let mut calls = calls(&world);
    assert_eq!(calls.remove(0), "inject");
    calls.sort();
    assert_eq!(
        calls,
        [
            "read --no-newline op://V/item0/password",
            "read --no-newline op://V/item1/password",
            "read --no-newline op://V/nope/password"
        ]
    );
}

#[tokio::test]
async fn a_failed_login_and_an_outage_are_told_once() {
    for (says, kind) in [
        (
            "You are not currently signed in. ops_from_env",
            ErrorKind::AuthenticationNeeded,
        ),
        ("dial tcp: i/o timeout", ErrorKind::Unavailable),
    ] {
        let mut world = world();
        world.set("OP_FAKE_FAILS", says);
        let provider = world.open(KEYS);
        let answers = provider.get_many(&["item0", "item1"].map(request)).await;
        for answer in answers {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(!error.to_string().contains("ops_from_env"), "{error}");
        }
        assert_eq!(calls(&world), ["inject"]);
    }
}

#[tokio::test]
async fn tokens_come_in_their_order_and_never_on_the_command_line() {
    let mut world = world();
    let token = |world: &World| {
        let env = world.read("env");
        let line = env
            .lines()
            .find(|line| line.starts_with("OP_SERVICE_ACCOUNT_TOKEN="))
            .unwrap();
        line.split_once('=').unwrap().1.to_owned()
    };
    read(world.open(KEYS).as_ref(), "item0").await.unwrap();
    assert_eq!(token(&world), "ops_from_env");
    world.set("FNOX_OP_SERVICE_ACCOUNT_TOKEN", "ops_from_own");
    read(world.open(KEYS).as_ref(), "item0").await.unwrap();
    assert_eq!(token(&world), "ops_from_own");
    let provider = world.open(&format!("{KEYS}\ntoken = \"ops_from_config\""));
    provider.get_many(&["item0", "item1"].map(request)).await;
    provider.check().await.unwrap();
    assert_eq!(token(&world), "ops_from_config");
    assert!(!world.read("argv").contains("ops_"));
    assert!(!format!("{provider:?}").contains("ops_"));
}

#[tokio::test]
async fn an_environment_is_read_once() {
    let world = world();
    world.write("environments/e1", "A=\"x\\ny\"\nB=2\n");
    let provider = world.open("type = \"1password\"");
    let requests = [
        "environment://e1/A",
        "environment://e1/B",
        "environment://e1/C",
    ]
    .map(|reference| named("X", reference));
    let answers = provider.get_many(&requests).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "x\ny");
    assert_eq!(answers[1].as_ref().unwrap().expose_secret(), "2");
    assert_eq!(answers[2].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(calls(&world), ["environment read e1"]);
}

#[tokio::test]
async fn check_is_content_with_the_desktop_app_and_not_with_nothing() {
    let mut world = world();
    world.open(KEYS).check().await.unwrap();
    world.set("OP_SERVICE_ACCOUNT_TOKEN", "");
    let error = world.open(KEYS).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    world.set("OP_FAKE_ACCOUNTS", r#"[{"url":"acme.1password.com"}]"#);
    world.open(KEYS).check().await.unwrap();
}

#[tokio::test]
async fn a_missing_program_is_named_with_the_way_to_get_it() {
    let mut world = World::new();
    world.set("PATH", world.path("bin").display().to_string());
    let error = read(world.open(KEYS).as_ref(), "item0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(error.message, "the program `op` is not on PATH");
    assert!(error.remedy.is_some());
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_children() {
    let mut world = World::new();
    world.program(
        "op",
        "sleep 600 & echo $! > \"$HOME/child\"; echo $$ > \"$HOME/parent\"; sleep 600",
    );
    world.time_limit = Duration::from_secs(1);
    let start = Instant::now();
    let answers = world.open(KEYS).get_many(&["a", "b"].map(request)).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("did not answer"), "{error}");
    }
    both_are_gone(&world);
}

#[tokio::test]
async fn an_interrupted_run_leaves_no_program_behind() {
    let world = World::new();
    world.program(
        "op",
        "sleep 600 & echo $! > \"$HOME/child\"; echo $$ > \"$HOME/parent\"; sleep 600",
    );
    let provider = world.open(KEYS);
    let requests = [request("a")];
    let reading = provider.get_many(&requests);
    let started = async {
        while world.read("parent").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = reading => panic!("it hangs"),
        () = started => {}
    }
    both_are_gone(&world);
}

fn both_are_gone(world: &World) {
    for file in ["parent", "child"] {
        let id = world.read(file);
        let state = format!("/proc/{}/stat", id.trim());
        wait::until("the process to be gone", Duration::from_secs(10), || {
            // Nobody may reap it here, so a zombie is gone too.
            std::fs::read_to_string(&state).map_or(true, |text| text.contains(") Z "))
        });
    }
}
