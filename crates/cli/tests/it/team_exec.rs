//! What `exec` and `run` keep from programs and logs, and what the clients of the team server refuse, without a server.

use fnox_testkit::Sandbox;

use crate::support::{fails, json, ok, sandbox, with_age};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

fn with_server_secret(entry: &str) -> Sandbox {
    let sandbox = sandbox()
        .with_env("FNOX_SERVER_URL", NOWHERE)
        .with_env("FNOX_SERVER_TOKEN", "fxs_any")
        .with_env("FNOX_OIDC_TOKEN", "e30.e30.Y2FuYXJ5");
    sandbox.write(
        "fnox.toml",
        format!("[project]\nname = \"my-app\"\n[secrets]\nNPM_TOKEN = {entry}\n"),
    );
    sandbox
}

#[test]
fn a_program_inherits_nothing_to_log_in_with() {
    let withheld = [
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "FNOX_SERVER_TOKEN",
        "FNOX_SERVER_TOKEN_FILE",
        "FNOX_OIDC_TOKEN",
        "FNOX_OIDC_TOKEN_FILE",
        "FNOX_ID_TOKEN",
        "FNOX_WRITER_KEY_FILE",
        "CIRCLE_OIDC_TOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "BITBUCKET_STEP_OIDC_TOKEN",
    ];
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    for command in ["exec", "run"] {
        let run = sandbox
            .run([command, "--", "env"])
            .envs(withheld.map(|name| (name, "canary-login")))
            .env("BUILDKITE_AGENT_ACCESS_TOKEN", "stays")
            .finish()
            .succeeds();
        assert!(!run.stdout.contains("canary-login"), "{}", run.stdout);
        assert!(run.stdout.starts_with("A=a\n"), "{}", run.stdout);
        assert!(run.stdout.contains("BUILDKITE_AGENT_ACCESS_TOKEN=stays"));
    }
    let run = sandbox
        .run([
            "exec",
            "--keep",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "--",
            "env",
        ])
        .envs(withheld.map(|name| (name, "canary-login")))
        .finish()
        .succeeds();
    assert_eq!(
        run.stdout.matches("canary-login").count(),
        1,
        "{}",
        run.stdout
    );

    // Where a team server is configured, so is what only it accepts.
    let run = sandbox
        .run(["exec", "--", "env"])
        .env("FNOX_SERVER_URL", "https://fnox.example.com/")
        .env("BUILDKITE_AGENT_ACCESS_TOKEN", "canary-login")
        .env("HTTPS___FNOX_EXAMPLE_COM_ID_TOKEN", "canary-login")
        .finish()
        .succeeds();
    assert!(!run.stdout.contains("canary-login"), "{}", run.stdout);
}

#[test]
fn github_is_told_what_to_hide_before_the_program_starts() {
    let sandbox = with_age();
    let toml = sandbox.read("fnox.toml") + "[secrets]\nMODE = { default = \"production\" }\n";
    sandbox.write("fnox.toml", toml);
    sandbox
        .run(["set", "KEY", "--from-file", "/dev/stdin", "-p", "age"])
        .stdin("{\n  \"secret\": \"50%\"\n}\n")
        .finish()
        .succeeds();
    let program = [
        "exec",
        "--",
        "sh",
        "-c",
        "printf %s \"$KEY\"; echo started >&2",
    ];
    let run = sandbox
        .run(program)
        .env("GITHUB_ACTIONS", "true")
        .finish()
        .succeeds();
    assert_eq!(
        run.stdout, "{\n  \"secret\": \"50%\"\n}\n",
        "stdout is data"
    );
    assert_eq!(run.stderr, "::add-mask::  \"secret\": \"50%25\"\nstarted\n");
    let run = sandbox.run(program).finish().succeeds();
    assert_eq!(run.stderr, "started\n", "only GitHub understands it");

    // A file would keep the values and hide nothing.
    let shell = format!("{} exec -- true 2>errors.txt", env!("CARGO_BIN_EXE_fnox"));
    sandbox
        .run_program("sh", ["-c", &shell])
        .env("GITHUB_ACTIONS", "true")
        .finish()
        .succeeds();
    assert_eq!(sandbox.read("errors.txt"), "");
}

