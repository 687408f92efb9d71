//! A clock that a test advances.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fnox_core::Clock;
use jiff::{SignedDuration, Timestamp};

/// Stands still until told otherwise.
#[derive(Debug)]
pub struct FakeClock(Mutex<(Timestamp, Duration)>);

impl FakeClock {
    /// A clock that shows `start`, an RFC 3339 text such as `2026-01-02T03:04:05Z`.
    #[must_use]
    pub fn at(start: &str) -> Self {
        let start = start.parse().expect("an RFC 3339 timestamp");
        Self(Mutex::new((start, Duration::ZERO)))
    }

    /// Lets time pass: both clocks move forwards.
    pub fn advance(&self, by: SignedDuration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 += by;
        times.1 += Duration::try_from(by).expect("time passes forwards");
    }

    /// Sets the wall clock, as a person or a time server does; no time passes.
    pub fn set_wall(&self, to: Timestamp) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 = to;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = FakeClock::at("2026-01-02T03:04:05Z");
        assert_eq!(clock.now().to_string(), "2026-01-02T03:04:05Z");
        clock.advance(SignedDuration::from_mins(15));
        assert_eq!(clock.now().to_string(), "2026-01-02T03:19:05Z");
    }
}
