//! `keychain`, with a real gnome-keyring on a bus of its own.

use std::process::Command;
use std::time::{Duration, Instant};

use fnox_core::SecretString;
use fnox_providers::ErrorKind;
use fnox_testkit::services::dbus::Session;

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, output, read, request};

const KEYS: &str = "type = \"keychain\"\nservice = \"fnox-test\"\nprefix = \"team/\"";

fn world(session: &Session) -> World {
    let mut world = World::new();
    for (name, value) in session.variables() {
        world.set(name, value);
    }
    world
}

fn secret_tool(world: &World, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("secret-tool");
    command.args(arguments).env_clear().envs(world.env().iter());
    output(&mut command, input)
}

#[tokio::test]
#[ignore = "needs gnome-keyring and dbus"]
pub(crate) async fn conforms() -> Checked<kinds::Keychain> {
    let session = Session::with_keyring();
    let world = world(&session);
    let provider = world.open(KEYS);
    check(&Backend {
        kind: kinds::Keychain,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| {
            let mut search = Command::new("secret-tool");
            search
                .args(["search", "--all", "service", "fnox-test"])
                .env_clear()
                .envs(world.env().iter());
            let found = search.output().unwrap();
            [found.stdout, found.stderr].concat()
        },
    })
    .await
}

#[tokio::test]
#[ignore = "needs gnome-keyring, dbus and secret-tool"]
async fn entries_pass_both_ways_between_secret_tool_and_fnox() {
    let session = Session::with_keyring();
    let world = world(&session);
    let store = ["store", "--label=x", "service", "fnox-test", "username"];
    secret_tool(
        &world,
        &[&store[..], &["team/a"]].concat(),
        "wörd\n ".as_bytes(),
    );
    let provider = world.open(KEYS);
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "wörd\n ");

    let value = SecretString::from("changed 🔑");
    provider.put("a", &value).await.unwrap();
    provider.put("b", &value).await.unwrap();
    for account in ["team/a", "team/b"] {
        let lookup = ["lookup", "service", "fnox-test", "username", account];
        assert_eq!(secret_tool(&world, &lookup, b""), "changed 🔑".as_bytes());
    }
}

#[tokio::test]
#[ignore = "needs gnome-keyring, dbus and secret-tool"]
async fn a_locked_keyring_asks_nobody_without_a_terminal() {
    let session = Session::with_keyring();
    let world = world(&session);
    let provider = world.open(KEYS);
    let value = SecretString::from("v");
    provider.put("a", &value).await.unwrap();
    let lock = [
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.secrets",
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service.Lock",
        "array:objpath:/org/freedesktop/secrets/aliases/default",
    ];
    let mut command = Command::new("dbus-send");
    command.args(lock).env_clear().envs(world.env().iter());
    output(&mut command, b"");
    for reference in ["a", "never-there"] {
        let error = read(provider.as_ref(), reference).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
        assert_eq!(error.message, "the keyring is locked");
    }
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    let error = provider.put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
}

#[tokio::test]
#[ignore = "needs dbus"]
async fn a_bus_without_a_secret_service_gets_clear_words() {
    let session = Session::bare();
    let world = world(&session);
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(error.message, "no Secret Service runs on the session bus");
    assert!(error.remedy.unwrap().contains("gnome-keyring or KeePassXC"));
}

#[tokio::test]
async fn a_headless_machine_gets_clear_words() {
    let mut world = World::new();
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(
        error.message,
        "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set"
    );
    assert!(error.remedy.unwrap().contains("gnome-keyring or KeePassXC"));
    for address in ["unix:path=/nonexistent/bus", "nonsense"] {
        world.set("DBUS_SESSION_BUS_ADDRESS", address);
        let error = world.open(KEYS).check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
        assert!(error.message.contains(address), "{error}");
    }
}

#[tokio::test]
async fn a_silent_bus_is_given_up_within_the_limit() {
    let session = Session::silent();
    let mut world = world(&session);
    world.time_limit = Duration::from_millis(300);
    let start = Instant::now();
    let answers = world.open(KEYS).get_many(&["a", "b"].map(request)).await;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}
