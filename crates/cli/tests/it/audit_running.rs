//! The local log while programs run: each request of the gateway, each answer of the endpoint and of the SSH agent, each call
//! of a helper.

use fnox_testkit::Sandbox;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent_capture;
use crate::agent_support::{Project, VALUE};
use crate::audit::ON;
use crate::mcp_support::Client;
use crate::support;
use crate::support::ok;

fn turn_on(sandbox: &Sandbox) {
    sandbox.write(sandbox.config_folder().join("config.toml"), ON);
}

/// The records that a running program caused, as `COMMAND EVENT SECRET LEASE WAY`.
#[track_caller]
fn told(sandbox: &Sandbox) -> Vec<String> {
    ok(sandbox, &["audit", "--verify"]);
    let text = ok(sandbox, &["audit", "--json", "-n", "1000"]);
    let line = |one: &Value| {
        let of = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        ["command", "event", "secret", "lease", "way"]
            .map(of)
            .join(" ")
    };
    support::json(&text)
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

fn of_gateway(sandbox: &Sandbox) -> usize {
    let all = told(sandbox);
    all.iter().filter(|line| line.ends_with(" gateway")).count()
}

#[test]
fn each_request_that_gets_a_value_is_on_record_with_host_and_rule() {
    let project = Project::new("methods = [\"GET\"]");
    turn_on(&project.sandbox);
    project.prints(
        "for i in 1 2 3; do curl -fsS -H \"Authorization: Bearer $TOKEN\" $URL/$i; done; \
         curl -sS -X DELETE -H \"Authorization: Bearer $TOKEN\" $URL/4",
    );
    assert_eq!(project.upstream.received().len(), 3);
    assert_eq!(of_gateway(&project.sandbox), 3);
    let text = ok(&project.sandbox, &["audit", "--json"]);
    let newest = support::json(&text)
        .as_array()
        .unwrap()
        .last()
        .cloned()
        .unwrap();
    assert_eq!(newest["secret"], "TOKEN");
    assert_eq!(newest["command"], "agent");
    assert!(newest["host"].as_str().unwrap().starts_with("localhost"));
    assert!(newest["rule"].is_string(), "{newest}");
    assert!(!text.contains(VALUE));
}

#[test]
fn a_request_whose_use_cannot_be_recorded_does_not_leave() {
    let project = Project::new("");
    turn_on(&project.sandbox);
    let state = project.sandbox.state_folder();
    let state = state.to_str().unwrap();
    let text = project.prints(&format!(
        "ask() {{ curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/$1; }}; \
         ask 1 > /dev/null; mv {state}/audit.log {state}/aside; mkdir {state}/audit.log; ask 2; \
         rmdir {state}/audit.log; mv {state}/aside {state}/audit.log; ask 3 > /dev/null"
    ));
    assert!(text.contains("its use cannot be recorded"), "{text}");
    let targets: Vec<String> = project
        .upstream
        .received()
        .into_iter()
        .map(|received| received.target)
        .collect();
    assert_eq!(targets, ["/1", "/3"]);
    assert_eq!(of_gateway(&project.sandbox), 2);
}

#[test]
fn tokens_that_answers_brought_are_on_record_and_so_is_each_use_of_one() {
    let project = agent_capture::project();
    turn_on(&project.sandbox);
    project.prints(
        "curl -fsS -o first $URL/oauth/token -d grant_type=authorization_code -d code=the-code\n\
         token=$(sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p' first)\n\
         curl -fsS -o /dev/null -H \"Authorization: Bearer $token\" $URL/oauth/resource",
    );
    let gateway = " - - gateway";
    let all = told(&project.sandbox);
    let of_tokens: Vec<&String> = all.iter().filter(|it| it.ends_with(gateway)).collect();
    assert_eq!(
        of_tokens,
        [
            "agent credential_captured - - gateway",
            "agent credential_captured - - gateway",
            "agent captured_used - - gateway",
        ]
    );
    let text = ok(&project.sandbox, &["audit", "--json"]);
    let records = support::json(&text);
    let captured = records.as_array().unwrap().iter();
    let captured = captured.filter(|one| one["event"] == "credential_captured");
    let members: Vec<&Value> = captured.map(|one| &one["to"]).collect();
    assert_eq!(members, [&json!("access_token"), &json!("refresh_token")]);
    let used = records.as_array().unwrap().last().unwrap();
    assert!(
        used["rule"].is_string() && used["host"].is_string(),
        "{used}"
    );
    let shown = ok(&project.sandbox, &["audit"]);
    assert!(
        shown.contains("event=credential_captured  to=access_token"),
        "{shown}"
    );
    for token in project.upstream.issued_tokens() {
        assert!(!text.contains(&token) && !shown.contains(&token));
    }
}

#[test]
fn many_requests_at_once_beside_other_commands_leave_one_chain() {
    let project = Project::new("");
    let global = format!("{ON}max_size = 20000\n");
    let path = project.sandbox.config_folder().join("config.toml");
    project.sandbox.write(path, global);
    let fnox = env!("CARGO_BIN_EXE_fnox");
    project.prints(&format!(
        "for i in 1 2 3 4 5 6; do \
           (for j in 1 2 3 4 5; do curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/$j; done) & \
         done; for i in 1 2 3; do '{fnox}' set K$i plain >/dev/null 2>&1 || true; done; wait"
    ));
    assert_eq!(project.upstream.received().len(), 30);
    assert_eq!(of_gateway(&project.sandbox), 30);
}

#[test]
fn a_gateway_that_is_killed_has_recorded_what_left() {
    let project = Project::new("");
    turn_on(&project.sandbox);
    let mark = project.sandbox.root().join("asked");
    let script = format!(
        "for i in 1 2 3 4; do curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/$i; done; \
         touch {}; exec sleep 30 > /dev/null 2>&1",
        mark.display()
    );
    let running = project.agent(&script).start();
    fnox_testkit::wait::until("the requests", std::time::Duration::from_mins(1), || {
        mark.exists()
    });
    running.signal(Signal::KILL);
    running.finish();
    assert_eq!(of_gateway(&project.sandbox), 4);
    // The next command goes on where it ended.
    ok(&project.sandbox, &["set", "NEW", "plain"]);
    assert_eq!(of_gateway(&project.sandbox), 4);
}

#[test]
fn the_tools_of_mcp_are_on_record() {
    let project = Project::new("");
    turn_on(&project.sandbox);
    let text = project.sandbox.read("fnox.toml");
    let text = text.replace(
        "[secrets]\n",
        "[mcp]\ntools = [\"exec\", \"get_secret\"]\n[providers]\nplain = { type = \"plain\" }\n[secrets]\n\
         OWN = { provider = \"plain\", value = \"hunter2-own\" }\n",
    );
    project.sandbox.write("fnox.toml", text);
    let url = project.upstream.url("");
    let mut client = Client::connect(project.sandbox.run(["mcp"]).env("URL", url));
    client.script("curl -fsS -H \"Authorization: Bearer $TOKEN\" $URL/a");
    let (answer, is_error) = client.tool("get_secret", &json!({ "name": "OWN" }));
    assert!(!is_error, "{answer}");
    client.close();
    let found = told(&project.sandbox);
    for wanted in ["mcp secret_used TOKEN - gateway", "mcp secret_used OWN - -"] {
        assert!(
            found.iter().any(|line| line == wanted),
            "{wanted}: {found:?}"
        );
    }
}

fn lease(deliver: &str, variables: &str) -> String {
    format!(
        "[leases.l]\ntype = \"command\"\nconsumes = []\n{deliver}create_command = '''\n\
         printf '%s' '{{\"credentials\":{{{variables}}},\"expires_at\":\"2999-01-02T03:04:05Z\"}}'\n'''\n"
    )
}

const KEYS: &str = r#""AWS_ACCESS_KEY_ID":"ASIAEXAMPLE","AWS_SECRET_ACCESS_KEY":"hunter2-k","AWS_SESSION_TOKEN":"hunter2-t""#;

#[test]
fn helpers_are_on_record_each_time() {
    let sandbox = support::sandbox();
    turn_on(&sandbox);
    sandbox.write("fnox.toml", lease("", KEYS));
    ok(&sandbox, &["credential", "aws", "l"]);
    ok(&sandbox, &["credential", "aws", "l"]);
    ok(&sandbox, &["lease", "create", "l"]);
    assert_eq!(
        told(&sandbox),
        [
            "credential lease_used - l -",
            "credential lease_used - l -",
            "lease lease_used - l -"
        ]
    );
}

#[test]
fn each_answer_of_the_endpoint_is_on_record() {
    let sandbox = support::sandbox();
    turn_on(&sandbox);
    let deliver = "deliver = [\"endpoint\"]\nproduces = [\"AWS_ACCESS_KEY_ID\", \"AWS_SECRET_ACCESS_KEY\", \"AWS_SESSION_TOKEN\"]\n";
    sandbox.write("fnox.toml", lease(deliver, KEYS));
    let script = "for i in 1 2; do curl -fsS -o /dev/null -H \"Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)\" \
                  $AWS_CONTAINER_CREDENTIALS_FULL_URI; done";
    ok(&sandbox, &["exec", "--", "sh", "-euc", script]);
    assert_eq!(
        told(&sandbox),
        [
            "exec lease_used - l -",
            "exec lease_used - l endpoint",
            "exec lease_used - l endpoint"
        ]
    );
}
