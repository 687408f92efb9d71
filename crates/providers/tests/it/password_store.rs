//! `password-store`, with the real `pass` and gpg.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fnox_core::SecretString;
use fnox_providers::{ErrorKind, Provider};

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, output, read, request};

const KEYS: &str = "type = \"password-store\"";

/// A store with a key of its own; the agent ends with it.
struct Store {
    world: World,
}

impl Store {
    fn new(passphrase: &str) -> Self {
        let mut world = World::new();
        let gnupg = world.path("gpg");
        std::fs::create_dir(&gnupg).unwrap();
        std::fs::set_permissions(&gnupg, std::fs::Permissions::from_mode(0o700)).unwrap();
        world.set("GNUPGHOME", gnupg.display().to_string());
        let store = Self { world };
        store.run(
            &[
                "gpg",
                "--batch",
                "--pinentry-mode=loopback",
                "--passphrase",
                passphrase,
                "--quick-gen-key",
                "someone@example.com",
                "future-default",
                "default",
                "never",
            ],
            b"",
        );
        store.run(&["pass", "init", "someone@example.com"], b"");
        store
    }

    fn run(&self, command: &[&str], input: &[u8]) -> Vec<u8> {
        let mut process = Command::new(command[0]);
        process
            .args(&command[1..])
            .env_clear()
            .envs(self.world.env().iter());
        output(&mut process, input)
    }

    fn open(&self, more: &str) -> Box<dyn Provider> {
        self.world.open(&format!("{KEYS}\n{more}"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        end.args(["--kill", "gpg-agent"])
            .env_clear()
            .envs(self.world.env().iter());
        drop(end.output());
    }
}

#[tokio::test]
#[ignore = "needs pass and gnupg"]
pub(crate) async fn conforms() -> Checked<kinds::PasswordStore> {
    let store = Store::new("");
    let provider = store.open("prefix = \"team/\"");
    check(&Backend {
        kind: kinds::PasswordStore,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| store.world.snapshot_of(".password-store"),
    })
    .await
}

#[tokio::test]
#[ignore = "needs pass and gnupg"]
async fn entries_of_pass_are_read_and_it_reads_ours() {
    let store = Store::new("");
    // Typed by a person: one line, ended by Enter.
    store.run(&["pass", "insert", "-e", "web/typed"], b"hunter2\n");
    store.run(&["pass", "insert", "-m", "web/file"], b"one\ntwo\n");
    let provider = store.open("prefix = \"web/\"");
    let answers = provider.get_many(&["typed", "file"].map(request)).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "hunter2");
    assert_eq!(answers[1].as_ref().unwrap().expose_secret(), "one\ntwo\n");

    let value = SecretString::from("päss\nwörd");
    assert_eq!(provider.put("ours", &value).await.unwrap(), "ours");
    assert_eq!(
        store.run(&["pass", "show", "web/ours"], b""),
        "päss\nwörd".as_bytes()
    );
    let ended = SecretString::from("line\n");
    let error = provider.put("ended", &ended).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
#[ignore = "needs pass and gnupg"]
async fn folders_options_and_ways_out_are_no_entries() {
    let store = Store::new("");
    store.run(&["pass", "insert", "-e", "web/a"], b"x\n");
    let provider = store.open("");
    let error = read(provider.as_ref(), "web").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "a folder has no value");
    for bad in ["-c", "", "web/", "../x", "a/../../x", "a\nb"] {
        let error = read(provider.as_ref(), bad).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{bad:?}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs pass and gnupg"]
async fn a_locked_key_fails_at_once_where_nobody_can_unlock_it() {
    let store = Store::new("opensesame");
    store.run(&["pass", "insert", "-e", "a"], b"x\n");
    store.run(&["pass", "insert", "-e", "b"], b"y\n");
    store.run(&["gpgconf", "--kill", "gpg-agent"], b"");
    let start = std::time::Instant::now();
    let answers = store.open("").get_many(&["a", "b"].map(request)).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
    store.open("").check().await.unwrap();
}

#[tokio::test]
#[ignore = "needs pass and gnupg"]
async fn the_store_is_found_by_field_and_variables() {
    let mut store = Store::new("");
    let elsewhere = store.world.path("elsewhere");
    std::fs::rename(store.world.path(".password-store"), &elsewhere).unwrap();
    let error = store.open("").check().await.unwrap_err();
    assert_eq!(error.key, Some("store_dir"));
    let elsewhere = elsewhere.display().to_string();
    store.world.set("PASSWORD_STORE_DIR", "/nonexistent");
    store
        .open("store_dir = \"elsewhere\"")
        .check()
        .await
        .unwrap();
    store
        .world
        .set("FNOX_PASSWORD_STORE_DIR", elsewhere.as_str());
    store.open("").check().await.unwrap();
    // Complaints are told apart in English, whatever the person's language is.
    store.world.set("LC_ALL", "de_DE.UTF-8");
    let error = read(store.open("").as_ref(), "absent").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_missing_program_is_named_with_the_way_to_get_it() {
    let mut world = World::new();
    world.write(".password-store/.gpg-id", "x");
    world.write(".password-store/a.gpg", "x");
    world.set("PATH", world.path("bin").display().to_string());
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(error.message, "the program `pass` is not on PATH");
}
