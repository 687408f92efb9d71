//! Each form of injection: what is swapped, what is set, what is refused.

use fnox_core::{AgentId, SecretString, VaultName};
use fnox_gateway::injection::{
    HeaderFormat, Injection, check_none_left, inject, inject_into_body, plan,
};
use fnox_gateway::placeholder::{Place, Placeholders};
use fnox_gateway::policy::Policy;
use fnox_gateway::request::{BodyLength, CanonicalRequest};
use fnox_gateway::rule::{CredentialRef, Hosts, Mode, Rule};
use fnox_gateway::{Reason, Refusal};
use http::HeaderName;

use crate::support::{HOST, basic, http1, reason};

const PLACEHOLDER: &str = "place-holder-1";

fn rule(injection: Injection, mode: Mode) -> Rule {
    let credential = CredentialRef::Secret(VaultName::parse("TOKEN").unwrap());
    let mut rule = Rule::new("api", Hosts::parse(HOST).unwrap(), credential);
    rule.injection = injection;
    rule.mode = mode;
    rule
}

fn placeholders(rules: &[Rule]) -> Placeholders {
    let mut placeholders = Placeholders::default();
    let agent = AgentId::parse("a").unwrap();
    for rule in rules {
        let text = match rule.credential.to_string().as_str() {
            "TOKEN" => PLACEHOLDER,
            _ => "other-place-2",
        };
        placeholders
            .issue_fixed(&agent, &rule.credential, text, None)
            .unwrap();
    }
    placeholders
}

fn pass_all(
    rules: Vec<Rule>,
    value: &str,
    request: Result<CanonicalRequest, Refusal>,
) -> Result<(CanonicalRequest, Vec<Place>), Refusal> {
    let mut request = request.unwrap();
    let placeholders = placeholders(&rules);
    let policy = Policy {
        rules,
        ..Policy::default()
    };
    let permit = policy.decide(&request)?;
    let mut places = Vec::new();
    let agent = AgentId::parse("a").unwrap();
    for planned in plan(&request, &permit, &placeholders, &agent)? {
        let injected = inject(&mut request, &planned, &SecretString::from(value))?;
        places.push(injected.place);
    }
    check_none_left(&request, &placeholders)?;
    Ok((request, places))
}

fn pass(
    injection: Injection,
    mode: Mode,
    value: &str,
    request: Result<CanonicalRequest, Refusal>,
) -> Result<CanonicalRequest, Refusal> {
    pass_all(vec![rule(injection, mode)], value, request).map(|(request, _)| request)
}

fn header(name: &'static str, format: Option<&str>) -> Injection {
    Injection::Header {
        name: HeaderName::from_static(name),
        format: format.map(|format| HeaderFormat::parse(format).unwrap()),
    }
}

fn query() -> Injection {
    Injection::Query {
        name: "key".to_owned(),
    }
}

fn cookie() -> Injection {
    Injection::Cookie {
        name: "session".to_owned(),
    }
}

#[test]
fn a_field_is_written_in_the_rules_format() {
    let sent = [("authorization", "token place-holder-1")];
    let format = header("authorization", Some("Bearer {}"));
    let passed = pass(format, Mode::Swap, "v4lue", http1("GET", "/", &sent)).unwrap();
    assert_eq!(passed.headers()["authorization"], "Bearer v4lue");

    let format = header("x-auth", Some("Key=\"{}\", v=1"));
    let passed = pass(format, Mode::Set, "v4lue", http1("GET", "/", &[])).unwrap();
    assert_eq!(passed.headers()["x-auth"], "Key=\"v4lue\", v=1");
    assert!(passed.headers()["x-auth"].is_sensitive());
}

#[test]
fn a_field_that_is_set_replaces_the_clients_own() {
    let set = |name, fields: &[(&str, &str)]| {
        pass(
            header(name, None),
            Mode::Set,
            "v4lue",
            http1("GET", "/", fields),
        )
    };
    let passed = set("authorization", &[("authorization", "Bearer mine")]).unwrap();
    assert_eq!(passed.headers()["authorization"], "Bearer v4lue");
    let passed = set("x-api-key", &[("X-Api-Key", "mine")]).unwrap();
    assert_eq!(passed.headers()["x-api-key"], "v4lue");
    for fields in [
        &[("x-api-key", "mine"), ("x-api-key", "mine")][..],
        &[("x_api_key", "mine")],
        &[("x-api_key", "mine")],
    ] {
        assert_eq!(
            reason(set("x-api-key", fields)),
            Reason::Ambiguous,
            "{fields:?}"
        );
    }
}

