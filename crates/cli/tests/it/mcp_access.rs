//! `request_access` with people: a yes is one credential at one host for a while, in this gateway alone.

use std::time::Duration;

use fnox_testkit::stand_in::Upstream;
use fnox_testkit::wait::{until, until_some};
use fnox_testkit::{Invocation, Run};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent_support::Project;
use crate::mcp_support::Client;
use crate::schemas::assert_fits;
use crate::support;
use crate::vault_support::Vault;

const LIMIT: Duration = Duration::from_secs(30);

/// The value of the credential for which there is no rule.
const OTHER: &str = "other_RealValueThatNobodyMaySee0123456";

/// A project with a second secret, whose rule reaches one path alone.
struct Asking {
    project: Project,
}

impl Asking {
    /// With these lines of `[proxy]`, before all of it `lines`.
    fn with(proxy: &str, lines: &str) -> Self {
        let project = Project::with(proxy, "paths = [\"/repos/**\"]");
        let text = project.sandbox.read("fnox.toml").replacen(
            "[secrets]\n",
            &format!("[secrets]\nOTHER = {{ default = \"{OTHER}\" }}\n"),
            1,
        );
        project.sandbox.write("fnox.toml", format!("{lines}{text}"));
        Self { project }
    }

    fn new() -> Self {
        Self::with("approval_wait = \"5m\"", "")
    }

    /// `fnox mcp` below a shell, so that the test itself is not the agent.
    fn server(&self) -> Invocation {
        let script = "\"$0\" mcp; exit $?";
        let binary = env!("CARGO_BIN_EXE_fnox");
        let arguments = ["-c", script, binary];
        let run = self.project.sandbox.run_program("sh", arguments);
        run.env("URL", self.project.upstream.url(""))
    }

    fn client(&self) -> Client {
        Client::connect(self.server())
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.project.upstream.port())
    }

    /// The agent's wish.
    fn wish(&self, reason: &str) -> Value {
        json!({ "credential": "OTHER", "host": self.host(), "reason": reason })
    }

    fn fnox(&self, arguments: &[&str]) -> Run {
        self.project.sandbox.run(arguments).finish()
    }

    fn pending(&self) -> Vec<Value> {
        let run = self.fnox(&["agent", "pending", "--json"]).succeeds();
        let pending = support::json(&run.stdout);
        assert_fits("schemas/agent-pending.json", &pending);
        pending.as_array().unwrap().clone()
    }

    /// The next question.
    fn next(&self) -> Value {
        until_some("a question", LIMIT, || self.pending().first().cloned())
    }

    /// Asks, and has the person say this; the answer.
    fn asked(&self, client: &mut Client, reason: &str, said: &[&str]) -> String {
        let arguments = json!({ "name": "request_access", "arguments": self.wish(reason) });
        let id = client.ask("tools/call", &arguments);
        let question = self.next();
        self.fnox(&[said, &[question["id"].as_str().unwrap()]].concat())
            .succeeds();
        let answer = client.receive();
        assert_eq!(answer["id"], id, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text in {answer}"))
            .to_owned()
    }
}

/// What a program gets for a request with the credential.
fn get(client: &mut Client, url: &str) -> String {
    let script = format!(
        "curl -sS -o answer -w '%{{http_code}}' -H \"Authorization: Bearer ${{OTHER-none}}\" {url}; echo; cat answer"
    );
    client.script(&script)
}

