//! From the text of `policy.toml` to a [`Policy`].

use std::collections::BTreeSet;

use fnox_core::age::Recipient;
use toml_edit::{Document, Item, TableLike};

use super::decide::Policy;
use super::fields::{Fields, nearest};
use super::finding::{PolicyError, Report};
use super::gateway;
use super::pattern::Pattern;
use super::rule::{Release, Rule, Terms};
use super::who;
use crate::settings::{IssuerSettings, Preset};

impl Policy {
    /// Reads `policy.toml`. Rules name issuers of `issuers`.
    ///
    /// ```
    /// # use fnox_server::policy::Policy;
    /// let error = Policy::parse("[[rule]]\nisuer = \"github\"\n", &[]).unwrap_err();
    /// assert!(error.to_string().contains("policy.toml:2: `rule 1`: unknown key `isuer`; did you mean `issuer`?"));
    /// ```
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong.
    pub fn parse(text: &str, issuers: &[IssuerSettings]) -> Result<Self, PolicyError> {
        let mut report = Report::new(text);
        let mut policy = Self::default();
        if text.len() > MOST_BYTES {
            report.error(0, "the file is longer than 1 MiB", "use patterns and lists");
            return report.finish(policy);
        }
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let message = error.message().trim().replace('\n', ", ");
                report.error(at, message, "correct the TOML");
                return report.finish(policy);
            }
        };
        Fields::new(document.as_table(), 0, &mut report).refuse_unknown(&["rule", "gateway"]);
        let mut labels = BTreeSet::new();
        for (index, (at, table)) in tables(document.as_item(), "rule", &mut report)
            .into_iter()
            .enumerate()
        {
            let label = label(table, index + 1);
            report.rule = Some(label.clone());
            if !labels.insert(label.clone()) {
                let message = "another rule has this name";
                report.error(
                    at,
                    message,
                    "give each rule its own: the audit log tells them apart by it",
                );
            }
            let fields = Fields::new(table, at, &mut report);
            policy.rules.extend(read_rule(fields, label, issuers));
        }
        report.rule = None;
        policy.gateways = gateway::read(document.as_item(), &mut report);
        report.finish(policy)
    }
}

/// What the rule is called: its name if it has a usable one.
fn label(table: &dyn TableLike, number: usize) -> String {
    table
        .get("name")
        .and_then(Item::as_str)
        .filter(|name| is_name(name))
        .map_or_else(|| format!("rule {number}"), str::to_owned)
}

fn is_name(name: &str) -> bool {
    let is_taken = name
        .strip_prefix("rule ")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    !name.is_empty()
        && name.len() <= 100
        && name.trim() == name
        && !name.chars().any(char::is_control)
        && !is_taken
}

/// The tables of `[[rule]]` or `rule = [{ … }]`, each with its place.
pub(super) fn tables<'a>(
    document: &'a Item,
    key: &str,
    report: &mut Report,
) -> Vec<(usize, &'a dyn TableLike)> {
    let help = format!("begin each {key} with a line `[[{key}]]`");
    let mut tables: Vec<(usize, &dyn TableLike)> = Vec::new();
    match document.get(key) {
        None => {}
        Some(Item::ArrayOfTables(array)) => {
            for table in array {
                tables.push((table.span().map_or(0, |span| span.start), table));
            }
        }
        Some(Item::Value(toml_edit::Value::Array(array))) => {
            for value in array {
                let at = value.span().map_or(0, |span| span.start);
                match value.as_inline_table() {
                    Some(table) => tables.push((at, table)),
                    None => report.error(at, format!("a {key} must be a table"), &help),
                }
            }
        }
        Some(other) => {
            let at = other.span().map_or(0, |span| span.start);
            report.error(at, format!("`{key}` must be a list of tables"), &help);
        }
    }
    if tables.len() > MOST_RULES {
        let message = format!("the file has more than {MOST_RULES} {key}s");
        report.error(0, message, "use patterns and lists");
        tables.clear();
    }
    tables
}

fn read_rule(
    mut fields: Fields<'_, '_>,
    label: String,
    issuers: &[IssuerSettings],
) -> Option<Rule> {
    let before = fields.report.errors();
    let known: Vec<&str> = [&OWN_KEYS[..], &who::KEYS[..]].concat();
    fields.refuse_unknown(&known);
    if let Some(name) = fields.text("name")
        && !is_name(name)
    {
        fields.error(
            "name",
            "`name` cannot be this",
            "use up to 100 visible characters that tell what the rule is for, not `rule N`",
        );
    }
    let found = issuer(&mut fields, issuers);
    let who = found.map(|found| who::read(&mut fields, found.preset));
    let projects = fields.patterns("projects", project_pattern);
    let profiles = if fields.has("profiles") {
        fields.patterns("profiles", profile_pattern)
    } else {
        Pattern::parse("default").ok().map(|pattern| vec![pattern])
    };
    let keys = fields.patterns("keys", key_pattern);
    for (key, example) in [("projects", "my-app"), ("keys", "NPM_*")] {
        if !fields.has(key) {
            let message = format!("`{key}` is missing, so the rule would release nothing");
            let help = format!("say what it releases, as in `{key} = [\"{example}\"]`");
            fields.report.error(fields.start, message, &help);
        }
    }
    let terms = terms(&mut fields);
    let line = fields.report.line(fields.start);
    if fields.report.errors() > before {
        return None;
    }
    let (found, who) = (found?, who?);
    Some(Rule {
        label,
        line,
        issuer: found.name.clone(),
        preset: found.preset,
        conditions: who.conditions,
        name: who.name,
        release: Release {
            projects: projects?,
            profiles: profiles?,
            keys: keys?,
        },
        terms,
    })
}

