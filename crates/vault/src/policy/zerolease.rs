//! The JSON policy of zerolease.
//!
//! It has no line numbers, no limits and no unknown keys: what it does not understand it takes for the widest
//! meaning. A host or a grant that would be refused in `policy.toml` is left out with a warning; whatever was
//! lent by it is denied. Nothing is widened but the spelling of hosts, which are not texts here.

use std::fmt;

use fnox_core::{HostPattern, Lifetime};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::check;
use super::decide::Policy;
use super::fields::nearest;
use super::finding::{Loaded, PolicyError, Report, shown};
use super::pattern::NamePattern;
use super::read::{MOST_BYTES, MOST_RULES, unnamed};
use super::rule::{Effect, HostSet, Rule, Terms};

pub(super) fn read(text: &str, origin: &str) -> Result<Loaded, PolicyError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader {
        text,
        report: Report::new(text, origin),
    };
    let mut policy = Policy::deny_all();
    if text.len() > MOST_BYTES {
        let message = "the file is longer than 1 MiB".to_owned();
        reader.report.error(0, message, None);
    } else {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(root) => policy.rules = reader.policy(root),
            Err(error) => {
                let at = reader.report.place(error.line(), error.column());
                let message = format!("this is not JSON: {}", without_place(&error));
                reader.report.error(at, message, None);
            }
        }
    }
    reader.report.finish(policy)
}

struct Reader<'t> {
    text: &'t str,
    report: Report<'t>,
}

impl<'t> Reader<'t> {
    fn policy(&mut self, root: &'t RawValue) -> Vec<Rule> {
        let Some(object) = self.object(root, &["default_lease_terms", "grants"]) else {
            return Vec::new();
        };
        let standard = match object.value("default_lease_terms") {
            Some(value) => self.terms(value, &Terms::default()),
            None => Some(Terms::default()),
        };
        let Some(grants) = object.value("grants") else {
            self.error(root, "`grants` is missing".to_owned());
            return Vec::new();
        };
        let Some(grants) = self.read::<Vec<&RawValue>>(grants, "`grants` must be a list") else {
            return Vec::new();
        };
        if grants.len() > MOST_RULES {
            self.error(root, format!("the file has more than {MOST_RULES} grants"));
            return Vec::new();
        }
        let standard = standard.unwrap_or_default();
        let mut rules = Vec::with_capacity(grants.len());
        let mut places = Vec::with_capacity(grants.len());
        for (number, grant) in grants.into_iter().enumerate() {
            if let Some(rule) = self.grant(grant, number + 1, &standard) {
                rules.push(rule);
                places.push(self.at(grant));
            }
        }
        check::rules(&rules, &places, &mut self.report);
        rules
    }

    fn grant(&mut self, grant: &'t RawValue, number: usize, standard: &Terms) -> Option<Rule> {
        const KEYS: [&str; 4] = ["agent", "secret", "allowed_domains", "lease_terms"];
        let object = self.object(grant, &KEYS)?;
        let agent = self.pattern(grant, &object, "agent");
        let secret = self.pattern(grant, &object, "secret");
        let hosts = self.hosts(grant, &object);
        let terms = match object.value("lease_terms") {
            Some(value) if value.get() != "null" => self.terms(value, standard),
            _ => Some(standard.clone()),
        };
        let (agent, secret, hosts, terms) = (agent?, secret?, hosts?, terms?);
        if hosts.is_empty() {
            self.warn(
                grant,
                "the grant has no host that counts, so it is left out".to_owned(),
                "list the hosts that the secret is for",
            );
            return None;
        }
        Some(Rule {
            name: unnamed(number),
            line: self.report.line(self.at(grant)),
            agent,
            secret,
            hosts: HostSet::Listed(hosts),
            tools: Vec::new(),
            hours: Vec::new(),
            effect: Effect::Allow(terms),
        })
    }

