//! `policy.toml`: every field, every error with its line.

use fnox_vault_wire::methods::Delivery;
use proptest::prelude::*;

use crate::policy::{DEFAULT_POLICY, Effect, Policy, PolicyError, Severity, Terms};

/// A rule of four lines that is all right; `more` follows from line 5.
fn rule(more: &str) -> String {
    format!("[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\"h.example\"]\n{more}\n")
}

fn error(text: &str) -> PolicyError {
    match Policy::parse(text, "policy.toml") {
        Ok(loaded) => panic!("{text} was read as {loaded:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_rule_with_every_field_is_read() {
    let text = r#"
timezone = "Europe/Berlin"

[[rule]]
name = "all of it"
agent = "coder-1"
secret = "github-*"
hosts = ["API.github.com", "*.ghe.example:8443", "10.0.0.1"]
tools = ["git", "gh"]
hours = ["mon-fri 08:00-18:00", "sat"]
effect = "allow"
ttl = "5m"
max_ttl = "30m"
max_uses = 20
renewable = true
max_lifetime = "2h"
max_active = 3
rate = "10/m"
delivery = "inject"

[[rule]]
effect = "deny"
agent = { any = true }
secret.any = true
hosts = { any = true }
"#;
    let loaded = Policy::parse(text, "policy.toml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, []);
    let [all, deny] = loaded.policy.rules() else {
        panic!("{:?}", loaded.policy)
    };
    assert_eq!(&*all.name(), "all of it");
    assert_eq!((all.line(), deny.line()), (4, 21));
    assert_eq!(&*deny.name(), "rule 2");
    assert_eq!(all.agent().to_string(), "`coder-1`");
    assert_eq!(all.secret().to_string(), "`github-*`");
    assert_eq!(
        all.hosts().to_string(),
        "api.github.com, *.ghe.example:8443 and 10.0.0.1"
    );
    assert_eq!(all.tools(), ["git".into(), "gh".into()]);
    assert_eq!(all.hours().len(), 2);
    let terms = all.terms().unwrap();
    assert_eq!(terms.ttl.as_secs(), 300);
    assert_eq!(terms.max_ttl.as_secs(), 1800);
    assert_eq!(terms.max_uses, Some(20));
    assert!(terms.renewable);
    assert_eq!(terms.max_lifetime.as_secs(), 7200);
    assert_eq!(terms.max_active, Some(3));
    assert_eq!(terms.rate.unwrap().to_string(), "10/m");
    assert_eq!(terms.delivery, Delivery::Inject);
    assert_eq!(*deny.effect(), Effect::Deny);
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let loaded = Policy::parse(&rule(""), "policy.toml").unwrap();
    let [rule] = loaded.policy.rules() else {
        panic!("{:?}", loaded.policy)
    };
    let terms = rule.terms().unwrap();
    assert_eq!(*terms, Terms::default());
    assert_eq!((terms.ttl.as_secs(), terms.max_ttl.as_secs()), (900, 900));
    assert_eq!(terms.max_lifetime.as_secs(), 86_400);
    assert!(!terms.renewable && terms.delivery == Delivery::Value);
    assert!(terms.max_uses.is_none() && terms.max_active.is_none() && terms.rate.is_none());
    let loaded = Policy::parse(&self::rule("ttl = \"1h\""), "policy.toml").unwrap();
    let terms = loaded.policy.rules()[0].terms().unwrap().clone();
    assert_eq!(terms.max_ttl.as_secs(), 3600);
}

#[test]
fn the_policy_of_a_new_vault_denies_everything_and_its_examples_work() {
    let loaded = Policy::load(DEFAULT_POLICY, "policy.toml").unwrap();
    assert_eq!(loaded.policy, Policy::deny_all());
    assert_eq!(loaded.warnings, []);
    let uncommented: String = DEFAULT_POLICY
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(code) if code == "[[rule]]" || code.contains(" = ") => code,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let loaded = Policy::load(&uncommented, "policy.toml").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.policy.rules().len(), 3);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn a_file_of_nothing_denies_everything() {
    for text in ["", "\n", "# nothing\n", "rule = []", "\u{feff}"] {
        let loaded = Policy::load(text, "policy.toml").unwrap();
        assert_eq!(loaded.policy, Policy::deny_all(), "{text:?}");
    }
}

#[test]
fn rules_may_stand_in_one_list() {
    let text = "rule = [\n  { agent = \"a\", secret = \"s\", hosts = [\"h.example\"] },\n]";
    let loaded = Policy::parse(text, "policy.toml").unwrap();
    assert_eq!(loaded.policy.rules()[0].label(), "rule 1 (line 2)");
}

/// Line and message of what is wrong with fields after a rule's first four lines.
const WRONG_FIELDS: &[(&str, &str)] = &[
    ("max_use = 1", "5: unknown key `max_use`"),
    ("name = 7", "5: `name` must be a text, not integer"),
    ("name = \"\"", "5: `` is not a name that a vault takes"),
    (
        "name = \"rule 4\"",
        "5: `rule 4` is what rules without a name are called",
    ),
    (
        "effect = \"permit\"",
        "5: `effect` must be \"allow\" or \"deny\"",
    ),
    ("effect = true", "5: `effect` must be a text, not boolean"),
    (
        "ttl = \"0s\"",
        "5: `ttl`: `0s` is out of range: use between 1s and 3650d",
    ),
    ("ttl = \"5 min\"", "5: `ttl`: `5 min` is not a duration"),
    ("ttl = 300", "5: `ttl` must be a text, not integer"),
    (
        "ttl = \"25h\"",
        "5: `ttl` (1d1h) is longer than 24h, and no lease lives longer",
    ),
    (
        "max_ttl = \"2d\"",
        "5: `max_ttl` (2d0h) is longer than 24h, and no lease lives longer",
    ),
    (
        "max_ttl = \"5m\"",
        "5: `max_ttl` (5m) is shorter than `ttl` (15m if not given)",
    ),
    (
        "ttl = \"1h\"\nmax_ttl = \"30m\"",
        "6: `max_ttl` (30m) is shorter than `ttl` (1h0m)",
    ),
    (
        "max_lifetime = \"10m\"",
        "5: `ttl` (15m if not given) is longer than `max_lifetime` (10m)",
    ),
    (
        "ttl = \"5m\"\nmax_ttl = \"20m\"\nmax_lifetime = \"10m\"",
        "6: `max_ttl` (20m) is longer than `max_lifetime` (10m)",
    ),
    (
        "max_lifetime = \"2d\"",
        "5: `max_lifetime` is 2d0h, and no lease lives longer than 24h",
    ),
    ("max_uses = 0", "5: `max_uses = 0` is out of range"),
    ("max_uses = -1", "5: `max_uses = -1` is out of range"),
    (
        "max_uses = 4294967296",
        "5: `max_uses = 4294967296` is out of range",
    ),
    (
        "max_uses = \"5\"",
        "5: `max_uses` must be a number, not string",
    ),
    ("max_active = 0", "5: `max_active = 0` is out of range"),
    (
        "renewable = \"yes\"",
        "5: `renewable` must be true or false, not string",
    ),
    ("rate = \"10\"", "5: `rate`: it is not a rate"),
    ("rate = \"0/m\"", "5: `rate`: it is not a rate"),
    ("rate = \"10/d\"", "5: `rate`: it is not a rate"),
    ("rate = \"+10/m\"", "5: `rate`: it is not a rate"),
    ("rate = \"1000001/s\"", "5: `rate`: it is not a rate"),
    ("rate = \"/s\"", "5: `rate`: it is not a rate"),
    (
        "tools = []",
        "5: `tools` is empty, so the rule would never match",
    ),
    (
        "tools = \"git\"",
        "5: `tools` must be a list of texts, not string",
    ),
    (
        "tools = [\"git\",\n\"*\"]",
        "6: `tools` takes exact names, no patterns",
    ),
    ("tools = [\"\"]", "5: `tools`: `` is not a name"),
    ("tools = [1]", "5: `tools` must hold texts, not integer"),
    (
        "hours = []",
        "5: `hours` is empty, so the rule would never match",
    ),
    (
        "hours = [\n\"mon-fri 8-18\"]",
        "6: `hours`: the time must be two times of day",
    ),
    ("hours = [\"noon\"]", "5: `hours`: `noon` is not a day"),
    (
        "delivery = \"proxy\"",
        "5: `delivery` must be \"value\" or \"inject\"",
    ),
    (
        "effect = \"deny\"\nttl = \"5m\"",
        "6: a rule that denies has no `ttl`",
    ),
    (
        "effect = \"deny\"\nrate = \"1/s\"",
        "6: a rule that denies has no `rate`",
    ),
    (
        "delivery = \"value\"\neffect = \"deny\"",
        "5: a rule that denies has no `delivery`",
    ),
];

#[test]
fn a_wrong_field_is_an_error_with_its_line() {
    for (more, wanted) in WRONG_FIELDS {
        let error = error(&rule(more));
        let all = error.to_string();
        assert!(
            all.contains(&format!("policy.toml:{wanted}")),
            "{more}: {all}"
        );
        assert_eq!(error.findings.len(), 1, "{more}: {all}");
    }
}

/// Whole files.
const WRONG_FILES: &[(&str, &str)] = &[
    (
        "[[rule]]\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "1: `agent` is missing",
    ),
    (
        "[[rule]]\nagent = \"a\"\nhosts = [\"h.example\"]",
        "1: `secret` is missing",
    ),
    (
        "\n[[rule]]\nagent = \"a\"\nsecret = \"s\"",
        "2: `hosts` is missing",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = []",
        "4: `hosts` is empty, so the rule would never match",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = \"h\"",
        "4: `hosts` must be a list of texts, not string",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\"*\"]",
        "4: `*` is not a host: `*` may stand only as the whole first label",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\"*.com\"]",
        "4: `*.com` means hosts of everybody",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\n  \"h.example\",\n  \"*.co.uk:443\"]",
        "6: `*.co.uk:443` means hosts of everybody",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\"https://h\"]",
        "4: `https://h` is not a host",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = { any = true }",
        "4: a rule that allows must list its hosts",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = { all = true }",
        "4: the only table that `hosts` can be is `{ any = true }`",
    ),
    (
        "[[rule]]\nagent = \"*\"\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: `agent`: a bare `*` is not a pattern",
    ),
    (
        "[[rule]]\nagent = \"\"\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: `agent`: it is empty",
    ),
    (
        "[[rule]]\nagent = \"a\"\nsecret = \"*\"\nhosts = [\"h.example\"]",
        "3: `secret`: a bare `*` is not a pattern",
    ),
    (
        "[[rule]]\nagent = \"a*b\"\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: `agent`: `*` may stand only at the end",
    ),
    (
        "[[rule]]\nagent = \"a \"\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: `agent`: `a ` is not a name that a vault takes",
    ),
    (
        "[[rule]]\nagent = { any = false }\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: the only table that `agent` can be",
    ),
    (
        "[[rule]]\nagent = [\"a\"]\nsecret = \"s\"\nhosts = [\"h.example\"]",
        "2: `agent` must be a text, not array",
    ),
    ("rules = 1", "1: unknown key `rules`"),
    (
        "[rule]\nagent = \"a\"",
        "1: `rule` must be a list of tables",
    ),
    ("rule = [1]", "1: a rule must be a table"),
    (
        "timezone = \"Mars/Olympus\"",
        "1: this machine does not know the time zone",
    ),
    ("timezone = 1", "1: `timezone` must be a text, not integer"),
    ("a = 1\nb = = 2", "2: "),
    ("[[rule]]\nagent = \"a\nsecret = 1", "2: "),
    ("[[rule]]\nagent = \"a\"\nagent = \"b\"", "3: duplicate key"),
];

#[test]
fn a_wrong_file_is_an_error_with_its_line() {
    for (text, wanted) in WRONG_FILES {
        let message = error(text).to_string();
        assert!(
            message.contains(&format!("policy.toml:{wanted}")),
            "{text}: {message}"
        );
    }
}

#[test]
fn an_error_shows_the_line_and_what_to_do() {
    let text = rule("\tmax_use  = 1  # once");
    assert_eq!(
        error(&text).to_string(),
        "policy.toml:5: unknown key `max_use`\n    5 |  max_use  = 1  # once\n      = did you mean `max_uses`?"
    );
    let finding = &error(&text).findings[0];
    assert_eq!((finding.line, finding.column), (5, 2));
    assert_eq!(finding.severity, Severity::Error);
    let bare = error("[[rule]]\nagent = \"*\"\nsecret = \"s\"\nhosts = [\"h.example\"]");
    assert_eq!(
        bare.findings[0].help.as_deref(),
        Some("if every agent is meant, write `agent = { any = true }`")
    );
    let far = error(&rule("colour = 1"));
    let help = far.findings[0].help.as_deref().unwrap();
    assert!(
        help.starts_with("the keys here are name, agent, secret"),
        "{help}"
    );
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_lines() {
    let text = format!(
        "{}{}timezone = \"x\"\n",
        rule("ttl = \"0s\"\nmax_use = 1"),
        rule("rate = \"x\"\nname = \"\"")
    );
    let lines: Vec<usize> = error(&text).findings.iter().map(|f| f.line).collect();
    // The last line belongs to the second rule, which has no time zone.
    assert_eq!(lines, [5, 6, 11, 12, 13]);
}

#[test]
fn two_rules_of_one_name_are_an_error() {
    let text = format!("{}{}", rule("name = \"x\""), rule("name = \"x\""));
    let message = error(&text).to_string();
    assert!(
        message.contains("policy.toml:6: two rules are called `x`; the first begins in line 1"),
        "{message}"
    );
}

#[test]
fn files_that_nobody_can_review_are_refused() {
    let long = format!("# {}", "x".repeat(1 << 20));
    assert!(error(&long).to_string().contains("longer than 1 MiB"));
    let many = "[[rule]]\n".repeat(1001);
    let many = error(&many).to_string();
    assert!(many.contains("more than 1000 rules"), "{many}");
    let hosts = "\"h.example\",".repeat(257);
    let wide = format!("[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [{hosts}]");
    let wide = error(&wide).to_string();
    assert!(
        wide.contains("policy.toml:4: `hosts` has more than 256 entries"),
        "{wide}"
    );
    assert!(wide.len() < 400, "{wide}");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let message = error("agent = \"\u{1b}]0;x\u{7}\"\nx = 1").to_string();
    assert!(!message.contains(['\u{1b}', '\u{7}']), "{message:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,200}|[\\s\\S]{0,80}|[\\[\\]{}=\",.a-z\n]{0,120}") {
        for text in [text.clone(), format!("{{{text}")] {
            if let Err(error) = Policy::load(&text, "policy.toml") {
                prop_assert!(error.findings.iter().any(|f| f.severity == Severity::Error));
            }
        }
    }

    #[test]
    fn no_slip_in_a_good_file_makes_reading_panic(
        at in 0usize..400, length in 0usize..8, slip in "[\\[\\]{}=\"'\\\\,.*:a-z0-9\n\u{e4}\0]{0,6}",
    ) {
        let mut text: Vec<char> = rule("ttl = \"5m\"\nhours = [\"mon 08:00-09:00\"]\nrate = \"1/s\"\ntools = [\"x\"]").chars().collect();
        let from = at.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, slip.chars());
        let text: String = text.into_iter().collect();
        let lines = text.lines().count().max(1) + 1;
        if let Err(error) = Policy::load(&text, "policy.toml") {
            for finding in error.findings {
                prop_assert!((1..=lines).contains(&finding.line), "{}", finding);
            }
        }
    }
}