/// The configured issuer that a rule means: by its name, or by its kind if there is only one of that kind. Ids of two
/// issuers of one kind say nothing about each other.
fn issuer<'i>(
    fields: &mut Fields<'_, '_>,
    issuers: &'i [IssuerSettings],
) -> Option<&'i IssuerSettings> {
    if !fields.has("issuer") {
        let message = "`issuer` is missing";
        let help = "name one of server.toml, as in `issuer = \"github\"`";
        fields.report.error(fields.start, message, help);
        return None;
    }
    let wanted = fields.text("issuer")?;
    if let Some(found) = issuers.iter().find(|issuer| issuer.name == wanted) {
        return Some(found);
    }
    let of_kind: Vec<&IssuerSettings> = issuers
        .iter()
        .filter(|issuer| Preset::parse(wanted) == Some(issuer.preset))
        .collect();
    if let [only] = of_kind.as_slice() {
        return Some(only);
    }
    let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let wanted = super::denial::escaped(wanted);
    if of_kind.len() > 1 {
        let message = format!("several issuers are of the kind `{wanted}`");
        let help = format!("name one of them: {}", names.join(", "));
        fields.error("issuer", message, &help);
        return None;
    }
    let help = match nearest(&wanted, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "add an `[[issuer]]` to server.toml".to_owned(),
        None => format!("the issuers of server.toml are {}", names.join(", ")),
    };
    fields.error("issuer", format!("there is no issuer `{wanted}`"), &help);
    None
}

fn terms(fields: &mut Fields<'_, '_>) -> Terms {
    let recipient = recipient(fields);
    let require_recipient = fields.boolean("require_recipient");
    if require_recipient == Some(true) && !fields.has("recipient") {
        fields.error(
            "require_recipient",
            "`require_recipient` needs a `recipient`",
            "give the age key of whoever asks, as in `recipient = \"age1…\"`",
        );
    }
    let (approvers, approvals_needed) = deciders(fields);
    Terms {
        require_approval: fields.boolean("require_approval").unwrap_or(true),
        approvers,
        approvals_needed,
        max_ttl: fields
            .lifetime("max_ttl")
            .map(|lifetime| std::time::Duration::from_secs(lifetime.as_secs())),
        recipient: recipient.filter(|_| require_recipient.unwrap_or(true)),
    }
}

/// Who may decide, and how many have to say yes.
pub(super) fn deciders(fields: &mut Fields<'_, '_>) -> (Vec<String>, Option<u32>) {
    let approvers: Vec<String> = fields
        .texts("approvers")
        .unwrap_or_default()
        .into_iter()
        .map(|(_, text)| text.to_owned())
        .collect();
    if approvers.iter().any(|name| name.trim().is_empty()) {
        fields.error("approvers", "`approvers` has an empty name", "remove it");
    }
    let approvals_needed = fields.count("approvals_needed");
    // A group can have any number of members.
    let can_be_counted =
        !approvers.is_empty() && !approvers.iter().any(|it| it.starts_with("group:"));
    if let Some(needed) = approvals_needed
        && can_be_counted
        && needed as usize > approvers.len()
    {
        let message =
            format!("`approvals_needed = {needed}` can never be reached with these `approvers`");
        fields.error(
            "approvals_needed",
            message,
            "name more of them, or need fewer",
        );
    }
    (approvers, approvals_needed)
}

fn recipient(fields: &mut Fields<'_, '_>) -> Option<String> {
    let text = fields.text("recipient")?;
    // Keys that this version cannot encrypt to can still be among a secret's recipients.
    if text.starts_with("age1pq1") {
        return Some(text.to_owned());
    }
    match Recipient::parse(text) {
        Ok(recipient) => Some(recipient.canonical()),
        Err(error) => {
            fields.error("recipient", format!("`recipient`: {error}"), "");
            None
        }
    }
}

fn project_pattern(text: &str) -> Option<&'static str> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte))
    {
        None
    } else {
        Some("names of projects have only letters, digits, `.`, `_` and `-`")
    }
}

fn profile_pattern(text: &str) -> Option<&'static str> {
    if text.contains(['/', '\\', ',']) {
        Some("names of profiles have no `/`, `\\` or `,`")
    } else {
        None
    }
}

fn key_pattern(text: &str) -> Option<&'static str> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_*".contains(&byte))
    {
        None
    } else {
        Some("keys have only letters, digits and `_`")
    }
}

/// The keys that every rule can have.
pub(super) const OWN_KEYS: [&str; 12] = [
    "name",
    "issuer",
    "projects",
    "profiles",
    "keys",
    "recipient",
    "require_recipient",
    "require_approval",
    "approvers",
    "approvals_needed",
    "max_ttl",
    "claims",
];

/// A file of more than this is not a policy that anybody reviews.
pub(super) const MOST_BYTES: usize = 1 << 20;
const MOST_RULES: usize = 1000;
