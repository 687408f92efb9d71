//! How often rules were used. A use that never left is given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::rule::Rule;

/// The uses of a gateway's rules, by their names. Counted for as long as the gateway runs.
#[derive(Debug, Default)]
pub(super) struct Uses {
    counts: HashMap<String, Arc<AtomicU32>>,
}

impl Uses {
    pub(super) fn of(policy: &Policy) -> Self {
        let limited = policy.rules.iter().filter(|rule| rule.max_uses.is_some());
        Self {
            counts: limited
                .map(|rule| (rule.name.clone(), Arc::default()))
                .collect(),
        }
    }

    /// Takes a use of each rule, or of none.
    ///
    /// # Errors
    /// [`Reason::Exhausted`]
    pub(super) fn take(&self, rules: &[&Rule]) -> Result<Taken, Refusal> {
        let mut taken = Taken(Vec::new());
        for rule in rules {
            let (Some(limit), Some(count)) = (rule.max_uses, self.counts.get(&rule.name)) else {
                continue;
            };
            let next = |used: u32| (used < limit).then_some(used + 1);
            count
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
                .map_err(|_| used_up(rule, limit))?;
            taken.0.push(Arc::clone(count));
        }
        Ok(taken)
    }
}

fn used_up(rule: &Rule, limit: u32) -> Refusal {
    let message = format!("all {limit} uses are spent");
    Refusal::new(Reason::Exhausted, message)
        .by_rule(&rule.name)
        .with_remedy("Somebody must start the gateway again, or raise `max_uses`.")
}

/// Uses that are given back when this is dropped, unless they were spent.
#[derive(Debug)]
#[must_use]
pub(super) struct Taken(Vec<Arc<AtomicU32>>);

impl Taken {
    /// Something of the request may have left.
    pub(super) fn spend(mut self) {
        self.0.clear();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
