//! Decisions, compared with a second, naive reading of the same rules.

use std::fmt::Write as _;

use fnox_core::{AgentId, Host, VaultName};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::policy::{Decision, Policy, Question};

const NAMES: [&str; 4] = ["a", "ab", "abc", "b"];
const NAME_PATTERNS: [&str; 7] = ["ANY", "a", "a*", "ab", "ab*", "abc", "b"];
const HOSTS: [&str; 8] = [
    "x.example",
    "x.example:1",
    "x.example:2",
    "y.x.example",
    "y.x.example:1",
    "z.y.x.example:2",
    "10.0.0.1",
    "10.0.0.1:1",
];
const HOST_PATTERNS: [&str; 9] = [
    "x.example",
    "x.example:1",
    "*.x.example",
    "*.x.example:1",
    "*.y.x.example",
    "y.x.example",
    "z.y.x.example:2",
    "10.0.0.1",
    "10.0.0.1:1",
];
const TOOLS: [Option<&str>; 3] = [None, Some("t"), Some("u")];
/// A Monday and a Sunday.
const TIMES: [&str; 2] = ["2026-03-02T09:00:00Z", "2026-03-01T09:00:00Z"];

/// A rule as the file says it. `None` for hosts is `{ any = true }`.
#[derive(Debug, Clone)]
struct Written {
    agent: &'static str,
    secret: &'static str,
    hosts: Option<Vec<&'static str>>,
    tools: Vec<&'static str>,
    only_mondays: bool,
    denies: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    agent: &'static str,
    secret: &'static str,
    host: &'static str,
    tool: Option<&'static str>,
    time: &'static str,
}

impl Written {
    fn any() -> impl Strategy<Value = Self> {
        let pattern = || prop::sample::select(&NAME_PATTERNS[..]);
        let hosts = prop::collection::vec(prop::sample::select(&HOST_PATTERNS[..]), 1..4);
        let tools = prop_oneof![
            3 => Just(vec![]),
            1 => Just(vec!["t"]),
            1 => Just(vec!["t", "u"]),
        ];
        let flags = (
            prop::bool::weighted(0.2),
            prop::bool::weighted(0.3),
            prop::bool::weighted(0.2),
        );
        (pattern(), pattern(), hosts, tools, flags).prop_map(
            |(agent, secret, hosts, tools, (only_mondays, denies, any_host))| Self {
                agent,
                secret,
                hosts: (!(denies && any_host)).then_some(hosts),
                tools,
                only_mondays,
                denies,
            },
        )
    }

    fn write(&self, text: &mut String) {
        let name = |pattern: &str| match pattern {
            "ANY" => "{ any = true }".to_owned(),
            text => format!("{text:?}"),
        };
        let hosts = match &self.hosts {
            None => "{ any = true }".to_owned(),
            Some(hosts) => format!("{hosts:?}"),
        };
        let (agent, secret) = (name(self.agent), name(self.secret));
        write!(
            text,
            "[[rule]]\nagent = {agent}\nsecret = {secret}\nhosts = {hosts}\n"
        )
        .unwrap();
        if !self.tools.is_empty() {
            writeln!(text, "tools = {:?}", self.tools).unwrap();
        }
        if self.only_mondays {
            text.push_str("hours = [\"mon\"]\n");
        }
        if self.denies {
            text.push_str("effect = \"deny\"\n");
        }
    }

    fn matches(&self, asked: Asked) -> bool {
        let name = |pattern: &str, name: &str| {
            pattern == "ANY"
                || pattern == name
                || pattern.ends_with('*') && name.starts_with(pattern.trim_end_matches('*'))
        };
        name(self.agent, asked.agent)
            && name(self.secret, asked.secret)
            && self.matches_host(asked.host)
            && (self.tools.is_empty() || asked.tool.is_some_and(|tool| self.tools.contains(&tool)))
            && (!self.only_mondays || asked.time == TIMES[0])
    }

