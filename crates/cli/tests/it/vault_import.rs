//! `fnox vault import zerolease`: secrets of a database as zerolease writes it.

use fnox_testkit::Sandbox;
use serde_json::json;

use crate::support;
use crate::vault_support::{GITHUB, Vault};

/// 32 times the byte 5.
const KEY: &str = "0505050505050505050505050505050505050505050505050505050505050505";

/// Its schema of version 1, and two secrets that another AES-256-GCM sealed with [`KEY`].
const DATABASE: &str = "\
CREATE TABLE secrets (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, ciphertext BLOB NOT NULL, nonce BLOB NOT NULL,
  algorithm TEXT NOT NULL, kind TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1);
INSERT INTO secrets VALUES ('1', 'github-token', x'2b7a803115bf170abe08e586ba46d6d3e617d47877cd7c',
  x'010101010101010101010101', 'aes256gcm', 'pat', 'for CI', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 3);
INSERT INTO secrets VALUES ('2', 'bytes', x'060e3c1955a21888a41193da55f4853a7dd8',
  x'030303030303030303030303', '\"Aes256Gcm\"', '\"Opaque\"', NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 1);
";

fn database(sandbox: &Sandbox) {
    let script =
        "import sqlite3, sys; sqlite3.connect('zerolease.db').executescript(sys.stdin.read())";
    let run = sandbox.run_program("python3", ["-c", script]);
    run.stdin(DATABASE).finish().succeeds();
}

#[test]
fn secrets_of_zerolease_are_taken_over_whole() {
    let vault = Vault::with_policy(GITHUB);
    database(&vault.sandbox);
    let import = |key: &str, more: &[&str]| {
        let arguments = ["import", "zerolease", "--db", "zerolease.db", "--key", key];
        let run = vault.run(&[&arguments, more].concat());
        run.env("ZEROLEASE_KEY", KEY).finish()
    };
    let dry = import("env:ZEROLEASE_KEY", &["--dry-run", "--json"]).succeeds();
    let names = json!([{"name": "bytes"}, {"name": "github-token"}]);
    assert_eq!(support::json(&dry.stdout), names);
    assert_eq!(vault.json(&["secret", "list"]), json!([]));
    import("env:ZEROLEASE_KEY", &[]).succeeds();
    let token = vault.json(&["secret", "get-metadata", "github-token"]);
    assert_eq!(
        (&token["kind"], &token["description"]),
        (&json!("Pat"), &json!("for CI"))
    );
    let ask = [
        "lease",
        "request",
        "github-token@github.com",
        "--agent",
        "coder-1",
    ];
    let lease = vault.ok(&ask);
    let access = ["lease", "access", lease.trim(), "--host", "github.com"];
    assert_eq!(vault.ok(&access), "hunter2");
    // What is there is not overwritten, and nothing else is stored either.
    vault.ok(&["secret", "delete", "bytes"]);
    import("env:ZEROLEASE_KEY", &[]).exits_with(1);
    vault.fails(5, &["secret", "get-metadata", "bytes"]);
    vault.ok(&["secret", "delete", "github-token"]);
    vault
        .sandbox
        .write_private("zerolease.key", format!("{KEY}\n"));
    import("file:zerolease.key", &[]).succeeds();
}

#[test]
fn a_wrong_key_or_file_takes_nothing_over_and_shows_nothing() {
    let vault = Vault::with_policy("");
    database(&vault.sandbox);
    vault.sandbox.write(
        "text.db",
        "no database, but a text that is long enough for a header",
    );
    let import = |code: i32, db: &str, key: &str| {
        let arguments = ["import", "zerolease", "--db", db, "--key", key];
        let run = vault.run(&arguments).env("ZEROLEASE_KEY", KEY);
        run.env("OTHER", "06".repeat(32))
            .env("SHORT", "0505")
            .finish()
            .exits_with(code)
    };
    let runs = [
        import(1, "zerolease.db", "env:OTHER"),
        import(4, "zerolease.db", "env:SHORT"),
        import(4, "zerolease.db", "env:UNSET"),
        import(4, "zerolease.db", "file:gone.key"),
        import(2, "zerolease.db", "keychain:a/b"),
        import(2, "zerolease.db", KEY),
        import(1, "gone.db", "env:ZEROLEASE_KEY"),
        import(1, "text.db", "env:ZEROLEASE_KEY"),
    ];
    for run in &runs {
        assert!(
            !run.stderr.contains("hunter2") && !run.stderr.contains("050505"),
            "{run}"
        );
    }
    assert_eq!(vault.json(&["secret", "list"]), json!([]));
    assert!(
        !vault.sandbox.project().join("gone.db").exists(),
        "none is made"
    );
}
