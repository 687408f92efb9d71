//! `fnox agent run`: each place that a rule can put a credential into, as the destination receives it, and what else of
//! `[proxy]` decides on what passes.

use fnox_testkit::stand_in::{Prepared, Received};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::agent_support::{Project, VALUE};

/// A rule, a request, and what becomes of it.
struct Case {
    /// Keys of the rule.
    keys: &'static str,
    /// What follows `curl` in a shell.
    arguments: &'static str,
    /// The name of a field, or `target` or `body`.
    part: &'static str,
    /// What it is, with `VALUE` for the credential.
    received: &'static str,
}

const CASES: [Case; 14] = [
    Case {
        keys: "",
        arguments: "-H \"Authorization: Bearer $TOKEN\" $URL/a",
        part: "authorization",
        received: "Bearer VALUE",
    },
    Case {
        keys: "header = \"x-api-key\"",
        arguments: "-H \"X-Api-Key: $TOKEN\" $URL/a",
        part: "x-api-key",
        received: "VALUE",
    },
    Case {
        keys: "format = \"token {}\"",
        arguments: "-H \"Authorization: Bearer $TOKEN\" $URL/a",
        part: "authorization",
        received: "token VALUE",
    },
    Case {
        keys: "header = \"x-api-key\"\nformat = \"key={}\"",
        arguments: "-H \"X-Api-Key: $TOKEN\" $URL/a",
        part: "x-api-key",
        received: "key=VALUE",
    },
    Case {
        keys: "query = \"key\"",
        arguments: "\"$URL/a?b=c&key=$TOKEN&d\"",
        part: "target",
        received: "/a?b=c&key=VALUE&d",
    },
    Case {
        keys: "username = \"robot\"",
        arguments: "-u \"anybody:$TOKEN\" $URL/a",
        part: "authorization",
        // `robot:` and the value.
        received: "Basic cm9ib3Q6Z2hwX1JlYWxWYWx1ZVRoYXROb2JvZHlNYXlTZWUwMTIzNDU2Nzg5",
    },
    Case {
        keys: "inject = \"cookie:session\"",
        arguments: "-b \"a=1; session=$TOKEN; b=2\" $URL/a",
        part: "cookie",
        received: "a=1; session=VALUE; b=2",
    },
    Case {
        keys: "inject = \"path\"",
        arguments: "$URL/bot$TOKEN/send?a=b",
        part: "target",
        received: "/botVALUE/send?a=b",
    },
    Case {
        keys: "inject = \"json:/auth/token\"",
        arguments: "--json \"{\\\"auth\\\": {\\\"token\\\": \\\"$TOKEN\\\"}, \\\"a\\\": 1}\" $URL/a",
        part: "body",
        received: "{\"auth\": {\"token\": \"VALUE\"}, \"a\": 1}",
    },
    Case {
        keys: "inject = \"form:token\"",
        arguments: "-d \"a=1&token=$TOKEN\" $URL/a",
        part: "body",
        received: "a=1&token=VALUE",
    },
    Case {
        keys: "placeholder = \"stands-for-the-token\"",
        arguments: "-H \"Authorization: Bearer stands-for-the-token\" $URL/a",
        part: "authorization",
        received: "Bearer VALUE",
    },
    Case {
        keys: "inject = \"set\"",
        arguments: "$URL/a",
        part: "authorization",
        received: "Bearer VALUE",
    },
    Case {
        keys: "inject = \"set\"\nheader = \"x-api-key\"",
        arguments: "-H 'X-Api-Key: of the program' $URL/a",
        part: "x-api-key",
        received: "VALUE",
    },
    Case {
        keys: "inject = \"set\"\nquery = \"key\"",
        arguments: "$URL/a?b=c",
        part: "target",
        received: "/a?b=c&key=VALUE",
    },
];

fn part<'r>(received: &'r Received, name: &str) -> &'r str {
    match name {
        "target" => &received.target,
        "body" => std::str::from_utf8(&received.body).unwrap(),
        field => received.header(field).unwrap_or_default(),
    }
}

#[test]
fn each_place_gets_the_credential_and_the_rest_is_left_alone() {
    for case in CASES {
        let project = Project::new(case.keys);
        let run = project.agent(&format!("curl -fsS {}", case.arguments));
        let run = run.finish().succeeds();
        let received = project.upstream.received();
        assert_eq!(received.len(), 1, "{}: {run}", case.keys);
        let expected = case.received.replace("VALUE", VALUE);
        assert_eq!(part(&received[0], case.part), expected, "{}", case.keys);
        // Nothing of what the program sent in its place is left.
        if case.part == "x-api-key" {
            assert_eq!(received[0].header("authorization"), None, "{}", case.keys);
        }
        assert!(!run.stdout.contains(VALUE), "{}: {run}", case.keys);
    }
}

