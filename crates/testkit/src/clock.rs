//! A clock that a test advances.

use std::sync::{Mutex, PoisonError};

use fnox_core::Clock;
use jiff::{SignedDuration, Timestamp};

/// Stands still until told otherwise.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// A clock that shows `start`, an RFC 3339 text such as `2026-01-02T03:04:05Z`.
    #[must_use]
    pub fn at(start: &str) -> Self {
        Self(Mutex::new(start.parse().expect("an RFC 3339 timestamp")))
    }

    /// Moves it forwards.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
