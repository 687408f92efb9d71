//! One rule, read and checked.

use std::fmt;
use std::sync::Arc;

use fnox_core::{Host, HostPattern, Lifetime, Rate};
use fnox_vault_wire::methods::Delivery;

use super::hours::{Moment, Window};
use super::pattern::NamePattern;

/// What a rule does where it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A lease may be had on these terms.
    Allow(Terms),
    /// No lease, and no later rule is asked.
    Deny,
}

/// On which terms a rule gives leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease lives if nothing is asked for.
    pub ttl: Lifetime,
    /// How long it may be asked to live.
    pub max_ttl: Lifetime,
    /// How often it may be used. `None`: without limit.
    pub max_uses: Option<u32>,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// How long it may live with all renewals; never more than [`Terms::LONGEST_SECS`].
    pub max_lifetime: Lifetime,
    /// How many live leases of this rule one agent may hold. `None`: the vault's own limits alone.
    pub max_active: Option<u32>,
    /// How fast one agent may get leases by this rule.
    pub rate: Option<Rate>,
    /// Whether the holder receives the value.
    pub delivery: Delivery,
}

impl Terms {
    /// How long a lease may live by any policy: a day.
    pub const LONGEST_SECS: u64 = 86_400;

    /// The same as a lifetime.
    #[must_use]
    pub fn longest() -> Lifetime {
        Lifetime::from_secs(Self::LONGEST_SECS)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ttl: Lifetime::DEFAULT,
            max_ttl: Lifetime::DEFAULT,
            max_uses: None,
            renewable: false,
            max_lifetime: Self::longest(),
            max_active: None,
            rate: None,
            delivery: Delivery::Value,
        }
    }
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) line: usize,
    pub(super) agent: NamePattern,
    pub(super) secret: NamePattern,
    pub(super) hosts: HostSet,
    pub(super) tools: Vec<Box<str>>,
    pub(super) hours: Vec<Window>,
    pub(super) effect: Effect,
}

impl Rule {
    /// Its name, or `rule N`, counted from 1. Copies share the text.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The line of the file on which it begins.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Name and line, as messages show them: `rule 3 (line 21)`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} (line {})", self.name, self.line)
    }

    /// Which agents it means.
    #[must_use]
    pub fn agent(&self) -> &NamePattern {
        &self.agent
    }

    /// Which secrets it means.
    #[must_use]
    pub fn secret(&self) -> &NamePattern {
        &self.secret
    }

    /// Which hosts it means.
    #[must_use]
    pub fn hosts(&self) -> &HostSet {
        &self.hosts
    }

    /// Of which tools a request must name one; empty if it need not.
    #[must_use]
    pub fn tools(&self) -> &[Box<str>] {
        &self.tools
    }

    /// When it applies; empty means always.
    #[must_use]
    pub fn hours(&self) -> &[Window] {
        &self.hours
    }

    /// What it does.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// Its terms, unless it denies.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match &self.effect {
            Effect::Allow(terms) => Some(terms),
            Effect::Deny => None,
        }
    }

    pub(super) fn denies(&self) -> bool {
        self.effect == Effect::Deny
    }

    pub(super) fn means_host(&self, host: &Host) -> bool {
        self.hosts.matches(host, self.denies())
    }

    pub(super) fn means_tool(&self, tool: Option<&str>) -> bool {
        self.tools.is_empty()
            || tool.is_some_and(|tool| self.tools.iter().any(|allowed| **allowed == *tool))
    }

    pub(super) fn means_time(&self, moment: &Moment<'_>) -> bool {
        self.hours.is_empty() || self.hours.iter().any(|window| moment.is_in(window))
    }
}

/// The hosts of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSet {
    /// Every host. Only a rule that denies may say so.
    Any,
    /// What one of these means.
    Listed(Vec<HostPattern>),
}

impl HostSet {
    /// Whether a rule that allows or `denies` with these hosts matches `host`.
    fn matches(&self, host: &Host, denies: bool) -> bool {
        match self {
            Self::Any => true,
            // A lease for a host without a port is good for all of its ports, also for the denied one.
            Self::Listed(patterns) if denies => {
                patterns.iter().any(|pattern| pattern.touches(host))
            }
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(host)),
        }
    }

    /// The patterns; none for every host.
    #[must_use]
    pub fn patterns(&self) -> &[HostPattern] {
        match self {
            Self::Any => &[],
            Self::Listed(patterns) => patterns,
        }
    }
}

impl fmt::Display for HostSet {
    /// `a.example`, `a.example and b.example`, `a.example, b.example and 4 others`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patterns() {
            [] => formatter.write_str("any host"),
            [one] => write!(formatter, "{one}"),
            [one, two] => write!(formatter, "{one} and {two}"),
            [one, two, three] => write!(formatter, "{one}, {two} and {three}"),
            [one, two, rest @ ..] => {
                write!(formatter, "{one}, {two} and {} others", rest.len())
            }
        }
    }
}
