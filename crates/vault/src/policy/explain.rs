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
                .filter(|(_, misfits)| !misfits.iter().any(Field::is_about_others))
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
    fn is_about_others(&self) -> bool {
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
    let mut words = format!("for {}", terms.ttl);
    if terms.max_ttl > terms.ttl {
        words += &format!(" (up to {} if asked for)", terms.max_ttl);
    }
    words += &match terms.max_uses {
        None => ", any number of uses".to_owned(),
        Some(1) => ", one use".to_owned(),
        Some(uses) => format!(", {uses} uses"),
    };
    if terms.renewable {
        words += &format!(", renewable until {} old", terms.max_lifetime);
    }
    if let Some(live) = terms.max_active {
        words += &format!(", {live} live at a time");
    }
    if let Some(rate) = terms.rate {
        words += &format!(", at most {rate}");
    }
    if terms.delivery == Delivery::Inject {
        words += ", used by a gateway only";
    }
    words
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

#[cfg(test)]
mod tests {
    use fnox_core::{AgentId, Host, VaultName};

    use super::*;

    const POLICY: &str = r#"
timezone = "Europe/Berlin"

[[rule]]
name = "no prod"
effect = "deny"
agent = { any = true }
secret = "prod-*"
hosts = { any = true }

[[rule]]
name = "github"
agent = "coder-1"
secret = "github-token"
hosts = ["api.github.com", "*.ghe.example:443"]
ttl = "5m"
max_ttl = "1h"
max_uses = 20
renewable = true
max_lifetime = "2h"
max_active = 3
rate = "10/m"
delivery = "inject"

[[rule]]
agent = "ci-*"
secret = "deploy"
hosts = ["deploy.example"]
tools = ["ship", "roll"]
hours = ["mon-fri 08:00-18:00"]
max_uses = 1
"#;

    fn explain(agent: &str, secret: &str, host: &str, tool: Option<&str>) -> [Explanation; 2] {
        let policy = Policy::parse(POLICY, "policy.toml").unwrap().policy;
        let agent = AgentId::parse(agent).unwrap();
        let question = Question {
            agent: &agent,
            secret: &VaultName::parse(secret).unwrap(),
            host: &Host::parse(host).unwrap(),
            tool,
            // A Sunday.
            now: "2026-03-01T09:05:00Z".parse().unwrap(),
        };
        [
            policy.explain(&question),
            policy.explain_for_agent(&question),
        ]
    }

    #[test]
    fn an_allowed_request_is_explained_by_its_rule_and_terms() {
        let [admin, agent] = explain("coder-1", "github-token", "api.github.com", None);
        assert_eq!(
            admin.summary,
            "github (line 11) allows it: for 5m (up to 1h0m if asked for), 20 uses, renewable until 2h0m old, \
             3 live at a time, at most 10/m, used by a gateway only"
        );
        assert_eq!(admin.rule.as_deref(), Some("github (line 11)"));
        assert_eq!(admin.terms.unwrap().max_ttl_secs, 3600);
        assert_eq!(admin.misses.len(), 1);
        assert_eq!(admin.misses[0].rule, "no prod (line 4)");
        assert_eq!(
            admin.misses[0].because,
            "is for the secret `prod-*`, not `github-token`"
        );
        assert!(agent.allowed && agent.misses.is_empty());
        assert_eq!(agent.summary, admin.summary);
    }

    #[test]
    fn a_denied_request_is_explained_by_the_rule_or_the_nearest_miss() {
        for (agent, secret, host, tool, wanted) in [
            (
                "coder-1",
                "prod-db",
                "a.example",
                None,
                "no prod (line 4) denies it",
            ),
            (
                "coder-1",
                "github-token",
                "evil.example",
                None,
                "no rule allows it; the nearest, github (line 11), is for api.github.com and *.ghe.example:443, \
                 not evil.example",
            ),
            (
                "coder-1",
                "github-token",
                "x.ghe.example",
                None,
                "no rule allows it; the nearest, github (line 11), is for api.github.com and *.ghe.example:443, \
                 so x.ghe.example has to be asked for with its port",
            ),
            (
                "coder-2",
                "github-token",
                "api.github.com",
                None,
                "no rule allows it; the nearest, github (line 11), is for the agent `coder-1`, not `coder-2`",
            ),
            (
                "ci-1",
                "deploy",
                "deploy.example",
                Some("bash\n"),
                "no rule allows it; the nearest, rule 3 (line 25), is for the tool `ship` or `roll`, not \
                 `bash\\n`; applies mon-fri 08:00-18:00, and it is sun 10:05 (Europe/Berlin)",
            ),
            (
                "ci-1",
                "deploy",
                "deploy.example",
                None,
                "no rule allows it; the nearest, rule 3 (line 25), is for the tool `ship` or `roll`, and no \
                 tool was named; applies mon-fri 08:00-18:00, and it is sun 10:05 (Europe/Berlin)",
            ),
            (
                "x",
                "y",
                "z.example",
                None,
                "no rule allows it; none that allows is for this agent, this secret or this host",
            ),
        ] {
            let [admin, _] = explain(agent, secret, host, tool);
            assert_eq!(admin.summary, wanted);
            assert!(!admin.allowed && admin.terms.is_none());
        }
        let empty = Policy::deny_all();
        let summary = empty.nearest_miss(&Asked {
            question: &Question {
                agent: &AgentId::parse("a").unwrap(),
                secret: &VaultName::parse("s").unwrap(),
                host: &Host::parse("h").unwrap(),
                tool: None,
                now: jiff::Timestamp::UNIX_EPOCH,
            },
            moment: &Moment::new(jiff::Timestamp::UNIX_EPOCH, &empty.timezone),
        });
        assert_eq!(summary, "the policy has no rules, so everything is denied");
    }

    #[test]
    fn an_agent_learns_nothing_about_the_rules_of_others() {
        for (agent, secret, wanted) in [
            (
                "coder-2",
                "github-token",
                "no rule lends `github-token` to `coder-2`",
            ),
            ("coder-1", "deploy", "no rule lends `deploy` to `coder-1`"),
            (
                "coder-1",
                "github-token",
                "no rule lends `github-token` to `coder-1` for z.example: the nearest is for api.github.com and \
                 *.ghe.example:443, not z.example",
            ),
        ] {
            let [_, explanation] = explain(agent, secret, "z.example", None);
            assert_eq!(explanation.summary, wanted);
            assert!(explanation.misses.is_empty() && explanation.rule.is_none());
        }
        let [_, denied] = explain("coder-1", "prod-db", "z.example", None);
        assert_eq!(denied.summary, "no prod (line 4) denies it");
    }
}
