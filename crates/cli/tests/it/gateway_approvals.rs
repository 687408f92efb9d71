//! `approve_at = ["vault"]`: what a gateway asks is answered with `fnox vault approve`.

use std::time::Duration;

use fnox_testkit::Running;
use fnox_testkit::wait::until_some;
use rustix::process::Signal;
use serde_json::Value;

use crate::agent_support::Project;
use crate::gateway_support::World;
use crate::support;
use crate::terminal::Session;
use crate::vault_support::Vault;

impl World {
    /// Whose rule asks at the vault alone, and has requests wait for so long.
    fn asking(wait: &str) -> Self {
        let mut world = Self::new("max_uses = 9");
        let path = world.vault.sandbox.config_folder().join("gateway.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("[[rules]]", "[[rules]]\napprove = \"ask\"");
        let text = format!("approve_at = [\"vault\"]\napproval_wait = \"{wait}\"\n{text}");
        world.vault.sandbox.write_private(path, text);
        drop(world.gateway.take());
        world.start();
        world
    }

    /// A request with a body, on its way. It prints the status and the answer.
    fn posting(&self, placeholder: &str, body: &str) -> Running {
        let header = format!("Authorization: Bearer {placeholder}");
        let url = self.upstream.url("/pulls?draft=1");
        let arguments = [
            "-sS",
            "-w",
            "\\n%{http_code}\\n",
            "-H",
            "Accept: application/json",
            "-H",
            &header,
            "-d",
            body,
            &url,
        ];
        self.curl_as(&self.token, &arguments).start()
    }

    fn waiting(&self) -> Vec<Value> {
        let listed = self.vault.json(&["approvals"]);
        listed.as_array().unwrap().clone()
    }

    /// The next question.
    fn next(&self) -> Value {
        next(&self.vault)
    }

    /// What was put on record of questions, oldest first: event, outcome and reason.
    fn record(&self) -> Vec<String> {
        let log = self.vault.ok(&["audit", "export"]);
        let records = log.lines().map(support::json);
        records
            .filter(|it| it["event"].as_str().unwrap().starts_with("approval_"))
            .map(|it| {
                let text = |key: &str| it[key].as_str().unwrap().to_owned();
                format!("{} {} {}", text("event"), text("outcome"), text("reason"))
            })
            .collect()
    }
}

fn next(vault: &Vault) -> Value {
    until_some("a question", Duration::from_secs(30), || {
        let listed = vault.json(&["approvals"]);
        listed.as_array().unwrap().first().cloned()
    })
}

fn id(question: &Value) -> String {
    question["id"].as_str().unwrap().to_owned()
}

/// Its end, as the table shows it.
fn short(question: &Value) -> String {
    let id = id(question);
    id[id.len() - 8..].to_owned()
}

