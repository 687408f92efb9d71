//! `foks`, with a program that plays the client: it records what it is given and keeps values in files.

use fnox_core::SecretString;
use fnox_providers::ErrorKind;

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, read, request};

const FOKS: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
[ "$1" != --home ] || { [ -n "$2" ] || exit 9; shift 2; }
if [ "$1 $2" = 'bot use' ]; then
  [ "$3" = --host ] && [ "$FOKS_BOT_TOKEN" = bot-good ] || { echo "Error: bad bot token $FOKS_BOT_TOKEN" >&2; exit 1; }
  touch "$HOME/logged-in"; exit
fi
[ "$1" = kv ] || exit 9; shift
[ -z "$FOKS_FAKE_FAILS" ] || { echo "Error: $FOKS_FAKE_FAILS" >&2; exit 1; }
[ -z "$FOKS_FAKE_BOT" ] || [ -f "$HOME/logged-in" ] || { echo 'Error: not logged in' >&2; exit 1; }
store="$HOME/store"
[ "$1" != --team ] || { store="$HOME/teams/$2"; shift 2; }
absent() { echo "Error: key not found" >&2; exit 1; }
case "$1" in
  ls) [ "$2" = / ] || exit 9 ;;
  get) [ $# = 2 ] || exit 9; [ -f "$store/$2" ] || absent; exec cat "$store/$2" ;;
  put)
    [ "$2 $3" = '--force --mkdir-p' ] && [ $# = 4 ] || exit 9
    mkdir -p "$(dirname "$store/$4")"; cat > "$store/$4"
    [ -z "$FOKS_FAKE_TRIMS" ] || truncate -s -1 "$store/$4" ;;
  rm) [ $# = 2 ] || exit 9; [ -f "$store/$2" ] || absent; rm "$store/$2" ;;
  *) exit 9 ;;
esac
"#;

const KEYS: &str = "type = \"foks\"\nprefix = \"fnox/\"\nteam = \"ops\"\nhome = \"client\"";

fn world() -> World {
    let world = World::new();
    world.program("foks", FOKS);
    world
}

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::Foks> {
    let world = world();
    let provider = world.open(KEYS);
    let checked = check(&Backend {
        kind: kinds::Foks,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| world.snapshot_of("teams"),
    })
    .await;
    let first = world.read("argv").lines().nth(1).unwrap().to_owned();
    let home = world.path("client").display().to_string();
    assert_eq!(
        first,
        format!("--home {home} kv --team ops put --force --mkdir-p fnox/conformance/0 x")
    );
    assert!(!world.read("argv").contains("plain"), "no value");
    checked
}

#[tokio::test]
async fn a_bot_logs_in_once_with_its_token_in_the_environment() {
    let mut world = world();
    world.write("store/a", "x");
    world.set("FOKS_FAKE_BOT", "1");
    world.set("FOKS_BOT_TOKEN", "bot-good");
    let error = read(world.open("type = \"foks\"").as_ref(), "a")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "no host");
    world.set("FOKS_HOST", "foks.example.com");
    let provider = world.open("type = \"foks\"");
    let answers = provider.get_many(&["a", "a"].map(request)).await;
    assert!(answers.iter().all(Result::is_ok));
    let argv = world.read("argv");
    assert_eq!(argv.matches("bot use --host foks.example.com\n").count(), 1);
    assert!(!argv.contains("bot-good"), "{argv}");
    assert!(!format!("{provider:?}").contains("bot-good"));
}

#[tokio::test]
async fn a_refused_bot_is_told_without_its_token_and_tried_once() {
    let mut world = world();
    world.set("FOKS_FAKE_BOT", "1");
    world.set("FNOX_FOKS_BOT_TOKEN", "bot-bad");
    world.set("FNOX_FOKS_HOST", "h");
    let provider = world.open("type = \"foks\"");
    for _ in 0..2 {
        for answer in provider.get_many(&["a", "b"].map(request)).await {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
            assert!(!error.to_string().contains("bot-bad"), "{error}");
        }
    }
    assert_eq!(world.read("argv").matches("bot use").count(), 1);
}

#[tokio::test]
async fn complaints_are_told_apart() {
    for (says, kind) in [
        ("could not connect to agent", ErrorKind::Unavailable),
        ("no active user", ErrorKind::AuthenticationNeeded),
        ("server on fire", ErrorKind::Unavailable),
    ] {
        let mut world = world();
        world.set("FOKS_FAKE_FAILS", says);
        let error = world.open(KEYS).check().await.unwrap_err();
        assert_eq!(error.kind, kind, "{says}");
    }
}

#[tokio::test]
async fn what_the_client_would_change_is_not_stored_silently() {
    let mut world = world();
    world.set("FOKS_FAKE_TRIMS", "1");
    let value = SecretString::from("x\n");
    let error = world.open(KEYS).put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}
