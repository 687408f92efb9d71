//! How fast leases are granted.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::{AgentId, Clock};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::rule::Rule;

/// So many in so much time, for example `10/m`.
///
/// The whole number may be used up at once; after that, they come back evenly. So in any stretch of time there
/// are at most twice as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    per: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// The greatest number of a rate.
    pub const MOST: u32 = 1_000_000;

    /// Reads `10/m`, `1/s`, `100/h`.
    ///
    /// # Errors
    /// [`InvalidRate`], whatever is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidRate> {
        let (count, unit) = text.split_once('/').ok_or(InvalidRate)?;
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidRate);
        }
        let count: NonZeroU32 = count.parse().map_err(|_| InvalidRate)?;
        if count.get() > Self::MOST {
            return Err(InvalidRate);
        }
        let per = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(InvalidRate),
        };
        Ok(Self { count, per })
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// In how much time.
    #[must_use]
    pub fn per(&self) -> Duration {
        Duration::from_secs(match self.per {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }

    fn quota(self) -> Quota {
        match self.per {
            Unit::Second => Quota::per_second(self.count),
            Unit::Minute => Quota::per_minute(self.count),
            Unit::Hour => Quota::per_hour(self.count),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(formatter, "{}/{unit}", self.count)
    }
}

/// A text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a rate: write a number from 1 to 1000000 and a unit, as in `1/s`, `10/m` or `100/h`"
)]
pub(super) struct InvalidRate;

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
            Arc::new(RateLimiter::new(rate.quota(), store, self.clock.clone()))
        });
        Arc::clone(limiter)
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
