//! What a gateway spent on a connection, and may give back: no use of anybody else, and none twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::Role;

/// Most leases that are remembered. What is forgotten stays spent.
const MOST: usize = 16 * 1024;

/// Uses by their leases.
#[derive(Debug)]
pub(super) struct Spent {
    is_of_gateway: bool,
    uses: Mutex<HashMap<LeaseId, u32>>,
}

impl Spent {
    /// Nothing yet. Only gateways give uses back.
    pub(super) fn by(role: Role) -> Self {
        Self {
            is_of_gateway: role == Role::Gateway,
            uses: Mutex::default(),
        }
    }

    /// One more.
    pub(super) fn note(&self, lease: LeaseId) {
        if !self.is_of_gateway {
            return;
        }
        let mut uses = self.lock();
        if uses.len() >= MOST && !uses.contains_key(&lease) {
            uses.clear();
        }
        *uses.entry(lease).or_default() += 1;
    }

    /// One less. False if there was none.
    pub(super) fn take(&self, lease: LeaseId) -> bool {
        let mut uses = self.lock();
        let Some(count) = uses.get_mut(&lease) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            uses.remove(&lease);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseId, u32>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn as_much_comes_back_as_was_spent() {
        let (one, other) = (LeaseId(Uuid::from_u128(1)), LeaseId(Uuid::from_u128(2)));
        let spent = Spent::by(Role::Gateway);
        spent.note(one);
        spent.note(one);
        assert!(!spent.take(other));
        assert!(spent.take(one) && spent.take(one) && !spent.take(one));
        let agent = Spent::by(Role::Agent);
        agent.note(one);
        assert!(!agent.take(one));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let spent = Spent::by(Role::Gateway);
        let of = |number: usize| LeaseId(Uuid::from_u128(number as u128));
        (0..=MOST).for_each(|number| spent.note(of(number)));
        assert!(!spent.take(of(0)));
        assert!(spent.take(of(MOST)));
    }
}
