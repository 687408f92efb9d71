//! The leases that are live, in memory: who may use what right now.
//!
//! Checks and counts happen here under one short lock, so that they are atomic; the store is asked afterwards
//! and without the lock. A use, and the room for a new lease, is *reserved* first, then made durable, then
//! confirmed or given back. What is reserved counts as used, so no moment exists in which two callers see the
//! same last use.
//!
//! Expiry is a heap of monotonic deadlines: nothing is ever searched through to find what is over. Leases that
//! are over stay for a while, so that their holders are told why.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fnox_core::AgentId;
use fnox_core::lease::LeaseState;
use fnox_vault_wire::methods::RevocationReason;
use fnox_vault_wire::{LeaseId, SessionId};
use jiff::Timestamp;

use crate::lease::Lease;
use crate::store::{Caps, Refusal};

/// How many leases that are over are remembered.
const REMEMBERED: usize = 20_000;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// On the wall clock. Never runs back.
    pub wall: Timestamp,
    /// On the monotonic clock.
    pub monotonic: Duration,
}

/// All leases that are live, and the last ones that were.
#[derive(Debug, Default)]
pub(crate) struct LeaseTable {
    entries: HashMap<LeaseId, Box<Entry>>,
    deadlines: BinaryHeap<Reverse<(Duration, LeaseId)>>,
    over: VecDeque<LeaseId>,
    live: u64,
    per_agent: HashMap<AgentId, u32>,
    per_rule: HashMap<(AgentId, Arc<str>), u32>,
    per_session: HashMap<SessionId, u32>,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    /// When it ends on the monotonic clock.
    deadline: Duration,
    /// Uses that are being made durable.
    reserved: u32,
}

/// What stands in the way of using a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Expired,
    Exhausted,
    Revoked,
}

impl LeaseTable {
    /// Reserves room for a new lease. Give it back with [`Self::release_room`], or [`Self::admit`] the lease.
    pub(crate) fn reserve_room(&mut self, lease: &Lease, caps: Caps) -> Result<(), Refusal> {
        let at = |count: Option<&u32>| count.copied().unwrap_or(0);
        if at(self.per_agent.get(&lease.agent)) >= caps.per_agent {
            return Err(Refusal::Cap {
                what: Caps::OF_AGENT,
                limit: caps.per_agent,
            });
        }
        if let Some(limit) = caps.per_rule {
            let key = (lease.agent.clone(), Arc::clone(&lease.rule));
            if at(self.per_rule.get(&key)) >= limit {
                return Err(Refusal::Cap {
                    what: Caps::BY_RULE,
                    limit,
                });
            }
        }
        if let (Some(limit), Some(session)) = (caps.per_session, lease.session)
            && at(self.per_session.get(&session)) >= limit
        {
            return Err(Refusal::Cap {
                what: Caps::OF_SESSION,
                limit,
            });
        }
        self.count(lease, true);
        Ok(())
    }

    /// Gives reserved room back.
    pub(crate) fn release_room(&mut self, lease: &Lease) {
        self.count(lease, false);
    }

    /// Puts in a lease for which room is reserved.
    pub(crate) fn admit(&mut self, lease: Lease, now: Moment) {
        let deadline = deadline(&lease, now);
        self.deadlines.push(Reverse((deadline, lease.id)));
        self.entries.insert(
            lease.id,
            Box::new(Entry {
                lease,
                deadline,
                reserved: 0,
            }),
        );
    }

    /// Takes a lease over as the store has it, in the place of what was known of it.
    pub(crate) fn learn(&mut self, lease: Lease, now: Moment) {
        let reserved = self
            .entries
            .get(&lease.id)
            .map_or(0, |entry| entry.reserved);
        let was_live = self
            .entries
            .get(&lease.id)
            .is_some_and(|entry| is_counted(&entry.lease));
        let is_live = is_counted(&lease);
        if was_live != is_live {
            self.count(&lease, is_live);
        }
        let id = lease.id;
        let deadline = deadline(&lease, now);
        if is_live {
            self.deadlines.push(Reverse((deadline, id)));
        }
        self.entries.insert(
            id,
            Box::new(Entry {
                lease,
                deadline,
                reserved,
            }),
        );
        if !is_live {
            self.remember_over(id);
        }
    }

