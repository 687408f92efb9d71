//! What looks after a server: emergencies, copies, the audit log, tokens, the policy's tests, channels.

use fnox_testkit::stand_in::ntfy::Ntfy;
use serde_json::Value;

use crate::schemas::assert_fits;
use crate::serve_support::{Home, Server};

const RULE: &str = r#"
[[rule]]
name = "release"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]
events = ["push"]
projects = ["my-app"]
keys = ["NPM_*"]
"#;

const CLAIMS: &str = r#"{"iss": "https://token.actions.githubusercontent.com", "sub": "x", "ref": "refs/heads/main",
    "repository_id": "1296269", "repository_owner_id": "583231", "event_name": "push", "ref_type": "branch",
    "repository": "octo-org/hello"}"#;

/// Asks the running server in the name of the first administrator.
fn ask(home: &Home, server: &Server, command: &str) -> Value {
    let token = home.sandbox.write_private("token", &home.token);
    let run = home
        .sandbox
        .run(["serve", command, "--json", "--server", &server.url])
        .env("FNOX_SERVER_TOKEN_FILE", token);
    crate::support::json(&run.finish().succeeds().stdout)
}

#[tokio::test]
async fn emergencies_are_for_administrators_and_for_whoever_has_the_database() {
    let home = Home::new();
    let server = home.serve(&[]);
    let frozen = async || server.client(&home.token).state().await.unwrap().frozen;
    assert_eq!(ask(&home, &server, "freeze")["frozen"], true);
    assert!(frozen().await);
    assert_eq!(ask(&home, &server, "unfreeze")["frozen"], false);
    assert!(!frozen().await);
    // The caller's own session stays.
    assert_eq!(ask(&home, &server, "revoke-all")["sessions_ended"], 0);
    assert!(!frozen().await);
    let nobody = ["serve", "freeze", "--server", &server.url];
    let error = crate::support::fails(&home.sandbox, 4, &nobody);
    assert!(error.contains("team::not_logged_in"), "{error}");
    let error = home.fails(6, &["freeze"]);
    assert!(error.contains("leave `--config` out"), "{error}");
    assert!(error.contains("FNOX_SERVER_TOKEN_FILE"), "{error}");
    server.end();

    assert_eq!(home.json(&["freeze"])["frozen"], true);
    let ended = home.json(&["revoke-all"]);
    assert_eq!(
        (&ended["frozen"], &ended["sessions_ended"]),
        (&Value::Bool(true), &Value::from(1))
    );
    let server = home.serve(&[]);
    server.client(&home.token).state().await.unwrap_err();
    server.end();
    home.ok(&["audit", "verify"]);
}

#[tokio::test]
async fn a_copy_is_made_while_the_server_runs_and_gives_no_right_back() {
    let home = Home::new();
    let server = home.serve(&[]);
    let copied = home.json(&["backup", "copy.db"]);
    assert!(copied["bytes"].as_u64().unwrap() > 0);
    let error = home.fails(6, &["backup", "copy.db"]);
    assert!(error.contains("copy.db"), "{error}");
    server.client(&home.token).freeze().await.unwrap();
    let error = home.fails(6, &["restore", "copy.db"]);
    assert!(error.contains("in use by another process"), "{error}");
    server.end();
    let restored = home.run(&["restore", "copy.db"]).finish().succeeds();
    for word in ["every token", "before you start", "fnox serve token"] {
        assert!(restored.stderr.contains(word), "{word}: {restored}");
    }
    let server = home.serve(&[]);
    server.says("put back to an older state");
    server.client(&home.token).state().await.unwrap_err();
    server.end();
    let token = home.json(&["token", "--role", "admin"]);
    let server = home.serve(&[]);
    let state = server
        .client(token["token"].as_str().unwrap())
        .state()
        .await;
    // From before the copy was made.
    assert!(!state.unwrap().frozen);
    let audit = home.json(&["audit", "verify"]);
    assert_eq!(audit["intact"], true);
    server.end();
}