#[test]
fn a_client_that_sends_nothing_is_given_a_credential_only_if_the_rule_says_so() {
    let nothing = || http1("GET", "/", &[]);
    let passed = pass(Injection::default(), Mode::Swap, "v4lue", nothing()).unwrap();
    assert!(!passed.headers().contains_key("authorization"));
    let passed = pass(Injection::default(), Mode::Set, "v4lue", nothing()).unwrap();
    assert_eq!(passed.headers()["authorization"], "Bearer v4lue");
    // What asks what a server can do is not answered with credentials.
    let options = http1("OPTIONS", "/", &[]);
    let passed = pass(Injection::default(), Mode::Set, "v4lue", options).unwrap();
    assert!(!passed.headers().contains_key("authorization"));
}

#[test]
fn basic_authentication_is_decoded_swapped_and_encoded() {
    for (injection, sent, expected) in [
        (Injection::default(), "me:place-holder-1", "me:v4lue"),
        (
            Injection::default(),
            "place-holder-1:x-oauth-basic",
            "v4lue:x-oauth-basic",
        ),
        (
            Injection::Basic { username: None },
            "me:place-holder-1",
            "me:v4lue",
        ),
        (
            Injection::Basic { username: None },
            "place-holder-1:",
            "v4lue:",
        ),
        (
            Injection::Basic {
                username: Some("robot".to_owned()),
            },
            "me:place-holder-1",
            "robot:v4lue",
        ),
    ] {
        let field = basic(sent);
        for field in [
            field.clone(),
            field.replace("Basic", "basic").replace('=', ""),
        ] {
            let request = http1("GET", "/", &[("authorization", &field)]);
            let passed = pass(injection.clone(), Mode::Swap, "v4lue", request).unwrap();
            assert_eq!(passed.headers()["authorization"], basic(expected));
        }
    }
    // A bearer token is not what this rule is for.
    let bearer = http1("GET", "/", &[("authorization", "Bearer place-holder-1")]);
    let outcome = pass(
        Injection::Basic { username: None },
        Mode::Swap,
        "v4lue",
        bearer,
    );
    assert_eq!(reason(outcome), Reason::Placeholder);
}

