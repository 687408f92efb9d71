//! From the text of `policy.toml` to a [`Policy`].

use std::sync::Arc;

use fnox_core::{Lifetime, Rate, VaultName};
use fnox_vault_wire::methods::Delivery;
use jiff::tz::TimeZone;
use toml_edit::{Document, Item, TableLike};

use super::check;
use super::decide::Policy;
use super::fields::Fields;
use super::finding::{Loaded, PolicyError, Report};
use super::hours::Window;
use super::rule::{Effect, Rule, Terms};
use super::zerolease;

impl Policy {
    /// Reads a policy file in either form: JSON if the first character is `{`, else TOML.
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong.
    pub fn load(text: &str, origin: &str) -> Result<Loaded, PolicyError> {
        if text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with('{')
        {
            zerolease::read(text, origin)
        } else {
            Self::parse(text, origin)
        }
    }

    /// Reads `policy.toml`. `origin` is what messages call it.
    ///
    /// ```
    /// # use fnox_vault::policy::Policy;
    /// let error = Policy::parse("[[rule]]\nagent = \"*\"\n", "policy.toml").unwrap_err();
    /// assert!(error.to_string().contains("policy.toml:2: `agent`: a bare `*` is not a pattern"));
    /// ```
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong.
    pub fn parse(text: &str, origin: &str) -> Result<Loaded, PolicyError> {
        read(text, origin)
    }

    /// Reads the JSON policy of zerolease.
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong.
    pub fn parse_zerolease_json(text: &str) -> Result<Loaded, PolicyError> {
        zerolease::read(text, "policy.json")
    }
}

const TOP_KEYS: [&str; 2] = ["rule", "timezone"];

pub(super) const RULE_KEYS: [&str; 15] = [
    "name",
    "agent",
    "secret",
    "hosts",
    "tools",
    "hours",
    "effect",
    "ttl",
    "max_ttl",
    "max_uses",
    "renewable",
    "max_lifetime",
    "max_active",
    "rate",
    "delivery",
];

/// What only a rule that gives leases can have.
const TERM_KEYS: [&str; 8] = [
    "ttl",
    "max_ttl",
    "max_uses",
    "renewable",
    "max_lifetime",
    "max_active",
    "rate",
    "delivery",
];

/// A file of more than this is not a policy that anybody reviews.
pub(super) const MOST_BYTES: usize = 1 << 20;
pub(super) const MOST_RULES: usize = 1000;

fn read(text: &str, origin: &str) -> Result<Loaded, PolicyError> {
    let mut report = Report::new(text, origin);
    let mut policy = Policy::deny_all();
    if text.len() > MOST_BYTES {
        report.error(0, "the file is longer than 1 MiB".to_owned(), None);
        return report.finish(policy);
    }
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            report.error(at, error.message().trim().replace('\n', ", "), None);
            return report.finish(policy);
        }
    };
    let mut top = Fields::new(document.as_table(), 0, &mut report);
    top.refuse_unknown(&TOP_KEYS);
    if let Some(timezone) = timezone(&mut top) {
        policy.timezone = timezone;
    }
    let mut places = Vec::new();
    for (number, (at, table)) in rule_tables(&mut top, document.as_item())
        .into_iter()
        .enumerate()
    {
        let fields = Fields::new(table, at, &mut report);
        if let Some(rule) = read_rule(fields, number + 1) {
            policy.rules.push(rule);
            places.push(at);
        }
    }
    check::rules(&policy.rules, &places, &mut report);
    report.finish(policy)
}

fn timezone(top: &mut Fields<'_, '_, '_>) -> Option<TimeZone> {
    let name = top.text("timezone", "write it like `timezone = \"Europe/Berlin\"`")?;
    let timezone = TimeZone::get(name).ok();
    if timezone.is_none() {
        top.error(
            "timezone",
            "this machine does not know the time zone",
            "use a name of the IANA database, as in \"Europe/Berlin\"; where only UTC is known, install tzdata",
        );
    }
    timezone
}

