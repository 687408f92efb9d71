//! Bad input to `fnox vault`: a clear error each, the documented exit code, nothing lost.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fnox_testkit::wait::until;

use crate::support::{self, fails, sandbox};
use crate::vault_support::{GITHUB, Vault};

#[test]
fn without_a_vault_the_help_says_how_to_start_one() {
    let sandbox = sandbox();
    let error = fails(&sandbox, 6, &["vault", "status"]);
    assert!(error.contains("fnox vault serve"), "{error}");
    assert!(error.contains("vault::unreachable"), "{error}");
    let error = fails(&sandbox, 3, &["vault", "serve"]);
    assert!(error.contains("policy.toml"), "{error}");
    assert!(error.contains("fnox vault init"), "{error}");
    fails(&sandbox, 2, &["vault", "status", "--socket", "http://x"]);
    fails(
        &sandbox,
        6,
        &["vault", "status", "--socket", "tcp:127.0.0.1:1"],
    );
    fails(
        &sandbox,
        6,
        &["vault", "status", "--socket", "tcp:192.0.2.1:9"],
    );
}

#[test]
fn settings_are_checked_with_the_line_underlined() {
    let sandbox = sandbox();
    support::ok(&sandbox, &["vault", "init"]);
    for (line, wanted) in [
        ("sokcet = \"/x\"", "`socket`"),
        ("[audit]\nmode = \"of\"", "did you mean `off`?"),
        ("[limits]\nconnections = 0", "at least 1"),
        ("[limits]\nrequest_timeout = \"0s\"", "between 1s and"),
        ("socket_mode = \"0200\"", "octal mode"),
        ("socket_mode = 600", "must be a string"),
        ("listen = [\"localhost\"]", "127.0.0.1:9100"),
        ("vsock_host = [\"9100\"]", "PATH:PORT"),
        ("store = \"mysql://u:hunter2@h/d\"", "sqlite:PATH"),
        ("key = \"hunter2\"", "key source"),
        ("admins = { uids = [\"root\"] }", "list of whole numbers"),
        ("admins = { uids = [4294967296] }", "no id"),
        ("keep_versions = 0", "at least 1"),
    ] {
        let file = sandbox.write_private("vault.toml", format!("# first\n{line}\n"));
        let file = file.to_str().unwrap();
        let error = fails(&sandbox, 3, &["vault", "serve", "--config", file]);
        assert!(error.contains(wanted), "{line}: {error}");
        assert!(error.contains("vault.toml"), "{line}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    fails(&sandbox, 3, &["vault", "serve", "--config", "gone.toml"]);
    let file = sandbox.write("open.toml", "");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    fails(&sandbox, 3, &["vault", "serve", "--config", "open.toml"]);
    fails(&sandbox, 2, &["vault", "serve", "--store", "vault.db"]);
    fails(&sandbox, 2, &["vault", "serve", "--key", "vault.key"]);
}

#[test]
fn a_policy_that_others_could_have_written_is_not_taken() {
    let mut vault = Vault::with_policy(GITHUB);
    let file = vault.policy_file();
    let give = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
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
    give(0o666);
    std::fs::write(&file, "").unwrap();
    until("the warning", Duration::from_secs(30), || {
        vault
            .stderr_so_far()
            .contains("the old policy stays in force")
    });
    let error = vault.fails(3, &["policy", "reload"]);
    for part in ["vault::policy", "policy.toml", "0666", "chmod"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(vault.json(&ask)["allowed"], true, "the old one is in force");
    // Mended, it is read without being asked to.
    give(0o600);
    until("the new policy", Duration::from_secs(30), || {
        vault.json(&ask)["allowed"] == false
    });
    vault.stop();
    give(0o602);
    let error = vault.fails(3, &["serve"]);
    for part in ["config::untrusted", "policy.toml", "0602", "chmod"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_vault_starts_with_its_own_key_and_store_only() {
    let sandbox = sandbox();
    support::ok(&sandbox, &["vault", "init"]);
    let other = "file:other.key";
    sandbox.write_private("other.key", "00".repeat(32) + "\n");
    let error = fails(&sandbox, 4, &["vault", "serve", "--key", other]);
    assert!(error.contains("vault::key"), "{error}");
    fails(&sandbox, 4, &["vault", "serve", "--key", "env:NOT_SET"]);
    sandbox.write_private("foreign.db", "this is no database at all");
    let error = fails(
        &sandbox,
        3,
        &["vault", "serve", "--store", "sqlite:foreign.db"],
    );
    assert!(error.contains("foreign.db"), "{error}");
    assert_eq!(sandbox.read("foreign.db"), "this is no database at all");
    let error = fails(
        &sandbox,
        6,
        &["vault", "serve", "--store", "sqlite:gone.db"],
    );
    assert!(error.contains("fnox vault init"), "{error}");
    let key = sandbox.write_private("open.key", "00".repeat(32) + "\n");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = fails(&sandbox, 4, &["vault", "serve", "--key", "file:open.key"]);
    assert!(error.contains("chmod 600"), "{error}");
    let long = format!("/tmp/{}", "x".repeat(200));
    let error = fails(&sandbox, 6, &["vault", "serve", "--socket", &long]);
    assert!(error.contains("vault::socket"), "{error}");
    fails(&sandbox, 6, &["vault", "serve", "--listen", "0.0.0.0:0"]);
}

#[test]
fn two_vaults_do_not_share_a_file_or_a_socket() {
    let vault = Vault::with_policy(GITHUB);
    let error = vault.fails(6, &["serve"]);
    assert!(error.contains("in use by another vault"), "{error}");
    vault.ok(&["status"]);
}

#[test]
fn a_key_in_the_environment_works_and_goes_no_further() {
    let sandbox = sandbox().with_env("VAULT_KEY", "5a".repeat(32));
    support::ok(&sandbox, &["vault", "init", "--key", "env:VAULT_KEY"]);
    let text = std::fs::read_to_string(sandbox.config_folder().join("vault.toml")).unwrap();
    assert!(text.contains("key = \"env:VAULT_KEY\""), "{text}");
    sandbox.assert_no_leak("5a5a5a5a5a5a5a5a", &[]);
}

#[test]
fn requests_that_make_no_sense_are_refused_by_name() {
    let vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let set =
        |name: &str, value: Vec<u8>| vault.run(&["secret", "set", name]).stdin(value).finish();
    set("line\nbreak", b"x".to_vec()).exits_with(1);
    set(&"n".repeat(129), b"x".to_vec()).exits_with(1);
    set("", b"x".to_vec()).exits_with(1);
    set("empty", Vec::new()).exits_with(2);
    set("large", vec![b'x'; 512 * 1024]).succeeds();
    set("larger", vec![b'x'; 512 * 1024 + 1]).exits_with(1);
    set("largest", vec![b'x'; 2 * 1024 * 1024]).exits_with(1);
    let ask = |more: &[&str]| {
        let request = [
            "lease",
            "request",
            "github-token@github.com",
            "--agent",
            "coder-1",
        ];
        vault.run(&[&request, more].concat()).finish()
    };
    ask(&["--ttl", "0s"]).exits_with(2);
    ask(&["--ttl", "forever"]).exits_with(2);
    ask(&["--ttl", "400d"]).succeeds();
    ask(&["--uses", "0"]).exits_with(1);
    vault.fails(2, &["lease", "request", "github-token"]);
    vault.fails(
        2,
        &[
            "lease",
            "request",
            "github-token@*.github.com",
            "--agent",
            "a",
        ],
    );
    vault.fails(2, &["lease", "request", "github-token@github.com"]);
    vault.fails(2, &["lease", "access", "not-an-id", "--host", "github.com"]);
    vault.fails(2, &["lease", "revoke"]);
    vault.fails(2, &["token", "create"]);
    vault.fails(1, &["token", "create", "--agent", "a", "--ttl", "91d"]);
    vault.fails(1, &["token", "create", "--agent", "a", "--peer", "root"]);
    vault.fails(2, &["audit", "query", "--since", "yesterday"]);
    vault.fails(2, &["audit", "query", "--outcome", "fine"]);
    let error = vault.fails(2, &["audit", "query", "--event", "leas_granted"]);
    assert!(error.contains("did you mean `lease_granted`?"), "{error}");
    let error = vault.fails(2, &["audit", "query", "--event", "nosuch"]);
    assert!(error.contains("access_denied, "), "{error}");
    vault.fails(2, &["audit", "tail", "--event", "nosuch"]);
    vault.fails(
        1,
        &["token", "revoke", "01890000-0000-7000-8000-000000000000"],
    );
}

#[test]
fn a_token_that_is_none_is_told_from_one_that_is_refused() {
    let vault = Vault::with_policy(GITHUB);
    vault.sandbox.write_private("empty", "\n");
    vault
        .sandbox
        .write_private("wrong", format!("fxv_{}\n", "A".repeat(43)));
    vault.sandbox.write_private("lines", "a\nb\n");
    for (file, code) in [
        ("gone", "vault::token"),
        ("empty", "vault::token"),
        ("lines", "vault::token"),
        ("wrong", "vault::authentication"),
    ] {
        let error = vault.fails(4, &["status", "--token-file", file]);
        assert!(error.contains(code), "{file}: {error}");
    }
    vault.fails(4, &["status", "--token-fd", "99"]);
    vault.fails(2, &["status", "--token", "fxv_x"]);
}

#[test]
fn a_token_that_others_can_open_is_warned_of() {
    let vault = Vault::with_policy(GITHUB);
    let path = vault.token_for("coder-1");
    for (mode, is_warned) in [(0o600, false), (0o644, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let run = vault.run(&["status", "--token-file", &path]).finish();
        let warning = format!("chmod 600 {path}");
        assert_eq!(run.stderr.contains(&warning), is_warned, "{mode:o}: {run}");
    }
}
