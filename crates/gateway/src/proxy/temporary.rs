//! Rules that are added to a gateway that runs, and are over before it is.
//!
//! Each request is decided about by the policy of its moment. A rule that is over lets nothing out any more, and ends what is
//! on its way by it, as a lease that is withdrawn does.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::ending::Ender;
use super::{Gateway, Shared};
use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::rule::Rule;

/// A policy that changes.
pub(super) struct ChangingPolicy(RwLock<Arc<Policy>>);

impl ChangingPolicy {
    /// As it is now.
    pub(super) fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it for whoever asks from now on.
    fn change<T>(&self, with: impl FnOnce(&mut Policy) -> T) -> T {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Policy::clone(&place);
        let outcome = with(&mut changed);
        *place = Arc::new(changed);
        outcome
    }
}

impl From<Policy> for ChangingPolicy {
    fn from(policy: Policy) -> Self {
        Self(RwLock::new(Arc::new(policy)))
    }
}

/// Why a rule cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// Rules are told apart by their names.
    #[error("there is a rule of this name")]
    Name,
    /// What a gateway counts and captures, it does for the rules that it begins with.
    #[error("a rule that is added has no `max_uses`, no `rate` and no `capture`")]
    Counted,
    /// Files of authorities are read when a gateway begins.
    #[error("no rule that the gateway began with has this `ca_file`")]
    Authority,
}

/// A rule that was added. It is over when this is dropped.
#[must_use = "the rule is over when this is dropped"]
pub struct TemporaryRule {
    shared: Arc<Shared>,
    name: String,
    ender: Ender,
    is_over: bool,
}

impl Gateway {
    /// Adds a rule, after those that there are. It counts for requests that come from now on, also on connections that were
    /// there before.
    ///
    /// # Errors
    /// [`NotAdded`]; then nothing has changed.
    pub fn add(&self, mut rule: Rule) -> Result<TemporaryRule, NotAdded> {
        if rule.max_uses.is_some() || rule.rate.is_some() || rule.capture.is_some() {
            return Err(NotAdded::Counted);
        }
        if !self.shared.upstreams.knows(rule.ca_file.as_ref()) {
            return Err(NotAdded::Authority);
        }
        let (ender, over) = Ender::new();
        rule.ended = Some(over);
        let name = rule.name.clone();
        self.shared.policy.change(|policy| {
            if policy.rules.iter().any(|it| it.name == rule.name) {
                return Err(NotAdded::Name);
            }
            policy.rules.push(rule);
            Ok(())
        })?;
        Ok(TemporaryRule {
            shared: Arc::clone(&self.shared),
            name,
            ender,
            is_over: false,
        })
    }
}

impl TemporaryRule {
    /// It is over: whoever is on its way by it is told this.
    pub fn end(mut self, refusal: Refusal) {
        self.is_over = true;
        self.finish(refusal);
    }

    fn finish(&self, refusal: Refusal) {
        // First of all, so that nothing new comes by it.
        self.shared
            .policy
            .change(|policy| policy.rules.retain(|rule| rule.name != self.name));
        self.ender.end(refusal.by_rule(&self.name));
    }
}

impl Drop for TemporaryRule {
    fn drop(&mut self) {
        if !self.is_over {
            self.finish(Refusal::new(Reason::Exhausted, "the rule is over"));
        }
    }
}

impl fmt::Debug for TemporaryRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TemporaryRule")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
