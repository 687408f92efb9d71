//! The vault's present moment: a wall clock that never runs back, and a clock that nobody can set.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fnox_core::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::lease_table::Moment;

/// How far the two clocks may drift apart between two looks before it counts as somebody setting the wall clock.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

#[derive(Debug)]
pub(super) struct Time(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The latest moment that is known to have passed.
    latest: Timestamp,
    /// Wall clock minus monotonic clock at the last look.
    offset: Option<SignedDuration>,
}

impl Time {
    /// `latest` is the time of the audit log's last record: a clock that was set back while the vault was
    /// off does not give anything back its life.
    pub(super) fn since(latest: Timestamp) -> Self {
        Self(Mutex::new(State {
            latest,
            offset: None,
        }))
    }

    pub(super) fn now(&self, clock: &dyn Clock) -> Moment {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest = state.latest.max(wall);
        Moment {
            wall: state.latest,
            monotonic,
        }
    }

    /// Whether somebody has set the wall clock since the last call.
    pub(super) fn has_jumped(&self, clock: &dyn Clock) -> bool {
        let offset = since_epoch(clock.now()) - signed(clock.monotonic());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.offset.replace(offset);
        before.is_some_and(|before| (offset - before).abs() > TOLERANCE)
    }
}

fn since_epoch(time: Timestamp) -> SignedDuration {
    time.duration_since(Timestamp::UNIX_EPOCH)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