#[test]
fn a_yes_is_for_one_credential_at_one_host_for_a_while() {
    let asking = Asking::new();
    let mut client = asking.client();
    assert!(get(&mut client, "$URL/user").starts_with("403"));
    let reason = "to see\n\u{1b}[2J who I am";
    let arguments = json!({ "name": "request_access", "arguments": asking.wish(reason) });
    client.ask("tools/call", &arguments);
    let question = asking.next();
    // It is no request, and looks like none.
    assert_eq!(question["kind"], "access");
    assert_eq!(question["credential"], "OTHER");
    assert_eq!(question["methods"], json!(["GET", "HEAD"]));
    assert_eq!(question["reason"], "to see\\u{a}\\u{1b}[2J who I am");
    assert_eq!(question.get("target"), None);
    let table = asking.fnox(&["agent", "pending"]).succeeds().stdout;
    assert!(table.contains("the use of OTHER at localhost"), "{table}");
    let id = question["id"].as_str().unwrap();
    for wrong in [&["--session"][..], &["--rule"], &["--for", "2h"]] {
        let run = asking.fnox(&[&["agent", "approve", id], wrong].concat());
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains("the use of a credential"), "{run}");
    }
    let run = asking.fnox(&["agent", "approve", "--for", "10m", id]);
    assert!(run.succeeds().stderr.contains("Allowed the use of OTHER"));
    let answer = client.receive();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("A person allowed it, until "), "{text}");
    assert!(
        text.contains("`$OTHER`") && text.contains("GET, HEAD"),
        "{text}"
    );
    assert!(!text.contains(OTHER));
    // A second answer finds nothing to answer.
    let late = asking.fnox(&["agent", "deny", id]);
    assert_eq!(late.code, Some(2), "{late}");

    assert!(get(&mut client, "$URL/user").starts_with("200"));
    let received = asking.project.upstream.received();
    let expected = format!("Bearer {OTHER}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
    let (list, _) = client.tool("list_credentials", &json!({}));
    let list = support::json(&list);
    assert_eq!(list["credentials"][1]["name"], "OTHER");
    assert!(list["credentials"][1]["until"].is_string(), "{list}");
    // Not with another method, not for another credential, and asking again changes nothing.
    let text = client.script(
        "curl -sS -X DELETE -H \"Authorization: Bearer $OTHER\" $URL/user; \
         curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/user",
    );
    assert!(text.contains("this method is not allowed"), "{text}");
    assert!(text.contains("the placeholder of `TOKEN`"), "{text}");
    let (text, is_error) = client.tool("request_access", &asking.wish("again"));
    assert!(
        !is_error && text.starts_with("Allowed already, until"),
        "{text}"
    );
    assert!(asking.pending().is_empty());
    // What it has is redacted.
    asking.project.sandbox.write("value", OTHER);
    assert_eq!(client.script("cat value"), "[REDACTED]\n[exit code: 0]");
    assert_eq!(asking.project.upstream.received().len(), 1);
    let ended = client.close();
    assert!(ended.stderr.contains("to see\\u{a}\\u{1b}[2J who I am"));
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
    assert!(ended.stderr.contains("the session is over"), "{ended:?}");
    assert!(!ended.stderr.contains(OTHER));
}

#[test]
fn another_host_is_another_question() {
    let asking = Asking::new();
    let other = Upstream::start();
    let mut client = asking.client();
    asking.asked(&mut client, "to see", &["agent", "approve"]);
    let text = get(&mut client, &other.url("/user"));
    assert!(text.contains("no rule reaches"), "{text}");
    assert!(other.received().is_empty());
    // A private address is opened by the project alone.
    let arguments = json!({
        "credential": "OTHER", "host": format!("localhost:{}", other.port()), "reason": "to see",
    });
    let arguments = json!({ "name": "request_access", "arguments": arguments });
    client.ask("tools/call", &arguments);
    let id = asking.next()["id"].as_str().unwrap().to_owned();
    asking.fnox(&["agent", "approve", &id]).succeeds();
    client.receive();
    let text = get(&mut client, &other.url("/user"));
    assert!(text.starts_with("403") || text.starts_with("502"), "{text}");
    assert!(other.received().is_empty());
}

