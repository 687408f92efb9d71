//! `[[gateway]]`: whose agents people may be asked about, and who decides.
//!
//! An entry is for the gateway of its name, which has a token of its own, or for the agents of the people that it lists, who
//! ask in the name of their login. Of several that fit the first decides; if none does, the answer is no. Jobs of a CI fit
//! none: they ask for keys.

use std::collections::BTreeSet;

use fnox_core::{AgentId, Host, HostPattern};

use super::Policy;
use super::fields::Fields;
use super::finding::Report;
use super::pattern::Pattern;
use super::read::{deciders, tables};
use crate::service::{GATEWAY, is_gateway_name};
use crate::subject::Subject;

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gateway {
    name: String,
    /// Whose agents it is for; `None`: those of the gateway of this name.
    people: Option<Vec<String>>,
    /// `None`: all.
    agents: Option<Vec<Pattern>>,
    /// `None`: all.
    hosts: Option<Vec<HostPattern>>,
    approvers: Vec<String>,
    approvals_needed: Option<u32>,
    own: bool,
    longest: u32,
}

/// What a gateway may ask, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionPermit {
    /// The entry, for the audit log.
    pub rule: String,
    /// Who may decide; empty: every approver.
    pub approvers: Vec<String>,
    /// How many have to say yes, if the entry says.
    pub approvals_needed: Option<u32>,
    /// Whether a person decides about requests of their own agents.
    pub own: bool,
    /// For how many seconds a yes may cover the same request. 0: for one.
    pub longest: u32,
}

/// Why nobody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuestionDenial {
    /// Nothing of the policy is for this gateway or person.
    #[error("no `[[gateway]]` of the policy is for whoever asks")]
    Asker,
    /// The entries for it are for other agents.
    #[error("the policy's `[[gateway]]` for whoever asks is not for this agent")]
    Agent,
    /// The entries for it are for other hosts.
    #[error("the policy's `[[gateway]]` for whoever asks is not for this host")]
    Host,
    /// A yes cannot last, and what is asked for does.
    #[error(
        "the policy's `[[gateway]]` for whoever asks has no `longest`, so a yes is for one request and for no use of a credential"
    )]
    Lasting,
}

impl Policy {
    /// Whether people may be asked about a request of an agent to a host.
    ///
    /// # Errors
    /// [`QuestionDenial`] tells how far the nearest entry fits.
    pub fn question(
        &self,
        subject: &Subject,
        agent: &AgentId,
        host: &Host,
    ) -> Result<QuestionPermit, QuestionDenial> {
        let mut nearest = QuestionDenial::Asker;
        for entry in &self.gateways {
            if !entry.is_for(subject) {
                continue;
            }
            let fits_agent = entry
                .agents
                .as_ref()
                .is_none_or(|patterns| patterns.iter().any(|it| it.matches(agent.as_str())));
            if !fits_agent {
                if nearest == QuestionDenial::Asker {
                    nearest = QuestionDenial::Agent;
                }
                continue;
            }
            let fits_host = entry
                .hosts
                .as_ref()
                .is_none_or(|patterns| patterns.iter().any(|it| it.matches(host)));
            if !fits_host {
                nearest = QuestionDenial::Host;
                continue;
            }
            return Ok(QuestionPermit {
                rule: format!("gateway {}", entry.name),
                approvers: entry.approvers.clone(),
                approvals_needed: entry.approvals_needed,
                own: entry.own,
                longest: entry.longest,
            });
        }
        Err(nearest)
    }

    /// Whether an entry is for the gateway of a name.
    #[must_use]
    pub fn has_gateway(&self, name: &str) -> bool {
        self.gateways
            .iter()
            .any(|entry| entry.people.is_none() && entry.name == name)
    }

    /// How many entries for gateways there are.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.gateways.len()
    }
}

impl Gateway {
    fn is_for(&self, subject: &Subject) -> bool {
        match &self.people {
            None => subject.issuer == GATEWAY && subject.subject == self.name,
            Some(people) => {
                subject.is_person() && people.iter().any(|name| subject.is_called(name))
            }
        }
    }
}

/// Reads all entries.
pub(super) fn read(document: &toml_edit::Item, report: &mut Report) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    let mut names = BTreeSet::new();
    for (index, (at, table)) in tables(document, "gateway", report).into_iter().enumerate() {
        report.rule = Some(format!("gateway {}", index + 1));
        let mut fields = Fields::new(table, at, report);
        let Some(gateway) = entry(&mut fields) else {
            continue;
        };
        if !names.insert(gateway.name.clone()) {
            let message = "another `[[gateway]]` has this name";
            let help = "give each its own: the audit log tells them apart by it";
            report.error(at, message, help);
            continue;
        }
        gateways.push(gateway);
    }
    report.rule = None;
    gateways
}

fn entry(fields: &mut Fields<'_, '_>) -> Option<Gateway> {
    let before = fields.report.errors();
    fields.refuse_unknown(&KEYS);
    let name = name(fields);
    let people = fields.texts("people").map(owned);
    if people
        .iter()
        .flatten()
        .any(|person| person.trim().is_empty() || person.contains('*'))
    {
        let help =
            "name each person or group, as in `people = [\"ann@example.com\", \"group:dev\"]`";
        fields.error("people", "`people` has something that is no name", help);
    }
    let agents = fields.patterns("agents", |_| None);
    let hosts = hosts(fields);
    let (approvers, approvals_needed) = deciders(fields);
    let own = fields.boolean("own");
    if own.is_some() && people.is_none() {
        let help = "remove it, or say with `people` whose agents these are";
        fields.error("own", "`own` is for agents of people", help);
    }
    let longest = fields
        .lifetime("longest")
        .map_or(0, fnox_core::Lifetime::as_secs);
    if longest > LONGEST {
        let help = "write an hour or less; without it a yes is for one request";
        fields.error("longest", "`longest` is longer than an hour", help);
    }
    if fields.report.errors() > before {
        return None;
    }
    Some(Gateway {
        name: name?,
        people,
        agents,
        hosts,
        approvers,
        approvals_needed,
        own: own.unwrap_or(true),
        longest: u32::try_from(longest).ok()?,
    })
}

fn name(fields: &mut Fields<'_, '_>) -> Option<String> {
    if !fields.has("name") {
        let help = "name the gateway as its token does, as in `name = \"builders\"`";
        fields.report.error(fields.start, "`name` is missing", help);
        return None;
    }
    let name = fields.text("name")?;
    if !is_gateway_name(name) {
        let help = "use up to 64 letters, digits, `.`, `_` and `-`";
        fields.error("name", "`name` cannot be this", help);
        return None;
    }
    Some(name.to_owned())
}

fn hosts(fields: &mut Fields<'_, '_>) -> Option<Vec<HostPattern>> {
    let texts = fields.texts("hosts")?;
    let mut hosts = Vec::with_capacity(texts.len());
    for (at, text) in texts {
        match HostPattern::parse(text) {
            Ok(host) => hosts.push(host),
            Err(error) => {
                let help = "write a host, or `*.` and what its names end in";
                fields.report.error(at, format!("`hosts`: {error}"), help);
            }
        }
    }
    Some(hosts)
}

fn owned(texts: Vec<(usize, &str)>) -> Vec<String> {
    texts.into_iter().map(|(_, text)| text.to_owned()).collect()
}

/// What an entry may say.
pub(super) const KEYS: [&str; 8] = [
    "name",
    "people",
    "agents",
    "hosts",
    "approvers",
    "approvals_needed",
    "own",
    "longest",
];

/// No yes covers more than one request for longer, in seconds.
const LONGEST: u64 = 3600;
