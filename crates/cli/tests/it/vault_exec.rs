//! `fnox vault exec` and the provider `vault-agent`: programs get values, never the means to get more.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use serde_json::json;

use crate::support;
use crate::vault_support::{GITHUB, Vault};

fn vault() -> (Vault, String) {
    let vault = Vault::with_policy(GITHUB);
    vault.store("github-token", "hunter2");
    let token = vault.token_for("coder-1");
    (vault, token)
}

#[test]
fn a_program_has_a_secret_for_its_life() {
    let (vault, token) = vault();
    let list = format!(
        "{} vault lease list --json --socket {}",
        env!("CARGO_BIN_EXE_fnox"),
        vault.socket().display()
    );
    let script = format!("printf %s \"$GITHUB_TOKEN\" >&2; {list}; exit 7");
    let exec = [
        "exec",
        "--token-file",
        &token,
        "--secret",
        "github-token@api.github.com",
    ];
    let run = vault.run(&[&exec[..], &["--", "sh", "-c", &script]].concat());
    let run = run.finish().exits_with(7);
    assert_eq!(run.stderr, "hunter2");
    assert_eq!(
        support::json(&run.stdout).as_array().unwrap().len(),
        1,
        "while it runs"
    );
    assert_eq!(vault.json(&["lease", "list"]), json!([]), "afterwards");
    let all = vault.json(&["lease", "list", "--all"]);
    assert_eq!(all[0]["reason"], "Released");
}

#[test]
fn a_program_reads_a_secret_from_a_descriptor() {
    let (vault, token) = vault();
    let large = "x".repeat(300 * 1024);
    vault.store("github-token", large.as_str());
    let exec = [
        "exec",
        "--token-file",
        &token,
        "--secret",
        "github-token@api.github.com=fd:9",
        "--secret",
        "github-token@github.com=fd:8",
        "--",
        "sh",
        "-c",
        "cat <&9 | wc -c; cat <&8 | wc -c; env; tr '\\0' ' ' </proc/self/cmdline",
    ];
    let out = vault.ok(&exec);
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("307200"));
    assert_eq!(lines.next(), Some("307200"));
    assert!(
        !out.contains("xxxx"),
        "neither in the environment nor among the arguments"
    );
}

#[test]
fn a_program_gets_no_means_to_get_more() {
    let (vault, token) = vault();
    let token_text = std::fs::read_to_string(&token).unwrap();
    let exec = ["exec", "--secret", "github-token@github.com=T", "--", "env"];
    let run = vault
        .run(&exec)
        .env("FNOX_VAULT_TOKEN", token_text.trim())
        .env("FNOX_VAULT_SOCKET", vault.socket())
        .env("FNOX_VAULT_AGENT", "coder-1")
        .finish()
        .succeeds();
    assert!(run.stdout.contains("T=hunter2"));
    assert!(!run.stdout.contains("FNOX_VAULT"), "{}", run.stdout);
    let agents = vault.sandbox.root().join("agents.sock");
    let run = vault
        .run(&[&["exec", "--token-file", &token], &exec[1..]].concat())
        .env("FNOX_VAULT_AGENT_SOCKET", &agents)
        .finish()
        .succeeds();
    let line = format!("FNOX_VAULT_SOCKET={}", agents.display());
    assert!(run.stdout.contains(&line), "{}", run.stdout);
    // `fnox exec` drops the token too.
    vault.sandbox.write("fnox.toml", "");
    let run = vault.sandbox.run(["exec", "--", "env"]);
    let run = run
        .env("FNOX_VAULT_TOKEN", token_text.trim())
        .finish()
        .succeeds();
    assert!(!run.stdout.contains("FNOX_VAULT"), "{}", run.stdout);
}

#[test]
fn nothing_is_started_and_nothing_kept_if_one_secret_is_refused() {
    let (vault, token) = vault();
    let exec = |secrets: &[&str]| {
        let mut arguments = vec!["exec", "--token-file", &token];
        for secret in secrets {
            arguments.extend(["--secret", secret]);
        }
        arguments.extend(["--", "touch", "ran"]);
        vault.run(&arguments).finish()
    };
    exec(&["github-token@github.com", "github-token@evil.example=B"]).exits_with(7);
    exec(&["github-token@github.com=A", "github-token@api.github.com=A"]).exits_with(2);
    exec(&["github-token@github.com=fd:1"]).exits_with(2);
    exec(&["github-token@github.com=1A"]).exits_with(2);
    vault.store("github-token", b"\xff\xfe".as_slice());
    let error = exec(&["github-token@github.com"]).exits_with(3).stderr;
    assert!(error.contains("=fd:3"), "{error}");
    assert!(!vault.sandbox.project().join("ran").exists());
    assert_eq!(vault.json(&["lease", "list"]), json!([]));
    let missing = ["exec", "--secret", "github-token@github.com", "--", "true"];
    let error = vault.fails(2, &missing);
    assert!(error.contains("--agent"), "{error}");
    vault.store("github-token", "hunter2");
    let missing = [
        "exec",
        "--token-file",
        &token,
        "--secret",
        "github-token@github.com=T",
        "--",
        "no-such",
    ];
    vault.fails(127, &missing);
}

