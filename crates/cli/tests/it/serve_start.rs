//! Starts that must be refused, each for its own reason; what a running server hears; what it writes about itself.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fnox_api::client::AuditQuery;
use fnox_core::audit::Record;
use rustix::process::Signal;

use crate::serve_support::{Home, Server};
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

#[test]
fn a_changed_policy_is_read_without_anybody_saying_so() {
    let home = Home::new();
    let server = home.serve(&[]);
    home.sandbox
        .write_private(home.file("policy.toml"), "[[rule]]\n");
    server.says("the policy before it stays in force");
    home.sandbox.write_private(home.file("policy.toml"), RULE);
    server.says("the policy was read again");
    server.end();
}

#[test]
fn a_policy_that_everybody_may_write_to_is_refused() {
    let home = Home::new();
    let policy = home.file("policy.toml");
    home.sandbox.write_private(&policy, RULE);
    let chmod = |mode| {
        std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(0o666);
    let error = home.fails(3, &[]);
    for part in ["server::policy", "0666"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    chmod(0o600);
    let server = home.serve(&[]);
    chmod(0o666);
    server.says("the policy before it stays in force");
    server.end();
}

/// The records of what administrators did, each with where from.
async fn peers(server: &Server, token: &str) -> Vec<String> {
    let page = server.client(token).audit(&AuditQuery::default()).await;
    let of_administrators = |record: Record| {
        record
            .entry
            .event
            .starts_with("server_")
            .then_some(record.entry.peer)
    };
    let records = page.unwrap().records.into_iter();
    records.filter_map(of_administrators).flatten().collect()
}

/// Freezes the server through as many proxies as the header says.
async fn freeze_from(server: &Server, token: &str, forwarded: &[&str]) {
    let url = format!("{}/v1/admin/freeze", server.url);
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(url)
        .bearer_auth(token);
    for line in forwarded {
        request = request.header("X-Forwarded-For", *line);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn only_a_known_proxy_is_believed_where_a_request_is_from() {
    let home = Home::new();
    let server = home.serve(&[]);
    freeze_from(&server, &home.token, &["203.0.113.1"]).await;
    assert_eq!(peers(&server, &home.token).await, ["127.0.0.1"]);
    server.end();

    let server = home.serve(&["--behind-proxy", "127.0.0.0/8,10.0.0.0/8"]);
    // What the client wrote itself stands to the left of what the proxies wrote.
    for forwarded in [
        &["203.0.113.1"][..],
        &["192.0.2.66, 203.0.113.2, 10.1.2.3"],
        &["192.0.2.66", "203.0.113.3"],
        &["2001:db8::1"],
        &[],
    ] {
        freeze_from(&server, &home.token, forwarded).await;
    }
    assert_eq!(
        peers(&server, &home.token).await[1..],
        [
            "203.0.113.1",
            "203.0.113.2",
            "203.0.113.3",
            "2001:db8::1",
            "127.0.0.1"
        ]
    );
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
fn commands_trust_the_certificate_that_a_variable_names_and_no_other() {
    let home = Home::new();
    renew(&home);
    let server = home.serve(&[
        "--tls-cert",
        "server/cert.pem",
        "--tls-key",
        "server/key.pem",
    ]);
    home.sandbox.write_private("token", &home.token);
    let url = server.url.replace("127.0.0.1", "localhost");
    let freeze = || {
        let run = home.sandbox.run(["serve", "freeze", "--json"]);
        run.env("FNOX_SERVER_URL", &url)
            .env("FNOX_SERVER_TOKEN_FILE", "token")
    };
    let refused = freeze().finish().exits_with(6);
    assert!(refused.stderr.contains("certificate"), "{refused}");
    let frozen = freeze().env("FNOX_SERVER_CA_FILE", "server/cert.pem");
    let frozen = json(&frozen.finish().succeeds().stdout);
    assert_eq!(frozen["frozen"], true);
    let unusable = freeze().env("FNOX_SERVER_CA_FILE", "server/server.toml");
    let unusable = unusable.finish().exits_with(3).stderr;
    assert!(unusable.contains("server.toml"), "{unusable}");
    server.end();
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
