//! `server.toml` and the flags of `fnox serve`: what is read, what is refused, and where the message points.

use std::os::unix::fs::PermissionsExt as _;

use crate::serve_support::Home;
use crate::support::{json, ok, sandbox};

/// The smallest files that somebody would write by hand.
const SERVER: &str = r#"
public_url = "https://fnox.example.com"
[[issuer]]
name = "github"      # a preset fills url, algorithms
audience = "https://fnox.example.com"
# url = "…"; jwks_file = "jwks.json" instead of
# discovery; allow_origins = ["http://127.0.0.1:9"]
[notify.ntfy]
url = "https://ntfy.sh"
topic = "fnox-Xk2mW9pQ4rT7vY1zB5nC8d"; token_file = "token"
"#;
const POLICY: &str = r#"
[[rule]]
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]; events = ["push"]
projects = ["my-app"]; profiles = ["default"]
keys = ["NPM_*"]
require_approval = true
"#;

/// A topic that nobody guesses.
const TOPIC: &str = "fnox-q7Zt3vLw9XcRk2Bn8YdFs5Hm";

#[test]
fn the_smallest_files_are_enough() {
    let home = Home::new();
    // Two keys on a line are for the eye only.
    home.configure(
        &SERVER
            .replace("; token_file", "\ntoken_file")
            .replace("[[issuer]]", "database = \"server.db\"\n[[issuer]]"),
    );
    home.sandbox
        .write_private(home.file("policy.toml"), POLICY.replace("; ", "\n"));
    home.sandbox.write_private(home.file("token"), "tk_x\n");
    assert_eq!(home.json(&["policy", "check"])["rules"], 1);
    let server = home.serve(&[]);
    server.says("rules=1");
    server.says("channels=1");
    server.end();
}

#[test]
fn each_mistake_is_shown_with_its_line() {
    let home = Home::new();
    let issuer = "[[issuer]]\nname = \"github\"\n";
    for (text, line, what) in [
        ("listn = \"127.0.0.1:1\"\n", 1, "`listen`"),
        ("# a\nlisten = \"8443\"\n", 2, "ADDRESS:PORT"),
        ("public_url = \"fnox.example.com\"\n", 1, "https://"),
        ("public_url = \"https://u@h\"\n", 1, "not an address"),
        ("database = \"mysql://h/d\"\n", 1, "is no database"),
        ("behind_proxy = [\"10.0.0.0/33\"]\n", 1, "10.0.0.0/33"),
        ("\n[[issuer]]\nurl = \"https://x\"\n", 2, "`name`"),
        (
            "[[issuer]]\nname = \"people\"\n",
            1,
            "no address of its own",
        ),
        (
            "[[issuer]]\nname = \"bootstrap\"\nurl = \"https://x\"\n",
            2,
            "its own tokens",
        ),
        (
            "[[issuer]]\nname = \"github\"\nalgorithms = [\"HS256\"]\n",
            3,
            "RS256",
        ),
        (
            "[[issuer]]\nname = \"github\"\nleeway = \"6m\"\n",
            3,
            "at most 5m",
        ),
        (
            "[[issuer]]\nname = \"github\"\nlongest_life = \"2d\"\n",
            3,
            "at most 1d",
        ),
        (
            "[login]\nissuer = \"people\"\nclient_id = \"x\"\n",
            2,
            "no such [[issuer]]",
        ),
        ("[approvals]\nsession_lifetime = \"1h\"\n", 2, "at most 15m"),
        ("[approvals]\npending_limit = 0\n", 2, "at least 1"),
        ("[approvals]\napprove = \"yes\"\n", 2, "link, login"),
        ("[notify.ntfy]\nurl = \"https://ntfy.sh\"\n", 1, "`topic`"),
        (
            "[notify.ntfy]\ntopic = \"t\"\npriority = 6\n",
            3,
            "from 1 to 5",
        ),
        ("[limits]\nrequest_timeout = 30\n", 2, "duration"),
        ("[limits]\nbody = -1\n", 2, "whole number"),
        ("listen = \"127.0.0.1:1\"\n[", 2, "server.toml"),
    ] {
        home.configure(text);
        let error = home.fails(3, &[]);
        assert!(error.contains(what), "{text}{error}");
        assert!(
            error.contains(&format!("server.toml:{line}")),
            "{text}{error}"
        );
    }
    home.configure(&format!(
        "{issuer}[login]\nissuer = \"github\"\nclient_id = \"other\"\n"
    ));
    let error = home.fails(3, &[]);
    assert!(
        error.contains("client_id") && error.contains("server.toml:5"),
        "{error}"
    );
}