#[test]
fn a_no_is_told_and_remembered_also_with_other_words() {
    let asking = Asking::new();
    let mut client = asking.client();
    let text = asking.asked(&mut client, "to see", &["agent", "deny"]);
    assert!(text.starts_with("A person refused this"), "{text}");
    assert!(
        text.contains("[[proxy.rules]]\nsecret = \"OTHER\""),
        "{text}"
    );
    let (text, is_error) = client.tool("request_access", &asking.wish("please"));
    assert!(
        !is_error && text.starts_with("A person refused this"),
        "{text}"
    );
    assert!(asking.pending().is_empty());
    assert!(get(&mut client, "$URL/user").starts_with("403"));
    assert!(client.script("echo ${OTHER-none}").starts_with("none\n"));
}

#[test]
fn who_waited_in_vain_may_ask_again_after_the_yes() {
    let asking = Asking::with("approval_wait = \"1s\"", "");
    let mut client = asking.client();
    let (text, is_error) = client.tool("request_access", &asking.wish("to see"));
    assert!(
        !is_error && text.starts_with("Nobody has answered yet"),
        "{text}"
    );
    let id = asking.next()["id"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("fnox agent approve {id}")), "{text}");
    assert!(text.contains("[[proxy.rules]]"), "{text}");
    // With other words it is not asked twice.
    let (text, is_error) = client.tool("request_access", &asking.wish("please"));
    assert!(is_error && text.contains("another reason"), "{text}");
    asking.fnox(&["agent", "approve", &id]).succeeds();
    assert!(
        get(&mut client, "$URL/user").starts_with("403"),
        "nobody has asked again"
    );
    let (text, is_error) = client.tool("request_access", &asking.wish("to see"));
    assert!(
        !is_error && text.starts_with("A person allowed it"),
        "{text}"
    );
    assert!(get(&mut client, "$URL/user").starts_with("200"));
}

#[test]
fn the_end_of_the_time_closes_what_is_open() {
    let asking = Asking::new();
    let mut client = asking.client();
    let said = ["agent", "approve", "--for", "10s"];
    asking.asked(&mut client, "to see", &said);
    // It stays open until somebody ends it, and the gateway does.
    let script = "code=0; curl -sSN -H \"Authorization: Bearer $OTHER\" $URL/hold >/dev/null 2>&1 || code=$?; \
                  echo $code";
    let text = client.script(script);
    let code = text.lines().next().unwrap();
    assert_ne!(code, "0", "{text}");
    assert_eq!(asking.project.upstream.received().len(), 1);
    assert!(get(&mut client, "$URL/user").starts_with("403"));
    assert!(client.script("echo ${OTHER-none}").starts_with("none\n"));
    let (list, _) = client.tool("list_credentials", &json!({}));
    let list = support::json(&list);
    assert_eq!(list["credentials"].as_array().unwrap().len(), 1, "{list}");
    assert!(client.close().stderr.contains("its time is over"));
}

#[test]
fn neither_the_agent_nor_its_programs_answer_for_the_person() {
    let asking = Asking::with("approval_wait = \"3s\"", "");
    let url = asking.project.upstream.url("");
    // This test is the agent now.
    let mut client = Client::connect(asking.project.sandbox.run(["mcp"]).env("URL", url));
    let arguments = json!({ "name": "request_access", "arguments": asking.wish("to see") });
    let first = client.ask("tools/call", &arguments);
    let id = asking.next()["id"].as_str().unwrap().to_owned();
    let run = asking.fnox(&["agent", "approve", &id]);
    assert_eq!(run.code, Some(7), "{run}");
    assert!(run.stderr.contains("cannot answer for a person"), "{run}");
    let script = format!(
        "{} agent approve {id} 2>&1 || true",
        env!("CARGO_BIN_EXE_fnox")
    );
    let command = json!({ "name": "exec", "arguments": { "command": ["sh", "-c", script] } });
    let second = client.ask("tools/call", &command);
    let answers = [client.receive(), client.receive()];
    let text = |id: u64| {
        let answer = answers.iter().find(|it| it["id"] == id).unwrap();
        answer["result"]["content"][0]["text"].as_str().unwrap()
    };
    assert!(
        text(second).contains("cannot answer for a person"),
        "{answers:?}"
    );
    assert!(
        text(first).starts_with("Nobody has answered yet"),
        "{answers:?}"
    );
    assert!(asking.project.upstream.received().is_empty());
}