    /// A lease, also when it is over.
    pub(crate) fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.entries.get(&id).map(|entry| &entry.lease)
    }

    /// Whether a lease can be used now, and if not, why. `None`: it is not known here.
    pub(crate) fn standing(&self, id: LeaseId, now: Moment) -> Option<Result<&Lease, Over>> {
        let entry = self.entries.get(&id)?;
        Some(match over(entry, now) {
            Some(over) => Err(over),
            None => Ok(&entry.lease),
        })
    }

    /// Reserves one use of a lease that can be used now.
    pub(crate) fn reserve_use(&mut self, id: LeaseId, now: Moment) -> Option<Result<(), Over>> {
        let entry = self.entries.get_mut(&id)?;
        if let Some(over) = over(entry, now) {
            return Some(Err(over));
        }
        if let Some(maximum) = entry.lease.max_uses
            && entry.lease.uses.saturating_add(entry.reserved) >= maximum
        {
            return Some(Err(Over::Exhausted));
        }
        entry.reserved += 1;
        Some(Ok(()))
    }

    /// Gives a reserved use back.
    pub(crate) fn release_use(&mut self, id: LeaseId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.reserved = entry.reserved.saturating_sub(1);
        }
    }

    /// Counts a reserved use. The last one exhausts the lease.
    pub(crate) fn confirm_use(&mut self, id: LeaseId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.reserved = entry.reserved.saturating_sub(1);
        entry.lease.uses = entry.lease.uses.saturating_add(1);
        if entry.lease.remaining_uses() == Some(0) && entry.lease.state == LeaseState::Active {
            entry.lease.state = LeaseState::Exhausted;
            let lease = entry.lease.clone();
            self.count(&lease, false);
            self.remember_over(id);
        }
    }

    /// Takes a confirmed use back, because nothing was delivered.
    pub(crate) fn refund_use(&mut self, id: LeaseId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.lease.uses = entry.lease.uses.saturating_sub(1);
        let state = entry.lease.state.with_a_use_given_back();
        if state != entry.lease.state {
            entry.lease.state = state;
            let (deadline, lease) = (entry.deadline, entry.lease.clone());
            self.over.retain(|over| *over != id);
            self.deadlines.push(Reverse((deadline, id)));
            self.count(&lease, true);
        }
    }

    /// Sets another expiry.
    pub(crate) fn set_expiry(
        &mut self,
        id: LeaseId,
        expires_at: Timestamp,
        now: Moment,
        is_renewal: bool,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.lease.expires_at = expires_at;
        entry.lease.renewals += u32::from(is_renewal);
        entry.deadline = deadline(&entry.lease, now);
        self.deadlines.push(Reverse((entry.deadline, id)));
    }

    /// Ends a lease. Answers with it if it was live.
    pub(crate) fn end(
        &mut self,
        id: LeaseId,
        state: LeaseState,
        reason: Option<RevocationReason>,
    ) -> Option<Lease> {
        let entry = self.entries.get_mut(&id)?;
        let was_live = is_counted(&entry.lease);
        entry.lease.become_state(state, reason);
        let lease = entry.lease.clone();
        if was_live && !is_counted(&lease) {
            self.count(&lease, false);
            self.remember_over(id);
            return Some(lease);
        }
        None
    }

    /// Leases whose time is over on either clock, at most `limit`. They stay as they are until they are ended.
    pub(crate) fn due(&mut self, now: Moment, limit: usize) -> Vec<Lease> {
        let mut due = Vec::new();
        while due.len() < limit {
            match self.deadlines.peek() {
                Some(Reverse((deadline, _))) if *deadline <= now.monotonic => {}
                _ => break,
            }
            let Some(Reverse((deadline, id))) = self.deadlines.pop() else {
                break;
            };
            if let Some(entry) = self.entries.get(&id)
                && entry.deadline == deadline
                && is_counted(&entry.lease)
            {
                due.push(entry.lease.clone());
            }
        }
        due
    }

    /// Puts leases back that could not be ended durably, to be found due again.
    pub(crate) fn still_due(&mut self, leases: &[Lease]) {
        for lease in leases {
            if let Some(entry) = self.entries.get(&lease.id) {
                self.deadlines.push(Reverse((entry.deadline, lease.id)));
            }
        }
    }

    /// The next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines
            .peek()
            .map(|Reverse((deadline, _))| *deadline)
    }

    /// Computes every deadline anew, after somebody has set the wall clock.
    pub(crate) fn rewind(&mut self, now: Moment) {
        self.deadlines.clear();
        for (id, entry) in &mut self.entries {
            if is_counted(&entry.lease) {
                // The monotonic clock has the last word on how long a lease may live, the wall clock on how
                // short.
                entry.deadline = entry.deadline.min(deadline(&entry.lease, now));
                self.deadlines.push(Reverse((entry.deadline, *id)));
            }
        }
    }

    /// Live leases that fit.
    pub(crate) fn select(&self, fits: impl Fn(&Lease) -> bool) -> Vec<Lease> {
        self.entries
            .values()
            .map(|entry| &entry.lease)
            .filter(|lease| is_counted(lease) && fits(lease))
            .cloned()
            .collect()
    }

    /// How many leases are live.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    fn count(&mut self, lease: &Lease, more: bool) {
        adjust(&mut self.per_agent, lease.agent.clone(), more);
        adjust(
            &mut self.per_rule,
            (lease.agent.clone(), Arc::clone(&lease.rule)),
            more,
        );
        if let Some(session) = lease.session {
            adjust(&mut self.per_session, session, more);
        }
        self.live = if more {
            self.live + 1
        } else {
            self.live.saturating_sub(1)
        };
    }

    fn remember_over(&mut self, id: LeaseId) {
        self.over.push_back(id);
        while self.over.len() > REMEMBERED {
            if let Some(oldest) = self.over.pop_front()
                && self
                    .entries
                    .get(&oldest)
                    .is_some_and(|entry| !is_counted(&entry.lease))
            {
                self.entries.remove(&oldest);
            }
        }
    }
}

