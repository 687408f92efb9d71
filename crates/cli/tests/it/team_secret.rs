//! `fnox secret` and `fnox approve` with a real server: what is stored, who can read it afterwards, what is refused.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use fnox_testkit::run::{Invocation, Running};
use fnox_testkit::wait::until;
use fnox_testkit::{Canary, Sandbox};
use serde_json::Value;

use crate::support::{json, ok, sandbox};

const VALUE: &str = "npm_canary_1b7d5e0a94c2";

/// A server, and an administrator with an identity and a writer key.
struct World {
    sandbox: Sandbox,
    recipient: String,
    writer: String,
    url: String,
    folder: PathBuf,
    running: Running,
}

impl World {
    fn start() -> Self {
        let sandbox = sandbox();
        let folder = sandbox.root().join("server");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let (address, url) = (
            format!("127.0.0.1:{port}"),
            format!("http://127.0.0.1:{port}"),
        );
        let place = folder.to_str().unwrap();
        let made = json(&ok(
            &sandbox,
            &[
                "serve",
                "init",
                "--json",
                "--public-url",
                &url,
                "--dir",
                place,
            ],
        ));
        sandbox.write_private("admin.token", made["bootstrap_token"].as_str().unwrap());
        let config = folder.join("server.toml");
        let mut running = sandbox
            .run([
                "serve",
                "--listen",
                &address,
                "--config",
                config.to_str().unwrap(),
            ])
            .start();
        until("the server's port", Duration::from_mins(1), || {
            TcpStream::connect(&address).is_ok() || !running.is_running()
        });
        let keys = json(&ok(&sandbox, &["age", "keygen", "--json"]));
        let text = |key: &str| keys[key].as_str().unwrap().to_owned();
        let world = Self {
            recipient: text("recipient"),
            writer: text("writer"),
            sandbox,
            url,
            folder,
            running,
        };
        world.project(&[&world.writer]);
        world
    }

    fn project(&self, writers: &[&str]) {
        self.sandbox.write(
            "fnox.toml",
            format!(
                "[project]\nname = \"my-app\"\nwriters = {writers:?}\n[providers]\nage = {{ type = \"age\", recipients = [{:?}] }}\n",
                self.recipient
            ),
        );
    }

    fn fnox(&self, arguments: &[&str]) -> Invocation {
        self.sandbox
            .run(arguments)
            .env("FNOX_SERVER_URL", &self.url)
            .env(
                "FNOX_SERVER_TOKEN_FILE",
                self.sandbox.project().join("admin.token"),
            )
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        json(&self.fnox(arguments).finish().succeeds().stdout)
    }

    #[track_caller]
    fn set(&self, arguments: &[&str]) -> Value {
        let set: Vec<&str> = ["secret", "set", "--json"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        json(&self.fnox(&set).stdin(VALUE).finish().succeeds().stdout)
    }

    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.fnox(arguments)
            .stdin(VALUE)
            .finish()
            .exits_with(code)
            .stderr
    }

    /// Another person's identity: its file and its recipient.
    fn other(&self, name: &str) -> (String, String) {
        let file = format!("{name}.txt");
        let recipient = ok(&self.sandbox, &["age", "keygen", "-o", &file]);
        (file, recipient.trim().to_owned())
    }
}