#[test]
fn a_file_needs_no_word_that_it_was_put_back() {
    let home = Home::new();
    let error = home.fails(2, &["restored"]);
    assert!(
        error.contains("server.db") && error.contains("fnox serve restore FILE"),
        "{error}"
    );
    let there = ["FNOX_SERVER_DATABASE", "postgres://u:hunter2@127.0.0.1:1/d"];
    let run = home.run(&["restore", "copy.db"]).env(there[0], there[1]);
    let error = run.finish().exits_with(2).stderr;
    assert!(error.contains("fnox serve restored"), "{error}");
    let run = home.run(&["restored"]).env(there[0], there[1]);
    let error = run.finish().exits_with(6).stderr;
    assert!(error.contains("server::database"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_changed_audit_log_is_noticed_and_the_record_named() {
    let home = Home::new();
    let server = home.serve(&[]);
    let client = server.client(&home.token);
    for _ in 0..3 {
        client.freeze().await.unwrap();
        client.unfreeze().await.unwrap();
    }
    let run = home.run(&["audit", "verify", "--json"]).finish().succeeds();
    let running = crate::support::json(&run.stdout);
    assert_eq!(
        (&running["records"], &running["verified"]),
        (&Value::from(7), &Value::from(7))
    );
    assert_eq!(running["head"].as_str().unwrap().len(), 64);
    // A copy that was made for the verification alarms nobody, and is gone.
    assert!(!run.stderr.contains("has ended"), "{run}");
    let left: Vec<_> = std::fs::read_dir(home.file("")).unwrap().collect();
    let verify = |name: &str| name.contains("verify");
    assert!(
        !left
            .iter()
            .any(|entry| verify(&entry.as_ref().unwrap().file_name().to_string_lossy()))
    );
    server.end();
    let db = rusqlite::Connection::open(home.file("server.db")).unwrap();
    let changed = db
        .execute("UPDATE audit SET actor = 'somebody' WHERE sequence = 4", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(db);
    let run = home.run(&["audit", "verify"]).finish().exits_with(1);
    assert!(run.stderr.contains("server::audit_tampered"), "{run}");
    assert!(run.stdout.contains("record 4"), "{run}");
    // Another key than that which wrote it.
    let other = Home::new();
    std::fs::copy(other.file("server.key"), home.file("server.key")).unwrap();
    home.run(&["audit", "verify"]).finish().exits_with(1);
}

#[tokio::test]
async fn a_log_without_any_record_is_not_taken_for_a_new_one() {
    let home = Home::new();
    let server = home.serve(&[]);
    server.says("the audit log's head");
    server.end();
    home.ok(&["audit", "verify"]);
    let db = rusqlite::Connection::open(home.file("server.db")).unwrap();
    db.execute_batch("DELETE FROM audit; DELETE FROM audit_head")
        .unwrap();
    drop(db);
    let run = home.run(&["audit", "verify"]).finish().exits_with(1);
    assert!(run.stderr.contains("server::audit_tampered"), "{run}");
    assert!(run.stdout.contains("the log is empty"), "{run}");
    let server = home.serve(&[]);
    server.says("the audit log is empty");
    server.end();
}

#[tokio::test]
async fn an_identity_providers_token_is_good_for_people_only() {
    let home = Home::new();
    let token = home.json(&["token", "--role", "scim"]);
    let token = token["token"].as_str().unwrap();
    let server = home.serve(&[]);
    let ask = async |token: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let users = client.get(format!("{}/scim/v2/Users", server.url));
        let answer = users.bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(ask(token).await, 200);
    assert_eq!(ask("fxp_not-a-token").await, 401);
    server.client(token).state().await.unwrap_err();
    server.client(token).freeze().await.unwrap_err();
    assert!(!server.client(&home.token).state().await.unwrap().frozen);
    server.end();
}

/// An identity provider's token that leaked is ended, and another made, without a pause of the server.
#[tokio::test]
async fn tokens_are_made_and_revoked_beside_a_running_server() {
    let home = Home::new();
    let server = home.serve(&[]);
    let token = home.sandbox.write_private("token", &home.token);
    let run = |arguments: &[&str]| {
        let server = ["--server", &server.url];
        home.sandbox
            .run([&["serve", "token"], arguments, &server].concat())
            .env("FNOX_SERVER_TOKEN_FILE", &token)
            .finish()
    };
    let made = run(&["--role", "scim", "--json"]).succeeds().stdout;
    let made = crate::support::json(&made);
    let scim = made["token"].as_str().unwrap().to_owned();
    assert!(server.client(&scim).tokens().await.is_err());
    let listed = run(&["list", "--json"]).succeeds().stdout;
    assert!(!listed.contains(&scim), "{listed}");
    let listed = crate::support::json(&listed);
    let roles: Vec<&Value> = listed.as_array().unwrap().iter().collect();
    assert_eq!(roles.len(), 2, "{listed}");
    assert_eq!(
        (&roles[0]["role"], &roles[1]["role"]),
        (&"admin".into(), &"scim".into())
    );
    let id = roles[1]["id"].as_str().unwrap().to_owned();
    let done = run(&["revoke", &id]).succeeds();
    assert!(done.stderr.contains(&id), "{done}");
    run(&["revoke", &id]).exits_with(1);
    let error = run(&["revoke", &scim]).exits_with(1).stderr;
    assert!(error.contains("serve token list"), "{error}");
    assert!(!error.contains(&scim), "{error}");
    // Without the server's name it is found by its database, which it has open: its public URL, where nobody is here.
    let error = home.fails(4, &["token", "list"]);
    assert!(error.contains("fnox login"), "{error}");
    server.end();

    // The same on the database itself.
    let listed = home.json(&["token", "list"]);
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    home.ok(&["token", "revoke", &id]);
    assert_eq!(home.json(&["token", "list"]), serde_json::json!([]));
    home.fails(1, &["token", "revoke", &id]);
    home.ok(&["audit", "verify"]);
}

#[test]
fn tokens_last_no_longer_than_they_may() {
    let home = Home::new();
    let token = home.json(&["token", "--role", "scim", "--ttl", "30d"]);
    assert!(
        token["token"].as_str().unwrap().starts_with("fxp_"),
        "{token}"
    );
    assert_eq!(token["role"], "scim");
    home.fails(2, &["token", "--role", "admin", "--ttl", "8d"]);
    home.fails(2, &["token"]);
    let run = home.run(&["token", "--role", "admin"]).finish().succeeds();
    assert!(run.stdout.starts_with("fxb_"), "{run}");
    assert!(!run.stderr.contains("fxb_"), "{run}");
}

#[test]
fn the_policy_is_explained_with_the_first_claim_that_does_not_fit() {
    let home = Home::new();
    home.sandbox.write_private(home.file("policy.toml"), RULE);
    home.sandbox.write("claims.json", CLAIMS);
    let ask = |claims: &str, key: &str| {
        home.sandbox.write("claims.json", claims);
        let arguments = [
            "policy",
            "test",
            "--claims",
            "claims.json",
            "--project",
            "my-app",
        ];
        home.run(&[&arguments[..], &["--key", key]].concat())
            .finish()
    };
    let yes = ask(CLAIMS, "NPM_TOKEN").succeeds();
    assert!(
        yes.stdout
            .contains("`release` releases it after an approval"),
        "{yes}"
    );
    let no = ask(CLAIMS, "OTHER").exits_with(7);
    assert!(
        no.stdout.contains("NPM_*") && no.stderr.contains("server::denied"),
        "{no}"
    );
    let no = ask(&CLAIMS.replace("heads/main", "heads/evil"), "NPM_TOKEN").exits_with(7);
    for text in ["`ref`", "refs/heads/main", "refs/heads/evil"] {
        assert!(no.stdout.contains(text), "{text} in {no}");
    }
    let unknown = ask(&CLAIMS.replace("token.actions", "other"), "NPM_TOKEN").exits_with(2);
    assert!(unknown.stderr.contains("--issuer: github"), "{unknown}");
    ask("[]", "NPM_TOKEN").exits_with(1);
    let run = home.run(&["policy", "test", "--claims", "-", "--json"]);
    let answer = crate::support::json(&run.stdin(CLAIMS).finish().succeeds().stdout);
    assert_eq!(answer["admitted"], true);
    assert_fits("schemas/serve-policy-test.json", &answer);
    let other = CLAIMS.replace("heads/main", "heads/evil");
    let asked = ["policy", "test", "--claims", "-", "--key", "X", "--json"];
    let run = home.run(&asked).stdin(other).finish().exits_with(7);
    let answer = crate::support::json(&run.stdout);
    assert_fits("schemas/serve-policy-test.json", &answer);
    assert_eq!(answer["keys"][0]["permitted"], false, "{answer}");
    assert!(answer["rules"][0]["mismatch"].is_object(), "{answer}");
}

#[test]
fn everything_wrong_about_a_policy_is_told_at_once() {
    let home = Home::new();
    let broken = RULE
        .replace("refs", "reffs")
        .replace("push", "pull_requests");
    home.sandbox.write("broken.toml", broken);
    let run = home
        .run(&["policy", "check", "broken.toml", "--json"])
        .finish()
        .exits_with(3);
    let checked = crate::support::json(&run.stdout);
    assert_eq!(checked["rules"], Value::Null);
    assert!(
        checked["findings"].as_array().unwrap().len() >= 2,
        "{checked}"
    );
    assert!(run.stderr.contains("server::policy"), "{run}");
    home.ok(&["policy", "check"]);
}

#[test]
fn channels_are_tried_and_what_does_not_get_through_is_told() {
    let home = Home::new();
    let ntfy = Ntfy::start();
    let configure = |url: &str| {
        home.configure(&format!(
            "[notify.ntfy]\nurl = \"{url}\"\ntopic = \"fnox-Xk2mW9pQ4rT7vY1zB5nC8d\"\n"
        ));
    };
    configure(ntfy.url());
    assert_eq!(home.json(&["notify", "test"])[0]["error"], Value::Null);
    let message = ntfy.wait_for_message();
    assert_eq!(message.topic, "fnox-Xk2mW9pQ4rT7vY1zB5nC8d");
    configure("http://127.0.0.1:1");
    let error = home.fails(6, &["notify", "test"]);
    assert!(
        error.contains("server::notify") && error.contains("127.0.0.1:1"),
        "{error}"
    );
}
