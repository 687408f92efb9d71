//! How often somebody may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;

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
    pub(super) fn may_fail(&self, address: IpAddr) -> bool {
        self.tidy();
        // One network of IPv6 is one household.
        let key = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let bits = v6.to_bits() & (u128::MAX << 64);
                IpAddr::V6(bits.into())
            }
        };
        self.failures.check_key(&key).is_ok()
    }

    /// Whether a principal may ask once more.
    pub(super) fn may_ask(&self, principal: &str) -> bool {
        self.principals.check_key(&principal.to_owned()).is_ok()
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

const REMEMBERED: usize = 10_000;
