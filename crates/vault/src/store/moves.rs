//! What each change does to one lease or token: the one place that says so, for every store.
//!
//! The functions decide and change a value in memory; making that durable, and doing it under a lock or in a
//! transaction, is the store's part.

use std::sync::Arc;

use fnox_core::lease::LeaseState;
use fnox_vault_wire::methods::RevocationReason;
use jiff::Timestamp;

use super::{Caps, Refusal, TokenRecord};
use crate::lease::Lease;

/// How many leases live that a new one would stand beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Of the same agent.
    pub of_agent: u64,
    /// Of the same agent, by the same rule.
    pub by_rule: u64,
    /// Of the same session, whatever the agent; 0 without a session.
    pub of_session: u64,
}

impl Live {
    /// Counts `other` if it lives at the moment at which `new` is issued, and is of the same kind.
    pub fn count(&mut self, other: &Lease, new: &Lease) {
        if other.state != LeaseState::Active || other.expires_at <= new.issued_at {
            return;
        }
        if other.agent == new.agent {
            self.of_agent += 1;
            if other.rule == new.rule {
                self.by_rule += 1;
            }
        }
        if new.session.is_some() && other.session == new.session {
            self.of_session += 1;
        }
    }
}

/// Whether one lease more fits, given how many live.
pub fn grant(live: Live, caps: Caps, lease: &Lease) -> Result<(), Refusal> {
    let per_session = caps.per_session.filter(|_| lease.session.is_some());
    let checks = [
        (Some(caps.per_agent), live.of_agent, Caps::OF_AGENT),
        (caps.per_rule, live.by_rule, Caps::BY_RULE),
        (per_session, live.of_session, Caps::OF_SESSION),
    ];
    for (limit, count, what) in checks {
        if let Some(limit) = limit.filter(|limit| count >= u64::from(*limit)) {
            return Err(Refusal::Cap { what, limit });
        }
    }
    Ok(())
}

/// Counts one use.
pub fn spend(lease: &mut Lease, now: Timestamp) -> Result<(), Refusal> {
    must_live(lease, now)?;
    lease.uses += 1;
    if lease.remaining_uses() == Some(0) {
        lease.state = LeaseState::Exhausted;
    }
    Ok(())
}

/// Gives one use back.
pub fn refund(lease: &mut Lease) {
    lease.uses = lease.uses.saturating_sub(1);
    lease.state = lease.state.with_a_use_given_back();
}

/// Moves the expiry to a later moment.
pub fn renew(lease: &mut Lease, now: Timestamp, expires_at: Timestamp) -> Result<(), Refusal> {
    must_live(lease, now)?;
    lease.expires_at = lease.expires_at.max(expires_at);
    lease.renewals += 1;
    Ok(())
}

/// Moves the expiry to an earlier moment. Tells whether the lease is one that still can.
pub fn shorten(lease: &mut Lease, expires_at: Timestamp) -> bool {
    let lives = lease.state == LeaseState::Active;
    if lives {
        lease.expires_at = lease.expires_at.min(expires_at);
    }
    lives
}

/// What a withdrawal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It was live before.
    Live,
    /// It was over, but could have looked usable again.
    Over,
    /// It was withdrawn before and keeps its reason.
    Already,
}

/// Withdraws a lease.
pub fn revoke(lease: &mut Lease, reason: RevocationReason) -> Withdrawn {
    let withdrawn = match lease.state {
        LeaseState::Revoked => return Withdrawn::Already,
        LeaseState::Active => Withdrawn::Live,
        LeaseState::Pending | LeaseState::Expired | LeaseState::Exhausted => Withdrawn::Over,
    };
    lease.state = LeaseState::Revoked;
    lease.reason = Some(reason);
    withdrawn
}

/// Ends a lease whose time is over. Tells whether it was active.
pub fn expire(lease: &mut Lease) -> bool {
    let lives = lease.state == LeaseState::Active;
    if lives {
        lease.state = LeaseState::Expired;
    }
    lives
}

/// Counts one connection.
pub fn use_token(token: &mut TokenRecord, now: Timestamp) -> Result<(), Refusal> {
    let is_used_up = token.max_uses.is_some_and(|maximum| token.uses >= maximum);
    if token.revoked || token.expires_at <= now || is_used_up {
        return Err(Refusal::NotLive(None));
    }
    token.uses = token.uses.saturating_add(1);
    Ok(())
}

fn must_live(lease: &Lease, now: Timestamp) -> Result<(), Refusal> {
    let lives = lease.state == LeaseState::Active
        && lease.expires_at > now
        && lease.remaining_uses() != Some(0);
    if lives {
        Ok(())
    } else {
        Err(Refusal::NotLive(Some(Arc::new(lease.clone()))))
    }
}
