//! `fnox vault credential-fill` as git calls it.

use serde_json::json;

use crate::vault_mint_support as mints;
use crate::vault_support::{GITHUB, Vault};

struct Helper {
    vault: Vault,
    token: String,
}

impl Helper {
    fn new() -> Self {
        let vault = Vault::with_policy(GITHUB);
        vault.store("github-token", "hunter2");
        let token = vault.token_for("coder-1");
        Self { vault, token }
    }

    #[track_caller]
    fn ask(&self, code: i32, options: &[&str], input: &[u8]) -> String {
        let arguments = [&["credential-fill", "--token-file", &self.token], options].concat();
        let run = self.vault.run(&arguments).stdin(input).finish();
        run.exits_with(code).stdout
    }
}

const SECRET: [&str; 3] = ["--secret", "github-token", "get"];

/// The answer without the moment at which it ends, which is that of the lease.
#[track_caller]
fn lines(answer: &str) -> (String, i64) {
    let (lines, end) = answer.split_once("password_expiry_utc=").expect("an end");
    (lines.to_owned(), end.trim().parse().unwrap())
}

#[test]
fn git_gets_a_credential_for_its_own_host_until_git_says_that_it_was_refused() {
    let helper = Helper::new();
    let asked = b"protocol=https\nhost=github.com\npath=a/b.git\n\n";
    let (answer, end) = lines(&helper.ask(0, &SECRET, asked));
    assert_eq!(answer, "username=x-access-token\npassword=hunter2\n");
    let named = b"protocol=https\nhost=github.com\nusername=me\n";
    let (answer, same_end) = lines(&helper.ask(0, &SECRET, named));
    assert_eq!(answer, "username=me\npassword=hunter2\n");
    assert_eq!(end, same_end, "one lease answers until half of it is over");
    let leases = || helper.vault.json(&["lease", "list"]);
    let listed = leases();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["domain"], "github.com");
    let told = b"protocol=https\nhost=github.com\nusername=me\npassword=x\n";
    let tell = |operation| helper.ask(0, &["--secret", "github-token", operation], told);
    assert_eq!(tell("store"), "");
    assert_eq!(leases(), listed);
    assert_eq!(tell("erase"), "");
    assert_eq!(leases(), json!([]));
    helper.ask(0, &SECRET, asked);
    assert_ne!(leases()[0]["lease_id"], listed[0]["lease_id"]);
}

/// A credential that a mint made is withdrawn with its lease. git has not even connected when the helper ends.
#[test]
fn what_a_mint_made_is_alive_after_the_helper_has_ended() {
    let mut vault = mints::vault(&mints::mint("m-git", "description = 'For git'"));
    let token = vault.token_for("coder-1");
    let ask = |operation: &str| {
        let arguments = [
            "credential-fill",
            "--token-file",
            &token,
            "--secret",
            "m-git",
        ];
        let run = vault.run(&[&arguments[..], &[operation]].concat());
        let asked = "protocol=https\nhost=api.example.com\n\n";
        run.stdin(asked).finish().succeeds().stdout
    };
    let (answer, _) = lines(&ask("get"));
    assert!(answer.contains("password=made-with-root-1\n"), "{answer}");
    // The vault withdraws within moments: with a lease that is given back as the measure.
    let other = mints::lease(&vault, &token, "m-git", &[]);
    let other = mints::id(&other);
    assert_eq!(mints::access(&vault, &token, &other), "made-with-root-2");
    vault.ok(&["lease", "revoke", &other]);
    mints::eventually(&vault, 2, 1);
    let issued = |line: usize| {
        let line = mints::calls(&vault)[line].clone();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(issued(2), issued(1), "the other one was withdrawn");
    let (again, _) = lines(&ask("get"));
    assert_eq!(again, answer, "it is the same credential, and alive");
    // Refused by whoever it is for, it is withdrawn and made anew.
    ask("erase");
    mints::eventually(&vault, 2, 2);
    let (anew, _) = lines(&ask("get"));
    assert!(anew.contains("password=made-with-root-3\n"), "{anew}");
    vault.stop();
}

#[test]
fn other_hosts_and_plain_http_get_nothing() {
    let helper = Helper::new();
    helper.ask(7, &SECRET, b"protocol=https\nhost=evil.example\n");
    helper.ask(7, &SECRET, b"protocol=https\nhost=gitlab.com:8443\n");
    helper.ask(7, &SECRET, b"protocol=http\nhost=github.com\n");
    let allowed = [&["--allow-http"], &SECRET[..]].concat();
    helper.ask(7, &allowed, b"protocol=http\nhost=github.com\n");
    assert_eq!(
        helper.ask(0, &SECRET, b"protocol=ssh\nhost=github.com\n"),
        ""
    );
    helper
        .vault
        .sandbox
        .write("map.toml", "\"GitHub.com\" = \"github-token\"\n");
    let map = ["--map", "map.toml", "get"];
    assert!(
        helper
            .ask(0, &map, b"protocol=https\nhost=github.com\n")
            .contains("hunter2")
    );
    assert_eq!(
        helper.ask(0, &map, b"protocol=https\nhost=api.github.com\n"),
        ""
    );
}

#[test]
fn what_git_does_not_say_is_refused() {
    let helper = Helper::new();
    for input in [
        b"".as_slice(),
        b"host=github.com\n",
        b"protocol=https\r\nhost=github.com\r\n",
        b"protocol=https\nhost=github.com\0.evil.example\n",
        b"protocol=https\nhost=evil.example\nhost=github.com\n",
        b"protocol=https\nhost=u:p@github.com\n",
        b"protocol\n",
    ] {
        helper.ask(1, &SECRET, input);
    }
    helper.vault.store("github-token", "two\nlines");
    helper.ask(1, &SECRET, b"protocol=https\nhost=github.com\n");
}

#[test]
fn git_itself_is_content() {
    let helper = Helper::new();
    let command = format!(
        "!{} vault credential-fill --token-file {} --secret github-token",
        env!("CARGO_BIN_EXE_fnox"),
        helper.token
    );
    let run = helper
        .vault
        .sandbox
        .run_program(
            "git",
            [
                "-c",
                &format!("credential.helper={command}"),
                "credential",
                "fill",
            ],
        )
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin("protocol=https\nhost=github.com\n\n")
        .finish()
        .succeeds();
    assert!(run.stdout.contains("password=hunter2"), "{run}");
}
