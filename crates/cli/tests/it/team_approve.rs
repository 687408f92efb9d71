//! Deciding in the terminal about a job that asks: yes, no, nobody, and a job that goes away.

use std::time::Duration;

use fnox_testkit::Running;
use fnox_testkit::wait::until_some;
use serde_json::Value;

use crate::support::json;
use crate::team_support::{Team, match_code};

const LIMIT: Duration = Duration::from_mins(1);
const VALUE: &str = "npm_canary_93c0de5a71f4";
const PROGRAM: [&str; 4] = ["--", "sh", "-c", "printf %s \"$NPM_TOKEN\" | tee ran"];

fn run_flags<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    let flags = flags.iter().copied();
    ["run"].into_iter().chain(flags).chain(PROGRAM).collect()
}

fn code_of(job: &mut Running) -> String {
    until_some("a match code", LIMIT, || {
        let said = job.stderr_so_far();
        assert!(job.is_running() || match_code(&said).is_some(), "{said}");
        match_code(&said)
    })
}

#[track_caller]
fn decide(team: &Team, code: i32, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["approve"].iter().chain(arguments).copied().collect();
    let run = team.administer(&all).finish().exits_with(code);
    run.stdout + &run.stderr
}

fn pending(team: &Team) -> Vec<Value> {
    let list = json(&decide(team, 0, &["list", "--json"]));
    list.as_array().unwrap().clone()
}

fn id(approval: &Value) -> &str {
    approval["id"].as_str().unwrap()
}

fn has_run(team: &Team) -> bool {
    team.job.project().join("ran").exists()
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_job_that_does_not_wait_goes_on_after_a_yes_with_the_code_and_only_once() {
    let team = Team::start();
    team.store("NPM_TOKEN", VALUE);
    let asked = team
        .as_job(&run_flags(&["--no-wait", "--reason", "release 1.4.0"]))
        .finish()
        .exits_with(8);
    let code = match_code(&asked.stderr).unwrap();
    let pending = pending(&team);
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["reason"], "release 1.4.0");
    let id = id(&pending[0]);
    assert!(asked.stderr.contains(id), "{}", asked.stderr);
    let shown = decide(&team, 0, &["show", id]);
    for fact in [
        "octo-org/hello",
        "NPM_TOKEN version 1",
        "refs/heads/main",
        "tee ran",
    ] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    assert!(!shown.contains(&code), "{shown}");
    // Nobody is there to type it, so it has to be given.
    decide(&team, 2, &["approve", id]);
    decide(&team, 7, &["approve", id, "--code", "AAAAAA"]);
    decide(&team, 0, &["approve", id, "--code", &code.to_lowercase()]);
    assert!(!has_run(&team));
    let resume = run_flags(&["--approval", id]);
    let run = team.as_job(&resume).finish().succeeds();
    assert_eq!(run.stdout, VALUE);
    team.as_job(&resume).finish().exits_with(7);
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_no_ends_the_job_before_its_program_starts() {
    let team = Team::start();
    team.store("NPM_TOKEN", VALUE);
    let mut job = team.as_job(&run_flags(&[])).start();
    code_of(&mut job);
    let pending = pending(&team);
    decide(
        &team,
        0,
        &["deny", id(&pending[0]), "--reason", "not today"],
    );
    let run = job.finish().exits_with(7);
    assert!(!has_run(&team), "{run}");
    assert!(!run.stdout.contains(VALUE) && !run.stderr.contains(VALUE));
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_job_that_is_interrupted_or_tired_of_waiting_takes_its_request_back() {
    let team = Team::start();
    team.store("NPM_TOKEN", VALUE);
    for (signal, code) in [
        (rustix::process::Signal::INT, 130),
        (rustix::process::Signal::TERM, 143),
    ] {
        let mut job = team.as_job(&run_flags(&[])).start();
        code_of(&mut job);
        job.signal(signal);
        job.finish().exits_with(code);
        assert_eq!(pending(&team), Vec::<Value>::new());
    }
    let run = team
        .as_job(&run_flags(&["--timeout", "1s"]))
        .finish()
        .exits_with(7);
    assert!(run.stderr.contains("team::nobody_decided"), "{run}");
    assert_eq!(pending(&team), Vec::<Value>::new());
    assert!(!has_run(&team));
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn check_says_what_would_be_asked_and_asks_nobody() {
    let team = Team::start();
    team.store("NPM_TOKEN", VALUE);
    let run = team.as_job(&["check"]).finish().succeeds();
    assert!(
        run.stdout
            .contains("NPM_TOKEN (version 1): a person would be asked"),
        "{run}"
    );
    assert_eq!(pending(&team), Vec::<Value>::new());
    team.administer(&["secret", "delete", "NPM_TOKEN"])
        .finish()
        .succeeds();
    let run = team.as_job(&["check"]).finish().exits_with(1);
    assert!(run.stderr.contains("NPM_TOKEN"), "{run}");
}
