//! How often rules were used. A use that never left is given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fnox_core::Rate;
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::refused::whole_seconds;
use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::rule::Rule;

/// The uses of a gateway's rules, by their names. Counted for as long as the gateway runs.
#[derive(Debug, Default)]
pub(super) struct Uses {
    counts: HashMap<String, Arc<AtomicU32>>,
    rates: HashMap<String, DefaultDirectRateLimiter>,
}

impl Uses {
    pub(super) fn of(policy: &Policy) -> Self {
        let counted = policy.rules.iter().filter(|rule| rule.max_uses.is_some());
        let slowed = policy
            .rules
            .iter()
            .filter_map(|rule| Some((rule.name.clone(), RateLimiter::direct(quota(rule.rate?)))));
        Self {
            counts: counted
                .map(|rule| (rule.name.clone(), Arc::default()))
                .collect(),
            rates: slowed.collect(),
        }
    }

    /// Takes a use of each rule, or of none.
    ///
    /// # Errors
    /// [`Reason::Exhausted`]
    pub(super) fn take(&self, rules: &[&Rule]) -> Result<Taken, Refusal> {
        let mut taken = Taken(Vec::new());
        // What a rule captured counts as its own credential does, and both together as one.
        let is_first =
            |(index, rule): &(usize, &&Rule)| rules[..*index].iter().all(|it| it.name != rule.name);
        let rules: Vec<&Rule> = rules
            .iter()
            .enumerate()
            .filter(is_first)
            .map(|(_, rule)| *rule)
            .collect();
        for rule in &rules {
            let (Some(limit), Some(count)) = (rule.max_uses, self.counts.get(&rule.name)) else {
                continue;
            };
            let next = |used: u32| (used < limit).then_some(used + 1);
            count
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
                .map_err(|_| used_up(rule, limit))?;
            taken.0.push(Arc::clone(count));
        }
        // Last, because it cannot be given back.
        for rule in rules {
            if let (Some(rate), Some(limiter)) = (rule.rate, self.rates.get(&rule.name)) {
                limiter.check().map_err(|refused| {
                    let wait = refused.wait_time_from(limiter.clock().now());
                    too_fast(rule, rate, wait)
                })?;
            }
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

fn too_fast(rule: &Rule, rate: Rate, wait: Duration) -> Refusal {
    let seconds = whole_seconds(wait);
    Refusal::new(Reason::Exhausted, format!("{rate} is exceeded"))
        .by_rule(&rule.name)
        .with_remedy(format!("Wait {seconds} s, and send it again."))
        .after(wait)
}

/// The rate as governor wants it.
fn quota(rate: Rate) -> Quota {
    let count = rate.count();
    match rate.per().as_secs() {
        1 => Quota::per_second(count),
        60 => Quota::per_minute(count),
        _ => Quota::per_hour(count),
    }
}

/// Uses that are given back when this is dropped, unless they were spent.
#[derive(Debug)]
#[must_use]
pub(super) struct Taken(Vec<Arc<AtomicU32>>);

impl Taken {
    /// From here on something of the request may leave, whatever becomes of whoever waits for the answer.
    pub(super) fn spend(mut self) -> Spent {
        Spent(std::mem::take(&mut self.0))
    }
}

/// Uses that are spent.
#[derive(Debug)]
#[must_use]
pub(super) struct Spent(Vec<Arc<AtomicU32>>);

impl Spent {
    /// Nothing left.
    pub(super) fn give_back(self) {
        drop(Taken(self.0));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
