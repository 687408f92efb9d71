//! `fnox vault credential-fill` as git calls it.

use serde_json::json;

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

#[test]
fn git_gets_a_credential_for_its_own_host_and_the_lease_is_given_back() {
    let helper = Helper::new();
    let asked = b"protocol=https\nhost=github.com\npath=a/b.git\n\n";
    assert_eq!(
        helper.ask(0, &SECRET, asked),
        "username=x-access-token\npassword=hunter2\n"
    );
    let named = b"protocol=https\nhost=github.com\nusername=me\n";
    assert_eq!(
        helper.ask(0, &SECRET, named),
        "username=me\npassword=hunter2\n"
    );
    assert_eq!(helper.vault.json(&["lease", "list"]), json!([]));
    for operation in ["store", "erase"] {
        let told = b"protocol=https\nhost=github.com\nusername=me\npassword=x\n";
        assert_eq!(
            helper.ask(0, &["--secret", "github-token", operation], told),
            ""
        );
    }
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