#[test]
fn a_value_is_redacted_in_the_output_wherever_it_was_delivered() {
    let (vault, token) = vault();
    for place in ["=T", "=fd:3"] {
        let secret = format!("github-token@github.com{place}");
        let exec = [
            "exec",
            "--token-file",
            &token,
            "--secret",
            &secret,
            "--redact",
            "--",
            "sh",
            "-c",
            "echo hunter2",
        ];
        assert_eq!(vault.ok(&exec), "[REDACTED]\n", "{place}");
    }
}

#[test]
fn a_lease_is_renewed_while_the_program_runs() {
    let vault = Vault::with_policy(
        "[[rule]]\nagent = \"coder-1\"\nsecret = \"s\"\nhosts = [\"h.example\"]\nttl = \"2s\"\nrenewable = true\n",
    );
    vault.store("s", "v");
    // The program ends when it has seen the renewal on record.
    let script = format!(
        "until {} vault audit query --event lease_renewed --socket {} --json | grep -q sequence; do :; done",
        env!("CARGO_BIN_EXE_fnox"),
        vault.socket().display()
    );
    vault.ok(&[
        "exec",
        "--agent",
        "coder-1",
        "--secret",
        "s@h.example",
        "--",
        "sh",
        "-c",
        &script,
    ]);
}

#[test]
fn fnox_exec_draws_on_a_vault() {
    let (vault, token) = vault();
    vault.sandbox.write(
        "fnox.toml",
        format!(
            "[providers.lent]\ntype = \"vault-agent\"\nsocket = \"{}\"\ntoken_file = \"{token}\"\n\
             [secrets]\nGH = {{ provider = \"lent\", value = \"github-token@api.github.com\" }}\n",
            vault.socket().display()
        ),
    );
    let run = vault.sandbox.run(["exec", "--", "printenv", "GH"]).finish();
    assert_eq!(run.succeeds().stdout, "hunter2\n");
    assert_eq!(vault.json(&["lease", "list"]), json!([]), "given back");
    let with = |secret: &str, provider: &str| {
        vault.sandbox.write(
            "fnox.toml",
            format!("[providers.lent]\ntype = \"vault-agent\"\n{provider}\n[secrets]\nGH = {{ provider = \"lent\", value = \"{secret}\" }}\n"),
        );
        vault.sandbox.run(["exec", "--", "true"]).finish()
    };
    let token_key = format!("token_file = \"{token}\"");
    with("github-token@evil.example", &token_key).exits_with(7);
    with("github-token", &token_key).exits_with(3);
    with("github-token@github.com", "token = \"fxv_literal\"").exits_with(3);
    with("github-token@github.com", "token_file = \"/nonexistent\"").exits_with(4);
    let gone = format!("{token_key}\nsocket = \"/nonexistent/vault.sock\"");
    with("github-token@github.com", &gone).exits_with(6);
}

/// Brings what the vault answers a few bytes at a time. The thread ends with the process of the tests.
fn slow_way(to: std::path::PathBuf, at: &std::path::Path) {
    let listener = UnixListener::bind(at).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), UnixStream::connect(&to).unwrap());
            let (mut asks, mut asked) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut asks, &mut asked);
                let _ = asked.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || bring_slowly(far, near));
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow way takes time, which no clock of ours can advance"
)]
fn bring_slowly(mut from: UnixStream, mut to: UnixStream) {
    let mut piece = [0; 16];
    loop {
        let length = from.read(&mut piece).unwrap_or(0);
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn exact_bytes_come_by_a_slow_way_too() {
    let (vault, token) = vault();
    let slow = vault.sandbox.root().join("slow.sock");
    slow_way(vault.socket(), &slow);
    let values = ["hunter2", " a\n\n", "\t", "ü\u{1}\r\n", "'\"\\$x`"];
    for value in values
        .map(str::to_owned)
        .into_iter()
        .chain(["x".repeat(1024)])
    {
        // One line end is the pipe's.
        vault.store("github-token", format!("{value}\n"));
        for socket in [vault.socket(), slow.clone()] {
            vault.sandbox.write(
                "fnox.toml",
                format!(
                    "[providers.lent]\ntype = \"vault-agent\"\nsocket = \"{}\"\ntoken_file = \"{token}\"\n\
                     [secrets]\nGH = {{ provider = \"lent\", value = \"github-token@api.github.com\" }}\n",
                    socket.display()
                ),
            );
            let run = vault.sandbox.run(["exec", "--", "printenv", "GH"]).finish();
            assert_eq!(run.succeeds().stdout, format!("{value}\n"));
        }
    }
    assert_eq!(vault.json(&["lease", "list"]), json!([]), "given back");
}
