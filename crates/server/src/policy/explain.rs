//! Why the policy decides as it does, for those who keep it: `fnox serve policy test` and the log. It tells about all
//! rules, so it is not for callers.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::decide::{Nearest, Policy, Renamed};
use super::denial::{Stumble, escaped, got};
use super::rule::{Ask, Miss, Rule};
use crate::subject::Subject;

/// Everything about one subject and perhaps one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Who asks, in one word.
    pub principal: String,
    /// Whether it may log in.
    pub admitted: bool,
    /// Why not, as the log says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<String>,
    /// Whether a name was taken over.
    pub resurrection: bool,
    /// It was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed: Option<Renamed>,
    /// Every rule, in the order of the file: whether it fits whoever asks.
    pub rules: Vec<RuleExplanation>,
    /// Every key that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyExplanation>,
}

/// One rule, held against who asks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleExplanation {
    /// Its name, or `rule N`.
    pub rule: String,
    /// Where it begins in the file.
    pub line: usize,
    /// Whether it fits.
    pub fits: bool,
    /// Where it stumbles first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
}

/// One key that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyExplanation {
    /// The key.
    pub key: String,
    /// Whether a rule releases it.
    pub permitted: bool,
    /// The rule that decides, or the nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether a person has to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// Where the nearest rule stumbles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
}

/// Where a rule stumbles.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mismatch {
    /// The claim, or `project`, `profile` or `key`.
    pub claim: String,
    /// What would fit, any of these.
    pub wanted: Vec<String>,
    /// What is there; null if nothing.
    pub got: Option<Value>,
}

impl Policy {
    /// Holds every rule against a subject and, if there is one, a request: project, profile and keys.
    #[must_use]
    pub fn explain(&self, subject: &Subject, ask: Option<(&str, &str, &[String])>) -> Explanation {
        let admission = self.admit(subject);
        let denial = admission.as_ref().err();
        Explanation {
            principal: subject.principal(),
            admitted: admission.is_ok(),
            denial: denial.map(ToString::to_string),
            resurrection: denial.is_some_and(super::Denial::is_resurrection),
            rules: self
                .rules
                .iter()
                .map(|rule| {
                    let miss = rule.miss(subject, None);
                    RuleExplanation {
                        rule: rule.label.clone(),
                        line: rule.line,
                        fits: miss.is_none(),
                        mismatch: miss.map(|miss| mismatch(rule, miss, subject, None)),
                    }
                })
                .collect(),
            keys: ask.map_or_else(Vec::new, |(project, profile, keys)| {
                keys.iter()
                    .map(|key| {
                        let ask = Ask {
                            project,
                            profile,
                            key,
                        };
                        self.explain_key(subject, ask)
                    })
                    .collect()
            }),
            renamed: admission.ok().and_then(|admission| admission.renamed),
        }
    }

    fn explain_key(&self, subject: &Subject, ask: Ask<'_>) -> KeyExplanation {
        let mut nearest = Nearest::default();
        for rule in &self.rules {
            let Some(miss) = rule.miss(subject, Some(ask)) else {
                let permit = rule.permit(subject);
                return KeyExplanation {
                    key: ask.key.to_owned(),
                    permitted: true,
                    rule: Some(permit.rule),
                    require_approval: Some(permit.require_approval),
                    mismatch: None,
                };
            };
            nearest.hear(rule, miss);
        }
        let denial = self.denial(&nearest, subject, Some(ask));
        KeyExplanation {
            key: ask.key.to_owned(),
            permitted: false,
            mismatch: denial.rule.is_some().then_some(Mismatch {
                claim: denial.claim,
                wanted: denial.wanted,
                got: denial.got,
            }),
            rule: denial.rule,
            require_approval: None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal = escaped(&self.principal);
        match &self.denial {
            None => writeln!(formatter, "{principal} may log in")?,
            Some(denial) => writeln!(formatter, "{principal} may not log in: {denial}")?,
        }
        if let Some(Renamed { from, to }) = &self.renamed {
            let (from, to) = (escaped(from), escaped(to));
            writeln!(
                formatter,
                "warning: the policy calls it `{from}`, and it is called `{to}` now; correct the name in the policy"
            )?;
        }
        for rule in &self.rules {
            write!(formatter, "  line {}, `{}`: ", rule.line, rule.rule)?;
            match &rule.mismatch {
                None => writeln!(formatter, "fits")?,
                Some(mismatch) => writeln!(formatter, "{mismatch}")?,
            }
        }
        for key in &self.keys {
            write!(formatter, "`{}`: ", escaped(&key.key))?;
            let rule = key.rule.as_deref().unwrap_or_default();
            match (&key.mismatch, key.require_approval) {
                (_, Some(true)) => writeln!(formatter, "`{rule}` releases it after an approval")?,
                (_, Some(false)) => writeln!(formatter, "`{rule}` releases it")?,
                (Some(mismatch), None) => {
                    writeln!(formatter, "denied; the nearest, `{rule}`: {mismatch}")?;
                }
                (None, None) => writeln!(formatter, "denied; there are no rules")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stumble = Stumble {
            claim: &self.claim,
            wanted: &self.wanted,
            got: self.got.as_ref(),
        };
        stumble.fmt(formatter)
    }
}

fn mismatch(rule: &Rule, miss: Miss<'_>, subject: &Subject, ask: Option<Ask<'_>>) -> Mismatch {
    Mismatch {
        claim: miss.claim().to_owned(),
        wanted: rule.wanted(miss),
        got: got(miss, subject, ask),
    }
}
