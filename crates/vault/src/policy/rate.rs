//! How fast leases are granted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::{AgentId, Clock, Rate};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::rule::Rule;

/// An agent got leases faster than the rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rate} is exceeded; try again in {} ms", wait.as_millis())]
pub struct TooFast {
    /// What the rule allows.
    pub rate: Rate,
    /// When the next one can be had.
    pub wait: Duration,
}

/// Counts the leases that each agent got by each rule, as far as rules have rates.
///
/// It measures on the monotonic clock, so that nobody gains by setting the time. It survives a reload of the
/// policy: an agent that has spent a rate does not get it back because a file was saved. It is this process's
/// own; vaults that share a store count apart.
#[derive(Debug)]
pub struct RateLimits {
    clock: MonotonicClock,
    limiters: Mutex<HashMap<Rate, Arc<Limiter>>>,
}

type Key = (AgentId, Arc<str>);
type Limiter = RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock, NoOpMiddleware<Duration>>;

/// So many (agent, rule) pairs are remembered before those are dropped that have their whole rate again.
const SWEEP_AT: usize = 4096;

impl RateLimits {
    /// Nobody has got anything yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock: MonotonicClock(clock),
            limiters: Mutex::default(),
        }
    }

    /// Counts a lease for `agent` by `rule`. Call it right before the grant, when everything else is clear: a
    /// refused request costs nothing, a granted one cannot be given back.
    ///
    /// # Errors
    /// [`TooFast`] if it would be one too many. Then nothing is counted.
    pub fn check(&self, agent: &AgentId, rule: &Rule) -> Result<(), TooFast> {
        match rule.terms().and_then(|terms| terms.rate) {
            None => Ok(()),
            Some(rate) => self.check_rate(agent, &rule.name, rate),
        }
    }

    fn check_rate(&self, agent: &AgentId, rule: &Arc<str>, rate: Rate) -> Result<(), TooFast> {
        let limiter = self.limiter(rate);
        if limiter.len() >= SWEEP_AT {
            limiter.retain_recent();
        }
        limiter
            .check_key(&(agent.clone(), Arc::clone(rule)))
            .map_err(|refused| TooFast {
                rate,
                wait: refused.wait_time_from(self.clock.now()),
            })
    }

    /// All rules with the same rate share a limiter; the key tells them apart.
    fn limiter(&self, rate: Rate) -> Arc<Limiter> {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters.entry(rate).or_insert_with(|| {
            let store = HashMapStateStore::default();
            Arc::new(RateLimiter::new(quota(rate), store, self.clock.clone()))
        });
        Arc::clone(limiter)
    }
}

/// The rate as governor wants it.
fn quota(rate: Rate) -> Quota {
    match rate.per().as_secs() {
        1 => Quota::per_second(rate.count()),
        60 => Quota::per_minute(rate.count()),
        _ => Quota::per_hour(rate.count()),
    }
}

/// The monotonic side of fnox's clock, as governor wants it.
#[derive(Debug, Clone)]
struct MonotonicClock(Arc<dyn Clock>);

impl GovernorClock for MonotonicClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::policy::Policy;

    #[derive(Debug, Default)]
    struct HandClock(Mutex<Duration>);

    impl HandClock {
        fn advance(&self, by: Duration) {
            *self.0.lock().unwrap() += by;
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    fn rules(rates: &[&str]) -> Vec<Rule> {
        let head = "[[rule]]\nagent = \"a\"\nsecret = \"s\"\nhosts = [\"h\"]\n";
        let text: Vec<String> = rates.iter().map(|rate| [head, rate].concat()).collect();
        let text = text.join("\n");
        Policy::parse(&text, "policy.toml")
            .unwrap()
            .policy
            .rules()
            .to_vec()
    }

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    /// How many of 100 requests are granted.
    fn granted(limits: &RateLimits, agent: &AgentId, rule: &Rule) -> usize {
        (0..100)
            .filter(|_| limits.check(agent, rule).is_ok())
            .count()
    }

    #[test]
    fn a_rate_is_spent_and_comes_back_evenly() {
        let clock = Arc::new(HandClock::default());
        let limits = RateLimits::new(clock.clone());
        let rule = &rules(&["rate = \"10/m\""])[0];
        assert_eq!(granted(&limits, &agent("a"), rule), 10);
        let refused = limits.check(&agent("a"), rule).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(6));
        assert_eq!(
            refused.to_string(),
            "10/m is exceeded; try again in 6000 ms"
        );
        clock.advance(Duration::from_secs(6));
        assert_eq!(granted(&limits, &agent("a"), rule), 1);
        clock.advance(Duration::from_hours(1));
        assert_eq!(granted(&limits, &agent("a"), rule), 10);
    }

    #[test]
    fn every_agent_and_every_rule_has_its_own_rate() {
        let limits = RateLimits::new(Arc::new(HandClock::default()));
        let rules = rules(&["rate = \"1/s\"", "rate = \"1/s\"", "rate = \"5/h\"", ""]);
        for name in ["a", "b"] {
            let all = rules
                .iter()
                .map(|rule| granted(&limits, &agent(name), rule));
            assert_eq!(all.collect::<Vec<_>>(), [1, 1, 5, 100], "{name}");
        }
    }

    #[test]
    fn a_reload_of_the_same_policy_gives_nothing_back() {
        let limits = RateLimits::new(Arc::new(HandClock::default()));
        assert_eq!(
            granted(&limits, &agent("a"), &rules(&["rate = \"3/m\""])[0]),
            3
        );
        assert_eq!(
            granted(&limits, &agent("a"), &rules(&["rate = \"3/m\""])[0]),
            0
        );
    }

    #[test]
    fn many_threads_together_get_no_more() {
        let limits = RateLimits::new(Arc::new(HandClock::default()));
        let rule = &rules(&["rate = \"50/h\""])[0];
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| granted(&limits, &agent("a"), rule)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(all, 50);
    }

    #[test]
    fn agents_that_come_and_go_do_not_fill_the_memory() {
        let clock = Arc::new(HandClock::default());
        let limits = RateLimits::new(clock.clone());
        let rule = &rules(&["rate = \"1/s\""])[0];
        for number in 0..3 * SWEEP_AT {
            clock.advance(Duration::from_millis(10));
            limits
                .check(&agent(&format!("agent-{number}")), rule)
                .unwrap();
        }
        let limiter = limits.limiter(rule.terms().unwrap().rate.unwrap());
        assert!(limiter.len() <= SWEEP_AT + 1, "{}", limiter.len());
    }
}
