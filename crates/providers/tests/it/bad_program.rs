//! Programs of providers that hang, are slow, fail, print rubbish, or are not there at all.

use std::time::{Duration, Instant};

use fnox_providers::ErrorKind;
use fnox_testkit::wait;

use crate::world::{World, read, request};

/// A provider's keys, and the program that it runs.
const PROVIDERS: &[(&str, &str)] = &[
    ("type = \"password-store\"", "pass"),
    ("type = \"1password\"\nvault = \"V\"", "op"),
    ("type = \"gopass\"", "gopass"),
    ("type = \"bitwarden\"", "bw"),
    ("type = \"bitwarden\"\nbackend = \"rbw\"", "rbw"),
    (
        "type = \"bitwarden-sm\"\nproject_id = \"f1fe5978-0aa1-4bb0-949b-b03000e0402a\"",
        "bws",
    ),
    ("type = \"proton-pass\"\nvault = \"V\"", "pass-cli"),
    (
        "type = \"foks\"\nbot_token = \"bot-secret\"\nhost = \"h\"",
        "foks",
    ),
];

/// What must be in no message.
const SECRETS: &[&str] = &[
    "sess-secret",
    "pass-secret",
    "bot-secret",
    "access-secret",
    "account-secret",
];

/// Those that print a value as it is.
const PLAIN: &[&str] = &["pass", "op", "gopass", "foks"];

fn world(program: &str, script: &str) -> World {
    let mut world = World::new();
    world.program(program, script);
    world.set("BW_SESSION", "sess-secret");
    world.set("PROTON_PASS_PASSWORD", "pass-secret");
    world.set("BWS_ACCESS_TOKEN", "access-secret");
    world.set("OP_SERVICE_ACCOUNT_TOKEN", "account-secret");
    // `pass` is asked only for what has a file.
    for file in [".gpg-id", "a.gpg", "b.gpg"] {
        world.write(&format!(".password-store/{file}"), "x");
    }
    world
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_its_children() {
    for (keys, program) in PROVIDERS {
        let mut world = world(
            program,
            "sleep 600 & echo $! > \"$HOME/child\"; echo $$ > \"$HOME/parent\"; sleep 600",
        );
        world.time_limit = Duration::from_secs(1);
        let start = Instant::now();
        let answers = world.open(keys).get_many(&["a"].map(request)).await;
        assert!(start.elapsed() < Duration::from_secs(20), "{program}");
        let error = answers[0].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{program}: {error}");
        assert!(error.message.contains("did not answer"), "{error}");
        for file in ["parent", "child"] {
            let state = format!("/proc/{}/stat", world.read(file).trim());
            wait::until("the process to be gone", Duration::from_secs(10), || {
                std::fs::read_to_string(&state).map_or(true, |text| text.contains(") Z "))
            });
        }
    }
}

#[tokio::test]
async fn one_that_is_slow_is_waited_for_and_not_for_ever() {
    for (keys, program) in PROVIDERS {
        let mut world = world(program, "while :; do printf x; sleep 0.1; done");
        world.time_limit = Duration::from_secs(1);
        let answers = world.open(keys).get_many(&["a"].map(request)).await;
        let error = answers[0].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{program}: {error}");
        assert!(error.message.contains("did not answer"), "{error}");
        if PLAIN.contains(program) {
            world.program(program, "for c in s l o w; do printf $c; sleep 0.1; done");
            world.time_limit = Duration::from_mins(1);
            let value = read(&*world.open(keys), "a").await.unwrap();
            assert_eq!(value, "slow", "{program}");
        }
    }
}

#[tokio::test]
async fn one_that_fails_is_quoted_without_secrets_or_control_characters() {
    for (keys, program) in PROVIDERS {
        let world = world(
            program,
            "printf 'boom \\033[31m %s %s %s %s %s\\n' \"$BW_SESSION\" \"$PROTON_PASS_PASSWORD\" \"$FOKS_BOT_TOKEN\" \"$BWS_ACCESS_TOKEN\" \"$OP_SERVICE_ACCOUNT_TOKEN\" >&2; exit 3",
        );
        let provider = world.open(keys);
        let mut said = format!("{provider:?}");
        for answer in provider.get_many(&["a", "b"].map(request)).await {
            let error = answer.unwrap_err();
            assert!(
                matches!(
                    error.kind,
                    ErrorKind::Unavailable | ErrorKind::AuthenticationNeeded
                ),
                "{program}: {error}"
            );
            assert!(error.message.contains("boom"), "{program}: {error}");
            said.push_str(&error.to_string());
        }
        said.push_str(&provider.check().await.unwrap_err().to_string());
        // What this program was given; what another one's variables hold is not known to it.
        let own: &[&str] = match *program {
            "bw" => &SECRETS[..1],
            "pass-cli" => &SECRETS[1..2],
            "foks" => &SECRETS[2..3],
            "bws" => &SECRETS[3..4],
            "op" => &SECRETS[4..],
            _ => &[],
        };
        for secret in own {
            assert!(!said.contains(secret), "{program}: {said}");
        }
        assert!(!said.contains('\u{1b}'), "{program}");
    }
}

#[tokio::test]
async fn one_that_prints_rubbish_gives_no_value() {
    for (keys, program) in PROVIDERS {
        let world = world(program, "printf '\\377\\376\\000rubbish'; exit 0");
        let provider = world.open(keys);
        for answer in provider.get_many(&["a", "b"].map(request)).await {
            let error = answer.unwrap_err();
            assert!(!error.message.contains("rubbish"), "{program}: {error}");
        }
    }
}

#[tokio::test]
async fn one_that_is_missing_is_named_with_the_way_to_get_it() {
    for (keys, program) in PROVIDERS {
        let mut world = world("other", "");
        world.set("PATH", world.path("bin").display().to_string());
        let provider = world.open(keys);
        let error = provider.check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{program}");
        assert_eq!(
            error.message,
            format!("the program `{program}` is not on PATH")
        );
        assert!(error.remedy.unwrap().contains("install"), "{program}");
    }
}