#[test]
fn a_request_waits_at_the_vault_until_a_person_allows_it() {
    let world = World::asking("5m");
    let listed = world.vault.run(&["approvals"]).finish().succeeds();
    assert!(listed.stderr.contains("Nothing waits"), "{listed}");
    let placeholder = world.placeholder();
    let request = world.posting(&placeholder, "title=one");
    let question = world.next();
    assert_eq!(question["gateway"], "gateway");
    assert_eq!(question["request"]["agent"], "coder-1");
    assert_eq!(question["request"]["method"], "POST");
    assert_eq!(question["request"]["target"], "/pulls?draft=1");
    assert_eq!(question["request"]["body_length"], 9);
    assert!(world.upstream.received().is_empty());
    let table = world.vault.ok(&["approvals"]);
    assert!(table.contains(&short(&question)), "{table}");
    let said = world.vault.run(&["approve", &short(&question)]).finish();
    let said = said.succeeds();
    let sha = question["request"]["body_sha256"].as_str().unwrap();
    assert!(
        said.stderr.contains(sha),
        "the whole request is shown: {said}"
    );
    let answered = request.finish().succeeds();
    assert!(answered.stdout.ends_with("\n200\n"), "{answered}");
    assert_eq!(world.upstream.received()[0].body, b"title=one");

    // The yes was for once and for that body.
    let request = world.posting(&placeholder, "title=two");
    let other = world.next();
    assert_ne!(
        other["request"]["body_sha256"],
        question["request"]["body_sha256"]
    );
    world.vault.ok(&["deny", &id(&other)]);
    let refused = request.finish().succeeds();
    assert!(refused.stdout.contains("a person refused"), "{refused}");
    assert_eq!(world.upstream.received().len(), 1);

    let record = world.record();
    assert_eq!(record.len(), 4, "{record:#?}");
    assert!(record[0].starts_with("approval_asked ok POST /pulls with 9 bytes, sha256 "));
    assert!(record[1].starts_with("approval_decided ok allowed this request, once: POST /pulls"));
    assert!(record[1].contains(sha) && record[1].contains("asked by gateway (token:"));
    assert!(record[3].starts_with("approval_decided denied denied: POST /pulls"));
    assert!(
        record.iter().all(|line| !line.contains("draft")),
        "{record:#?}"
    );
    world.vault.ok(&["audit", "verify"]);
}

#[test]
fn who_gave_up_waiting_is_told_where_and_may_come_again() {
    let world = World::asking("1s");
    let placeholder = world.placeholder();
    let refused = world.posting(&placeholder, "title=one").finish().succeeds();
    assert!(refused.stdout.contains("nobody has yet"), "{refused}");
    assert!(refused.stdout.contains("fnox vault approvals"), "{refused}");
    world
        .vault
        .ok(&["approve", "--rule", "--for", "10m", &id(&world.next())]);
    for body in ["title=one", "title=two"] {
        // The gateway hears of the yes a moment after the person has given it.
        until_some("the answer", Duration::from_secs(30), || {
            let run = world.posting(&placeholder, body).finish().succeeds();
            run.stdout.ends_with("\n200\n").then_some(())
        });
    }
    assert_eq!(world.upstream.received().len(), 2);
    assert!(world.waiting().is_empty());
}

#[test]
fn a_vault_that_was_killed_is_asked_anew() {
    let mut world = World::asking("5m");
    let placeholder = world.placeholder();
    let request = world.posting(&placeholder, "title=one");
    let first = id(&world.next());
    world.vault.kill();
    world.vault.start();
    let again = world.next();
    assert_ne!(id(&again), first);
    assert_eq!(again["request"]["target"], "/pulls?draft=1");
    // The question of before the crash is nobody's any more.
    let text = world.vault.fails(1, &["approve", &first]);
    assert!(text.contains("no question"), "{text}");
    assert!(world.upstream.received().is_empty());
    world.vault.ok(&["approve", &id(&again)]);
    let answered = request.finish().succeeds();
    assert!(answered.stdout.ends_with("\n200\n"), "{answered}");
    world.vault.ok(&["audit", "verify"]);
}

#[test]
fn a_gateway_that_ends_takes_back_what_it_asks_and_one_that_is_killed_does_not() {
    let mut world = World::asking("5m");
    let placeholder = world.placeholder();
    for (signal, left) in [(Signal::TERM, 0), (Signal::KILL, 1)] {
        let request = world.posting(&placeholder, "title=one");
        world.next();
        let gateway = world.gateway.take().unwrap();
        gateway.signal(signal);
        gateway.finish();
        assert_eq!(world.waiting().len(), left, "{signal:?}");
        request.finish();
        world.start();
    }
    assert!(world.upstream.received().is_empty());
    let record = world.record();
    let taken_back = record
        .iter()
        .filter(|it| it.starts_with("approval_taken_back"));
    assert_eq!(taken_back.count(), 1, "{record:#?}");
}

