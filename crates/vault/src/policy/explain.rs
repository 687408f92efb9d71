//! Why the policy decides as it does, in words.

use fnox_vault_wire::methods::{Delivery, Explanation, Miss, Terms as WireTerms};

use super::decide::{Decision, Policy, Question};
use super::finding::shown;
use super::hours::Moment;
use super::rule::{HostSet, Rule, Terms};

impl Policy {
    /// Which rule decides, or which comes nearest and why it does not. For administrators: it tells about all
    /// rules.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let moment = Moment::new(question.now, &self.timezone);
        let asked = Asked {
            question,
            moment: &moment,
        };
        let mut explanation = self.verdict(question);
        let decided_by = self
            .rules
            .iter()
            .position(|rule| asked.misfits(rule).is_empty());
        let passed_over = self
            .rules
            .get(..decided_by.unwrap_or(self.rules.len()))
            .unwrap_or_default();
        explanation.misses = passed_over
            .iter()
            .filter_map(|rule| {
                let first = asked.misfits(rule).first().copied()?;
                Some(Miss {
                    rule: rule.label(),
                    because: asked.because(rule, first),
                })
            })
            .collect();
        if explanation.summary.is_empty() {
            explanation.summary = self.nearest_miss(&asked);
        }
        explanation
    }

    /// The same for an agent that asks about itself. It learns nothing about rules for other agents or other
    /// secrets, not even that there are any.
    #[must_use]
    pub fn explain_for_agent(&self, question: &Question<'_>) -> Explanation {
        let moment = Moment::new(question.now, &self.timezone);
        let asked = Asked {
            question,
            moment: &moment,
        };
        let mut explanation = self.verdict(question);
        if explanation.summary.is_empty() {
            let own = self
                .rules
                .iter()
                .filter(|rule| rule.terms().is_some())
                .map(|rule| (rule, asked.misfits(rule)))
                .filter(|(_, misfits)| !misfits.iter().any(|field| field.is_about_others()))
                .min_by_key(|(_, misfits)| misfits.len());
            let Question {
                agent,
                secret,
                host,
                ..
            } = question;
            explanation.summary = match own {
                None => format!("no rule lends `{secret}` to `{agent}`"),
                Some((rule, misfits)) => format!(
                    "no rule lends `{secret}` to `{agent}` for {host}: the nearest {}",
                    asked.all_because(rule, &misfits)
                ),
            };
        }
        explanation
    }

    /// What the decision alone tells. The summary is empty if no rule matches.
    fn verdict(&self, question: &Question<'_>) -> Explanation {
        let (allowed, rule, terms, summary) = match self.decide(question) {
            Decision::Allowed { rule, terms } => (
                true,
                Some(rule.label()),
                Some(wire_terms(terms)),
                format!("{} allows it: {}", rule.label(), in_words(terms)),
            ),
            Decision::Denied { rule: Some(rule) } => (
                false,
                Some(rule.label()),
                None,
                format!("{} denies it", rule.label()),
            ),
            Decision::Denied { rule: None } => (false, None, None, String::new()),
        };
        Explanation {
            allowed,
            rule,
            summary,
            terms,
            misses: Vec::new(),
        }
    }

    /// The rule that allows and fits best, and what does not fit.
    fn nearest_miss(&self, asked: &Asked<'_>) -> String {
        if self.rules.is_empty() {
            return "the policy has no rules, so everything is denied".to_owned();
        }
        let nearest = self
            .rules
            .iter()
            .filter(|rule| rule.terms().is_some())
            .map(|rule| (rule, asked.misfits(rule)))
            .filter(|(_, misfits)| {
                !misfits.starts_with(&[Field::Agent, Field::Secret, Field::Host])
            })
            // Of equally many misfits the lesser ones are nearer.
            .min_by_key(|(_, misfits)| {
                (
                    misfits.len(),
                    misfits.first().map(|field| std::cmp::Reverse(*field)),
                )
            });
        match nearest {
            None => {
                "no rule allows it; none that allows is for this agent, this secret or this host"
                    .to_owned()
            }
            Some((rule, misfits)) => format!(
                "no rule allows it; the nearest, {}, {}",
                rule.label(),
                asked.all_because(rule, &misfits)
            ),
        }
    }
}

