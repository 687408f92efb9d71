//! One rule, and where it stumbles.

use std::time::Duration;

use serde_json::Value;

use super::Permit;
use super::condition::{Condition, Stage, any, texts};
use super::pattern::Pattern;
use super::preset::kind;
use crate::settings::Preset;
use crate::subject::Subject;

/// A rule of the policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// Its `name`, or `rule N` counted from 1.
    pub(super) label: String,
    /// The line where it begins.
    pub(super) line: usize,
    /// The configured name of the issuer.
    pub(super) issuer: String,
    pub(super) preset: Preset,
    /// In the order of their stages.
    pub(super) conditions: Vec<Condition>,
    /// What people call it: only for noticing renames.
    pub(super) name: Option<String>,
    pub(super) release: Release,
    pub(super) terms: Terms,
}

/// What is released.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Release {
    pub(super) projects: Vec<Pattern>,
    pub(super) profiles: Vec<Pattern>,
    pub(super) keys: Vec<Pattern>,
}

/// On which terms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    pub(super) require_approval: bool,
    pub(super) approvers: Vec<String>,
    pub(super) approvals_needed: Option<u32>,
    pub(super) max_ttl: Option<Duration>,
    pub(super) recipient: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) project: &'a str,
    pub(super) profile: &'a str,
    pub(super) key: &'a str,
}

/// Where a rule stumbles first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Miss<'r> {
    Issuer,
    Condition(&'r Condition),
    /// `Project`, `Profile` or `Key`.
    Release(Stage),
}

impl Miss<'_> {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Issuer => Stage::Issuer,
            Self::Condition(condition) => condition.stage,
            Self::Release(stage) => *stage,
        }
    }

    /// The claim, or what of the request it is.
    pub(super) fn claim(&self) -> &str {
        match self {
            Self::Condition(condition) => &condition.claim,
            Self::Issuer => "iss",
            Self::Release(Stage::Project) => "project",
            Self::Release(Stage::Profile) => "profile",
            Self::Release(_) => "key",
        }
    }
}

impl Rule {
    /// Where the rule stumbles about who asks, and then about what is asked for; `None`: it fits.
    pub(super) fn miss(&self, subject: &Subject, ask: Option<Ask<'_>>) -> Option<Miss<'_>> {
        if subject.issuer != self.issuer || subject.preset != self.preset {
            return Some(Miss::Issuer);
        }
        if let Some(condition) = self.conditions.iter().find(|it| !it.fits(subject)) {
            return Some(Miss::Condition(condition));
        }
        let ask = ask?;
        [
            (Stage::Project, ask.project),
            (Stage::Profile, ask.profile),
            (Stage::Key, ask.key),
        ]
        .into_iter()
        .find(|(stage, text)| !any(self.released(*stage), text))
        .map(|(stage, _)| Miss::Release(stage))
    }

    /// What the rule wants where it stumbled.
    pub(super) fn wanted(&self, miss: Miss<'_>) -> Vec<String> {
        match miss {
            Miss::Issuer => vec![self.issuer.clone()],
            Miss::Condition(condition) => condition.wanted(),
            Miss::Release(stage) => texts(self.released(stage)),
        }
    }

    /// The terms for a subject that the rule fits.
    pub(super) fn permit(&self, subject: &Subject) -> Permit {
        Permit {
            rule: self.label.clone(),
            require_approval: self.terms.require_approval || !is_safe_event(self.preset, subject),
            approvers: self.terms.approvers.clone(),
            approvals_needed: self.terms.approvals_needed,
            max_ttl: self.terms.max_ttl,
            recipient: self.terms.recipient.clone(),
        }
    }

    /// The name that the subject has now, if the rule pins another one.
    pub(super) fn new_name<'s>(&self, subject: &'s Subject) -> Option<(&str, &'s str)> {
        let pinned = self.name.as_deref()?;
        let (_, claim) = kind(self.preset).name?;
        let now = subject.text(claim)?;
        // GitHub and GitLab compare names without case.
        (!pinned.eq_ignore_ascii_case(now)).then_some((pinned, now))
    }

    /// The id that differs, if the subject has the rule's name and another id.
    pub(super) fn is_taken_over_by(&self, subject: &Subject) -> Option<&Condition> {
        if subject.issuer != self.issuer || subject.preset != self.preset {
            return None;
        }
        let pinned = self.name.as_deref()?;
        let (_, claim) = kind(self.preset).name?;
        if !subject.text(claim)?.eq_ignore_ascii_case(pinned) {
            return None;
        }
        // Names of Buildkite's pipelines are only unique within one organisation.
        let elsewhere = self.preset == Preset::Buildkite
            && self
                .conditions
                .iter()
                .any(|it| it.claim == "organization_id" && !it.fits(subject));
        self.conditions
            .iter()
            .find(|it| it.stage == Stage::StableId && !it.fits(subject))
            .filter(|it| !elsewhere && subject.text(&it.claim).is_some())
    }

    fn released(&self, stage: Stage) -> &[Pattern] {
        match stage {
            Stage::Project => &self.release.projects,
            Stage::Profile => &self.release.profiles,
            _ => &self.release.keys,
        }
    }
}

impl Ask<'_> {
    /// What was asked for, where a rule stumbled.
    pub(super) fn got(&self, stage: Stage) -> Value {
        let text = match stage {
            Stage::Project => self.project,
            Stage::Profile => self.profile,
            _ => self.key,
        };
        Value::String(text.to_owned())
    }
}

/// Whether only those who may push decide what runs. Where tokens do not say why a job runs, nothing can be told.
fn is_safe_event(preset: Preset, subject: &Subject) -> bool {
    let Some((claim, safe)) = kind(preset).event else {
        return true;
    };
    subject
        .text(claim)
        .is_some_and(|event| safe.contains(&event))
}