impl Lease {
    /// Moves to `state` if the life of a lease has that step, and keeps the reason.
    pub(crate) fn become_state(&mut self, state: LeaseState, reason: Option<RevocationReason>) {
        if self.state.become_state(state).is_ok() {
            self.reason = reason;
        }
    }
}

fn adjust<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: K, more: bool) {
    use std::collections::hash_map::Entry as Slot;
    match counts.entry(key) {
        Slot::Occupied(mut slot) if more => *slot.get_mut() += 1,
        Slot::Occupied(mut slot) if *slot.get() > 1 => *slot.get_mut() -= 1,
        Slot::Occupied(slot) => {
            slot.remove();
        }
        Slot::Vacant(slot) if more => {
            slot.insert(1);
        }
        Slot::Vacant(_) => {}
    }
}

/// Whether a lease counts as live: its time may be over, but nobody has ended it yet.
fn is_counted(lease: &Lease) -> bool {
    lease.state == LeaseState::Active
}

fn over(entry: &Entry, now: Moment) -> Option<Over> {
    match entry.lease.state {
        LeaseState::Revoked => Some(Over::Revoked),
        LeaseState::Expired => Some(Over::Expired),
        _ if now.monotonic >= entry.deadline || now.wall >= entry.lease.expires_at => {
            Some(Over::Expired)
        }
        LeaseState::Exhausted => Some(Over::Exhausted),
        LeaseState::Active | LeaseState::Pending => None,
    }
}

fn deadline(lease: &Lease, now: Moment) -> Duration {
    let left = lease.expires_at.duration_since(now.wall);
    now.monotonic + Duration::try_from(left).unwrap_or(Duration::ZERO)
}