#[test]
fn a_secret_is_stored_listed_changed_and_deleted() {
    let world = World::start();
    let stored = world.set(&["NPM_TOKEN", "-d", "npm publish", "--require-approval"]);
    assert_eq!(stored["version"], 1);
    assert_eq!(stored["recipients"], serde_json::json!([world.recipient]));
    assert_eq!(stored["require_approval"], true);
    // What is not said stays as it was.
    let stored = world.set(&["NPM_TOKEN", "--from-stdin"]);
    assert_eq!(stored["version"], 2);
    assert_eq!(stored["description"], "npm publish");
    assert_eq!(stored["require_approval"], true);
    let stored = world.set(&["NPM_TOKEN", "--no-require-approval"]);
    assert_eq!(stored["require_approval"], false);
    // Profiles are apart, and need not stand in the file.
    assert_eq!(world.set(&["NPM_TOKEN", "-P", "prod"])["version"], 1);
    let list = world.json(&["secret", "list", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let list = world.json(&["secret", "list", "--all", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let versions = world.json(&["secret", "versions", "NPM_TOKEN", "--json"]);
    let numbers: Vec<u64> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 2, 1]);

    world.json(&["secret", "delete", "NPM_TOKEN", "--json"]);
    let error = world.fails(5, &["secret", "versions", "NPM_TOKEN"]);
    assert!(
        error.contains("`NPM_TOKEN`") && error.contains("`my-app`"),
        "{error}"
    );
    world.fails(5, &["secret", "delete", "NPM_TOKEN"]);
    // Numbers go on, the signature is for the number that the server gives, and nothing else was stored on the way.
    let again = world.set(&["NPM_TOKEN"]);
    assert_eq!(again["version"], 4);
    let versions = world.json(&["secret", "versions", "NPM_TOKEN", "--json"]);
    assert_eq!(versions.as_array().unwrap().len(), 1, "{versions}");
    let (_, other) = world.other("other");
    let both = format!("{},{other}", world.recipient);
    world.json(&["secret", "rekey", "--json", "--recipients", &both]);
}

#[test]
fn rekeying_changes_who_can_read_and_says_what_it_does_not_do() {
    let world = World::start();
    world.set(&["NPM_TOKEN"]);
    world.set(&["OTHER_TOKEN"]);
    let (file, ci) = world.other("ci");
    let run = world.fnox(&["secret", "rekey"]).finish().succeeds();
    assert!(run.stderr.contains("already"), "{}", run.stderr);
    let both = format!("{},{ci}", world.recipient);
    let run = world
        .fnox(&["secret", "rekey", "-n", "--recipients", &both])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("[dry-run]"), "{}", run.stderr);
    let done = world.json(&["secret", "rekey", "--json", "--recipients", &both]);
    assert_eq!(done.as_array().unwrap().len(), 2);
    assert_eq!(done[0]["version"], 2);
    assert_eq!(
        done[0]["recipients"],
        serde_json::json!([world.recipient, ci])
    );

    // Nobody locks themselves out by accident.
    let to_ci = ["secret", "rekey", "NPM_TOKEN", "--recipients", &ci];
    let error = world.fails(2, &to_ci);
    assert!(error.contains("none of your identities"), "{error}");
    assert!(error.contains("--force"), "{error}");
    let versions = world.json(&["secret", "versions", "NPM_TOKEN", "--json"]);
    assert_eq!(versions[0]["version"], 2, "nothing was stored");
    let planned = world.fnox(&[&to_ci[..], &["-n"]].concat()).finish();
    assert!(planned.stderr.contains("no longer to"), "{planned}");
    assert!(planned.stderr.contains(&world.recipient), "{planned}");

    // Who is left out keeps what they had.
    let run = world
        .fnox(&[&to_ci[..], &["--force"]].concat())
        .finish()
        .succeeds();
    assert!(run.stderr.contains("make a new value"), "{}", run.stderr);
    assert!(run.stderr.contains(&world.recipient), "{}", run.stderr);
    // The administrator's own identity is out; the other one opens it.
    let back = [
        "secret",
        "rekey",
        "NPM_TOKEN",
        "--recipients",
        &world.recipient,
    ];
    let error = world.fails(4, &back);
    assert!(error.contains("NPM_TOKEN"), "{error}");
    world
        .fnox(&back)
        .env("FNOX_AGE_KEY_FILE", world.sandbox.project().join(&file))
        .finish()
        .succeeds();
}

#[test]
fn nobody_signs_what_somebody_else_put_there() {
    let world = World::start();
    // Without writers an unsigned value is accepted; somebody stores one.
    world.project(&[]);
    world
        .fnox(&["secret", "set", "NPM_TOKEN"])
        .env("FNOX_CONFIG_DIR", world.sandbox.root().join("elsewhere"))
        .stdin(VALUE)
        .finish()
        .succeeds();
    world.project(&[&world.writer]);
    let (_, other) = world.other("other");
    let both = format!("{},{other}", world.recipient);
    let error = world.fails(7, &["secret", "rekey", "--recipients", &both]);
    assert!(error.contains("team::value"), "{error}");
    let versions = world.json(&["secret", "versions", "NPM_TOKEN", "--json"]);
    assert_eq!(versions.as_array().unwrap().len(), 1, "nothing was stored");
}

#[test]
fn two_people_who_store_at_once_both_end_with_a_version_that_reads() {
    let world = World::start();
    let runs: Vec<Running> = (0..6)
        .map(|_| {
            let set = ["secret", "set", "NPM_TOKEN", "--json"];
            world.fnox(&set).stdin(VALUE).start()
        })
        .collect();
    let mut versions: Vec<u64> = runs
        .into_iter()
        .map(Running::finish)
        .filter(|run| run.code == Some(0))
        .map(|run| json(&run.stdout)["version"].as_u64().unwrap())
        .collect();
    versions.sort_unstable();
    let wanted: Vec<u64> = (1..=versions.len() as u64).collect();
    assert_eq!(versions, wanted, "each has a number of its own");
    assert!(!versions.is_empty());
    // The newest one opens with its own number.
    let (_, other) = world.other("other");
    let both = format!("{},{other}", world.recipient);
    world.json(&["secret", "rekey", "--json", "--recipients", &both]);
}

#[test]
fn the_server_and_its_disk_never_see_a_value() {
    let world = World::start();
    world.set(&["NPM_TOKEN"]);
    let (_, other) = world.other("other");
    let both = format!("{},{other}", world.recipient);
    let run = world
        .fnox(&["secret", "rekey", "--recipients", &both])
        .finish()
        .succeeds();
    let approvals = world.fnox(&["approve"]).finish().succeeds();
    assert!(
        approvals.stderr.contains("Nothing is pending"),
        "{}",
        approvals.stderr
    );
    world.fails(
        5,
        &["approve", "show", "00000000-0000-0000-0000-000000000000"],
    );
    world.sandbox.assert_no_leak(VALUE, &[&run]);
    let World {
        folder,
        running,
        sandbox,
        ..
    } = world;
    running.signal(rustix::process::Signal::TERM);
    let ended = running.finish().exits_with(0);
    Canary::new(VALUE).assert_absent(
        &[
            ("stderr", ended.stderr.as_bytes()),
            ("stdout", ended.stdout.as_bytes()),
        ],
        &[&folder],
    );
    drop(sandbox);
}