#[test]
fn what_the_project_does_not_let_the_agent_use_nobody_is_asked_about() {
    let asking = Asking::with("approval_wait = \"5m\"", "[mcp]\nsecrets = [\"TOKEN\"]\n\n");
    let mut client = asking.client();
    let (text, is_error) = client.tool("request_access", &asking.wish("to see"));
    assert!(
        !is_error && text.starts_with("A person must decide"),
        "{text}"
    );
    assert!(
        text.contains("add \"OTHER\" to `secrets` of [mcp]"),
        "{text}"
    );
    let unknown = json!({ "credential": "NO_SUCH", "host": "example.com", "reason": "to see" });
    let (text, _) = client.tool("request_access", &unknown);
    assert!(text.contains("fnox set NO_SUCH"), "{text}");
    assert!(asking.pending().is_empty());
    for methods in [json!(["TRACE"]), json!(["GET /"]), json!(vec!["PUT"; 9])] {
        let mut wish = asking.wish("to see");
        wish["methods"] = methods;
        let (text, is_error) = client.tool("request_access", &wish);
        assert!(is_error && text.contains("methods"), "{text}");
    }
}

#[test]
fn where_nobody_can_be_asked_a_person_is_told() {
    let asking = Asking::with("approve_at = []", "");
    let mut client = asking.client();
    let (text, is_error) = client.tool("request_access", &asking.wish("to see"));
    assert!(
        !is_error && text.starts_with("A person must decide"),
        "{text}"
    );
    assert!(client.close().stderr.contains("asks for the use of OTHER"));
}

#[test]
fn the_question_the_answer_and_the_end_are_on_record() {
    let asking = Asking::with("approval_wait = \"5m\"", "[audit]\nenabled = true\n\n");
    let mut client = asking.client();
    asking.asked(&mut client, "to see", &["agent", "approve"]);
    assert!(get(&mut client, "$URL/user").starts_with("200"));
    client.close();
    let log = asking.fnox(&["audit", "--json"]).succeeds().stdout;
    let log = support::json(&log);
    let records: Vec<String> = log
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["event"].as_str().unwrap() != "audit_continued")
        .map(|it| format!("{} {}", it["event"], it["outcome"]))
        .collect();
    let text = records.join("\n").replace('"', "");
    for expected in [
        "access_asked ok",
        "access_decided ok",
        "secret_used ok",
        "access_ended ok",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(!log.to_string().contains(OTHER));
    asking.fnox(&["audit", "--verify"]).succeeds();
}

#[test]
fn at_the_vault_it_is_asked_and_answered_as_what_it_is() {
    let asking = Asking::with(
        "approval_wait = \"5m\"\napprove_at = [\"vault\"]\napproval_token_file = \"gateway.token\"",
        "",
    );
    let Asking {
        project: Project { sandbox, upstream },
    } = asking;
    let vault = Vault::serving_in(sandbox, "", &[]);
    let token = vault.sandbox.project().join("gateway.token");
    let create = ["token", "create", "--agent", "laptop", "--role", "gateway"];
    vault.ok(&[&create[..], &["--output", token.to_str().unwrap()]].concat());
    let server = vault.sandbox.run(["mcp"]).env("URL", upstream.url(""));
    let mut client = Client::connect(server);
    let host = format!("localhost:{}", upstream.port());
    let wish = json!({ "credential": "OTHER", "host": host, "reason": "to see" });
    let call = json!({ "name": "request_access", "arguments": wish });
    let next = || {
        until_some("a question", LIMIT, || {
            let listed = vault.json(&["approvals"]);
            listed.as_array().unwrap().first().cloned()
        })
    };
    client.ask("tools/call", &call);
    let question = next();
    assert_eq!(question["request"]["kind"], "access");
    let id = question["id"].as_str().unwrap();
    vault.fails(2, &["approve", "--session", id]);
    let shown = vault.run(&["approve", "--for", "5m", id]).finish();
    assert!(shown.succeeds().stderr.contains("use of  OTHER"));
    let answer = client.receive().to_string();
    assert!(answer.contains("A person allowed it"), "{answer}");
    assert!(get(&mut client, "$URL/user").starts_with("200"));
    let log = vault.ok(&["audit", "export"]);
    assert!(log.contains("allowed this use, for 300 s"), "{log}");

    // A question that waits is taken back when the server ends.
    let mut other = wish.clone();
    other["methods"] = json!(["POST"]);
    client.ask(
        "tools/call",
        &json!({ "name": "request_access", "arguments": other }),
    );
    next();
    client.signal(Signal::TERM);
    assert_eq!(client.finish().code, Some(143));
    assert_eq!(vault.json(&["approvals"]), json!([]));
    let log = vault.ok(&["audit", "export"]);
    assert!(log.contains("approval_taken_back"), "{log}");
}

