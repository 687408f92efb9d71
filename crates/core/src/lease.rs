//! The life of a lease: its states and the only moves between them.
//!
//! ```text
//! pending ──▶ active ──▶ expired ──▶ revoked
//!    │           ├─────▶ exhausted ─▶ revoked
//!    │           └─────▶ revoked
//!    └─────▶ revoked   (an intent that `cleanup` found and settled)
//! ```
//!
//! `revoked` is final. Nothing ever becomes active again: a used or expired right is not revived.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// The intent is on record; whether the issuer has issued anything is not known yet.
    Pending,
    /// Issued and usable.
    Active,
    /// Past its expiry.
    Expired,
    /// All of its uses are spent.
    Exhausted,
    /// Withdrawn, at the issuer where it can, otherwise only here.
    Revoked,
}

impl LeaseState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Active,
        Self::Expired,
        Self::Exhausted,
        Self::Revoked,
    ];

    /// Whether a lease in this state may move to `next`. Staying where it is is not a move.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        use LeaseState::{Active, Exhausted, Expired, Pending, Revoked};
        matches!(
            (self, next),
            (Pending, Active | Revoked)
                | (Active, Expired | Exhausted | Revoked)
                | (Expired | Exhausted, Revoked)
        )
    }

    /// The state after a use was given back that never happened, because nothing was delivered. That is
    /// not a move: the right was not used. Only `exhausted` changes, and an ended lease stays ended.
    #[must_use]
    pub fn with_a_use_given_back(self) -> Self {
        match self {
            Self::Exhausted => Self::Active,
            other => other,
        }
    }

    /// Moves to `next`.
    ///
    /// # Errors
    /// [`IllegalMove`] if the life of a lease has no such step.
    pub fn become_state(&mut self, next: Self) -> Result<(), IllegalMove> {
        if !self.can_become(next) {
            return Err(IllegalMove {
                from: *self,
                to: next,
            });
        }
        *self = next;
        Ok(())
    }
}

impl fmt::Display for LeaseState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::Revoked => "revoked",
        })
    }
}

/// A step that the life of a lease does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lease that is {from} cannot become {to}")]
pub struct IllegalMove {
    /// The state it is in.
    pub from: LeaseState,
    /// The state it was asked to take.
    pub to: LeaseState,
}

/// How much of a credential's life must be left for it to be handed out again: five minutes, or a
/// fifth of its life where that is less. A fixed window would never let a 15-minute credential be
/// reused for long, and a 5-minute one not at all.
#[must_use]
pub fn renewal_margin(created_at: Timestamp, expires_at: Timestamp) -> SignedDuration {
    let life = expires_at.duration_since(created_at);
    (life / 5).clamp(SignedDuration::ZERO, SignedDuration::from_mins(5))
}

/// Whether a credential with this life may still be handed out at `now`.
#[must_use]
pub fn is_fresh(created_at: Timestamp, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    match expires_at {
        None => true,
        Some(expires_at) => expires_at.duration_since(now) > renewal_margin(created_at, expires_at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn an_hour_is_reused_until_five_minutes_before_its_end() {
        assert!(is_fresh(at(0), Some(at(3600)), at(3299)));
        assert!(!is_fresh(at(0), Some(at(3600)), at(3300)));
    }

    #[test]
    fn a_quarter_of_an_hour_is_reused_for_four_fifths_of_it() {
        assert!(is_fresh(at(0), Some(at(900)), at(719)));
        assert!(!is_fresh(at(0), Some(at(900)), at(720)));
    }

    #[test]
    fn a_credential_that_never_expires_stays_fresh() {
        assert!(is_fresh(at(0), None, at(i64::from(i32::MAX))));
    }

    proptest! {
        #[test]
        fn no_history_of_moves_ever_revives_a_lease(moves in prop::collection::vec(0usize..5, 0..40)) {
            let mut state = LeaseState::Pending;
            let mut was_over = false;
            let mut was_revoked = false;
            for next in moves {
                let next = LeaseState::ALL[next];
                let before = state;
                let moved = state.become_state(next).is_ok();
                prop_assert_eq!(moved, before.can_become(next));
                prop_assert!(moved || state == before);
                prop_assert!(!(was_over && state == LeaseState::Active));
                prop_assert!(!was_revoked || state == LeaseState::Revoked);
                was_over |= matches!(state, LeaseState::Expired | LeaseState::Exhausted | LeaseState::Revoked);
                was_revoked |= state == LeaseState::Revoked;
            }
        }

        #[test]
        fn nothing_is_fresh_at_or_after_its_expiry(life in 1i64..100_000, late in 0i64..100_000) {
            prop_assert!(!is_fresh(at(0), Some(at(life)), at(life + late)));
        }
    }
}
