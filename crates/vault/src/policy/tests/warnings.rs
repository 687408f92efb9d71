//! What is legal but odd.

use crate::policy::{Policy, Severity};

/// A rule of five lines.
fn rule(agent: &str, secret: &str, hosts: &str, more: &str) -> String {
    let [agent, secret] = [agent, secret].map(|pattern| match pattern {
        "ANY" => "{ any = true }".to_owned(),
        text => format!("\"{text}\""),
    });
    format!("[[rule]]\nagent = {agent}\nsecret = {secret}\nhosts = {hosts}\n{more}\n")
}

fn warnings(rules: &[String]) -> Vec<String> {
    let text = rules.concat();
    let loaded =
        Policy::parse(&text, "policy.toml").unwrap_or_else(|error| panic!("{text}\n{error}"));
    let warnings = loaded.warnings.iter();
    warnings
        .inspect(|warning| assert_eq!(warning.severity, Severity::Warning))
        .map(|warning| format!("{}: {}", warning.line, warning.message))
        .collect()
}

const ONE: &str = "[\"a.example\"]";

#[test]
fn a_rule_that_is_never_reached_is_a_warning() {
    let shadowed =
        ["6: rule 2 is never reached: rule 1 (line 1) already decides all that it means"];
    for (first, second) in [
        (rule("a", "s", ONE, ""), rule("a", "s", ONE, "")),
        (
            rule("a*", "ANY", ONE, ""),
            rule("ab", "s", ONE, "tools = [\"x\"]"),
        ),
        (
            rule("a", "s", "[\"*.b.example\"]", ""),
            rule("a", "s", "[\"c.b.example:1\", \"*.c.b.example\"]", ""),
        ),
        (
            rule("a", "s", ONE, "effect = \"deny\""),
            rule("a", "s", "[\"a.example:1\"]", ""),
        ),
        (
            rule("ANY", "s", "{ any = true }", "effect = \"deny\""),
            rule("a", "s", "[\"a.example:1\"]", ""),
        ),
        (
            rule("a", "s", "[\"a.example:1\"]", "effect = \"deny\""),
            rule("a", "s", "[\"a.example:1\"]", "effect = \"deny\""),
        ),
    ] {
        assert_eq!(
            warnings(&[first.clone(), second.clone()]),
            shadowed,
            "{first}{second}"
        );
    }
}

#[test]
fn several_rules_together_can_shadow_one() {
    assert_eq!(
        warnings(&[
            rule("a", "s", ONE, ""),
            rule("a", "s", "[\"b.example\"]", ""),
            rule("a", "s", "[\"b.example\", \"a.example\"]", ""),
        ]),
        [
            "11: rule 3 is never reached: rule 2 (line 6) and rule 1 (line 1) already decide all that it means"
        ]
    );
}

#[test]
fn a_rule_that_can_be_reached_is_none() {
    for (first, second) in [
        (
            rule("a", "s", ONE, "tools = [\"x\"]"),
            rule("a", "s", ONE, ""),
        ),
        (
            rule("a", "s", ONE, "hours = [\"mon\"]"),
            rule("a", "s", ONE, ""),
        ),
        (rule("a", "s", ONE, ""), rule("a*", "s", ONE, "")),
        (rule("a", "s", ONE, ""), rule("a", "t", ONE, "")),
        (
            rule("a", "s", ONE, ""),
            rule("a", "s", "[\"a.example\", \"b.example\"]", ""),
        ),
        (
            rule("a", "s", "[\"a.example:1\"]", ""),
            rule("a", "s", ONE, ""),
        ),
        (
            rule("a", "s", "[\"*.a.example\"]", ""),
            rule("a", "s", ONE, ""),
        ),
        // The denial of a port also means the host without a port.
        (
            rule("a", "s", "[\"a.example:1\"]", ""),
            rule("a", "s", "[\"a.example:1\"]", "effect = \"deny\""),
        ),
        (
            rule("a", "s", ONE, ""),
            rule("a", "s", "{ any = true }", "effect = \"deny\""),
        ),
    ] {
        assert_eq!(
            warnings(&[first.clone(), second.clone()]),
            [""; 0],
            "{first}{second}"
        );
    }
}

#[test]
fn a_rule_for_every_agent_is_a_warning_where_it_is_wide() {
    let wild = "[\"a.example\", \"*.b.example\"]";
    for (text, wanted) in [
        (
            rule("ANY", "ANY", ONE, ""),
            vec!["1: rule 1 lends every secret to every agent"],
        ),
        (
            rule("ANY", "s", wild, ""),
            vec!["1: rule 1 lets every agent choose a host in *.b.example"],
        ),
        (
            rule("ANY", "ANY", wild, "name = \"x\""),
            vec![
                "1: x lends every secret to every agent",
                "1: x lets every agent choose a host in *.b.example",
            ],
        ),
        (rule("ANY", "s", ONE, ""), vec![]),
        (rule("a*", "ANY", wild, ""), vec![]),
        (rule("ANY", "ANY", wild, "effect = \"deny\""), vec![]),
        (rule("a", "s", ONE, "ttl = \"24h\""), vec![]),
    ] {
        assert_eq!(warnings(std::slice::from_ref(&text)), wanted, "{text}");
    }
}

#[test]
fn names_that_differ_only_in_case_are_a_warning() {
    for (first, second, wanted) in [
        (
            rule("Coder", "s", ONE, ""),
            rule("coder*", "s", ONE, ""),
            vec!["6: the agent `coder` differs only in case from `Coder` of rule 1 (line 1)"],
        ),
        (
            rule("a", "TOKEN", ONE, ""),
            rule("a", "token", ONE, ""),
            vec!["6: the secret `token` differs only in case from `TOKEN` of rule 1 (line 1)"],
        ),
        (
            rule("a", "s", ONE, "name = \"x\""),
            rule("b", "s", ONE, "name = \"X\""),
            vec!["6: the name `X` differs only in case from `x` of x (line 1)"],
        ),
        (rule("a", "s", ONE, ""), rule("b", "s", ONE, ""), vec![]),
    ] {
        assert_eq!(
            warnings(&[first.clone(), second.clone()]),
            wanted,
            "{first}{second}"
        );
    }
}

#[test]
fn a_denial_by_tool_is_a_warning_because_agents_name_their_tools_themselves() {
    assert_eq!(
        warnings(&[rule("a", "s", ONE, "effect = \"deny\"\ntools = [\"sh\"]")]),
        ["1: rule 1 denies only requests that name the tool; a request without a tool passes it"]
    );
}

#[test]
fn a_warning_shows_its_line() {
    let text = rule("ANY", "ANY", ONE, "");
    let loaded = Policy::parse(&text, "policy.toml").unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        "policy.toml:1: rule 1 lends every secret to every agent\n    1 | [[rule]]\n      = name the secrets, \
         or a prefix of theirs"
    );
}
