use proptest::prelude::*;

use super::*;

fn answer(text: &str) -> Answer {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_request_is_two_lines_and_shows_no_value_in_debug() {
    let value = SecretString::from("hunter2\n");
    let options = vec![
        (
            "token".to_owned(),
            Opt::Text {
                value: SecretString::from("t\"1"),
                is_secret: true,
            },
        ),
        ("port".to_owned(), Opt::Number(-7)),
        ("fast".to_owned(), Opt::Flag(true)),
    ];
    let hello = Hello {
        provider: "p",
        profile: "dev",
        project: None,
    };
    let request = Request::Put {
        reference: "a/b",
        value: &value,
    };
    assert!(!format!("{request:?}{options:?}").contains("hunter2"));
    let text = written(&hello, &request, &options, Duration::from_secs(30)).unwrap();
    let lines: Vec<serde_json::Value> = text
        .expose_secret()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["type"], "hello");
    assert_eq!(lines[0]["protocol"], 1);
    assert_eq!(lines[0]["project"], serde_json::Value::Null);
    let wanted = serde_json::json!({
        "type": "put", "time_limit_seconds": 30, "reference": "a/b", "value": "aHVudGVyMgo=",
        "options": { "token": "t\"1", "port": -7, "fast": true },
    });
    assert_eq!(lines[1], wanted);
}

#[test]
fn exactly_what_was_asked_for_must_be_answered() {
    for (text, reason) in [
        (r#"{"type":"values","values":[]}"#, "does not answer 0"),
        (
            r#"{"type":"values","values":[{"id":0,"value":""},{"id":0,"value":""}]}"#,
            "answers 0 twice",
        ),
        (
            r#"{"type":"values","values":[{"id":2,"value":""}]}"#,
            "answers 2, which was not asked for",
        ),
        (
            r#"{"type":"values","values":[{"id":0,"value":""},{"id":1}]}"#,
            "has not one of",
        ),
        (
            r#"{"type":"values","values":[{"id":0,"value":"**"},{"id":1,"value":""}]}"#,
            "not base64",
        ),
        (r#"{"type":"done"}"#, "not of the type `values`"),
    ] {
        let breach = answer(text).values(&["a", "b"], &[]).unwrap_err();
        assert!(breach.0.contains(reason), "{text}: {breach}");
    }
}

#[test]
fn failures_have_kinds_and_show_no_secret() {
    let secret = SecretString::from("hunter2");
    for (kind, wanted) in [
        ("not_found", ErrorKind::NotFound),
        ("authentication", ErrorKind::AuthenticationNeeded),
        ("unavailable", ErrorKind::Unavailable),
        ("denied", ErrorKind::Denied),
        ("invalid", ErrorKind::Misconfigured),
        ("something else", ErrorKind::Unavailable),
    ] {
        let text = serde_json::json!({
            "type": "error",
            "error": { "kind": kind, "message": "no hunter2\u{1b}[2J here", "remedy": "say hunter2" },
        });
        let error = answer(&text.to_string()).error(&[&secret]).unwrap();
        assert_eq!(error.kind, wanted, "{kind}");
        let shown = format!("{error:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains('\u{1b}'),
            "{shown}"
        );
    }
}

#[test]
fn rubbish_is_a_breach_that_does_not_repeat_it() {
    for text in [
        "",
        "\n",
        "hunter2",
        "{\"type\":\"hunter2\",\"protocol\":1}",
        "{\"type\":\"hello\",\"protocol\":1}\nhunter2",
        "{\"type\":\"hello\",\"protocol\":1}\n{\"type\":\"done\"}\nhunter2",
        "{\"type\":\"hello\",\"protocol\":\"hunter2\"}",
    ] {
        let breach = read(&SecretBytes::new(text.as_bytes().to_vec())).unwrap_err();
        assert!(!breach.0.contains("hunter2"), "{breach}");
    }
}

proptest! {
    #[test]
    fn nothing_that_a_program_prints_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&SecretBytes::new(bytes));
    }

    #[test]
    fn values_come_back_to_the_byte(text in "\\PC{0,50}") {
        let encoded = encoded(&SecretString::from(text.as_str()));
        let decoded = decoded(&SecretString::from(encoded.as_str()), "r").unwrap().unwrap();
        prop_assert_eq!(decoded.expose_secret(), text);
    }
}
