//! The decision.

use fnox_core::{AgentId, Host, VaultName};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::hours::Moment;
use super::rule::{Effect, Rule, Terms};

/// The rules in force, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) rules: Vec<Rule>,
    pub(super) timezone: TimeZone,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who would hold the lease.
    pub agent: &'a AgentId,
    /// For which secret.
    pub secret: &'a VaultName,
    /// For which host.
    pub host: &'a Host,
    /// With which tool, if one was named.
    pub tool: Option<&'a str>,
    /// When.
    pub now: Timestamp,
}

impl Rule {
    fn matches(&self, question: &Question<'_>, moment: &Moment<'_>) -> bool {
        self.agent.matches(question.agent.as_str())
            && self.secret.matches(question.secret.as_str())
            && self.means_host(question.host)
            && self.means_tool(question.tool)
            && self.means_time(moment)
    }
}

/// What the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision<'p> {
    /// A lease may be had.
    Allowed {
        /// The rule that says so.
        rule: &'p Rule,
        /// On these terms.
        terms: &'p Terms,
    },
    /// None may.
    Denied {
        /// The rule that says so; `None` if no rule matches.
        rule: Option<&'p Rule>,
    },
}

impl Policy {
    /// The policy without rules.
    #[must_use]
    pub fn deny_all() -> Self {
        Self {
            rules: Vec::new(),
            timezone: TimeZone::UTC,
        }
    }

    /// The first rule that matches decides; without one the answer is no.
    pub fn decide(&self, question: &Question<'_>) -> Decision<'_> {
        let moment = Moment::new(question.now, &self.timezone);
        let matching = self
            .rules
            .iter()
            .find(|rule| rule.matches(question, &moment));
        match matching {
            None => Decision::Denied { rule: None },
            Some(rule) => match &rule.effect {
                Effect::Allow(terms) => Decision::Allowed { rule, terms },
                Effect::Deny => Decision::Denied { rule: Some(rule) },
            },
        }
    }

    /// The rules, in the order in which they are asked.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
