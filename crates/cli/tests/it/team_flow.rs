//! The whole flow with real parts: the server's process, an issuer in another language, a strict ntfy, a browser, `age`,
//! and a job that only knows what a CI gives it.

use std::time::Duration;

use fnox_testkit::Canary;
use fnox_testkit::services::program;
use fnox_testkit::wait::until_some;
use serde_json::Value;

use crate::team_races::postgres_database;
use crate::team_support::{Team, match_code, variable};

const LIMIT: Duration = Duration::from_mins(1);
const VALUE: &str = "npm_canary_7f3a9c51d2e84b06";

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON and chromium"]
fn a_person_with_a_browser_lets_a_job_have_a_secret_once() {
    run_flow(&mut Team::start());
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON, chromium and PostgreSQL"]
fn any_of_two_servers_on_one_postgresql_serves_any_step() {
    const PROGRAM: [&str; 4] = ["--", "sh", "-c", "printf %s \"$NPM_TOKEN\""];
    let database = postgres_database("flow");
    let mut team = Team::with_database(&database, 2);
    run_flow(&mut team);
    // Asked at one, decided at the other, fetched from a third that takes the first one's place.
    let second = team.replica_url(1);
    let asking = [&["run", "--no-wait"], PROGRAM.as_slice()].concat();
    let job = team.as_job(&asking).finish().exits_with(8);
    let code = match_code(&job.stderr).expect("a match code");
    let id = approval_id(&job.stderr);
    team.administer(&["approve", "approve", &id, "--code", &code])
        .env("FNOX_SERVER_URL", &second)
        .finish()
        .succeeds();
    team.kill_replica(0);
    team.start_replica(0);
    let resuming = [&["run", "--approval", &id], PROGRAM.as_slice()].concat();
    let fetched = team.as_job(&resuming).finish().succeeds();
    assert!(fetched.stdout.ends_with(VALUE), "{}", fetched.stdout);
    team.as_job(&resuming).finish().exits_with(7);
}

fn approval_id(said: &str) -> String {
    let (_, rest) = said.split_once("--approval ").expect("an approval's id");
    rest.split_whitespace().next().unwrap().to_owned()
}

fn run_flow(team: &mut Team) {
    team.store("NPM_TOKEN", VALUE);
    approve_in_the_browser(team);
    deny_in_the_browser(team);
    nothing_leaked(team);
}

fn approve_in_the_browser(team: &Team) {
    let mut job = team.as_job(&["run", "--", "env"]).start();
    let code = until_some("a match code", LIMIT, || {
        assert!(
            job.is_running() || match_code(&job.stderr_so_far()).is_some(),
            "{}",
            job.stderr_so_far()
        );
        match_code(&job.stderr_so_far())
    });
    let push = team.ntfy.wait_for_message();
    let told = format!("{push:?}");
    assert!(!told.contains(&code), "the push holds the code");
    assert_eq!(push.actions.len(), 1);
    let page = push.actions[0].url.clone();
    let screenshots = variable("FNOX_TEST_SCREENSHOTS");
    let shot = screenshots.map(|folder| format!("{folder}/approve.png"));
    let mut steps = vec!["text"];
    if let Some(shot) = &shot {
        steps.extend(["shot", shot]);
    }
    steps.extend([
        "type",
        "input[name=code]",
        &code,
        "click",
        "button[value=approve]",
        "text",
    ]);
    let seen = Team::browse(&page, &steps);
    let shown = seen[0]["text"].as_str().unwrap();
    for fact in [
        "octo-org/hello",
        "1296269",
        "refs/heads/main",
        "NPM_TOKEN",
        "octocat",
        "env",
    ] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    assert!(!shown.contains(&code), "{shown}");

    let run = job.finish().succeeds();
    let variables: Vec<&str> = run.stdout.lines().collect();
    let value = format!("NPM_TOKEN={VALUE}");
    assert!(variables.contains(&value.as_str()), "{}", run.stdout);
    // Masked before anything else could print it, and nothing else of the login left.
    let mask = format!("::add-mask::{VALUE}");
    assert!(
        run.stdout.starts_with(&mask) || run.stderr.contains(&mask),
        "{run}"
    );
    for gone in [
        "ACTIONS_ID_TOKEN_REQUEST",
        "FNOX_SERVER_TOKEN",
        "fxs_",
        "fxg_",
    ] {
        assert!(!run.stdout.contains(gone), "{gone}: {}", run.stdout);
    }
    // The page of a decided request has no form any more.
    let later = Team::browse(&page, &["text"]);
    assert!(!later[0]["text"].as_str().unwrap().contains("Match code"));
}

fn deny_in_the_browser(team: &Team) {
    let mut job = team.as_job(&["run", "--", "env", "DENIED=1"]).start();
    let code = until_some("a match code", LIMIT, || {
        assert!(job.is_running(), "{}", job.stderr_so_far());
        match_code(&job.stderr_so_far())
    });
    let push = team.ntfy.wait_for_message();
    let page = push.actions[0].url.clone();
    Team::browse(
        &page,
        &[
            "dark",
            "type",
            "input[name=code]",
            &code,
            "click",
            "button[value=deny]",
            "text",
        ],
    );
    let run = job.finish().exits_with(7);
    assert!(!run.stdout.contains("NPM_TOKEN="), "{run}");
}

/// What the server has: neither the value nor a token, in its files, its log and its memory.
fn nothing_leaked(team: &mut Team) {
    let canary = Canary::new(VALUE);
    let log = team.stop_replica(0);
    canary.assert_absent(&[("log", log.as_bytes())], &[team.folder()]);
    assert!(log.contains("/a/{link}"), "{log}");
    for secret in ["fxs_", "fxg_", "fxa_", "fxb_", "eyJ"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    for line in log.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "not JSON: {line}");
    }
    team.start_replica(0);
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn the_real_age_reads_what_the_server_has_and_writes_what_a_job_reads() {
    let team = Team::start();
    team.store("NPM_TOKEN", VALUE);
    let seen = team
        .administer(&["secret", "list", "--json"])
        .finish()
        .succeeds();
    assert!(!seen.stdout.contains(VALUE));

    // `age` opens what fnox encrypted: the signed value ends with the bytes that were stored.
    let token = team.admin.read("admin.token");
    let stored = fetch(
        &format!("{}/v1/projects/my-app/secrets/NPM_TOKEN", team.url),
        &token,
    );
    let file = team
        .job
        .write("npm.b64", stored["ciphertext"].as_str().unwrap());
    let identity = team.job.config_folder().join("age.txt");
    let script = format!(
        "base64 -d {} | {} -d -i {}",
        file.display(),
        program("age").display(),
        identity.display()
    );
    let opened = team
        .job
        .run_program("/bin/sh", ["-c", &script])
        .finish()
        .succeeds();
    assert!(
        opened.stdout.starts_with("fnox-signed-v1\n"),
        "{}",
        opened.stdout
    );
    assert!(opened.stdout.ends_with(VALUE), "{}", opened.stdout);

    // What `age` encrypted, unsigned: refused with writers, accepted without.
    let script = format!(
        "printf %s plain-from-age | {} -r {} | base64 -w0",
        program("age").display(),
        team.recipient
    );
    let made = team
        .job
        .run_program("/bin/sh", ["-c", &script])
        .finish()
        .succeeds();
    let body =
        serde_json::json!({"ciphertext": made.stdout.trim(), "recipients": [team.recipient]});
    put(
        &format!("{}/v1/projects/my-app/secrets/FREE_DSN", team.url),
        &token,
        &body,
    );
    let with = team.job.read("fnox.toml").replace("NPM_TOKEN", "FREE_DSN");
    team.job.write("fnox.toml", &with);
    let refused = team
        .as_job(&["run", "--", "sh", "-c", "echo started"])
        .finish()
        .exits_with(7);
    assert!(!refused.stdout.contains("started"));
    let without: String = with
        .lines()
        .filter(|line| !line.starts_with("writers"))
        .fold(String::new(), |text, line| text + line + "\n");
    team.job.write("fnox.toml", without);
    let run = team
        .as_job(&["run", "--", "sh", "-c", "printf %s \"$FREE_DSN\""])
        .finish()
        .succeeds();
    assert!(run.stdout.ends_with("plain-from-age"), "{}", run.stdout);
}

fn curl(arguments: &[&str]) -> Value {
    let output = std::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--noproxy",
            "*",
        ])
        .args(arguments)
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

fn fetch(url: &str, token: &str) -> Value {
    curl(&["--header", &format!("Authorization: Bearer {token}"), url])
}

fn put(url: &str, token: &str, body: &Value) -> Value {
    curl(&[
        "--request",
        "PUT",
        "--header",
        &format!("Authorization: Bearer {token}"),
        "--json",
        &body.to_string(),
        url,
    ])
}