#[test]
fn nothing_starts_without_a_secret_of_the_team_server() {
    for command in [
        &["run"][..],
        &["exec"],
        &["exec", "--if-missing", "ignore"],
        &["exec", "--if-missing", "warn"],
    ] {
        let sandbox = with_server_secret("{}");
        let mut arguments = command.to_vec();
        arguments.extend(["--", "touch", "started"]);
        let error = fails(&sandbox, 6, &arguments);
        assert!(error.contains("NPM_TOKEN"), "{command:?}: {error}");
        assert!(!sandbox.project().join("started").exists(), "{command:?}");
    }
    for entry in [
        "{ if_missing = \"ignore\" }",
        "{ provider = \"server\", default = \"none\" }",
    ] {
        let sandbox = with_server_secret(entry);
        ok(&sandbox, &["exec", "--", "touch", "started"]);
        assert!(sandbox.project().join("started").exists(), "{entry}");
    }
}

#[test]
fn check_says_what_is_not_known_and_asks_nobody() {
    let sandbox = with_server_secret("{ if_missing = \"error\" }");
    let document = json(&ok(&sandbox, &["check", "--json"]));
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("writers"), "{warnings}");
    assert!(warnings.contains("127.0.0.1:1"), "{warnings}");
}

#[test]
fn wrong_flags_are_refused_before_anybody_is_asked() {
    let sandbox = with_server_secret("{}");
    for (arguments, wanted) in [
        (
            &["run", "--approval", "7", "--", "true"][..],
            "id of an approval",
        ),
        (&["run", "--timeout", "0s", "--", "true"], "--timeout"),
        (&["run", "--timeout", "soon", "--", "true"], "--timeout"),
        (
            &["run", "--timeout", "1m", "--no-wait", "--", "true"],
            "cannot be used with",
        ),
        (&["approve", "show", "7"], "id of an approval"),
        (
            &["approve", "approve", "x", "--code", "ABC123"],
            "id of an approval",
        ),
        (
            &["secret", "set", "NPM_TOKEN", "hunter2"],
            "unexpected argument",
        ),
        (&["secret", "set", "no-name!"], "no-name!"),
        (&["secret", "set", "A", "--recipients", "age1x"], "age1x"),
        (&["secret", "list", "--project", "a/b"], "a/b"),
    ] {
        let error = fails(&sandbox, 2, arguments);
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
    let error = sandbox
        .run(["secret", "set", "NPM_TOKEN", "--recipients", RECIPIENT])
        .stdin("")
        .finish()
        .exits_with(2)
        .stderr;
    assert!(error.contains("is empty"), "{error}");
    let elsewhere = crate::support::sandbox();
    let error = fails(&elsewhere, 3, &["secret", "list"]);
    assert!(error.contains("[project]"), "{error}");
    let error = fails(&elsewhere, 3, &["secret", "list", "--project", "p"]);
    assert!(error.contains("server_url"), "{error}");
    let named = ["secret", "list", "--project", "p", "--server", NOWHERE];
    let error = fails(&elsewhere, 4, &named);
    assert!(error.contains("fnox login --server"), "{error}");
}

#[test]
fn a_project_with_writers_takes_no_unsigned_value() {
    let sandbox = with_server_secret("{}");
    let set = ["secret", "set", "NPM_TOKEN", "--recipients", RECIPIENT];
    let with_writers = |writers: &str| {
        sandbox.write(
            "fnox.toml",
            format!("[project]\nname = \"my-app\"\nwriters = [{writers}]\n"),
        );
    };
    let other = crate::support::sandbox();
    let writer = json(&ok(&other, &["age", "keygen", "--json"]))["writer"].to_string();
    with_writers(&writer);
    let error = sandbox
        .run(set)
        .stdin("hunter2")
        .finish()
        .exits_with(4)
        .stderr;
    assert!(error.contains("fnox age keygen"), "{error}");
    ok(&sandbox, &["age", "keygen"]);
    let error = sandbox
        .run(set)
        .stdin("hunter2")
        .finish()
        .exits_with(4)
        .stderr;
    assert!(error.contains("not among"), "{error}");
    with_writers("\"fxwp_x\"");
    let error = sandbox
        .run(set)
        .stdin("hunter2")
        .finish()
        .exits_with(3)
        .stderr;
    assert!(error.contains("writers"), "{error}");
    let key = other.config_folder().join("age/writer.key");
    with_writers(&writer);
    sandbox
        .run(set)
        .env("FNOX_WRITER_KEY_FILE", &key)
        .stdin("hunter2")
        .finish()
        .exits_with(6);
}

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