/// The tables of `[[rule]]` or `rule = [{ … }]`, each with its place.
fn rule_tables<'a>(
    top: &mut Fields<'_, '_, '_>,
    document: &'a Item,
) -> Vec<(usize, &'a dyn TableLike)> {
    const EXAMPLE: &str = "begin each rule with a line `[[rule]]`";
    let mut tables: Vec<(usize, &dyn TableLike)> = Vec::new();
    match document.get("rule") {
        None => {}
        Some(Item::ArrayOfTables(array)) => {
            for table in array {
                let at = table.span().map_or(0, |span| span.start);
                tables.push((at, table));
            }
        }
        Some(Item::Value(toml_edit::Value::Array(array))) => {
            for value in array {
                let at = value.span().map_or(0, |span| span.start);
                match value.as_inline_table() {
                    Some(table) => tables.push((at, table)),
                    None => top.report.error(
                        at,
                        "a rule must be a table".to_owned(),
                        Some(EXAMPLE.to_owned()),
                    ),
                }
            }
        }
        Some(_) => top.error("rule", "`rule` must be a list of tables", EXAMPLE),
    }
    if tables.len() > MOST_RULES {
        let message = format!("the file has more than {MOST_RULES} rules");
        top.error("rule", message, "use prefixes, and lists of hosts");
        tables.clear();
    }
    tables
}

fn read_rule(mut fields: Fields<'_, '_, '_>, number: usize) -> Option<Rule> {
    let before = fields.report.errors();
    fields.refuse_unknown(&RULE_KEYS);
    let name = name(&mut fields, number);
    let denies = match fields.text("effect", "write `effect = \"allow\"` or `\"deny\"`") {
        None | Some("allow") => false,
        Some("deny") => true,
        Some(_) => {
            fields.error("effect", "`effect` must be \"allow\" or \"deny\"", "");
            false
        }
    };
    let agent = fields.pattern("agent");
    let secret = fields.pattern("secret");
    let hosts = fields.hosts(denies);
    let tools = tools(&mut fields);
    let hours = hours(&mut fields);
    let effect = if denies {
        refuse_terms(&mut fields);
        Effect::Deny
    } else {
        Effect::Allow(terms(&mut fields))
    };
    let line = fields.report.line(fields.start);
    if fields.report.errors() > before {
        return None;
    }
    Some(Rule {
        name,
        line,
        agent: agent?,
        secret: secret?,
        hosts: hosts?,
        tools,
        hours,
        effect,
    })
}

fn name(fields: &mut Fields<'_, '_, '_>, number: usize) -> Arc<str> {
    let fallback = || unnamed(number);
    let Some(name) = fields.text("name", "write it like `name = \"github\"`") else {
        return fallback();
    };
    if let Err(error) = VaultName::parse(name) {
        fields.error("name", error.to_string(), "");
        return fallback();
    }
    let is_taken = name
        .strip_prefix("rule ")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if is_taken {
        fields.error(
            "name",
            format!("`{name}` is what rules without a name are called"),
            "choose a name that tells what the rule is for",
        );
    }
    name.into()
}

/// What a rule without a name is called.
pub(super) fn unnamed(number: usize) -> Arc<str> {
    format!("rule {number}").into()
}

fn tools(fields: &mut Fields<'_, '_, '_>) -> Vec<Box<str>> {
    let texts = fields
        .texts(
            "tools",
            "write a list, as in `tools = [\"git\"]`; leave it out to mean any tool or none",
        )
        .unwrap_or_default();
    let mut tools: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for (at, text) in texts {
        if text.contains('*') {
            let message = "`tools` takes exact names, no patterns".to_owned();
            fields.report.error(at, message, None);
        } else if let Err(error) = VaultName::parse(text) {
            fields.report.error(at, format!("`tools`: {error}"), None);
        } else {
            tools.push(text.into());
        }
    }
    tools
}

