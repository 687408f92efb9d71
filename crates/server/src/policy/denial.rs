//! A no, for two readers: the log, where all of it stands, and whoever asked, who learns nothing about others.

use std::fmt;

use fnox_api::{Problem, ProblemCode};
use serde_json::Value;

use super::condition::Stage;
use super::rule::{Ask, Miss, Rule};
use crate::subject::Subject;

/// No rule fits. Its text is for the log; [`Self::for_client`] is for whoever asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// The nearest rule; none if there are no rules.
    pub rule: Option<String>,
    /// Where it stumbled: a claim, or `project`, `profile` or `key` of the request.
    pub claim: String,
    /// What the rule wants there, any of these.
    pub wanted: Vec<String>,
    /// What was there; none if nothing.
    pub got: Option<Value>,
    stage: Stage,
    is_resurrection: bool,
    /// Project, profile and key.
    asked: Option<[String; 3]>,
}

impl Denial {
    pub(super) fn new(
        rule: &Rule,
        miss: Miss<'_>,
        subject: &Subject,
        ask: Option<Ask<'_>>,
    ) -> Self {
        Self {
            rule: Some(rule.label.clone()),
            claim: miss.claim().to_owned(),
            wanted: rule.wanted(miss),
            got: got(miss, subject, ask),
            stage: miss.stage(),
            is_resurrection: false,
            asked: ask.map(|ask| [ask.project, ask.profile, ask.key].map(str::to_owned)),
        }
    }

    pub(super) fn without_rules() -> Self {
        Self {
            rule: None,
            claim: "iss".to_owned(),
            wanted: Vec::new(),
            got: None,
            stage: Stage::Issuer,
            is_resurrection: false,
            asked: None,
        }
    }

    /// The subject has a name that the policy knows for something else.
    pub(super) fn resurrected(mut self) -> Self {
        self.is_resurrection = true;
        self
    }

    /// Whether somebody took over a name that the policy knows. People should hear of it.
    #[must_use]
    pub fn is_resurrection(&self) -> bool {
        self.is_resurrection
    }

    /// The answer to whoever asked. It names the claim and the caller's own value; what the rules want stays in the
    /// log, since it would tell a stranger which repository, ref or workflow to aim at.
    #[must_use]
    pub fn for_client(&self) -> Problem {
        let problem = Problem::new(ProblemCode::PolicyDenied);
        if let Some([project, profile, key]) = &self.asked
            && self.stage.is_release()
        {
            return problem.at_key(escaped(key)).with_detail(format!(
                "no rule of the policy releases {} of the project {} in the profile {} to this requester; {ASK}",
                quoted(key),
                quoted(project),
                quoted(profile)
            ));
        }
        if self.stage == Stage::Issuer {
            return problem.at_claim("iss").with_detail(format!(
                "no rule of the policy is for tokens of this issuer; {ASK}"
            ));
        }
        let has = match &self.got {
            None => format!("the token has no claim `{}`", self.claim),
            Some(value) => format!("the token's claim `{}` is {}", self.claim, shown(value)),
        };
        problem.at_claim(&self.claim).with_detail(format!(
            "no rule of the policy fits: {has}, and the nearest rule wants something else; {ASK}"
        ))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rule) = &self.rule else {
            return formatter.write_str("the policy has no rules, so everything is denied");
        };
        let stumble = Stumble {
            claim: &self.claim,
            wanted: &self.wanted,
            got: self.got.as_ref(),
        };
        if self.is_resurrection {
            write!(
                formatter,
                "something else has the name that `{rule}` knows, so the name was taken over: {stumble}"
            )
        } else {
            write!(formatter, "no rule fits; the nearest, `{rule}`: {stumble}")
        }
    }
}

impl std::error::Error for Denial {}

/// `ref`: wanted "refs/heads/main", got "refs/heads/dev".
#[derive(Debug)]
pub(super) struct Stumble<'a> {
    pub(super) claim: &'a str,
    pub(super) wanted: &'a [String],
    pub(super) got: Option<&'a Value>,
}

impl fmt::Display for Stumble<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`: wanted ", self.claim)?;
        for (position, wanted) in self.wanted.iter().take(MOST_SHOWN).enumerate() {
            let or = if position > 0 { " or " } else { "" };
            write!(formatter, "{or}{}", quoted(wanted))?;
        }
        if self.wanted.len() > MOST_SHOWN {
            write!(
                formatter,
                " or one of {} more",
                self.wanted.len() - MOST_SHOWN
            )?;
        }
        match self.got {
            None => formatter.write_str(", got nothing"),
            Some(value) => write!(formatter, ", got {}", shown(value)),
        }
    }
}

/// What stood where a rule stumbled.
pub(super) fn got(miss: Miss<'_>, subject: &Subject, ask: Option<Ask<'_>>) -> Option<Value> {
    match miss {
        Miss::Issuer => Some(Value::String(subject.issuer.clone())),
        Miss::Condition(condition) => condition.got(subject),
        Miss::Release(stage) => ask.map(|ask| ask.got(stage)),
    }
}

/// A claim's value for people, with its type if it is not a text. Claims are not secret; the token is.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => format!("the number {number}"),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Null => "null".to_owned(),
        Value::Array(_) => format!("the list {}", escaped(&value.to_string())),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// One line, of readable length: branches and environments are called as strangers like.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == LONGEST_SHOWN {
            shown.push('…');
            break;
        }
        let is_harmless = !character.is_control() && !INVISIBLE.contains(&character);
        if is_harmless {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

const ASK: &str = "ask whoever keeps the policy, who finds the rule in the server's log";
const MOST_SHOWN: usize = 5;
const LONGEST_SHOWN: usize = 200;
/// Marks that turn or hide text (Unicode TR 36, section 2.10): a name must look like what it is.
const INVISIBLE: [char; 18] = [
    '\u{ad}', '\u{61c}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2028}',
    '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}',
    '\u{2068}', '\u{2069}',
];
