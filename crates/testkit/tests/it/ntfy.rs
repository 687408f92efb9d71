//! The ntfy stand-in over HTTP: with bare sockets, and with Apprise.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fnox_testkit::stand_in::ntfy::{Access, Behaviour, Ntfy};
use fnox_testkit::{Sandbox, services};
use serde_json::{Value, json};

/// Sends one request and returns the status and the answer.
fn send(ntfy: &Ntfy, head: &str, body: &str) -> (String, String) {
    let host = ntfy.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let limit = Duration::from_secs(10);
    stream.set_read_timeout(Some(limit)).unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head["HTTP/1.1 ".len()..][..3].to_owned(), body.to_owned())
}

fn code(ntfy: &Ntfy, document: &Value) -> u64 {
    let (_, answer) = send(ntfy, "POST /", &document.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["code"].as_u64().unwrap_or_default()
}

fn with(field: &str, value: Value) -> Value {
    let mut document = json!({"topic": "team", "message": "hello"});
    document[field] = value;
    document
}

#[test]
fn takes_a_whole_message_and_answers_as_ntfy_does() {
    let ntfy = Ntfy::start();
    let document = json!({
        "topic": "team", "title": "Grün", "message": "hello", "tags": ["lock"], "priority": 5,
        "click": "https://example.com/a",
        "actions": [
            {"action": "view", "label": "Open", "url": "https://example.com/"},
            {"action": "http", "label": "No", "url": "https://example.com/x",
             "headers": {"A": "b"}, "body": "{}", "clear": true},
        ],
    });
    let (status, answer) = send(
        &ntfy,
        "POST /\nCache: no\nX-Firebase: no",
        &document.to_string(),
    );
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, "200");
    assert_eq!(
        (&answer["event"], &answer["topic"]),
        (&json!("message"), &json!("team"))
    );
    assert_eq!(
        answer["expires"].as_i64().unwrap() - answer["time"].as_i64().unwrap(),
        43_200
    );
    let message = ntfy.wait_for_message();
    assert_eq!(answer["id"], message.id.as_str());
    assert_eq!(
        (message.priority, message.cache, message.firebase),
        (5, false, false)
    );
    assert_eq!(message.actions[1].method, "POST");
    assert_eq!(
        message.actions[1].headers,
        [("A".to_owned(), "b".to_owned())]
    );
}

#[test]
fn refuses_what_ntfy_would_refuse_ignore_or_change() {
    let ntfy = Ntfy::start();
    let view = json!({"action": "view", "label": "Open", "url": "https://example.com/"});
    for (document, expected) in [
        (json!({"message": "no topic"}), 40009),
        (with("topic", json!("a b")), 40009),
        (with("topic", json!("x".repeat(65))), 40009),
        (with("topic", json!("docs")), 40010),
        (with("message", json!("")), 40017),
        (with("message", json!("ä".repeat(2049))), 40014),
        (with("title", json!("x".repeat(9000))), 41303),
        (with("priority", json!(6)), 40007),
        (with("priority", json!("high")), 40007),
        (with("tags", json!("lock")), 40017),
        (with("click", json!("javascript:alert(1)")), 40018),
        (with("actions", json!([view, view, view, view])), 40018),
        (
            with("actions", json!([{"action": "view", "label": "Open"}])),
            40018,
        ),
        (
            with("actions", json!([{"action": "broadcast", "label": "Go"}])),
            40018,
        ),
        (
            with(
                "actions",
                json!([{"action": "view", "label": "a", "url": "https://a/", "body": ""}]),
            ),
            40017,
        ),
        (with("actionz", json!([])), 40017),
        (json!([]), 40017),
    ] {
        assert_eq!(code(&ntfy, &document), expected, "{document}");
    }
    let good = json!({"topic": "team", "message": "ä".repeat(2048)}).to_string();
    for (head, status) in [
        ("POST /team", "404"),
        ("POST /?auth=x", "404"),
        ("GET /", "405"),
        ("POST /\nContent-Type: text/plain", "400"),
        ("POST /\nX-Title: hello", "400"),
        ("POST /\nCache: maybe", "400"),
        ("PUT /", "200"),
    ] {
        assert_eq!(send(&ntfy, head, &good).0, status, "{head}");
    }
    assert_eq!(ntfy.messages().len(), 1);
    assert_eq!(ntfy.refusals().len(), 23);
}

#[test]
fn a_token_is_good_for_its_topic_only() {
    let ntfy = Ntfy::start();
    ntfy.deny_anonymous();
    ntfy.allow("tk_one", "team", Access::Write);
    ntfy.allow("tk_two", "team", Access::Deny);
    let body = |topic: &str| json!({"topic": topic, "message": "hello"}).to_string();
    for (head, topic, status) in [
        ("POST /", "team", "403"),
        ("POST /\nAuthorization: Bearer tk_none", "team", "401"),
        ("POST /\nAuthorization: Basic dXNlcjp4", "team", "401"),
        ("POST /\nAuthorization: Bearer tk_two", "team", "403"),
        ("POST /\nAuthorization: Bearer tk_one", "other", "403"),
        ("POST /\nAuthorization: Bearer tk_one", "team", "200"),
    ] {
        assert_eq!(send(&ntfy, head, &body(topic)).0, status, "{head} {topic}");
    }
    let codes: Vec<u32> = ntfy.refusals().iter().map(|refusal| refusal.code).collect();
    assert_eq!(codes, [40301, 40101, 40101, 40301, 40301]);
}

#[test]
fn the_sixty_first_of_a_burst_is_too_many() {
    let ntfy = Ntfy::start();
    ntfy.limit(60);
    let document = with("priority", json!(1));
    for _ in 0..60 {
        assert_eq!(code(&ntfy, &document), 0);
    }
    assert_eq!(code(&ntfy, &document), 42901);
    ntfy.behave(Behaviour::Limited(7));
    assert_eq!(send(&ntfy, "POST /", &document.to_string()).0, "429");
    assert_eq!(ntfy.requests(), 62);
}

#[test]
#[ignore = "needs Apprise"]
fn apprise_publishes_with_a_token() {
    let ntfy = Ntfy::start();
    ntfy.deny_anonymous();
    ntfy.allow("tk_0123456789abcdef0123456789abc", "team", Access::Write);
    let sandbox = Sandbox::new(services::apprise_python());
    let script = "import apprise, sys\n\
        ntfy = apprise.Apprise()\n\
        assert ntfy.add(sys.argv[1])\n\
        assert ntfy.notify(title='Grün', body='hello\\nthere')\n";
    let host = ntfy.url().trim_start_matches("http://");
    let url = format!("ntfy://tk_0123456789abcdef0123456789abc@{host}/team?priority=high&image=no");
    let run = sandbox.run(["-c", script, &url]).env("no_proxy", "*");
    run.finish().succeeds();
    let message = ntfy.wait_for_message();
    assert_eq!(message.title.as_deref(), Some("Grün"));
    assert_eq!(
        (message.message.as_str(), message.priority),
        ("hello\nthere", 4)
    );
    assert_eq!(ntfy.refusals(), []);
}