#[test]
fn basic_authentication_is_set_with_the_user_name_of_rule_or_client() {
    let set = |username: Option<&str>, fields: &[(&str, &str)]| {
        let injection = Injection::Basic {
            username: username.map(str::to_owned),
        };
        let passed = pass(injection, Mode::Set, "v4lue", http1("GET", "/", fields)).unwrap();
        passed.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let mine = basic("me:mine");
    assert_eq!(set(Some("robot"), &[]), basic("robot:v4lue"));
    assert_eq!(
        set(Some("robot"), &[("authorization", &mine)]),
        basic("robot:v4lue")
    );
    assert_eq!(set(None, &[("authorization", &mine)]), basic("me:v4lue"));
    assert_eq!(
        set(None, &[("authorization", "Bearer mine")]),
        basic("fnox:v4lue")
    );
    assert_eq!(set(None, &[]), basic("fnox:v4lue"));
}

#[test]
fn query_parameters_keep_their_order_and_what_is_around() {
    for (target, expected) in [
        ("/?a=1&key=place-holder-1&b=2", "/?a=1&key=v%26lue&b=2"),
        ("/?%6bey=x+place%2Dholder-1%2B", "/?key=x+v%26lue%2B"),
    ] {
        let passed = pass(query(), Mode::Swap, "v&lue", http1("GET", target, &[])).unwrap();
        assert_eq!(passed.target(), expected);
    }
    for (target, expected) in [
        ("/", "/?key=v%26lue"),
        ("/?a", "/?a&key=v%26lue"),
        ("/?key=mine&a", "/?key=v%26lue&a"),
        ("/?key", "/?key=v%26lue"),
    ] {
        let passed = pass(query(), Mode::Set, "v&lue", http1("GET", target, &[])).unwrap();
        assert_eq!(passed.target(), expected);
    }
    for target in ["/?key=mine&key=mine", "/?key=mine&%6bey"] {
        let outcome = pass(query(), Mode::Set, "v4lue", http1("GET", target, &[]));
        assert_eq!(reason(outcome), Reason::Ambiguous, "{target}");
    }
    let other = http1("GET", "/?token=place-holder-1", &[]);
    assert_eq!(
        reason(pass(query(), Mode::Swap, "v4lue", other)),
        Reason::Placeholder
    );
}

#[test]
fn a_segment_of_the_path_takes_what_stays_within_it() {
    let target = "/bot:x%3Aplace-holder-1/send?a=1";
    let swap = |value| {
        pass(
            Injection::Path,
            Mode::Swap,
            value,
            http1("GET", target, &[]),
        )
    };
    assert_eq!(
        swap("12:Ab c").unwrap().target(),
        "/bot:x%3A12:Ab%20c/send?a=1"
    );
    for value in ["../admin", "a/b", "a\\b", "a%2fb", "a;b"] {
        let refusal = swap(value).unwrap_err();
        assert_eq!(refusal.reason, Reason::Credential, "{value}");
        assert!(!refusal.to_string().contains(value), "{refusal}");
    }
    // There is no place to set it.
    let passed = pass(Injection::Path, Mode::Set, "v4lue", http1("GET", "/x", &[]));
    assert_eq!(passed.unwrap().target(), "/x");
    assert!(!Injection::Path.can_be_set());
}

#[test]
fn cookies_of_other_names_stay_as_they_are() {
    let swap = |text| {
        pass(
            cookie(),
            Mode::Swap,
            "v4lue",
            http1("GET", "/", &[("cookie", text)]),
        )
    };
    let passed = swap("a=1;session=place-holder-1;  b=\"2\"").unwrap();
    assert_eq!(passed.headers()["cookie"], "a=1; session=v4lue; b=\"2\"");
    for text in [
        "a=place-holder-1",
        "session=1; a=place-holder-1",
        "place-holder-1",
    ] {
        assert_eq!(reason(swap(text)), Reason::Placeholder, "{text}");
    }
    let doubled = "session=place-holder-1; session=1";
    assert_eq!(reason(swap(doubled)), Reason::Placeholder);

    let set = |fields: &[(&str, &str)]| {
        let passed = pass(cookie(), Mode::Set, "v4lue", http1("GET", "/", fields)).unwrap();
        passed.headers()["cookie"].to_str().unwrap().to_owned()
    };
    assert_eq!(set(&[]), "session=v4lue");
    assert_eq!(set(&[("cookie", "a=1")]), "a=1; session=v4lue");
    assert_eq!(
        set(&[("cookie", "session=mine; a=1")]),
        "session=v4lue; a=1"
    );
}

#[test]
fn values_that_could_end_a_line_or_a_field_go_nowhere_and_are_not_named() {
    for injection in [
        Injection::default(),
        Injection::Basic { username: None },
        query(),
        cookie(),
    ] {
        for value in ["sesame\r\nx: y", "sesame\n", "sesame\0", ""] {
            let request = http1("GET", "/", &[]);
            let refusal = pass(injection.clone(), Mode::Set, value, request).unwrap_err();
            assert_eq!(refusal.reason, Reason::Credential);
            assert!(!format!("{refusal:?}{refusal}").contains("sesame"));
        }
    }
    for (injection, value) in [
        (Injection::default(), "sesame\x7f"),
        (Injection::default(), "sesame\u{1}"),
        (Injection::Basic { username: None }, "sesame\x7f"),
        (cookie(), "sesame;x"),
        (cookie(), "sesame x"),
    ] {
        let refusal = pass(injection, Mode::Set, value, http1("GET", "/", &[])).unwrap_err();
        assert_eq!(refusal.reason, Reason::Credential);
        assert!(!refusal.to_string().contains("sesame"));
    }
}

#[test]
fn of_two_rules_for_one_place_the_earlier_one_counts_and_a_placeholder_before_both() {
    let mut first = rule(Injection::default(), Mode::Set);
    first.name = "first".to_owned();
    let mut second = rule(Injection::Basic { username: None }, Mode::Set);
    second.name = "second".to_owned();
    second.credential = CredentialRef::Secret(VaultName::parse("OTHER").unwrap());
    let rules = vec![first, second];
    let (passed, places) = pass_all(rules.clone(), "v4lue", http1("GET", "/", &[])).unwrap();
    assert_eq!(passed.headers()["authorization"], "Bearer v4lue");
    assert_eq!(places, [Place::Header(http::header::AUTHORIZATION)]);

    let sent = basic("me:other-place-2");
    let request = http1("GET", "/", &[("authorization", &sent)]);
    let (passed, places) = pass_all(rules, "v4lue", request).unwrap();
    assert_eq!(passed.headers()["authorization"], basic("me:v4lue"));
    assert_eq!(places, [Place::Basic]);
}

fn body(
    injection: Injection,
    content_type: &str,
    body: &str,
    value: &str,
) -> Result<Option<String>, Refusal> {
    let rules = vec![rule(injection, Mode::Swap)];
    let placeholders = placeholders(&rules);
    let length = body.len().to_string();
    let fields = [("content-type", content_type), ("content-length", &length)];
    let request = http1("POST", "/", &fields).unwrap();
    let policy = Policy {
        rules,
        ..Policy::default()
    };
    let permit = policy.decide(&request).unwrap();
    let agent = AgentId::parse("a").unwrap();
    let planned = plan(&request, &permit, &placeholders, &agent)?;
    let Some(only) = planned.first() else {
        return Ok(None);
    };
    let swapped = inject_into_body(body.as_bytes(), only, &SecretString::from(value))?;
    Ok(swapped.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
}

fn json() -> Injection {
    Injection::Json {
        pointer: "/auth/token".to_owned(),
    }
}

fn form() -> Injection {
    Injection::Form {
        name: "token".to_owned(),
    }
}

#[test]
fn a_field_of_json_is_swapped_and_not_a_byte_else() {
    let text =
        r#"{ "n": 1.0e400, "auth": {"token": "t place-holder-1", "x": 12345678901234567890123} }"#;
    // A number that is no 64-bit float is not even read.
    let swapped = body(
        json(),
        "application/json",
        &text.replace("1.0e400", "1.50"),
        "v\"lue",
    );
    assert_eq!(
        swapped.unwrap().unwrap(),
        r#"{ "n": 1.50, "auth": {"token": "t v\"lue", "x": 12345678901234567890123} }"#
    );
    let none = body(
        json(),
        "application/json",
        r#"{"auth":{"token":"mine"}}"#,
        "v4lue",
    );
    assert_eq!(none.unwrap(), None);
    let typed = "application/vnd.api+json; charset=utf-8";
    let swapped = body(
        json(),
        typed,
        r#"{"auth":{"token":"place-holder-1"}}"#,
        "v4lue",
    );
    assert_eq!(swapped.unwrap().unwrap(), r#"{"auth":{"token":"v4lue"}}"#);
}

#[test]
fn a_placeholder_elsewhere_in_json_does_not_leave() {
    for text in [
        r#"{"token":"place-holder-1"}"#,
        r#"{"auth":{"token":"place-holder-1"},"copy":"place-holder-1"}"#,
        r#"{"auth":{"token":"place-holder-1 place-holder-1"}}"#,
        r#"{"auth":{"token":"place-holder-1","token":"x"}}"#,
        r#"{"auth":{"token":"x","token":"place-holder-1"},"auth":{"token":"place-holder-1"}}"#,
        r#"{"auth":{"token":"place\u002dholder-1"}}"#,
        r#"{"auth":{"token":["place-holder-1"]}}"#,
        r#"{"place-holder-1":1}"#,
        r#"{"auth":{"token":"place-holder-1"}"#,
        r#"["place-holder-1"]"#,
    ] {
        let outcome = body(json(), "application/json", text, "v4lue");
        assert_eq!(reason(outcome), Reason::Placeholder, "{text}");
    }
}

#[test]
fn a_field_of_a_form_is_swapped() {
    let kind = "application/x-www-form-urlencoded";
    let swapped = body(form(), kind, "a=b+c&token=place-holder-1&d", "v&l ue");
    assert_eq!(swapped.unwrap().unwrap(), "a=b+c&token=v%26l%20ue&d");
    assert_eq!(body(form(), kind, "a=b", "v4lue").unwrap(), None);
    for text in [
        "a=place-holder-1",
        "token=place-holder-1&a=place-holder-1",
        "place-holder-1=1",
        "token=%zz",
    ] {
        assert_eq!(
            reason(body(form(), kind, text, "v4lue")),
            Reason::Placeholder,
            "{text}"
        );
    }
    let doubled = body(form(), kind, "token=place-holder-1&token=1", "v4lue");
    assert_eq!(reason(doubled), Reason::Ambiguous);
    // Of another kind, it is not looked into.
    assert_eq!(
        body(form(), "text/plain", "token=place-holder-1", "v4lue").unwrap(),
        None
    );
}

#[test]
fn a_body_that_cannot_be_read_is_refused_where_a_rule_looks_into_it() {
    let rules = vec![rule(json(), Mode::Swap)];
    let placeholders = placeholders(&rules);
    let fields = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("content-length", "10"),
    ];
    let mut request = http1("POST", "/", &fields).unwrap();
    let policy = Policy {
        rules,
        ..Policy::default()
    };
    let permit = policy.decide(&request).unwrap();
    let agent = AgentId::parse("a").unwrap();
    let outcome = plan(&request, &permit, &placeholders, &agent);
    assert_eq!(reason(outcome), Reason::Placeholder);

    request.set_body_length(12);
    assert_eq!(request.body_length(), BodyLength::Known(12));
    assert_eq!(
        request.into_http1().unwrap().headers["content-length"],
        "12"
    );
}