/// A part of a rule that may not fit. The order is that of their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Agent,
    Secret,
    Host,
    Tool,
    Hours,
}

impl Field {
    fn is_about_others(self) -> bool {
        matches!(self, Self::Agent | Self::Secret)
    }
}

struct Asked<'a> {
    question: &'a Question<'a>,
    moment: &'a Moment<'a>,
}

impl Asked<'_> {
    /// What does not fit, the weightiest first.
    fn misfits(&self, rule: &Rule) -> Vec<Field> {
        let Question {
            agent,
            secret,
            host,
            tool,
            ..
        } = *self.question;
        [
            (Field::Agent, rule.agent.matches(agent.as_str())),
            (Field::Secret, rule.secret.matches(secret.as_str())),
            (Field::Host, rule.means_host(host)),
            (Field::Tool, rule.means_tool(tool)),
            (Field::Hours, rule.means_time(self.moment)),
        ]
        .into_iter()
        .filter_map(|(field, fits)| (!fits).then_some(field))
        .collect()
    }

    fn all_because(&self, rule: &Rule, misfits: &[Field]) -> String {
        let reasons: Vec<String> = misfits
            .iter()
            .map(|field| self.because(rule, *field))
            .collect();
        reasons.join("; ")
    }

    /// Reads on after the rule's name: `is for agent …`.
    fn because(&self, rule: &Rule, field: Field) -> String {
        let Question {
            agent,
            secret,
            tool,
            ..
        } = self.question;
        match field {
            Field::Agent => format!("is for the agent {}, not `{agent}`", rule.agent),
            Field::Secret => format!("is for the secret {}, not `{secret}`", rule.secret),
            Field::Host => self.because_of_host(&rule.hosts),
            Field::Tool => {
                let tools: Vec<String> =
                    rule.tools.iter().map(|tool| format!("`{tool}`")).collect();
                let tools = tools.join(" or ");
                match tool {
                    None => format!("is for the tool {tools}, and no tool was named"),
                    Some(tool) => format!("is for the tool {tools}, not `{}`", shown(tool, 128)),
                }
            }
            Field::Hours => {
                let windows: Vec<String> = rule.hours.iter().map(ToString::to_string).collect();
                let zone = self.moment.zone();
                let now = self.moment.shown();
                format!(
                    "applies {}, and it is {now} ({zone})",
                    windows.join(" and ")
                )
            }
        }
    }

    fn because_of_host(&self, hosts: &HostSet) -> String {
        let host = self.question.host;
        let lacks_port =
            host.port().is_none() && hosts.patterns().iter().any(|pattern| pattern.touches(host));
        if lacks_port {
            return format!("is for {hosts}, so {host} has to be asked for with its port");
        }
        format!("is for {hosts}, not {host}")
    }
}

fn in_words(terms: &Terms) -> String {
    let ttl = format!("for {}", terms.ttl);
    let longer =
        (terms.max_ttl > terms.ttl).then(|| format!("up to {} if asked for", terms.max_ttl));
    let uses = match terms.max_uses {
        None => "any number of uses".to_owned(),
        Some(1) => "one use".to_owned(),
        Some(uses) => format!("{uses} uses"),
    };
    let renewable = terms
        .renewable
        .then(|| format!("renewable until {} old", terms.max_lifetime));
    let live = terms
        .max_active
        .map(|live| format!("{live} live at a time"));
    let rate = terms.rate.map(|rate| format!("at most {rate}"));
    let inject = (terms.delivery == Delivery::Inject).then(|| "used by a gateway only".to_owned());
    let parts = [Some(ttl), longer, Some(uses), renewable, live, rate, inject];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn wire_terms(terms: &Terms) -> WireTerms {
    WireTerms {
        ttl_secs: terms.ttl.as_secs(),
        max_ttl_secs: terms.max_ttl.as_secs(),
        max_uses: terms.max_uses,
        renewable: terms.renewable,
        max_lifetime_secs: terms.max_lifetime.as_secs(),
        delivery: terms.delivery,
    }
}
