//! Room that is reserved while a grant becomes durable, and a use while an access does. Both are given back if
//! the work ends in any other way, also when its future is dropped.

use super::Engine;
use crate::lease::Lease;

/// Room for a new lease.
#[must_use]
pub(super) struct Room<'a> {
    engine: &'a Engine,
    lease: Lease,
    open: bool,
}

impl<'a> Room<'a> {
    /// Takes over room that was reserved for `lease`.
    pub(super) fn reserved(engine: &'a Engine, lease: Lease) -> Self {
        Self {
            engine,
            lease,
            open: true,
        }
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The lease is granted.
    pub(super) fn admit(mut self) {
        self.open = false;
        let now = self.engine.now();
        self.engine.table().admit(self.lease.clone(), now);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.open {
            self.engine.table().release_room(&self.lease);
        }
    }
}

/// One use of a lease.
#[must_use]
pub(super) struct Use<'a> {
    engine: &'a Engine,
    lease: Lease,
    open: bool,
}

impl<'a> Use<'a> {
    /// Takes over a use that was reserved.
    pub(super) fn reserved(engine: &'a Engine, lease: Lease) -> Self {
        Self {
            engine,
            lease,
            open: true,
        }
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// It counts: it is durable, or may be.
    pub(super) fn confirm(mut self) {
        self.open = false;
        self.engine.table().confirm_use(self.lease.id);
    }

    /// It does not count, because the store says that the lease is over, or that nothing was written.
    pub(super) fn give_back(mut self) {
        self.open = false;
        self.engine.table().release_use(self.lease.id);
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        if self.open {
            self.engine.table().release_use(self.lease.id);
        }
    }
}
