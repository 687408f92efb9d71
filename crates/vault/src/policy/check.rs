//! What is wrong or odd about rules that are legal each by itself.

use std::collections::HashMap;
use std::sync::Arc;

use fnox_core::HostPattern;

use super::finding::Report;
use super::pattern::NamePattern;
use super::rule::{HostSet, Rule};

/// Reports on all rules. `places` tells where each begins.
pub(super) fn rules(rules: &[Rule], places: &[usize], report: &mut Report<'_>) {
    duplicates(rules, places, report);
    for (number, (rule, at)) in rules.iter().zip(places).enumerate() {
        let earlier = rules.get(..number).unwrap_or_default();
        shadowed(rule, earlier, *at, report);
        differs_in_case(rule, earlier, *at, report);
        if rule.denies() {
            evadable(rule, *at, report);
        } else {
            too_wide(rule, *at, report);
        }
    }
}

/// Names that stand twice.
fn duplicates(rules: &[Rule], places: &[usize], report: &mut Report<'_>) {
    let mut first: HashMap<Arc<str>, usize> = HashMap::new();
    for (rule, at) in rules.iter().zip(places) {
        if let Some(line) = first.get(&rule.name) {
            let message = format!(
                "two rules are called `{}`; the first begins in line {line}",
                rule.name
            );
            let help = "records of leases name the rule: give each its own name";
            report.error(*at, message, Some(help.to_owned()));
        } else {
            first.insert(rule.name(), rule.line);
        }
    }
}

/// A rule that is never reached, because earlier rules match whatever it would.
fn shadowed(rule: &Rule, earlier: &[Rule], at: usize, report: &mut Report<'_>) {
    let candidates: Vec<&Rule> = earlier
        .iter()
        .filter(|before| {
            before.tools.is_empty()
                && before.hours.is_empty()
                && before.agent.covers(&rule.agent)
                && before.secret.covers(&rule.secret)
        })
        .collect();
    let mut by: Vec<String> = Vec::new();
    let covering = |host: Option<&HostPattern>| {
        candidates
            .iter()
            .find(|before| covers_host(before, host, rule.denies()))
    };
    let hosts: Vec<Option<&HostPattern>> = match &rule.hosts {
        HostSet::Any => vec![None],
        HostSet::Listed(patterns) => patterns.iter().map(Some).collect(),
    };
    for host in hosts {
        let Some(before) = covering(host) else {
            return;
        };
        let label = before.label();
        if !by.contains(&label) {
            by.push(label);
        }
    }
    let decide = if by.len() == 1 { "decides" } else { "decide" };
    let message = format!(
        "{} is never reached: {} already {decide} all that it means",
        rule.name,
        by.join(" and ")
    );
    let help = "the first rule that matches decides: move this one up, or remove it";
    report.warn(at, message, Some(help.to_owned()));
}

/// Whether `before` matches every host that a rule means by `host`; `None` is every host. A rule that denies
/// one port also means the host without a port, see [`HostPattern::touches`].
fn covers_host(before: &Rule, host: Option<&HostPattern>, denies: bool) -> bool {
    match (&before.hosts, host) {
        (HostSet::Any, _) => true,
        (HostSet::Listed(_), None) => false,
        (HostSet::Listed(patterns), Some(host)) => patterns.iter().any(|pattern| {
            let needs_no_port = denies && !before.denies() && has_port(host);
            pattern.covers(host) && !(needs_no_port && has_port(pattern))
        }),
    }
}

fn has_port(pattern: &HostPattern) -> bool {
    match pattern {
        HostPattern::Exact(host) => host.port().is_some(),
        HostPattern::Below { port, .. } => port.is_some(),
    }
}

/// Names compare byte for byte; two that differ only in case are most likely meant to be one.
fn differs_in_case(rule: &Rule, earlier: &[Rule], at: usize, report: &mut Report<'_>) {
    for before in earlier {
        for (what, name, other) in [
            ("name", Some(&*rule.name), Some(&*before.name)),
            ("agent", text(&rule.agent), text(&before.agent)),
            ("secret", text(&rule.secret), text(&before.secret)),
        ] {
            let (Some(name), Some(other)) = (name, other) else {
                continue;
            };
            if name != other && name.to_lowercase() == other.to_lowercase() {
                let message = format!(
                    "the {what} `{name}` differs only in case from `{other}` of {}",
                    before.label()
                );
                let help = "names are compared byte for byte, so these are two";
                report.warn(at, message, Some(help.to_owned()));
                return;
            }
        }
    }
}

fn text(pattern: &NamePattern) -> Option<&str> {
    match pattern {
        NamePattern::Exact(text) | NamePattern::Prefix(text) => Some(text),
        NamePattern::Any => None,
    }
}

fn too_wide(rule: &Rule, at: usize, report: &mut Report<'_>) {
    if rule.agent != NamePattern::Any {
        return;
    }
    if rule.secret == NamePattern::Any {
        let message = format!("{} lends every secret to every agent", rule.name);
        let help = "name the secrets, or a prefix of theirs";
        report.warn(at, message, Some(help.to_owned()));
    }
    let wildcard = rule
        .hosts
        .patterns()
        .iter()
        .find(|pattern| matches!(pattern, HostPattern::Below { .. }));
    if let Some(wildcard) = wildcard {
        let message = format!("{} lets every agent choose a host in {wildcard}", rule.name);
        let help = "name the agents, or list the hosts";
        report.warn(at, message, Some(help.to_owned()));
    }
}

/// The agent itself says which tool it uses; who is denied by tool names none.
fn evadable(rule: &Rule, at: usize, report: &mut Report<'_>) {
    if !rule.tools.is_empty() {
        let message = format!(
            "{} denies only requests that name the tool; a request without a tool passes it",
            rule.name
        );
        let help = "list in the rules that allow which tools they are for";
        report.warn(at, message, Some(help.to_owned()));
    }
}