    fn matches_host(&self, host: &str) -> bool {
        let parts = |text: &'static str| text.split_once(':').unwrap_or((text, ""));
        let (name, port) = host.split_once(':').unwrap_or((host, ""));
        self.hosts.as_ref().is_none_or(|patterns| {
            patterns.iter().any(|pattern| {
                let (pattern, pattern_port) = parts(pattern);
                let is_name = match pattern.strip_prefix('*') {
                    Some(end) => name.ends_with(end),
                    None => name == pattern,
                };
                let is_port = pattern_port.is_empty()
                    || pattern_port == port
                    || self.denies && port.is_empty();
                is_name && is_port
            })
        })
    }
}

fn written(rules: &[Written]) -> String {
    let mut text = String::new();
    for rule in rules {
        rule.write(&mut text);
    }
    text
}

fn every_question() -> Vec<Asked> {
    let mut questions = Vec::new();
    for agent in NAMES {
        for secret in NAMES {
            for host in HOSTS {
                for tool in TOOLS {
                    questions.extend(TIMES.map(|time| Asked {
                        agent,
                        secret,
                        host,
                        tool,
                        time,
                    }));
                }
            }
        }
    }
    questions
}

/// The line of the rule that decides, and whether it allows.
fn decide(policy: &Policy, asked: Asked) -> (Option<usize>, bool) {
    let question = Question {
        agent: &AgentId::parse(asked.agent).unwrap(),
        secret: &VaultName::parse(asked.secret).unwrap(),
        host: &Host::parse(asked.host).unwrap(),
        tool: asked.tool,
        now: asked.time.parse::<Timestamp>().unwrap(),
    };
    let explained = policy.explain(&question);
    let (rule, allowed) = match policy.decide(&question) {
        Decision::Allowed { rule, .. } => (Some(rule), true),
        Decision::Denied { rule } => (rule, false),
    };
    assert_eq!(explained.allowed, allowed);
    assert_eq!(explained.rule, rule.map(crate::policy::Rule::label));
    let for_agent = policy.explain_for_agent(&question);
    assert_eq!(
        (for_agent.allowed, for_agent.rule),
        (allowed, explained.rule)
    );
    assert!(!explained.summary.is_empty() && !for_agent.summary.is_empty());
    (rule.map(crate::policy::Rule::line), allowed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_first_rule_that_matches_decides(rules in prop::collection::vec(Written::any(), 0..7)) {
        let text = written(&rules);
        let policy = Policy::parse(&text, "policy.toml").unwrap().policy;
        for asked in every_question().into_iter().step_by(7) {
            let expected = rules.iter().position(|rule| rule.matches(asked));
            let (line, allowed) = decide(&policy, asked);
            let position = line.and_then(|line| policy.rules().iter().position(|rule| rule.line() == line));
            prop_assert_eq!(position, expected, "{:?}\n{}", asked, text);
            prop_assert_eq!(allowed, expected.is_some_and(|number| !rules[number].denies));
        }
    }

    #[test]
    fn a_rule_that_is_called_unreachable_decides_nothing(rules in prop::collection::vec(Written::any(), 2..9)) {
        let text = written(&rules);
        let loaded = Policy::parse(&text, "policy.toml").unwrap();
        let unreachable: Vec<usize> = loaded
            .warnings
            .iter()
            .filter(|warning| warning.message.contains("is never reached"))
            .map(|warning| loaded.policy.rules().iter().position(|rule| rule.line() == warning.line).unwrap())
            .collect();
        for asked in every_question() {
            let decided = rules.iter().position(|rule| rule.matches(asked));
            prop_assert!(
                decided.is_none_or(|rule| !unreachable.contains(&rule)),
                "{:?} reaches rule {:?}\n{}", asked, decided, text
            );
        }
    }
}

#[test]
fn a_port_that_is_denied_is_not_had_by_asking_for_all_ports() {
    let policy = "[[rule]]\neffect = \"deny\"\nagent = \"a\"\nsecret = \"b\"\nhosts = [\"x.example:1\"]\n\
                  [[rule]]\nagent = \"a\"\nsecret = \"b\"\nhosts = [\"x.example\"]\n";
    let policy = Policy::parse(policy, "policy.toml").unwrap().policy;
    for (host, allowed) in [
        ("x.example", false),
        ("x.example:1", false),
        ("x.example:2", true),
    ] {
        let asked = Asked {
            agent: "a",
            secret: "b",
            host,
            tool: None,
            time: TIMES[0],
        };
        assert_eq!(decide(&policy, asked).1, allowed, "{host}");
    }
}