#[test]
fn two_issuers_that_nobody_can_tell_apart_are_refused() {
    let home = Home::new();
    let database = "database = \"server.db\"\n";
    let github = "[[issuer]]\nname = \"github\"\n";
    home.configure(&format!("{database}{github}{github}"));
    let error = home.fails(3, &[]);
    assert!(
        error.contains("\"github\"") && error.contains("twice"),
        "{error}"
    );
    home.configure(&format!(
        "{database}{github}[[issuer]]\nname = \"other\"\npreset = \"github\"\n"
    ));
    let error = home.fails(3, &[]);
    assert!(
        error.contains("audience") && error.contains("other"),
        "{error}"
    );
}

#[test]
fn a_secret_that_everybody_can_read_is_refused() {
    let home = Home::new();
    let token = home.sandbox.write_private("token", "tk_hunter2");
    let flags = ["--ntfy-topic", TOPIC, "--ntfy-token-file", "token"];
    home.serve(&flags).end();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let by_flag = home.fails(4, &flags);
    home.configure("metrics_token_file = \"../token\"\n");
    for error in [by_flag, home.fails(4, &[])] {
        for part in ["token", "chmod 600"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
    // The settings choose who is an administrator.
    std::fs::set_permissions(
        home.file("server.toml"),
        std::fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    let error = home.fails(3, &[]);
    assert!(error.contains("server.toml"), "{error}");
}

#[test]
fn the_database_of_a_mistake_is_not_shown() {
    let home = Home::new();
    home.configure("database = \"mysql://u:hunter2@h/d\"\n");
    let error = home.fails(3, &[]);
    assert!(!error.contains("hunter2"), "{error}");
    home.configure("");
    let error = home.fails(2, &["--db", "postgres://u:hunter2@127.0.0.1:1/d"]);
    assert!(error.contains("FNOX_SERVER_DATABASE"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let run = home
        .run(&[])
        .env("FNOX_SERVER_DATABASE", "postgres://u:hunter2@127.0.0.1:1/d");
    let error = run.finish().exits_with(6).stderr;
    assert!(error.contains("server::database"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn tokens_do_not_travel_in_clear() {
    let home = Home::new();
    let error = home.fails(3, &["--listen", "0.0.0.0:0"]);
    assert!(
        error.contains("in clear") && error.contains("--behind-proxy"),
        "{error}"
    );
    let half = home.fails(3, &["--tls-cert", "cert.pem"]);
    assert!(half.contains("`tls_key`"), "{half}");
    let both = [
        "--behind-proxy",
        "10.0.0.0/8",
        "--tls-cert",
        "c",
        "--tls-key",
        "k",
    ];
    home.fails(2, &both);
    let server = home.serve(&["--behind-proxy", "127.0.0.1,10.0.0.0/8"]);
    server.end();
}

#[test]
fn a_guessable_topic_on_a_public_server_is_refused() {
    let home = Home::new();
    let error = home.fails(3, &["--ntfy-topic", "deployments"]);
    assert!(error.contains("can be guessed"), "{error}");
    let error = home.fails(3, &["--ntfy-topic", TOPIC, "--ntfy-url", "ftp://x"]);
    assert!(error.contains("address"), "{error}");
}

#[test]
fn flags_beat_the_file() {
    let home = Home::new();
    home.configure("policy = \"none.toml\"\ndatabase = \"none.db\"\nsigning_key = \"none.key\"\n[[issuer]]\nname = \"github\"\n");
    let server = home.serve(&[
        "--policy",
        "server/policy.toml",
        "--db",
        "server/server.db",
        "--signing-key",
        "server/server.key",
        "--public-url",
        "https://other.example.com/",
        "--oidc.issuer",
        "http://127.0.0.1:9",
        "--oidc.audience",
        "x",
    ]);
    server.says("public_url=\"https://other.example.com\"");
    server.end();
}

#[test]
fn the_file_is_found_by_variable_and_must_be_there_if_it_is_named() {
    let home = Home::new();
    let config = home.file("server.toml");
    let run = home.sandbox.run(["serve", "policy", "check", "--json"]);
    let run = run.env("FNOX_SERVER_CONFIG", &config).finish().succeeds();
    let checked = json(&run.stdout);
    assert_eq!(
        checked["policy"],
        home.file("policy.toml").to_str().unwrap()
    );
    let run = home.sandbox.run(["serve", "policy", "check"]);
    run.env("FNOX_SERVER_CONFIG", "nothing.toml")
        .finish()
        .exits_with(3);
    // fnox.toml's own flag is another one.
    let sandbox = sandbox();
    ok(&sandbox, &["serve", "init"]);
    ok(
        &sandbox,
        &["-c", "no/fnox.toml", "serve", "policy", "check"],
    );
}
