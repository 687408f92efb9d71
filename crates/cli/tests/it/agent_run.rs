//! `fnox agent run`: the program uses a credential that it never holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_testkit::stand_in::Prepared;
use fnox_testkit::wait::until;
use rcgen::KeyPair;

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
fn a_value_that_an_earlier_run_left_there_is_a_placeholder_in_the_first_answer() {
    let project = Project::new("");
    let kept = Prepared::new(200, format!("{VALUE}\n"));
    project.upstream.prepare("/kept", kept);
    let text = project.prints("curl -fsS $URL/kept; echo $TOKEN");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0], lines[1]);
    assert_ne!(lines[0], VALUE);
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

/// What every private key of the curve P-256 has in PKCS #8 (RFC 5958, RFC 5915), as it is and in base64, and what any in
/// PEM has (RFC 7468).
const KEYS: [&[u8]; 3] = [
    b"\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
    b"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg",
    b"PRIVATE KEY",
];

/// The files below a folder that have a private key in them.
fn private_keys(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(private_keys(&path));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            let has = |text: &[u8]| bytes.windows(text.len()).any(|it| it == text);
            if KEYS.iter().any(|text| has(text)) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_authoritys_key_is_in_no_file() {
    let project = Project::new("");
    let root = project.sandbox.root();
    // Nothing would be found by who cannot find one.
    let key = KeyPair::generate().unwrap();
    let der = root.join("tmp/key");
    for bytes in [key.serialize_der(), key.serialize_pem().into_bytes()] {
        fs::write(&der, bytes).unwrap();
        assert_eq!(private_keys(root), [der.as_path()]);
    }
    fs::remove_file(&der).unwrap();
    let nothing: [PathBuf; 0] = [];
    let script = "curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/a; \
                  printf %s $SSL_CERT_FILE > part; mv part ready; until test -e go; do sleep 0.1; done";
    let running = project.agent(script).start();
    let ready = project.sandbox.project().join("ready");
    until("the program", Duration::from_mins(1), || ready.exists());
    let certificate = PathBuf::from(project.sandbox.read("ready"));
    assert!(certificate.starts_with(root) && certificate.exists());
    assert_eq!(private_keys(root), nothing);
    project.sandbox.write("go", "");
    running.finish().succeeds();
    assert_eq!(private_keys(root), nothing);
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