    /// `"Any"`, `{"Exact": …}` or `{"Prefix": …}`.
    fn pattern(
        &mut self,
        grant: &'t RawValue,
        object: &Object<'t>,
        key: &str,
    ) -> Option<NamePattern> {
        const FORMS: &str = r#"must be {"Exact": "NAME"}, {"Prefix": "PREFIX"} or "Any""#;
        let Some(value) = object.value(key) else {
            self.error(grant, format!("`{key}` is missing"));
            return None;
        };
        let pattern = match self.read::<JsonPattern>(value, &format!("`{key}` {FORMS}"))? {
            JsonPattern::Any => Ok(NamePattern::Any),
            JsonPattern::Exact(name) => NamePattern::exact(&name),
            JsonPattern::Prefix(prefix) => NamePattern::prefix(&prefix),
        };
        match pattern {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.warn(
                    value,
                    format!("`{key}`: {error}; the grant is left out"),
                    r#"write "Any" if every name is meant"#,
                );
                None
            }
        }
    }

    fn hosts(&mut self, grant: &'t RawValue, object: &Object<'t>) -> Option<Vec<HostPattern>> {
        let Some(value) = object.value("allowed_domains") else {
            self.error(grant, "`allowed_domains` is missing".to_owned());
            return None;
        };
        let list = "`allowed_domains` must be a list of texts";
        let entries = self.read::<Vec<&RawValue>>(value, list)?;
        let mut hosts = Vec::with_capacity(entries.len());
        for entry in entries {
            let text = self.read::<String>(entry, list)?;
            hosts.extend(self.host(entry, &text));
        }
        Some(hosts)
    }

    /// What zerolease would have matched, never more.
    fn host(&mut self, entry: &'t RawValue, text: &str) -> Option<HostPattern> {
        if text == "*" {
            self.warn(
                entry,
                "`*` never matched any host, so it is left out".to_owned(),
                "list the hosts that the secret is for",
            );
            return None;
        }
        let pattern = match HostPattern::parse(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                let help = "zerolease compared texts; here a host has to be one";
                self.warn(entry, format!("{error}; it is left out"), help);
                return None;
            }
        };
        if pattern.is_below_public_suffix() {
            self.warn(
                entry,
                format!("`{pattern}` means hosts of everybody, so it is left out"),
                "name a domain that belongs to one owner, as in `*.example.com`",
            );
            return None;
        }
        if pattern.to_string() != text {
            self.warn(
                entry,
                format!("`{}` is read as `{pattern}`", shown(text, 100)),
                "zerolease compared hosts byte for byte; here case and spelling make no difference",
            );
        }
        Some(pattern)
    }

    fn terms(&mut self, value: &'t RawValue, standard: &Terms) -> Option<Terms> {
        let object = self.object(value, &["ttl", "renewable", "max_uses"])?;
        let ttl = match object.value("ttl") {
            Some(ttl) => self.ttl(ttl)?,
            None => standard.ttl,
        };
        let renewable = match object.value("renewable") {
            Some(renewable) => self.read(renewable, "`renewable` must be true or false")?,
            None => false,
        };
        let max_uses = match object.value("max_uses") {
            Some(uses) => self.read(uses, "`max_uses` must be a number or null")?,
            None => None,
        };
        if max_uses == Some(0) {
            self.error(
                value,
                "`max_uses` is 0: nobody could use the lease".to_owned(),
            );
            return None;
        }
        Some(Terms {
            ttl,
            max_ttl: ttl,
            max_uses,
            renewable,
            ..Terms::default()
        })
    }

    /// `[seconds, nanoseconds]` or `"15m"`.
    fn ttl(&mut self, value: &'t RawValue) -> Option<Lifetime> {
        let forms = "`ttl` must be [SECONDS, NANOSECONDS] or a text such as \"15m\"";
        let ttl = match self.read::<JsonTtl>(value, forms)? {
            JsonTtl::Text(text) => match Lifetime::parse(&text) {
                Ok(ttl) => ttl,
                Err(error) => {
                    self.error(value, format!("`ttl`: {}", shown(&error.to_string(), 160)));
                    return None;
                }
            },
            JsonTtl::Pair(seconds, _) => match u64::try_from(seconds) {
                Ok(seconds) if seconds > 0 => Lifetime::from_secs(seconds),
                _ => {
                    self.error(value, format!("`ttl` of {seconds} seconds is out of range"));
                    return None;
                }
            },
        };
        if ttl <= Terms::longest() {
            return Some(ttl);
        }
        self.warn(
            value,
            format!("`ttl` is shortened from {ttl} to 24h"),
            "no lease lives longer",
        );
        Some(Terms::longest())
    }

    fn object(&mut self, value: &'t RawValue, known: &[&str]) -> Option<Object<'t>> {
        let object = self.read::<Object<'t>>(value, "this must be an object")?;
        for (position, (key, item)) in object.0.iter().enumerate() {
            if object
                .0
                .iter()
                .take(position)
                .any(|(before, _)| before == key)
            {
                self.error(item, format!("the key `{}` stands twice", shown(key, 60)));
            }
            if !known.contains(&key.as_str()) {
                let help = match nearest(key, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys here are {}", known.join(", ")),
                };
                let message = format!("unknown key `{}` is ignored", shown(key, 60));
                self.warn(item, message, &help);
            }
        }
        Some(object)
    }

    fn read<T: Deserialize<'t>>(&mut self, value: &'t RawValue, otherwise: &str) -> Option<T> {
        let read = serde_json::from_str(value.get()).ok();
        if read.is_none() {
            self.error(value, otherwise.to_owned());
        }
        read
    }

    fn error(&mut self, value: &RawValue, message: String) {
        let at = self.at(value);
        self.report.error(at, message, None);
    }

    fn warn(&mut self, value: &RawValue, message: String, help: &str) {
        let at = self.at(value);
        self.report.warn(at, message, Some(help.to_owned()));
    }

    /// Where a value begins. It is a piece of the text, so its address tells.
    fn at(&self, value: &RawValue) -> usize {
        let offset = value
            .get()
            .as_ptr()
            .addr()
            .checked_sub(self.text.as_ptr().addr());
        offset
            .filter(|at| *at <= self.text.len())
            .unwrap_or_default()
    }
}

#[derive(Deserialize)]
enum JsonPattern {
    Exact(String),
    Prefix(String),
    Any,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonTtl {
    /// A part of a second more or less is not kept.
    Pair(i64, IgnoredAny),
    Text(String),
}

/// An object with its values unread, in their order; a key can stand twice.
struct Object<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Object<'t> {
    fn value(&self, key: &str) -> Option<&'t RawValue> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// The message without ` at line 1 column 2`: the finding has its own place.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}
