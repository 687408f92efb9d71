//! Starts that must be refused, each for its own reason; what a running server hears; what it writes about itself.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::serve_support::Home;
use crate::support::{fails, json};

const RULE: &str = "[[rule]]\nissuer = \"github\"\nrepository_id = \"1\"\nrefs = [\"refs/heads/main\"]\n\
                    projects = [\"p\"]\nkeys = [\"A\"]\n";

#[test]
fn a_port_that_is_taken_is_named() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = home.fails(6, &["--listen", &address]);
    assert!(error.contains("server::address"), "{error}");
    assert!(error.contains(&address), "{error}");
}

#[tokio::test]
async fn a_second_server_on_the_database_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let server = home.serve(&[]);
    let error = home.fails(6, &["--listen", "127.0.0.1:0"]);
    assert!(error.contains("in use by another process"), "{error}");
    let state = server.client(&home.token).state().await.unwrap();
    assert!(!state.frozen);
    server.end();
    home.serve(&[]).end();
}

#[test]
fn what_is_missing_or_broken_is_named_before_anything_is_served() {
    let home = Home::new();
    std::fs::set_permissions(
        home.file("server.key"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let error = home.fails(4, &[]);
    assert!(error.contains("chmod 600"), "{error}");
    home.sandbox
        .write_private(home.file("server.key"), "hunter2\n");
    let error = home.fails(4, &[]);
    assert!(
        error.contains("line 1") && !error.contains("hunter2"),
        "{error}"
    );

    let home = Home::new();
    home.sandbox.write_private(
        home.file("policy.toml"),
        RULE.replace("repository_id", "repo_id"),
    );
    let error = home.fails(3, &[]);
    assert!(error.contains("server::policy"), "{error}");
    assert!(error.contains("policy.toml:3:"), "{error}");
    std::fs::remove_file(home.file("policy.toml")).unwrap();
    home.fails(3, &[]);

    let error = home.fails(3, &["--db", "none.db"]);
    assert!(error.contains("fnox serve init"), "{error}");
    assert!(!home.sandbox.project().join("none.db").exists());
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let home = Home::new();
    let file = home.sandbox.project().join("notes.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')")
        .unwrap();
    drop(db);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = home.fails(3, &["--db", "notes.db"]);
    assert!(error.contains("server::settings"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let init = ["serve", "init", "--db", "notes.db", "--dir"];
    for (folder, code) in [("server", 3), ("new", 4)] {
        let error = fails(&home.sandbox, code, &[&init[..], &[folder]].concat());
        assert!(error.contains("notes.db"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    home.fails(3, &["restore", "notes.db"]);
}

#[tokio::test]
async fn the_log_is_json_and_has_no_token_in_it() {
    let home = Home::new();
    let server = home.serve(&["--log", "json"]);
    let client = server.client(&home.token);
    client.freeze().await.unwrap();
    server
        .client("fxs_not-a-session")
        .state()
        .await
        .unwrap_err();
    server.says("answered");
    let run = server.end();
    assert_eq!(run.stdout, "");
    for line in run.stderr.lines() {
        let message = json(line);
        assert!(
            message["timestamp"].is_string() && message["level"].is_string(),
            "{line}"
        );
    }
    let secret = &home.token[4..20];
    assert!(!run.stderr.contains(secret), "{run}");
    assert!(!run.stderr.contains("not-a-session"), "{run}");
}

#[test]
fn a_changed_policy_is_read_at_a_hangup_and_a_broken_one_is_not_taken() {
    let home = Home::new();
    let server = home.serve(&[]);
    home.sandbox.write_private(home.file("policy.toml"), RULE);
    server.signal(Signal::HUP);
    server.says("the policy was read again");
    home.sandbox
        .write_private(home.file("policy.toml"), "[[rule]]\n");
    server.signal(Signal::HUP);
    server.says("the policy before it stays in force");
    server.end();
}

/// Writes a certificate for this machine and its key.
fn renew(home: &Home) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = pair.signing_key.serialize_pem();
    for (name, text) in [("key.pem", key), ("cert.pem", pair.cert.pem())] {
        let new = home.sandbox.write_private(home.file("new.pem"), text);
        std::fs::rename(new, home.file(name)).unwrap();
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let home = Home::new();
    renew(&home);
    let tls = [
        "--tls-cert",
        "server/cert.pem",
        "--tls-key",
        "server/key.pem",
    ];
    let server = home.serve(&tls);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let keep = |name: &str| {
        let copy = home.file(name);
        std::fs::copy(home.file("cert.pem"), &copy).unwrap();
        copy
    };
    let first = keep("first.pem");
    assert_eq!(
        server
            .trusting(Some(first.clone()))
            .health()
            .await
            .unwrap()
            .status,
        "ok"
    );
    renew(&home);
    server.says("the certificate was read again");
    let second = keep("second.pem");
    server.trusting(Some(second)).health().await.unwrap();
    server.trusting(Some(first)).health().await.unwrap_err();
    server.end();
    home.sandbox.write_private(home.file("key.pem"), "hunter2");
    let error = home.fails(3, &[&["--listen", "127.0.0.1:0"], &tls[..]].concat());
    assert!(
        error.contains("server::tls") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_server_leaves_no_core_file_and_takes_all_descriptors() {
    let home = Home::new();
    let server = home.serve(&[]);
    let proc = Path::new("/proc").join(server.id().to_string());
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        (words[0].to_owned(), words[1].to_owned())
    };
    assert_eq!(
        limit("Max core file size"),
        ("0".to_owned(), "0".to_owned())
    );
    let (soft, hard) = limit("Max open files");
    assert_eq!(soft, hard);
    server.end();
}

#[test]
fn an_interrupt_ends_it_as_sigterm_does() {
    let home = Home::new();
    let server = home.serve(&[]);
    server.signal(Signal::INT);
    server.says("the server has ended");
}
