//! `gopass`, with a program that plays it: it records what it is given, keeps entries in files, and refuses what
//! gopass's documentation (`docs/commands/{cat,insert,delete,list}.md`) does not have.

use fnox_core::SecretString;
use fnox_providers::ErrorKind;

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, read, request};

const GOPASS: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
[ -z "$GOPASS_FAKE_FAILS" ] || { echo "$GOPASS_FAKE_FAILS" >&2; exit 1; }
store="$HOME/store"
case "$1" in
  cat)
    [ $# = 2 ] || exit 9
    if [ -p /dev/stdin ]; then mkdir -p "$(dirname "$store/$2")"; exec cat > "$store/$2"; fi
    [ -f "$store/$2" ] || { echo "Error: failed to read secret: entry is not in the password store" >&2; exit 11; }
    exec cat "$store/$2" ;;
  insert)
    [ "$2" = -f ] && [ $# = 3 ] && [ -p /dev/stdin ] || exit 9
    mkdir -p "$(dirname "$store/$3")"
    cat > "$HOME/new"; echo >> "$HOME/new"
    [ ! -f "$store/$3" ] || tail -n +2 "$store/$3" >> "$HOME/new"
    mv "$HOME/new" "$store/$3" ;;
  rm) [ "$2" = -f ] && [ $# = 3 ] || exit 9; rm -f "$store/$3" ;;
  ls) [ "$2" = --flat ] || exit 9 ;;
  *) exit 9 ;;
esac
"#;

const KEYS: &str = "type = \"gopass\"\nmount = \"/team/\"";

fn world() -> World {
    let world = World::new();
    world.program("gopass", GOPASS);
    world
}

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::Gopass> {
    let world = world();
    let provider = world.open(KEYS);
    let checked = check(&Backend {
        kind: kinds::Gopass,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| world.snapshot_of("store"),
    })
    .await;
    let argv = world.read("argv");
    assert!(argv.contains("insert -f team/conformance/0 x\n"), "{argv}");
    assert!(argv.contains("cat team/conformance/3 x\n"), "{argv}");
    assert!(
        !argv.contains("plain") && !argv.contains("another"),
        "no value"
    );
    checked
}

#[tokio::test]
async fn what_people_typed_is_read_without_its_end() {
    let world = world();
    world.write("store/team/typed", "hunter2\n");
    world.write("store/team/note", "hunter2\nuser: me\n");
    let provider = world.open(KEYS);
    let answers = provider.get_many(&["typed", "/note"].map(request)).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "hunter2");
    assert_eq!(
        answers[1].as_ref().unwrap().expose_secret(),
        "hunter2\nuser: me\n"
    );
    let env = world.read("env");
    for wanted in [
        "LC_ALL=C\n",
        "GOPASS_NO_NOTIFY=true\n",
        "GOPASS_GPG_OPTS=--batch",
    ] {
        assert!(env.contains(wanted), "{wanted}");
    }
}

#[tokio::test]
async fn an_entry_with_more_in_it_is_not_overwritten_in_part() {
    let world = world();
    world.write("store/team/note", "hunter2\nuser: me\n");
    let value = SecretString::from("new");
    let error = world.open(KEYS).put("note", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.remedy.unwrap().contains("gopass show team/note"));
    let ended = SecretString::from("line\n");
    let error = world.open(KEYS).put("other", &ended).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(!world.path("store/team/other").exists());
}

#[tokio::test]
async fn options_and_ways_out_are_no_entries() {
    let world = world();
    for (keys, bad) in [
        ("type = \"gopass\"", "-c"),
        (KEYS, ""),
        (KEYS, "web/"),
        (KEYS, "../x"),
        (KEYS, "a\nb"),
    ] {
        let error = read(world.open(keys).as_ref(), bad).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{bad:?}: {error}");
    }
    assert_eq!(world.read("argv"), "");
}

#[tokio::test]
async fn complaints_are_told_apart_and_a_locked_key_is_tried_once() {
    for (says, kind) in [
        (
            "Error: failed to decrypt: gpg: decryption failed: No secret key",
            ErrorKind::AuthenticationNeeded,
        ),
        (
            "Error: age: no identity matched any of the recipients",
            ErrorKind::AuthenticationNeeded,
        ),
        (
            "Error: password-store not initialized",
            ErrorKind::Misconfigured,
        ),
        ("Error: disk on fire", ErrorKind::Unavailable),
        // Debian has another program of this name.
        ("Usage: gopass show [pass-name]", ErrorKind::Unavailable),
    ] {
        let mut world = world();
        world.set("GOPASS_FAKE_FAILS", says);
        let answers = world.open(KEYS).get_many(&["a", "b"].map(request)).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().kind, kind, "{says}");
        }
        if kind == ErrorKind::AuthenticationNeeded {
            assert_eq!(world.read("argv"), "cat team/a\n");
        }
    }
}
