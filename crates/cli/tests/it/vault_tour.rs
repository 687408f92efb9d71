//! `fnox vault` from nothing to an agent with a lease, with the real binary, server and store.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base64::Engine as _;
use fnox_testkit::wait::until;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{self, sandbox};
use crate::vault_support::{GITHUB, Vault};

#[test]
fn init_asks_nothing_overwrites_nothing_and_finishes_what_was_begun() {
    let sandbox = sandbox();
    let init = || support::json(&support::ok(&sandbox, &["vault", "init", "--json"]));
    assert_eq!(
        init()["created"],
        json!(["config", "policy", "key", "store"])
    );
    let config = sandbox.config_folder();
    for name in ["vault.toml", "policy.toml", "vault.key"] {
        let mode = config.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let before = std::fs::read(config.join("vault.key")).unwrap();
    assert_eq!(init()["created"], json!([]));
    std::fs::remove_file(config.join("policy.toml")).unwrap();
    assert_eq!(init()["created"], json!(["policy"]));
    assert_eq!(std::fs::read(config.join("vault.key")).unwrap(), before);
    let told = sandbox.run(["vault", "init"]).finish().succeeds().stderr;
    assert!(told.contains("There is the store already"), "{told}");
}

#[test]
fn config_is_vault_toml_and_c_is_fnox_toml() {
    let sandbox = sandbox();
    sandbox.write("broken.toml", "colour = 1\n");
    let place = sandbox.root().join("elsewhere/vault.toml");
    let place = place.to_str().unwrap();
    for arguments in [
        vec!["-c", "broken.toml", "vault", "init", "--config", place],
        vec!["vault", "init", "-c", "broken.toml", "--config", place],
        vec![
            "--config",
            "broken.toml",
            "vault",
            "init",
            "--config",
            place,
        ],
    ] {
        let out = support::ok(&sandbox, &[&arguments[..], &["--json"]].concat());
        let document = support::json(&out);
        assert_eq!(document["config"], place, "{arguments:?}");
    }
    assert!(!sandbox.config_folder().join("vault.toml").exists());
    // serve: -c is the project whose secrets are lent, and it is read.
    let serve = ["vault", "serve", "--config", place, "-c", "broken.toml"];
    let run = sandbox.run([&serve[..], &["--from-project"]].concat());
    let error = run.finish().exits_with(3).stderr;
    assert!(error.contains("`colour`"), "{error}");
    // --config under serve is vault.toml, and it is read.
    let serve = ["vault", "serve", "--config", "broken.toml"];
    let error = support::fails(&sandbox, 3, &serve);
    assert!(
        error.contains("unknown key `colour` in vault.toml"),
        "{error}"
    );
}

#[test]
fn an_agent_gets_a_secret_for_one_host_and_nothing_else() {
    let vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2\n");
    let token = vault.token_for("coder-1");
    let lease =
        |target: &str| vault.run(&["lease", "request", target, "--token-file", &token, "--json"]);
    let granted = lease("github-token@API.GitHub.com").finish().succeeds();
    let granted = support::json(&granted.stdout);
    assert_eq!(granted["allowed_domains"], json!(["api.github.com"]));
    assert_eq!(granted["remaining_uses"], 20);
    let id = granted["lease_id"].as_str().unwrap();
    let access = |host: &str| {
        vault.run(&[
            "lease",
            "access",
            id,
            "--host",
            host,
            "--token-file",
            &token,
        ])
    };
    // Raw, without a line end, because nobody reads it on a terminal.
    assert_eq!(
        access("api.github.com").finish().succeeds().stdout,
        "hunter2"
    );
    access("github.com").finish().exits_with(7);
    lease("github-token@evil.example").finish().exits_with(7);
    lease("other@api.github.com").finish().exits_with(7);
    // Not even an administrator uses another's lease.
    vault.fails(1, &["lease", "access", id, "--host", "api.github.com"]);
    vault.ok(&["lease", "revoke", "--agent", "coder-1"]);
    access("api.github.com").finish().exits_with(1);
    let listed = vault.json(&["lease", "list", "--all"]);
    assert_eq!(listed[0]["status"], "revoked");
    assert_eq!(listed[0]["uses"], 1);
}

#[test]
fn secrets_of_any_bytes_have_versions_tags_and_ends() {
    let vault = Vault::with_policy(
        "[[rule]]\nagent = \"me\"\nsecret = \"blob\"\nhosts = [\"h.example\"]\n",
    );
    let bytes: Vec<u8> = (0..=255).collect();
    let file = vault.sandbox.write("blob", &bytes);
    let file = file.to_str().unwrap();
    let set = ["secret", "set", "blob", "--file", file];
    let first = vault.json(&[&set[..], &["--tag", "a=b", "--kind", "ssh-key", "--new"]].concat());
    assert_eq!(
        (&first["version"], &first["tags"]),
        (&json!(1), &json!({"a": "b"}))
    );
    vault.fails(1, &[&set[..], &["--new"]].concat());
    assert_eq!(vault.json(&set)["version"], 2);
    vault.fails(1, &[&set[..], &["--if-version", "1"]].concat());
    let described = [
        "secret",
        "set",
        "blob",
        "--keep-value",
        "--description",
        "all",
    ];
    assert_eq!(vault.json(&described)["version"], 2);
    assert_eq!(
        vault.json(&["secret", "get-metadata", "blob"])["description"],
        "all"
    );
    let lease = vault.json(&["lease", "request", "blob@h.example", "--agent", "me"]);
    let id = lease["lease_id"].as_str().unwrap();
    let accessed = vault.json(&["lease", "access", id, "--host", "h.example"]);
    let text = accessed["value_base64"].as_str().unwrap();
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    assert_eq!(decoded.unwrap(), bytes);
    assert_eq!(
        vault.json(&["secret", "prune", "--keep", "1"])["versions"],
        1
    );
    vault.ok(&["secret", "delete", "blob"]);
    vault.fails(5, &["secret", "get-metadata", "blob"]);
    assert_eq!(vault.json(&["secret", "list"]), json!([]));
    // Its leases went with it.
    vault.fails(1, &["lease", "access", id, "--host", "h.example"]);
}

#[test]
fn a_file_of_pairs_is_imported_whole_or_not_at_all() {
    let vault = Vault::with_policy("");
    vault.sandbox.write("a.env", "A=1\nB=\"two words\"\n");
    let import = |more: &[&str]| vault.run(&[&["secret", "import", "a.env"], more].concat());
    let dry = import(&["--dry-run", "--json"]).finish().succeeds();
    assert_eq!(
        support::json(&dry.stdout),
        json!([{"name": "A"}, {"name": "B"}])
    );
    assert_eq!(vault.json(&["secret", "list"]), json!([]));
    import(&["--prefix", "x/"]).finish().succeeds();
    vault.store("B", "old");
    import(&[]).finish().exits_with(1);
    let names: Vec<String> = vault
        .json(&["secret", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|secret| secret["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["B", "x/A", "x/B"], "nothing was stored");
    import(&["--replace"]).finish().succeeds();
    assert_eq!(vault.json(&["secret", "get-metadata", "B"])["version"], 2);
}

#[test]
fn leases_and_tokens_outlive_the_vault() {
    let mut vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let token = vault.token_for("coder-1");
    let with_token = ["--token-file", token.as_str()];
    let request = ["lease", "request", "github-token@github.com"];
    let id = vault.ok(&[&request[..], &with_token[..]].concat());
    let id = id.trim();
    vault.stop();
    vault.fails(6, &["status"]);
    vault.start();
    let access = ["lease", "access", id, "--host", "github.com"];
    assert_eq!(
        vault.ok(&[&access[..], &with_token[..]].concat()),
        "hunter2"
    );
    let renewed = vault.json(&[&["lease", "renew", id, "--for", "4m"], &with_token[..]].concat());
    assert_eq!(renewed["renewable"], true);
}

#[test]
fn a_changed_policy_counts_at_once_and_a_wrong_one_not_at_all() {
    let vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let ask = [
        "policy",
        "explain",
        "--agent",
        "coder-1",
        "--secret",
        "github-token",
        "--host",
        "github.com",
    ];
    assert_eq!(vault.json(&ask)["allowed"], true);
    let lease = vault.ok(&[
        "lease",
        "request",
        "github-token@github.com",
        "--agent",
        "coder-1",
    ]);
    std::fs::write(vault.policy_file(), "[[rule]]\nagnet = \"x\"\n").unwrap();
    let error = vault.fails(3, &["policy", "reload"]);
    assert!(error.contains("agnet"), "{error}");
    assert_eq!(vault.json(&ask)["allowed"], true, "the old one is in force");
    std::fs::write(vault.policy_file(), "").unwrap();
    vault.signal(Signal::HUP);
    until("the new policy", Duration::from_secs(30), || {
        vault.json(&ask)["allowed"] == false
    });
    let access = ["lease", "access", lease.trim(), "--host", "github.com"];
    vault.fails(1, &access);
    // A changed file needs no signal.
    std::fs::write(vault.policy_file(), GITHUB).unwrap();
    until("the policy of before", Duration::from_secs(30), || {
        vault.json(&ask)["allowed"] == true
    });
    assert_eq!(vault.json(&["policy", "reload"])["rules"], 1);
}

#[test]
fn a_policy_is_checked_and_asked_without_a_vault() {
    let sandbox = sandbox();
    sandbox.write("good.toml", GITHUB);
    sandbox.write(
        "bad.toml",
        "[[rule]]\nagent = \"*\"\nsecret = \"s\"\nhosts = [\"*.com\"]\n",
    );
    support::ok(&sandbox, &["vault", "policy", "check", "good.toml"]);
    let run = sandbox.run(["vault", "policy", "check", "bad.toml", "--json"]);
    let report = support::json(&run.finish().exits_with(3).stdout);
    assert_eq!(report["valid"], false);
    let lines: Vec<u64> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 4]);
    let explain = |agent: &str| {
        let arguments = [
            "vault",
            "policy",
            "explain",
            "--file",
            "good.toml",
            "--agent",
            agent,
            "--secret",
            "github-token",
            "--host",
            "github.com",
            "--json",
        ];
        support::json(&support::ok(&sandbox, &arguments))["allowed"].clone()
    };
    assert_eq!(
        (explain("coder-1"), explain("coder-2")),
        (json!(true), json!(false))
    );
}

#[test]
fn tokens_are_shown_once_and_end_when_revoked() {
    let vault = Vault::with_policy(GITHUB);
    let created = vault.json(&[
        "token", "create", "--agent", "coder-1", "--ttl", "2h", "--uses", "2",
    ]);
    let keys: Vec<&String> = created.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["token", "id", "agent", "role", "expires_at"]);
    let token = created["token"].as_str().unwrap();
    assert!(token.starts_with("fxv_"), "its form");
    let status = |token: &str| {
        vault
            .run(&["status"])
            .env("FNOX_VAULT_TOKEN", token)
            .finish()
    };
    assert!(status(token).succeeds().stdout.contains("agent coder-1"));
    let listed = vault.json(&["token", "list"]);
    assert_eq!(
        (&listed[0]["uses"], &listed[0]["max_uses"]),
        (&json!(1), &json!(2))
    );
    assert!(!listed.to_string().contains(token));
    status(token).succeeds();
    status(token).exits_with(4);
    let other = vault.json(&[
        "token",
        "create",
        "--agent",
        "coder-1",
        "--role",
        "orchestrator",
    ]);
    vault.ok(&["token", "revoke", other["id"].as_str().unwrap()]);
    status(other["token"].as_str().unwrap()).exits_with(4);
    // From an open descriptor.
    let third = vault.token_for("coder-1");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = format!("exec {fnox} vault status --token-fd 7 7<{third}");
    let run = vault.sandbox.run_program("sh", ["-c", &script]).finish();
    assert!(run.succeeds().stdout.contains("agent coder-1"));
}

#[test]
fn the_audit_log_tells_who_did_what_and_proves_itself() {
    let mut vault = Vault::serving(GITHUB, &["--audit-stdout"]);
    vault.store("github-token", "hunter2");
    vault.fails(
        7,
        &[
            "lease",
            "request",
            "github-token@evil.example",
            "--agent",
            "coder-1",
        ],
    );
    let denied = vault.json(&[
        "audit",
        "query",
        "--outcome",
        "denied",
        "--agent",
        "coder-1",
    ]);
    let record = &denied["records"][0];
    assert_eq!(record["host"], "evil.example");
    assert_eq!(denied["records"].as_array().unwrap().len(), 1);
    let notes = vault.sandbox.root().join("checkpoints");
    let notes = notes.to_str().unwrap();
    vault.ok(&["audit", "checkpoint", "--append", notes]);
    vault.store("other", "x");
    vault.ok(&["audit", "checkpoint", "--append", notes]);
    let verified = vault.json(&["audit", "verify", "--checkpoints", notes]);
    assert_eq!(verified["intact"], true);
    let tail = vault.ok(&["audit", "tail", "-n", "1"]);
    assert_eq!(tail.lines().count(), 2, "a heading and one record: {tail}");
    let exported = vault.ok(&["audit", "export"]);
    let lines: Vec<serde_json::Value> = exported.lines().map(support::json).collect();
    assert_eq!(lines[0]["sequence"], 1);
    assert!(lines.len() > 5);
    let streamed = vault.stop().stdout;
    let denied = streamed
        .lines()
        .map(support::json)
        .find(|line| line["outcome"] == "denied")
        .unwrap();
    assert_eq!(denied["host"], "evil.example", "{denied}");
}

#[test]
fn keys_change_while_the_vault_serves() {
    let mut vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let before = vault.json(&["key", "status"]);
    assert_eq!(vault.json(&["key", "rotate"])["rewrapped"], 1);
    vault.ok(&["key", "rotate", "--source"]);
    vault.ok(&["key", "rewrap", "--algorithm", "xchacha20-poly1305"]);
    let after = vault.json(&["key", "status"]);
    assert_ne!(before["wrapping_key"], after["wrapping_key"]);
    let secret = vault.json(&["secret", "get-metadata", "github-token"]);
    assert_eq!(secret["algorithm"], "XChaCha20-Poly1305");
    vault.stop();
    vault.start();
    let lease = vault.ok(&[
        "lease",
        "request",
        "github-token@github.com",
        "--agent",
        "coder-1",
    ]);
    let access = ["lease", "access", lease.trim(), "--host", "github.com"];
    assert_eq!(vault.ok(&access), "hunter2");
}

#[test]
fn a_restored_copy_revives_no_right() {
    let mut vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let token = vault.token_for("coder-1");
    let ask = [
        "lease",
        "request",
        "github-token@github.com",
        "--agent",
        "coder-1",
    ];
    let lease = vault.ok(&ask);
    let copy = vault.sandbox.root().join("copy.db");
    let copy = copy.to_str().unwrap();
    assert!(vault.json(&["backup", copy])["bytes"].as_u64().unwrap() > 0);
    let error = vault.fails(1, &["backup", copy]);
    assert!(error.contains("already"), "{error}");
    vault.store("later", "x");
    vault.fails(6, &["restore", copy]);
    vault.stop();
    vault.ok(&["restore", copy]);
    vault.start();
    vault.fails(5, &["secret", "get-metadata", "later"]);
    vault.fails(
        1,
        &["lease", "access", lease.trim(), "--host", "github.com"],
    );
    vault.fails(4, &["status", "--token-file", &token]);
    let lease = vault.ok(&ask);
    let access = ["lease", "access", lease.trim(), "--host", "github.com"];
    assert_eq!(vault.ok(&access), "hunter2");
}

#[test]
fn other_doors_let_only_tokens_in() {
    let root = support::sandbox();
    let agents = root.root().join("agents.sock");
    let agents = agents.to_str().unwrap();
    let vault = Vault::serving(
        GITHUB,
        &["--agent-socket", agents, "--listen", "127.0.0.1:0"],
    );
    vault.fails(4, &["status", "--socket", agents]);
    let token = vault.token_for("coder-1");
    let status = vault.json(&["status", "--socket", agents, "--token-file", &token]);
    assert_eq!(status["identity"]["role"], "agent");
    let admin = vault.json(&["token", "create", "--agent", "boss", "--role", "admin"]);
    let run = vault.run(&["status", "--socket", agents]);
    run.env("FNOX_VAULT_TOKEN", admin["token"].as_str().unwrap())
        .finish()
        .exits_with(4);
}

#[test]
fn a_project_is_lent_under_the_policy() {
    let sandbox = support::sandbox();
    let policy = "[[rule]]\nagent = \"me\"\nsecret = \"API_KEY\"\nhosts = [\"h.example\"]\n";
    support::ok(&sandbox, &["vault", "init"]);
    drop(sandbox);
    let project = support::sandbox();
    let file = project.write(
        "fnox.toml",
        "[providers]\nplain = { type = \"plain\" }\n[secrets]\nAPI_KEY = { provider = \"plain\", value = \"hunter2\" }\n\
         HIDDEN = { provider = \"plain\", value = \"x\", env = false }\n",
    );
    let vault = Vault::serving(policy, &["--from-project", "-c", file.to_str().unwrap()]);
    let listed = vault.json(&["secret", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let lease = vault.ok(&["lease", "request", "API_KEY@h.example", "--agent", "me"]);
    let access = ["lease", "access", lease.trim(), "--host", "h.example"];
    assert_eq!(vault.ok(&access), "hunter2");
    vault
        .run(&["secret", "set", "NEW"])
        .stdin("x")
        .finish()
        .exits_with(1);
}
