//! `approve = "ask"`: a person's leave for single requests.

use std::time::Duration;

use fnox_testkit::Run;
use fnox_testkit::wait::{until, until_some};
use serde_json::Value;

use crate::agent_support::Project;
use crate::schemas::assert_fits;
use crate::support;
use crate::terminal::{self, Session};

impl Project {
    /// Asked by one rule, and with `wait` for an answer.
    fn asking(wait: &str) -> Self {
        Self::with(
            &format!("approval_wait = \"{wait}\""),
            "approve = \"ask\"\nmax_uses = 3",
        )
    }

    fn fnox(&self, arguments: &[&str]) -> Run {
        self.sandbox.run(arguments).finish()
    }

    fn pending(&self) -> Vec<Value> {
        let run = self.fnox(&["agent", "pending", "--json"]).succeeds();
        let pending = support::json(&run.stdout);
        assert_fits("schemas/agent-pending.json", &pending);
        pending.as_array().unwrap().clone()
    }

    /// The next request that waits.
    fn next(&self) -> Value {
        until_some("a request that waits", Duration::from_secs(30), || {
            self.pending().first().cloned()
        })
    }
}

fn id(request: &Value) -> &str {
    request["id"].as_str().unwrap()
}

#[test]
fn a_request_is_held_until_a_person_allows_it() {
    let project = Project::asking("5m");
    let agent = project
        .agent(
            "curl -sS -w '%{http_code}\\n' -o /dev/null -H \"Authorization: Bearer $TOKEN\" -d title=one \"$URL/pulls?draft=1\"; \
             curl -sS -H 'Accept: application/json' -H \"Authorization: Bearer $TOKEN\" -d title=two \"$URL/pulls?draft=1\"",
        )
        .start();
    let first = project.next();
    assert_eq!(first["method"], "POST");
    assert_eq!(first["target"], "/pulls?draft=1");
    assert_eq!(first["body_length"], 9);
    assert_eq!(first["agent"], "agent");
    assert!(project.upstream.received().is_empty());
    project.fnox(&["agent", "approve", id(&first)]).succeeds();
    // Once: the next one is another question, of another body.
    let second = project.next();
    assert_ne!(second["body_sha256"], first["body_sha256"]);
    project.fnox(&["agent", "deny", id(&second)]).succeeds();
    let run = agent.finish().succeeds();
    assert!(run.stdout.starts_with("200\n"), "{}", run.stdout);
    let refusal = support::json(run.stdout.lines().last().unwrap());
    assert_eq!(refusal["error"], "gateway::approval");
    assert_eq!(refusal["message"], "a person refused this request");
    assert!(refusal["rule"].as_str().unwrap().contains("TOKEN"));
    let received = project.upstream.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body, b"title=one");
    assert!(run.stderr.contains("fnox agent approve"), "{}", run.stderr);
}

#[test]
fn who_gave_up_waiting_may_come_again() {
    let project = Project::asking("1s");
    let agent = project
        .agent(
            "get() { curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/a; }; get; touch refused; \
             until [ -e allowed ]; do sleep 0.05; done; get >/dev/null; get",
        )
        .start();
    let folder = project.sandbox.project();
    until("the refusal", Duration::from_secs(30), || {
        folder.join("refused").exists()
    });
    let request = project.next();
    project.fnox(&["agent", "approve", id(&request)]).succeeds();
    project.sandbox.write("allowed", "");
    let run = agent.finish().succeeds();
    let expected = format!("fnox agent approve {}", id(&request));
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
    // The yes was for once.
    assert_eq!(run.stdout.matches("nobody has yet").count(), 2);
    assert_eq!(project.upstream.received().len(), 1);
}

#[test]
fn a_yes_for_the_rule_is_for_all_of_its_requests() {
    let project = Project::asking("5m");
    let agent = project
        .agent(
            "for path in a b c; do curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/$path; done",
        )
        .start();
    let request = project.next();
    let arguments = ["agent", "approve", "--rule", "--for", "10m", id(&request)];
    project.fnox(&arguments).succeeds();
    agent.finish().succeeds();
    assert_eq!(project.upstream.received().len(), 3);
}

