//! `fnox serve init` makes what a server needs, for its owner only, and leaves alone what is there.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use crate::serve_support::Home;
use crate::support::{fails, json, ok, sandbox};

/// Every file of the server's folder with its content.
fn contents(home: &Home) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(home.file(""))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .filter(|(name, _)| !name.contains("-shm") && !name.contains(".lock"))
        .collect()
}

#[test]
fn everything_is_made_once_and_for_its_owner_only() {
    let home = Home::new();
    assert!(home.token.starts_with("fxb_"), "{}", home.token);
    for name in ["", "server.toml", "policy.toml", "server.key", "server.db"] {
        let mode = home.file(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} {mode:o}");
    }
    let before = contents(&home);
    let again = ok(
        &home.sandbox,
        &["serve", "init", "--dir", "server", "--json"],
    );
    let again = json(&again);
    assert_eq!(again["bootstrap_token"], serde_json::Value::Null);
    assert_eq!(again["created"], serde_json::json!([]));
    assert!(contents(&home) == before, "something was changed");
    for (name, content) in before {
        let holds = content
            .windows(home.token.len())
            .any(|part| part == home.token.as_bytes());
        assert!(!holds, "the token is in {name}");
    }
}

#[test]
fn the_token_is_the_only_thing_on_stdout() {
    let sandbox = sandbox();
    let run = sandbox.run(["serve", "init"]).finish().succeeds();
    let token = run.stdout.trim();
    assert!(token.starts_with("fxb_") && token.len() == 53, "{token}");
    assert!(!run.stderr.contains(token), "{run}");
    let config = sandbox.config_folder().join("server.toml");
    assert!(config.exists());
    assert!(sandbox.home().join(".local/share/fnox/server.db").exists());
}

#[test]
fn no_two_servers_have_the_same_topic_or_key() {
    let (one, other) = (Home::new(), Home::new());
    let topic = |home: &Home, folder: &str, url: &str| {
        let made = ["serve", "init", "--dir", folder, "--public-url", url];
        let run = home.sandbox.run(made).finish().succeeds();
        let file = home.sandbox.project().join(folder).join("server.toml");
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find(|line| line.starts_with("topic = "));
        (line.map(str::to_owned), run.stderr)
    };
    let public = "https://fnox.example.com";
    let (topics, told) = topic(&one, "public", public);
    let topics = [topics.unwrap(), topic(&other, "public", public).0.unwrap()];
    assert_ne!(topics[0], topics[1]);
    // 128 bits need 22 letters and digits.
    assert!(topics[0].len() >= "topic = \"\"".len() + 22);
    assert!(told.contains("https://ntfy.sh"), "{told}");
    // What no phone can reach is told to nobody elsewhere.
    for (folder, url) in [
        ("by-address", "http://127.0.0.1:8443"),
        ("by-name", "http://localhost:8443"),
    ] {
        let (none, told) = topic(&one, folder, url);
        assert_eq!(none, None);
        assert!(told.contains("Nobody is told"), "{told}");
    }
    assert_ne!(contents(&one)["server.key"], contents(&other)["server.key"]);
}

#[test]
fn an_init_that_was_interrupted_is_finished_by_another() {
    let home = Home::new();
    let policy = std::fs::read(home.file("policy.toml")).unwrap();
    for name in [
        "server.db",
        "server.db-wal",
        "server.db-shm",
        "server.db.mark",
        "policy.toml",
    ] {
        let _ = std::fs::remove_file(home.file(name));
    }
    let again = ok(
        &home.sandbox,
        &["serve", "init", "--dir", "server", "--json"],
    );
    let again = json(&again);
    assert_eq!(again["created"], serde_json::json!(["policy", "database"]));
    assert_ne!(again["bootstrap_token"], home.token.as_str());
    assert_eq!(std::fs::read(home.file("policy.toml")).unwrap(), policy);
    home.serve(&[]).end();
}

#[test]
fn a_database_whose_key_is_gone_gets_no_other_key() {
    let home = Home::new();
    std::fs::remove_file(home.file("server.key")).unwrap();
    let error = fails(&home.sandbox, 4, &["serve", "init", "--dir", "server"]);
    assert!(
        error.contains("server::key") && error.contains("restore"),
        "{error}"
    );
    assert!(!home.file("server.key").exists());
    let error = home.fails(4, &["--listen", "127.0.0.1:0"]);
    assert!(error.contains("there is no signing key"), "{error}");
}

#[test]
fn a_vault_and_a_server_share_a_folder_and_no_policy() {
    let sandbox = sandbox();
    ok(&sandbox, &["vault", "init"]);
    let vaults = std::fs::read(sandbox.config_folder().join("policy.toml")).unwrap();
    let made = json(&ok(&sandbox, &["serve", "init", "--json"]));
    let policy = made["policy"].as_str().unwrap();
    assert!(policy.ends_with("/server-policy.toml"), "{policy}");
    ok(&sandbox, &["serve", "policy", "check"]);
    let of_vault = sandbox.config_folder().join("policy.toml");
    let of_vault = of_vault.to_str().unwrap();
    ok(&sandbox, &["vault", "policy", "check", of_vault]);
    assert_eq!(std::fs::read(of_vault).unwrap(), vaults);
}

#[test]
fn an_init_while_the_server_runs_changes_nothing() {
    let home = Home::new();
    let server = home.serve(&[]);
    let again = ok(
        &home.sandbox,
        &["serve", "init", "--dir", "server", "--json"],
    );
    assert_eq!(json(&again)["bootstrap_token"], serde_json::Value::Null);
    server.end();
}
