//! No value, token or key of a vault stands anywhere but where it was asked for.

use fnox_testkit::Canary;

use crate::support;
use crate::vault_support::{GITHUB, Vault};

const VALUE: &str = "canary-of-a-lent-secret-7d793037a076";
const OLD: &str = "canary-of-its-first-version-2f3a9b1c";

/// What an agent does, by its words, and how it ends.
const AS_AGENT: [(&str, i32); 6] = [
    ("exec --secret github-token@github.com -- true", 0),
    ("exec --secret github-token@evil.example -- true", 7),
    ("exec --secret github-token@github.com=fd:3 -- true", 0),
    ("status", 0),
    ("secret list", 7),
    (
        "policy explain --agent coder-1 --secret github-token --host github.com",
        0,
    ),
];

/// What an administrator does.
const AS_ADMINISTRATOR: [&str; 5] = [
    "audit export",
    "key rotate",
    "secret get-metadata github-token --json",
    "lease list --all --json",
    "token list --json",
];

#[test]
fn nothing_is_left_behind_in_stores_logs_or_output() {
    let mut vault = Vault::serving(GITHUB, &["--audit-stdout", "-v"]);
    vault.store("github-token", OLD);
    vault.store("github-token", VALUE);
    let created = vault.json(&["token", "create", "--agent", "coder-1"]);
    let token = created["token"].as_str().unwrap().to_owned();
    let traced = |words: &str| {
        let arguments: Vec<&str> = words.split(' ').collect();
        vault.run(&arguments).env("RUST_LOG", "trace")
    };
    let mut runs = Vec::new();
    for (words, code) in AS_AGENT {
        let run = traced(words).env("FNOX_VAULT_TOKEN", &token);
        runs.push(run.finish().exits_with(code));
    }
    for words in AS_ADMINISTRATOR {
        runs.push(traced(words).finish().succeeds());
    }
    let copy = vault.sandbox.home().join("copy.db");
    let backup = vault.run(&["backup", copy.to_str().unwrap()]);
    runs.push(backup.finish().succeeds());
    runs.push(vault.stop());
    let key = std::fs::read_to_string(vault.sandbox.config_folder().join("vault.key")).unwrap();
    let key = key.split_whitespace().last().unwrap().to_owned();
    let outputs: Vec<(&str, &[u8])> = runs
        .iter()
        .flat_map(|run| {
            [
                ("stdout", run.stdout.as_bytes()),
                ("stderr", run.stderr.as_bytes()),
            ]
        })
        .collect();
    let (data, run) = (vault.data_folder(), vault.sandbox.runtime_folder());
    let home = vault.sandbox.home();
    for canary in [VALUE, OLD, &token] {
        Canary::new(canary).assert_absent(&outputs, &[&home, &run]);
    }
    // The key's own file is the one place for it.
    Canary::new(&key).assert_absent(&outputs, &[&data, &run, &home.join(".local")]);
    // The test can fail: what is there is found.
    let file = vault.sandbox.home().join("planted");
    std::fs::write(&file, VALUE).unwrap();
    assert!(!Canary::new(VALUE).sightings(&outputs, &[&home]).is_empty());
    support::ok(&vault.sandbox, &["version"]);
}
