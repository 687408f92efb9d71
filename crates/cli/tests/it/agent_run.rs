//! `fnox agent run`: the program uses a credential that it never holds.

use crate::agent_support::{Project, VALUE};
use crate::support;

#[test]
fn the_destination_gets_the_value_and_the_program_a_placeholder() {
    let project = Project::new("methods = [\"GET\"]\npaths = [\"/repos/**\"]");
    let run = project
        .agent("echo $TOKEN; curl -fsS -H \"Authorization: Bearer $TOKEN\" $URL/repos/a; env")
        .finish()
        .succeeds();
    let placeholder = run.stdout.lines().next().unwrap().to_owned();
    assert!(placeholder.starts_with("ghp_"), "{placeholder}");
    assert_eq!(placeholder.len(), VALUE.len());
    let received = project.upstream.received();
    assert_eq!(received.len(), 1);
    let authorization = format!("Bearer {VALUE}");
    assert_eq!(
        received[0].header("authorization"),
        Some(authorization.as_str())
    );
    assert_eq!(received[0].target, "/repos/a");
    assert!(received[0].header("proxy-authorization").is_none());
}

#[test]
fn what_no_rule_allows_does_not_leave_and_says_why() {
    let project = Project::new("methods = [\"GET\"]\npaths = [\"/repos/**\"]");
    let text = project.prints(
        "curl -sS -X DELETE $URL/repos/a; curl -sS $URL/user; curl -sS https://example.com/; \
         curl -sS -H 'Accept: application/json' $URL/user; curl -sS --path-as-is $URL/repos/%2e%2e/user",
    );
    for expected in [
        "this method is not allowed on this path",
        "this path is not allowed",
        "no rule reaches `example.com",
        "\"error\":\"gateway::not_allowed\"",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(project.upstream.received().is_empty());
}

#[test]
fn a_placeholder_goes_nowhere_else() {
    let project = Project::new("");
    let text = project.prints(
        "curl -sS -H \"X-Other: $TOKEN\" $URL/a; curl -sS \"$URL/a?t=$TOKEN\"; \
         curl -sS -H \"Authorization: Bearer $TOKEN\" -H \"X-Copy: $TOKEN\" $URL/a; \
         curl -sS -X TRACE -H \"Authorization: Bearer $TOKEN\" $URL/a",
    );
    assert!(text.contains("is in the wrong place"), "{text}");
    assert!(text.contains("TRACE"), "{text}");
    assert!(project.upstream.received().is_empty(), "{text}");
}

#[test]
fn nothing_that_leads_to_credentials_is_inherited() {
    let project = Project::new("");
    let run = project
        .agent("env")
        .env("AWS_SECRET_ACCESS_KEY", "ambient-value")
        .env("GITHUB_TOKEN", "ambient-value")
        .env("FNOX_AGE_KEY", "ambient-value")
        .env("HARMLESS", "kept")
        .finish()
        .succeeds();
    assert!(!run.stdout.contains("ambient-value"), "{}", run.stdout);
    assert!(!run.stdout.contains(VALUE), "{}", run.stdout);
    assert!(run.stdout.contains("HARMLESS=kept"));
    let kept = project
        .sandbox
        .run(["agent", "run", "--keep", "GITHUB_TOKEN", "--", "env"])
        .env("GITHUB_TOKEN", "ambient-value")
        .finish()
        .succeeds();
    assert!(kept.stdout.contains("GITHUB_TOKEN=ambient-value"));
}

#[test]
fn only_the_program_may_use_the_gateway() {
    let project = Project::new("");
    let text = project.prints(
        "port=${HTTPS_PROXY##*:}; \
         curl -sS -o /dev/null -w '%{http_connect}\\n' --proxy http://127.0.0.1:$port $URL/a || true; \
         curl -sS -o /dev/null -w '%{http_connect}\\n' --proxy http://fnox:wrong@127.0.0.1:$port $URL/a || true",
    );
    assert_eq!(text, "407\n407\n");
    assert!(project.upstream.received().is_empty());
}

#[test]
fn uses_are_counted() {
    let project = Project::new("max_uses = 2");
    let text = project.prints(
        "for i in 1 2 3; do curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" $URL/$i; done",
    );
    assert_eq!(text, "200\n200\n429\n");
    assert_eq!(project.upstream.received().len(), 2);
}

#[test]
fn a_value_that_comes_back_is_a_placeholder_again() {
    let project = Project::new("");
    let text = project.prints(
        "curl -fsS -i -H \"Authorization: Bearer $TOKEN\" $URL/reflect/a; echo; \
         curl -fsS --compressed -H \"Authorization: Bearer $TOKEN\" $URL/echo; echo; echo placeholder: $TOKEN",
    );
    assert!(!text.contains(VALUE), "{text}");
    let placeholder = text
        .lines()
        .last()
        .unwrap()
        .strip_prefix("placeholder: ")
        .unwrap();
    assert!(
        text.contains(&format!("you sent Bearer {placeholder}, thank you")),
        "{text}"
    );
    assert!(
        text.contains(&format!("x-reflected: Bearer {placeholder}")),
        "{text}"
    );
    assert_eq!(project.upstream.received().len(), 2);
}

#[test]
fn a_websocket_begins_with_the_credential_and_its_answer_shows_none() {
    let project = Project::new("");
    let text = project.prints(
        "curl -sS -i -N --http1.1 --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
         -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \
         -H \"Authorization: Bearer $TOKEN\" $URL/upgrade || true",
    );
    assert!(text.starts_with("HTTP/1.1 200"), "the tunnel: {text}");
    assert!(text.contains("HTTP/1.1 101"), "{text}");
    assert!(text.contains("x-reflected: Bearer ghp_"), "{text}");
    assert!(!text.contains(VALUE), "{text}");
    let received = project.upstream.received();
    let expected = format!("Bearer {VALUE}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
}

#[test]
fn a_rate_is_kept() {
    let project = Project::new("rate = \"2/h\"");
    let text = project.prints(
        "for i in 1 2 3; do curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" $URL/$i; done",
    );
    assert_eq!(text, "200\n200\n429\n");
}

#[test]
fn a_placeholder_in_a_body_does_not_leave() {
    let project = Project::new("");
    let text = project.prints(
        "curl -sS -d \"token=$TOKEN\" $URL/a; echo; \
         (head -c 300000 /dev/zero; printf %s \"$TOKEN\"; head -c 300000 /dev/zero) > body; \
         curl -sS -T body $URL/b || true",
    );
    assert!(text.contains("a placeholder in the body"), "{text}");
    assert!(!text.contains("\"body\""), "nothing was echoed: {text}");
    let received = project.upstream.received();
    assert!(received.iter().all(|one| one.body_length < 600_000));
    let placeholder = |one: &fnox_testkit::stand_in::upstream::Received| {
        String::from_utf8_lossy(&one.body).contains("ghp_")
    };
    assert!(!received.iter().any(placeholder));
}

#[test]
fn a_credential_can_be_set_for_programs_that_send_none() {
    let project = Project::new("inject = \"set\"\nusername = \"x-access-token\"");
    project.prints("curl -fsS $URL/a");
    let received = project.upstream.received();
    let header = received[0].header("authorization").unwrap();
    assert!(header.starts_with("Basic "), "{header}");
}

#[test]
fn the_programs_end_is_the_runs_end() {
    let project = Project::new("");
    project.agent("exit 7").finish().exits_with(7);
    project.agent("kill -TERM $$").finish().exits_with(143);
    let folder = project.prints("dirname $SSL_CERT_FILE");
    assert!(
        !std::path::Path::new(folder.trim()).exists(),
        "the gateway's files are gone: {folder}"
    );
}

#[test]
fn rules_are_shown() {
    let project = Project::new("methods = [\"GET\", \"POST\"]\nmax_uses = 3");
    let text = support::ok(&project.sandbox, &["proxy", "rules"]);
    assert!(text.contains("egress: strict\naudit: true\n"), "{text}");
    assert!(
        text.contains("TOKEN -> localhost") && text.contains("methods=GET,POST"),
        "{text}"
    );
    let json = support::json(&support::ok(
        &project.sandbox,
        &["agent", "rules", "--json"],
    ));
    assert_eq!(json["rules"][0]["max_uses"], 3);
    assert_eq!(json["rules"][0]["env"], "TOKEN");
}

#[test]
fn a_secret_cannot_sign_for_aws() {
    let project = Project::new("inject = \"aws-sigv4\"");
    let text = support::fails(&project.sandbox, 3, &["agent", "run", "--", "true"]);
    assert!(
        text.contains("`inject`") && text.contains("`lease`"),
        "{text}"
    );
}

#[test]
fn a_project_without_rules_is_told_how_to_write_one() {
    let sandbox = support::sandbox();
    sandbox.write("fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    let text = support::fails(&sandbox, 2, &["agent", "run", "--", "true"]);
    assert!(text.contains("[[proxy.rules]]"), "{text}");
}

#[test]
fn the_numbers_of_a_run_are_in_a_file_from_its_start_to_its_end() {
    let project = Project::new("methods = [\"GET\"]");
    let script = "test -e numbers.prom; \
                  curl -fsS -H \"Authorization: Bearer $TOKEN\" $URL/a; curl -sS -X DELETE $URL/a; \
                  until grep -q gateway::not_allowed numbers.prom; do sleep 0.2; done";
    let metrics = [
        "agent",
        "run",
        "--metrics",
        "numbers.prom",
        "--agent",
        "coder",
        "--",
    ];
    let run = project
        .sandbox
        .run(metrics.iter().chain(&["sh", "-euc", script]));
    run.env("URL", project.upstream.url("")).finish().succeeds();
    let numbers = project
        .sandbox
        .read(project.sandbox.project().join("numbers.prom"));
    let total = "fnox_gateway_requests_total{";
    for parts in [
        [
            total,
            "agent=\"coder\"",
            "outcome=\"answered\"",
            "code=\"200\"",
        ],
        [
            total,
            "agent=\"coder\"",
            "outcome=\"refused\"",
            "code=\"gateway::not_allowed\"",
        ],
        ["fnox_gateway_credentials_total{", "agent=\"coder\"", "", ""],
    ] {
        let is_it =
            |line: &str| line.ends_with(" 1") && parts.iter().all(|part| line.contains(part));
        assert!(numbers.lines().any(is_it), "{parts:?}: {numbers}");
    }
    assert!(
        !numbers.contains(VALUE) && !numbers.contains("localhost"),
        "{numbers}"
    );
}

#[test]
fn a_file_of_numbers_that_cannot_be_written_ends_the_run_before_it_begins() {
    let project = Project::new("");
    let arguments = [
        "agent",
        "run",
        "--metrics",
        "none/numbers.prom",
        "--",
        "touch",
        "ran",
    ];
    let run = project.sandbox.run(arguments).finish().exits_with(1);
    assert!(run.stderr.contains("numbers.prom"), "{run}");
    assert!(!project.sandbox.project().join("ran").exists());
}

#[test]
fn a_value_that_is_too_short_to_be_looked_for_is_told_once() {
    let project = Project::new("");
    let text = project.sandbox.read("fnox.toml").replace(VALUE, "hunter2");
    project.sandbox.write("fnox.toml", text);
    let script =
        "for i in 1 2; do curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/a; done";
    let run = project.agent(script).finish().succeeds();
    assert_eq!(run.stderr.matches("fewer than 8 bytes").count(), 1, "{run}");
    assert!(!run.stderr.contains("hunter2"), "{run}");
}
