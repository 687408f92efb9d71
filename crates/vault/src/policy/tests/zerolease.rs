//! Policies of zerolease.

use crate::policy::{NamePattern, Policy};

const EXAMPLE: &str = r#"{ "default_lease_terms": { "ttl": [900, 0], "renewable": false, "max_uses": null },
  "grants": [
    { "agent": {"Exact":"tool-git"}, "secret": {"Exact":"github-pat"}, "allowed_domains": ["github.com"],
      "lease_terms": {"ttl":[300,0],"renewable":false,"max_uses":5} },
    { "agent": {"Prefix":"ci-"}, "secret": "Any", "allowed_domains": ["*.internal.example.com"], "lease_terms": null } ] }
"#;

fn grant(fields: &str) -> String {
    format!("{{\n\"grants\": [\n{{{fields}}}\n]}}")
}

fn usual(domains: &str, more: &str) -> String {
    grant(&format!(
        r#""agent": "Any", "secret": {{"Exact":"s"}}, "allowed_domains": {domains}{more}"#
    ))
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = Policy::load(text, "policy.json").unwrap_or_else(|error| panic!("{error}"));
    let lines = loaded.warnings.iter();
    lines
        .map(|warning| format!("{}: {}", warning.line, warning.message))
        .collect()
}

#[test]
fn the_documented_example_is_read_without_warnings() {
    let loaded = Policy::parse_zerolease_json(EXAMPLE).unwrap();
    assert_eq!(loaded.warnings, []);
    let [git, ci] = loaded.policy.rules() else {
        panic!("{:?}", loaded.policy)
    };
    assert_eq!(git.label(), "rule 1 (line 3)");
    assert_eq!(ci.label(), "rule 2 (line 5)");
    assert_eq!(git.agent().to_string(), "`tool-git`");
    assert_eq!(ci.agent().to_string(), "`ci-*`");
    assert_eq!(*ci.secret(), NamePattern::Any);
    assert_eq!(ci.hosts().to_string(), "*.internal.example.com");
    let git = git.terms().unwrap();
    assert_eq!((git.ttl.as_secs(), git.max_uses), (300, Some(5)));
    let ci = ci.terms().unwrap();
    assert_eq!((ci.ttl.as_secs(), ci.max_uses), (900, None));
    assert_eq!(
        Policy::load(EXAMPLE, "policy.json").unwrap().policy,
        loaded.policy
    );
}

#[test]
fn what_zerolease_took_silently_is_a_warning_and_never_grants_more() {
    for (text, wanted) in [
        (
            usual(r#"["*", "a.example"]"#, ""),
            vec!["3: `*` never matched any host, so it is left out"],
        ),
        (
            usual(r#"["*"]"#, ""),
            vec![
                "3: the grant has no host that counts, so it is left out",
                "3: `*` never matched any host, so it is left out",
            ],
        ),
        (
            usual("[]", ""),
            vec!["3: the grant has no host that counts, so it is left out"],
        ),
        (
            usual(r#"["API.GitHub.com"]"#, ""),
            vec!["3: `API.GitHub.com` is read as `api.github.com`"],
        ),
        (
            usual(r#"["a.example", "a b"]"#, ""),
            vec![
                "3: `a b` is not a host: it contains spaces or control characters; it is left out",
            ],
        ),
        (
            usual(r#"["a.example", "*.com"]"#, ""),
            vec!["3: `*.com` means hosts of everybody, so it is left out"],
        ),
        (
            usual(r#"["a.example"]"#, ",\n\"lease_term\": null"),
            vec!["4: unknown key `lease_term` is ignored"],
        ),
        (
            usual(
                r#"["a.example"]"#,
                r#", "lease_terms": {"ttl": "15m", "max_use": 1}"#,
            ),
            vec!["3: unknown key `max_use` is ignored"],
        ),
        (
            usual(
                r#"["a.example"]"#,
                r#", "lease_terms": {"ttl": [999999999999, 0]}"#,
            ),
            vec!["3: `ttl` is shortened from 3650d0h to 24h"],
        ),
        (
            grant(r#""agent": {"Prefix":""}, "secret": "Any", "allowed_domains": ["a.example"]"#),
            vec!["3: `agent`: it is empty; the grant is left out"],
        ),
    ] {
        assert_eq!(warnings(&text), wanted, "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_an_error_with_its_line() {
    for (text, wanted) in [
        (
            "{",
            "policy.json:1: this is not JSON: EOF while parsing an object",
        ),
        (
            "{\n\"grants\": }",
            "policy.json:2: this is not JSON: expected value",
        ),
        ("{}", "policy.json:1: `grants` is missing"),
        ("{\"grants\": {}}", "`grants` must be a list"),
        (
            "{\"grants\": [], \"grants\": []}",
            "the key `grants` stands twice",
        ),
        (
            "{\"grants\": [\n1]}",
            "policy.json:2: this must be an object",
        ),
        (&grant(""), "policy.json:3: `agent` is missing"),
        (
            &grant("\"agent\": \"any\""),
            "`agent` must be {\"Exact\": \"NAME\"}",
        ),
        (
            &usual("\"a\"", ""),
            "`allowed_domains` must be a list of texts",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": 1"),
            "this must be an object",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": {\"ttl\": [0, 5]}"),
            "`ttl` of 0 seconds is out of range",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": {\"ttl\": [-1, 0]}"),
            "`ttl` of -1 seconds is out of range",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": {\"ttl\": \"0s\"}"),
            "`ttl`: `0s` is out of range",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": {\"ttl\": 900}"),
            "`ttl` must be [SECONDS, NANOSECONDS]",
        ),
        (
            &usual("[\"a.example\"]", ", \"lease_terms\": {\"max_uses\": 0}"),
            "`max_uses` is 0",
        ),
        (
            &usual(
                "[\"a.example\"]",
                ", \"lease_terms\": {\"max_uses\": \"5\"}",
            ),
            "`max_uses` must be a number or null",
        ),
    ] {
        let message = Policy::load(text, "policy.json").unwrap_err().to_string();
        assert!(message.contains(wanted), "{text}: {message}");
    }
}