#[test]
fn a_lease_is_minted_for_what_a_person_allowed() {
    let asking = Asking::new();
    let sandbox = &asking.project.sandbox;
    let text = sandbox.read("fnox.toml");
    let lease = "\n[leases.issuer]\ntype = \"command\"\ncreate_command = \"./create\"\n\
                 revoke_command = \"./revoke\"\nproduces = [\"ISSUED\"]\n";
    sandbox.write("fnox.toml", format!("{text}{lease}"));
    let minted = "{\"credentials\":{\"ISSUED\":\"minted-value-81f3\"}}";
    for (name, script) in [
        ("create", format!("#!/bin/sh\necho '{minted}'\n")),
        ("revoke", "#!/bin/sh\ntouch revoked\n".to_owned()),
    ] {
        let program = sandbox.write(name, &script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(program, mode).unwrap();
    }
    let mut client = asking.client();
    let wish = json!({ "credential": "issuer", "host": asking.host(), "reason": "to see" });
    client.ask(
        "tools/call",
        &json!({ "name": "request_access", "arguments": wish }),
    );
    let id = asking.next()["id"].as_str().unwrap().to_owned();
    asking.fnox(&["agent", "approve", &id]).succeeds();
    client.receive();
    client.script("curl -fsS -o /dev/null -H \"Authorization: Bearer $ISSUED\" $URL/user");
    let received = asking.project.upstream.received();
    assert_eq!(
        received[0].header("authorization"),
        Some("Bearer minted-value-81f3")
    );
    client.close();
    until("the lease's end", LIMIT, || {
        sandbox.project().join("revoked").exists()
    });
}

#[test]
fn what_a_rule_allows_for_other_methods_alone_is_asked_for() {
    let project = Project::with("approval_wait = \"5m\"", "methods = [\"GET\"]");
    let asking = Asking { project };
    let mut client = asking.client();
    let wish = |methods: Value| json!({ "credential": "TOKEN", "host": asking.host(), "reason": "x", "methods": methods });
    for methods in [json!(["GET"]), json!([])] {
        let (text, is_error) = client.tool("request_access", &wish(methods));
        assert!(!is_error && text.starts_with("Allowed already"), "{text}");
    }
    let post = "curl -sS -o answer -w '%{http_code}' -d x -H \"Authorization: Bearer $TOKEN\" $URL/a; cat answer";
    assert!(client.script(post).starts_with("403"));
    let arguments = json!({ "name": "request_access", "arguments": wish(json!(["GET", "POST"])) });
    client.ask("tools/call", &arguments);
    let question = asking.next();
    assert_eq!(question["methods"], json!(["GET", "POST"]));
    let id = question["id"].as_str().unwrap();
    asking.fnox(&["agent", "approve", id]).succeeds();
    let answer = client.receive();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("A person allowed it"), "{text}");
    let answer = client.script(post);
    assert!(answer.starts_with("200"), "{answer}");
}