/// A program that puts the placeholder elsewhere has not asked for the credential, and gets no further.
#[test]
fn a_placeholder_in_another_place_than_the_rules_does_not_leave() {
    for case in CASES.iter().filter(|case| case.part != "authorization") {
        let project = Project::new(case.keys);
        let script = "curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/a";
        let text = project.prints(script);
        assert!(text.contains("placeholder"), "{}: {text}", case.keys);
        assert!(project.upstream.received().is_empty(), "{}", case.keys);
    }
}

#[test]
fn a_fixed_placeholder_is_what_the_variable_holds() {
    let project = Project::new("placeholder = \"stands-for-the-token\"");
    assert_eq!(project.prints("echo $TOKEN"), "stands-for-the-token\n");
}

#[test]
fn a_request_is_signed_over_what_the_rule_says_with_the_time_that_it_carries() {
    let project = Project::new(
        "inject = \"hmac-sha256:x-signature:v1={}\"\nsigned = \"{timestamp}.{method}.{target}.{body}\"\n\
         timestamp = \"x-timestamp\"",
    );
    project.prints(
        "curl -fsS -H 'X-Signature: v1=of-the-program' -H 'X-Timestamp: 1' -d hello \"$URL/a?b=c\"",
    );
    let received = project.upstream.received();
    let time = received[0].header("x-timestamp").unwrap();
    let seconds: i64 = time.parse().unwrap();
    assert!(seconds > 1_700_000_000, "{time}");
    let mac = Hmac::<Sha256>::new_from_slice(VALUE.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("{time}.POST./a?b=c.hello"));
    let expected = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(received[0].header("x-signature"), Some(&*expected));
}

#[test]
fn a_body_may_have_as_many_bytes_as_its_rule_says() {
    let project = Project::new("body_limit = 10");
    let text = project.prints(
        "send() { curl -sS -o answer -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" \"$@\" $URL/a; }; \
         send -d 1234567890; send -d 12345678901; cat answer; echo; \
         send -H 'Transfer-Encoding: chunked' -d 12345678901; send -d 123",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.contains("the body is larger than allowed"), "{text}");
    let codes = lines.iter().filter(|line| line.len() == 3);
    assert_eq!(
        codes.copied().collect::<Vec<_>>(),
        ["200", "413", "413", "200"],
        "{text}"
    );
    let received = project.upstream.received();
    assert!(received.iter().all(|it| it.body_length <= 10));
}

#[test]
fn hosts_without_a_rule_are_reached_where_egress_is_permissive() {
    for (egress, is_reached) in [("strict", false), ("permissive", true)] {
        let project = Project::with(&format!("egress = \"{egress}\""), "");
        // No rule names this host, so no `ca_file` is for it.
        let url = format!("https://127.0.0.1:{}", project.upstream.port());
        let script = "curl -sS -o /dev/null -w '%{http_code}\\n' $OTHER/plain; \
                      curl -sS -H \"Authorization: Bearer $TOKEN\" $OTHER/token";
        let authority = project.sandbox.project().join("authority.pem");
        let run = project.agent(script).env("OTHER", url);
        let run = run.env("SSL_CERT_FILE", authority).finish().succeeds();
        let received = project.upstream.received();
        assert_eq!(run.stdout.starts_with("200\n"), is_reached, "{run}");
        assert_eq!(received.len(), usize::from(is_reached), "{run}");
        assert_eq!(run.stdout.contains("no rule reaches"), !is_reached, "{run}");
        // The credential is for the rule's host alone.
        assert!(received.iter().all(|it| it.target == "/plain"), "{run}");
        assert!(
            received
                .iter()
                .all(|it| it.header("authorization").is_none())
        );
    }
}

#[test]
fn an_answer_that_cannot_be_searched_is_refused_tagged_or_passed_on() {
    for (keys, status, tag) in [
        ("", 502, None),
        ("unscannable = \"block\"", 502, None),
        (
            "unscannable = \"tag\"",
            200,
            Some("fnox-unscanned: x-secret"),
        ),
        ("unscannable = \"pass\"", 200, None),
    ] {
        let project = Project::with(keys, "");
        let odd = Prepared::new(200, "unknown").with("content-encoding", "x-secret");
        project.upstream.prepare("/odd", odd);
        let script = "curl -sS -i -H \"Authorization: Bearer $TOKEN\" $URL/odd";
        let text = project.prints(script);
        // Before it stands what CONNECT was answered.
        let (_, answer) = text.split_once("\r\n\r\n").unwrap();
        let (line, _) = answer.split_once("\r\n").unwrap();
        assert!(line.contains(&format!(" {status}")), "{keys}: {text}");
        assert_eq!(answer.ends_with("unknown"), status == 200, "{keys}: {text}");
        let is_refused = answer.contains("gateway::unscannable");
        assert_eq!(is_refused, status == 502, "{keys}: {text}");
        let mut fields = answer.lines();
        let tagged = fields.find(|field| field.starts_with("fnox-unscanned"));
        assert_eq!(tagged, tag, "{keys}: {text}");
        assert_eq!(project.upstream.received().len(), 1);
    }
}