#[test]
fn of_two_people_one_decides_and_the_other_is_told() {
    let world = World::asking("5m");
    let placeholder = world.placeholder();
    let request = world.posting(&placeholder, "title=one");
    let question = id(&world.next());
    let yes = world.vault.run(&["approve", &question]).start();
    let no = world.vault.run(&["deny", &question]).start();
    let (yes, no) = (yes.finish(), no.finish());
    let (late, is_allowed) = match (yes.code, no.code) {
        (Some(0), Some(1)) => (no, true),
        (Some(1), Some(0)) => (yes, false),
        _ => panic!("exactly one decides: {yes} {no}"),
    };
    assert!(late.stderr.contains("is answered: admin"), "{late}");
    let answered = request.finish().succeeds();
    assert_eq!(
        answered.stdout.ends_with("\n200\n"),
        is_allowed,
        "{answered}"
    );
    assert_eq!(world.upstream.received().len(), usize::from(is_allowed));
}

#[test]
fn at_a_terminal_the_request_is_shown_before_the_person_is_asked() {
    let world = World::asking("5m");
    let placeholder = world.placeholder();
    let sandbox = &world.vault.sandbox;
    let request = world.posting(&placeholder, "title=one");
    let line = format!("vault approve {}", id(&world.next()));
    let mut session = Session::start(sandbox, &line);
    session.answer("Is it to be allowed once", "y\r");
    session.expect("Allowed POST");
    let answered = request.finish().succeeds();
    assert!(answered.stdout.ends_with("\n200\n"), "{answered}");
    let request = world.posting(&placeholder, "title=two");
    let mut session = Session::start(sandbox, "vault approve");
    session.answer("Decide", "deny\r");
    session.expect("Denied POST");
    let refused = request.finish().succeeds();
    assert!(refused.stdout.contains("a person refused"), "{refused}");
}

#[test]
fn what_nobody_asked_cannot_be_answered() {
    let vault = Vault::with_policy("");
    let text = vault.fails(2, &["approve", "abcdef01"]);
    assert!(text.contains("fnox vault approvals"), "{text}");
    vault.fails(2, &["approve"]);
    let unknown = "01939b6e-7e1c-7c3a-9f5e-3a1d5f6b7c8d";
    let text = vault.fails(1, &["deny", unknown]);
    assert!(text.contains("no question"), "{text}");
    assert_eq!(vault.json(&["approvals"]), Value::Array(Vec::new()));
}

/// Puts a gateway's token where the project's `approval_token_file` says.
fn give_token(vault: &Vault) {
    let token = vault.sandbox.project().join("gateway.token");
    let token = token.to_str().unwrap();
    let create = ["token", "create", "--agent", "laptop", "--role", "gateway"];
    vault.ok(&[&create[..], &["--output", token]].concat());
}

#[test]
fn a_gateway_of_one_run_asks_at_the_vault_with_its_token() {
    let proxy = "approve_at = [\"vault\"]\napproval_token_file = \"gateway.token\"";
    let Project { sandbox, upstream } = Project::with(proxy, "approve = \"ask\"");
    let vault = Vault::serving_in(sandbox, "", &[]);
    let script =
        "curl -sS -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer $TOKEN\" \"$URL/a\"";
    let run = || {
        let arguments = [
            "agent", "run", "--agent", "tidy", "--", "sh", "-euc", script,
        ];
        vault.sandbox.run(arguments).env("URL", upstream.url(""))
    };
    let without = run().finish();
    assert_ne!(without.code, Some(0), "{without}");
    assert!(without.stderr.contains("gateway.token"), "{without}");
    give_token(&vault);
    let agent = run().start();
    let question = next(&vault);
    assert_eq!(question["gateway"], "laptop");
    assert_eq!(question["request"]["agent"], "tidy");
    vault.ok(&["approve", "--session", &id(&question)]);
    assert_eq!(agent.finish().succeeds().stdout, "200");
    assert_eq!(upstream.received().len(), 1);
    // What nobody has answered is taken back when the run ends.
    let agent = run().start();
    next(&vault);
    agent.signal(Signal::TERM);
    agent.finish();
    assert_eq!(vault.json(&["approvals"]), Value::Array(Vec::new()));
}