fn hours(fields: &mut Fields<'_, '_, '_>) -> Vec<Window> {
    let texts = fields
        .texts(
            "hours",
            "write a list, as in `hours = [\"mon-fri 08:00-18:00\"]`; leave it out to mean always",
        )
        .unwrap_or_default();
    let mut windows = Vec::with_capacity(texts.len());
    for (at, text) in texts {
        match Window::parse(text) {
            Ok(window) => windows.push(window),
            Err(error) => fields.report.error(at, format!("`hours`: {error}"), None),
        }
    }
    windows
}

fn refuse_terms(fields: &mut Fields<'_, '_, '_>) {
    for key in TERM_KEYS {
        if fields.has(key) {
            fields.error(
                key,
                format!("a rule that denies has no `{key}`"),
                "remove the key, or the line `effect = \"deny\"`",
            );
        }
    }
}

fn terms(fields: &mut Fields<'_, '_, '_>) -> Terms {
    let standard = Terms::default();
    let before = fields.report.errors();
    let ttl = fields.lifetime("ttl").unwrap_or(standard.ttl);
    let max_ttl = fields.lifetime("max_ttl").unwrap_or(ttl);
    let max_lifetime = fields
        .lifetime("max_lifetime")
        .unwrap_or(standard.max_lifetime);
    if fields.report.errors() == before {
        check_lifetimes(fields, ttl, max_ttl, max_lifetime);
    }
    Terms {
        ttl,
        max_ttl,
        max_uses: fields.count("max_uses"),
        renewable: fields.boolean("renewable").unwrap_or(standard.renewable),
        max_lifetime,
        max_active: fields.count("max_active"),
        rate: rate(fields),
        delivery: delivery(fields),
    }
}

fn check_lifetimes(
    fields: &mut Fields<'_, '_, '_>,
    ttl: Lifetime,
    max_ttl: Lifetime,
    max_lifetime: Lifetime,
) {
    let shown_ttl = if fields.has("ttl") {
        format!("`ttl` ({ttl})")
    } else {
        format!("`ttl` ({ttl} if not given)")
    };
    if max_lifetime > Terms::longest() {
        let message =
            format!("`max_lifetime` is {max_lifetime}, and no lease lives longer than 24h");
        fields.error("max_lifetime", message, "");
        return;
    }
    if max_ttl < ttl {
        let message = format!("`max_ttl` ({max_ttl}) is shorter than {shown_ttl}");
        fields.error("max_ttl", message, "");
    }
    for (key, shown_key, value) in [
        ("ttl", shown_ttl, ttl),
        ("max_ttl", format!("`max_ttl` ({max_ttl})"), max_ttl),
    ] {
        let is_said_already = key == "max_ttl" && !fields.has("max_ttl");
        if value <= max_lifetime || is_said_already {
            continue;
        }
        let place = if fields.has(key) { key } else { "max_lifetime" };
        let message = if fields.has("max_lifetime") {
            format!("{shown_key} is longer than `max_lifetime` ({max_lifetime})")
        } else {
            format!("{shown_key} is longer than 24h, and no lease lives longer")
        };
        fields.error(place, message, "");
    }
}

fn rate(fields: &mut Fields<'_, '_, '_>) -> Option<Rate> {
    let text = fields.text("rate", "write it like `rate = \"10/m\"`")?;
    match Rate::parse(text) {
        Ok(rate) => Some(rate),
        Err(error) => {
            fields.error("rate", format!("`rate`: {error}"), "");
            None
        }
    }
}

fn delivery(fields: &mut Fields<'_, '_, '_>) -> Delivery {
    match fields.text("delivery", "write `delivery = \"value\"` or `\"inject\"`") {
        None | Some("value") => Delivery::Value,
        Some("inject") => Delivery::Inject,
        Some(_) => {
            fields.error("delivery", "`delivery` must be \"value\" or \"inject\"", "");
            Delivery::Value
        }
    }
}
