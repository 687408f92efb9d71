//! One condition of a rule about one claim.
//!
//! Types are part of the condition: GitLab's `ref_protected` is the text `"true"`, CircleCI's `ssh-rerun` is a
//! boolean. A claim of another type fits nothing, so that no conversion can make a stranger's value equal.

use serde_json::Value;

use super::pattern::Pattern;
use crate::subject::Subject;

/// How near a rule was: conditions are asked in this order, and the rule that stumbles last is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Issuer,
    StableId,
    /// What makes the stable id safe: the owner, the organisation, where the source comes from.
    Origin,
    Ref,
    Environment,
    Workflow,
    Event,
    Runner,
    Claim,
    Project,
    Profile,
    Key,
}

impl Stage {
    /// Whether it is about what is asked for, not about who asks.
    pub(super) fn is_release(self) -> bool {
        self >= Self::Project
    }

    /// Whether it makes a rule narrower than the stable id does.
    pub(super) fn narrows(self) -> bool {
        matches!(self, Self::Ref | Self::Environment | Self::Workflow)
    }
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// This text.
    Text(String),
    /// A text that one of these means.
    Patterns(Vec<Pattern>),
    /// A list of texts, one of which one of these means.
    Member(Vec<Pattern>),
    /// A text that a pattern means, or the very number or boolean.
    Values(Vec<WantedValue>),
    /// `false`.
    False,
    /// Buildkite's branch or tag, made a full ref, that one of these means.
    BuildkiteRef(Vec<Pattern>),
}

/// A value of `claims = { … }`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum WantedValue {
    Text(Pattern),
    Integer(i64),
    Boolean(bool),
}

/// A claim and what it must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) stage: Stage,
    pub(super) claim: String,
    pub(super) wanted: Wanted,
}

impl Condition {
    /// Whether the subject's claim fits.
    pub(super) fn fits(&self, subject: &Subject) -> bool {
        let claim = subject.claims.get(&self.claim);
        match &self.wanted {
            Wanted::Text(wanted) => claim.and_then(Value::as_str) == Some(wanted.as_str()),
            Wanted::Patterns(patterns) => claim
                .and_then(Value::as_str)
                .is_some_and(|text| any(patterns, text)),
            Wanted::Member(patterns) => has_member(claim, patterns),
            Wanted::Values(values) => {
                claim.is_some_and(|claim| values.iter().any(|value| value.fits(claim)))
            }
            Wanted::False => claim == Some(&Value::Bool(false)),
            Wanted::BuildkiteRef(patterns) => {
                buildkite_ref(subject).is_some_and(|text| any(patterns, &text))
            }
        }
    }

    /// What it wants, for people.
    pub(super) fn wanted(&self) -> Vec<String> {
        match &self.wanted {
            Wanted::Text(text) => vec![text.clone()],
            Wanted::Patterns(patterns)
            | Wanted::Member(patterns)
            | Wanted::BuildkiteRef(patterns) => texts(patterns),
            Wanted::Values(values) => values.iter().map(WantedValue::to_text).collect(),
            Wanted::False => vec!["false".to_owned()],
        }
    }

    /// What the subject has.
    pub(super) fn got(&self, subject: &Subject) -> Option<Value> {
        if let Wanted::BuildkiteRef(_) = self.wanted
            && let Some(text) = buildkite_ref(subject)
        {
            return Some(Value::String(text));
        }
        subject.claims.get(&self.claim).cloned()
    }

    /// Whether every pattern leaves something out; only then the condition narrows anything. A pattern that means all
    /// of some made-up values is one for everything.
    pub(super) fn is_narrow(&self) -> bool {
        let probes: &[&str] = match self.stage {
            Stage::Ref => &["refs/heads/probe", "refs/tags/probe", "refs/pull/1/merge"],
            Stage::Workflow => &["probe/probe/.github/workflows/probe.yml@refs/heads/probe"],
            _ => &["probe"],
        };
        match &self.wanted {
            Wanted::Patterns(patterns)
            | Wanted::Member(patterns)
            | Wanted::BuildkiteRef(patterns) => !patterns.iter().any(|pattern| {
                pattern.means_anything() || probes.iter().all(|probe| pattern.matches(probe))
            }),
            Wanted::Text(_) | Wanted::Values(_) | Wanted::False => true,
        }
    }
}

impl WantedValue {
    fn fits(&self, claim: &Value) -> bool {
        match (self, claim) {
            (Self::Text(pattern), Value::String(text)) => pattern.matches(text),
            (Self::Integer(wanted), Value::Number(number)) => number.as_i64() == Some(*wanted),
            (Self::Boolean(wanted), Value::Bool(flag)) => wanted == flag,
            _ => false,
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Text(pattern) => pattern.to_string(),
            Self::Integer(number) => format!("the number {number}"),
            Self::Boolean(flag) => format!("the boolean {flag}"),
        }
    }
}

/// Whether one of the patterns means the text.
pub(super) fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Patterns as they were written.
pub(super) fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(Pattern::to_string).collect()
}

/// A list with a member that is not a text is no list of texts.
fn has_member(claim: Option<&Value>, patterns: &[Pattern]) -> bool {
    let Some(Value::Array(members)) = claim else {
        return false;
    };
    members.iter().all(Value::is_string)
        && members
            .iter()
            .filter_map(Value::as_str)
            .any(|member| any(patterns, member))
}

/// Buildkite gives names without `refs/…`; a build of a tag has `build_tag`, and its branch means nothing.
fn buildkite_ref(subject: &Subject) -> Option<String> {
    match subject.claims.get("build_tag") {
        None | Some(Value::Null) => {}
        Some(Value::String(tag)) if tag.is_empty() => {}
        Some(Value::String(tag)) => return Some(format!("refs/tags/{tag}")),
        Some(_) => return None,
    }
    let branch = subject.text("build_branch")?;
    (!branch.is_empty()).then(|| format!("refs/heads/{branch}"))
}