#[test]
fn a_program_cannot_allow_itself() {
    let project = Project::asking("2s");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = "id=; curl -sS -o answer -H \"Authorization: Bearer $TOKEN\" $URL/a & \
         until [ -n \"$id\" ]; do id=$($FNOX agent pending --json | sed -n 's/.*\"id\": *\"\\([0-9a-f]*\\)\".*/\\1/p'); done; \
         $FNOX agent approve $id 2>&1 || true; wait; cat answer";
    let run = project.agent(script).env("FNOX", fnox).finish().succeeds();
    assert!(
        run.stdout.contains("cannot answer for a person"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("nobody has yet"), "{}", run.stdout);
    assert!(project.upstream.received().is_empty());
}

/// Its parent is gone by then, so only who took it over tells where it comes from.
#[cfg(target_os = "linux")]
#[test]
fn an_orphan_of_a_program_cannot_allow_it_either() {
    let project = Project::asking("3s");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    project.sandbox.write(
        "orphan",
        "until [ \"$(sed -n 's/^PPid:[^0-9]*//p' /proc/$$/status)\" != \"$1\" ]; do :; done\n\
         $FNOX agent approve $2 > said 2>&1\ntouch over\n",
    );
    let script = "id=; curl -sS -o answer -H \"Authorization: Bearer $TOKEN\" $URL/a & \
         until [ -n \"$id\" ]; do id=$($FNOX agent pending --json | sed -n 's/.*\"id\": *\"\\([0-9a-f]*\\)\".*/\\1/p'); done; \
         sh -c 'setsid sh orphan $$ '$id' & exit 0'; until [ -e over ]; do sleep 0.1; done; cat said; wait; cat answer";
    let run = project.agent(script).env("FNOX", fnox).finish().succeeds();
    assert!(
        run.stdout.contains("cannot answer for a person"),
        "{}",
        run.stdout
    );
    assert!(project.upstream.received().is_empty());
}

#[test]
fn in_a_sandbox_there_is_no_way_to_the_answers() {
    let project = Project::asking("1s");
    let runtime = project.sandbox.runtime_folder();
    let script = format!(
        "curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/a; ls {0} {0}/approvals || true",
        runtime.display()
    );
    let run = ["agent", "run", "--sandbox", "--", "sh", "-euc", &script];
    let run = project
        .sandbox
        .run(run)
        .env("URL", project.upstream.url(""));
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("nobody has yet"), "{}", run.stdout);
    assert!(!run.stdout.contains(".sock"), "{}", run.stdout);
}

#[test]
fn what_does_not_wait_cannot_be_answered() {
    let project = Project::asking("1s");
    assert!(project.pending().is_empty());
    let run = project.fnox(&["agent", "approve", "abcdef"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("fnox agent pending"), "{}", run.stderr);
    let run = project.fnox(&["agent", "approve"]);
    assert_eq!(run.code, Some(2));
}

#[test]
fn a_person_stays_and_is_asked_about_each() {
    let project = Project::asking("5m");
    let agent = project
        .agent(
            "for path in a b; do curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" $URL/$path; done",
        )
        .start();
    for (answer, done) in [("once\r", "Allowed GET"), ("deny\r", "Denied GET")] {
        let mut session = Session::start(&project.sandbox, "agent approve");
        session.answer("Decide", answer);
        session.expect(done);
    }
    assert_eq!(agent.finish().succeeds().stdout, "200\n403\n");
    assert_eq!(project.upstream.received().len(), 1);
}

#[test]
fn who_has_the_terminal_hears_of_refusals_in_the_end() {
    let project = Project::new("paths = [\"/repos/**\"]");
    let url = project.upstream.url("/user");
    let script =
        format!("curl -sS -o answer {url}; curl -sS -o answer {url}; echo the program ends");
    let shown = terminal::invocation(
        &project.sandbox,
        &["agent", "run", "--", "sh", "-c", &script],
    );
    let shown = shown.finish().succeeds().stdout;
    let (before, after) = shown.split_once("the program ends").unwrap();
    assert!(!before.contains("refused"), "{shown}");
    assert!(after.contains("refused: GET localhost"), "{shown}");
    assert!(after.contains("(2 times)"), "{shown}");
}