#[test]
fn a_token_that_is_no_gateways_asks_nobody_and_nothing_passes() {
    let proxy =
        "approve_at = [\"vault\"]\napproval_wait = \"1s\"\napproval_token_file = \"agent.token\"";
    let Project { sandbox, upstream } = Project::with(proxy, "approve = \"ask\"");
    let vault = Vault::serving_in(sandbox, "", &[]);
    let token = vault.sandbox.project().join("agent.token");
    let token = token.to_str().unwrap();
    vault.ok(&["token", "create", "--agent", "coder", "--output", token]);
    let script = "curl -sS -H \"Authorization: Bearer $TOKEN\" \"$URL/a\"";
    let arguments = ["agent", "run", "--", "sh", "-euc", script];
    let run = vault.sandbox.run(arguments).env("URL", upstream.url(""));
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("nobody has yet"), "{run}");
    assert!(
        run.stderr.contains("Nobody can be asked at the vault"),
        "{run}"
    );
    assert!(upstream.received().is_empty());
    assert_eq!(vault.json(&["approvals"]), Value::Array(Vec::new()));
}

#[test]
fn a_vault_that_does_not_answer_is_told_of_once() {
    let proxy =
        "approve_at = [\"vault\"]\napproval_wait = \"3s\"\napproval_token_file = \"gateway.token\"";
    let Project { sandbox, upstream } = Project::with(proxy, "approve = \"ask\"");
    let vault = Vault::serving_in(sandbox, "", &[]);
    give_token(&vault);
    let script = "curl -sS -H \"Authorization: Bearer $TOKEN\" \"$URL/a\"";
    // The vault that the variable names is not the one that runs.
    let run = vault
        .sandbox
        .run(["agent", "run", "--", "sh", "-euc", script])
        .env("URL", upstream.url(""))
        .env("FNOX_VAULT_SOCKET", vault.sandbox.root().join("other.sock"));
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("nobody has yet"), "{run}");
    let told = run.stderr.matches("cannot be asked at the vault yet");
    assert_eq!(told.count(), 1, "{run}");
    assert!(run.stderr.contains("other.sock"), "{run}");
    assert!(upstream.received().is_empty());
    let log = vault.ok(&["audit", "export"]);
    assert!(!log.contains("approval_asked"), "{log}");
}

#[test]
fn in_a_sandbox_there_is_neither_the_token_nor_the_vault() {
    let proxy =
        "approve_at = [\"vault\"]\napproval_wait = \"1s\"\napproval_token_file = \"gateway.token\"";
    let Project { sandbox, upstream } = Project::with(proxy, "approve = \"ask\"");
    let vault = Vault::serving_in(sandbox, "", &[]);
    give_token(&vault);
    let script = "curl -sS -H \"Authorization: Bearer $TOKEN\" \"$URL/a\"; cat gateway.token 2>&1 || true; \
                  $FNOX vault approvals 2>&1 || true";
    let arguments = ["agent", "run", "--sandbox", "--", "sh", "-euc", script];
    let run = vault
        .sandbox
        .run(arguments)
        .env("URL", upstream.url(""))
        .env("FNOX", env!("CARGO_BIN_EXE_fnox"));
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("nobody has yet"), "{run}");
    assert!(!run.stdout.contains("fxv_"), "{run}");
    assert!(run.stdout.contains("no vault answers"), "{run}");
    // It was asked, and taken back when the run ended.
    assert_eq!(vault.json(&["approvals"]), Value::Array(Vec::new()));
    let log = vault.ok(&["audit", "export"]);
    assert!(log.contains("approval_asked") && log.contains("approval_taken_back"));
    assert!(!log.contains("approval_decided"), "{log}");
}
