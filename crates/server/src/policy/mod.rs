//! What whoever has proved who it is may ask for.
//!
//! `policy.toml` is a list of rules that people review. A rule fits if everything in it fits; of several that fit the
//! first decides; if none does, the answer is no. A rule pins ids that nobody else can get: a repository that was
//! renamed is still the same, and one that took over a name is not. GitHub's `sub` is never looked at, since it is
//! made of names and comes in two forms.
//!
//! Reading the file is strict, because a typing mistake must never release anything: an unknown key, a rule without
//! a stable id, a rule for every ref are errors, all of them told at once with their lines. Matching is typed: a
//! claim that is missing, or that is not of the type that the issuer documents, fits nothing.
//!
//! Defended against: names that were taken over, forks, events that run a stranger's code with the repository's
//! rights, `main-evil` for `main`, a tag called like a branch, tokens of another customer of the same issuer.
//! Left out: who may push to a ref, and what a workflow does with a secret. Deciding reads no clock and no file.

use std::time::Duration;

mod condition;
mod decide;
mod denial;
mod explain;
mod fields;
mod finding;
mod gateway;
mod pattern;
mod preset;
mod read;
mod rule;
mod watch;
mod who;

#[cfg(test)]
mod tests;

pub use decide::{Admission, Policy, Renamed};
pub use denial::Denial;
pub use explain::{Explanation, KeyExplanation, Mismatch, RuleExplanation};
pub use finding::{Finding, PolicyError};
pub use gateway::{QuestionDenial, QuestionPermit};
pub use pattern::{InvalidPattern, Pattern};
pub use watch::WatchedPolicy;

/// What a rule permits for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The rule, for the audit log: its `name`, or `rule N` counted from 1.
    pub rule: String,
    /// Whether a person has to be asked.
    pub require_approval: bool,
    /// Who may decide; empty: every approver.
    pub approvers: Vec<String>,
    /// How many have to say yes, if the rule says.
    pub approvals_needed: Option<u32>,
    /// How long a grant lasts at most, if the rule says.
    pub max_ttl: Option<Duration>,
    /// The requester's key that must be among the secret's recipients, if the rule requires one.
    pub recipient: Option<String>,
}
