//! How often somebody may ask.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use fnox_api::{Problem, ProblemCode};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::settings::LimitSettings;

/// Counts refused requests by address, and requests by principal.
#[derive(Debug)]
pub(crate) struct Limits {
    failures: DefaultKeyedRateLimiter<IpAddr>,
    principals: DefaultKeyedRateLimiter<String>,
}

impl Limits {
    pub(super) fn new(settings: &LimitSettings) -> Self {
        let quota = |per_minute: u32| {
            Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN))
        };
        Self {
            failures: RateLimiter::keyed(quota(settings.anonymous_per_minute)),
            principals: RateLimiter::keyed(quota(settings.principal_per_minute)),
        }
    }

    /// Whether one more request of an address may be refused as it should be. After too many it only hears that there
    /// were too many; who has a good token is not harmed by a neighbour who has none.
    ///
    /// # Errors
    /// [`ProblemCode::RateLimited`]
    pub(super) fn may_fail(&self, address: IpAddr) -> Result<(), Problem> {
        self.tidy();
        // One network of IPv6 is one household.
        let key = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let bits = v6.to_bits() & (u128::MAX << 64);
                IpAddr::V6(bits.into())
            }
        };
        check(&self.failures, &key)
    }

    /// Whether a principal may ask once more.
    ///
    /// # Errors
    /// [`ProblemCode::RateLimited`]
    pub(super) fn may_ask(&self, principal: &str) -> Result<(), Problem> {
        check(&self.principals, &principal.to_owned())
    }

    /// Forgets addresses that have been quiet, before there are too many of them.
    fn tidy(&self) {
        if self.failures.len() > REMEMBERED {
            self.failures.retain_recent();
        }
        if self.principals.len() > REMEMBERED {
            self.principals.retain_recent();
        }
    }
}

fn check<K: Clone + Eq + Hash>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|refused| {
        Problem::new(ProblemCode::RateLimited).after(refused.wait_time_from(limiter.clock().now()))
    })
}

const REMEMBERED: usize = 10_000;
