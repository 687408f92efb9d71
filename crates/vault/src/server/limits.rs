//! How much one caller, and all of them together, may ask of the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_vault_wire::Peer;
use tokio::sync::Notify;

/// Numbers that a server can be told.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one peer: one user, one guest, all of TCP.
    pub per_peer: usize,
    /// Requests of one connection that are under way at once.
    pub in_flight: usize,
    /// From the connection to the end of the hello.
    pub hello: Duration,
    /// Without any request.
    pub idle: Duration,
    /// One request.
    pub request: Duration,
    /// Requests that are under way when the server ends.
    pub shutdown: Duration,
}

impl Default for Limits {
    /// 12 000 connections, as many of one peer, 64 requests, 5 s, 1 h, 30 s, 5 s.
    fn default() -> Self {
        Self {
            connections: 12_000,
            per_peer: 12_000,
            in_flight: 64,
            hello: Duration::from_secs(5),
            idle: Duration::from_hours(1),
            request: Duration::from_secs(30),
            shutdown: Duration::from_secs(5),
        }
    }
}

/// Places for connections.
#[derive(Debug)]
pub(super) struct Slots(Arc<Places>);

#[derive(Debug)]
struct Places {
    total: usize,
    per_peer: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<Kind, usize>,
}

/// What counts as one peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    User(u32),
    Tcp,
    Guest(u32),
    HostSocket(std::path::PathBuf),
}

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Places {
            total: limits.connections,
            per_peer: limits.per_peer,
            taken: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// A place, if there is one.
    pub(super) fn take(&self, peer: &Peer) -> Option<Slot> {
        let kind = match peer {
            Peer::Unix { uid, .. } => Kind::User(*uid),
            Peer::Tcp { .. } => Kind::Tcp,
            Peer::Vsock { cid } => Kind::Guest(*cid),
            Peer::HostSocket { path } => Kind::HostSocket(path.clone()),
        };
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = taken.by_peer.get(&kind).copied().unwrap_or(0);
        if taken.total >= self.0.total || of_peer >= self.0.per_peer {
            return None;
        }
        taken.total += 1;
        taken.by_peer.insert(kind.clone(), of_peer + 1);
        Some(Slot {
            places: Arc::clone(&self.0),
            kind,
        })
    }

    /// Waits until no place is taken.
    pub(super) async fn all_free(&self) {
        loop {
            let freed = self.0.freed.notified();
            if self
                .0
                .taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .total
                == 0
            {
                return;
            }
            freed.await;
        }
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    places: Arc<Places>,
    kind: Kind,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self
            .places
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(count) = taken.by_peer.get_mut(&self.kind) {
            *count -= 1;
            if *count == 0 {
                taken.by_peer.remove(&self.kind);
            }
        }
        if taken.total == 0 {
            self.places.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_takes_no_more_than_its_share_and_gives_it_back() {
        let slots = Slots::new(&Limits {
            connections: 3,
            per_peer: 2,
            ..Limits::default()
        });
        let user = |uid| Peer::Unix {
            uid,
            gid: 0,
            pid: None,
        };
        let first = slots.take(&user(1));
        let second = slots.take(&user(1));
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(&user(1)).is_none());
        let other = slots.take(&user(2));
        assert!(other.is_some());
        assert!(slots.take(&user(3)).is_none(), "three in all");
        drop(first);
        assert!(slots.take(&user(1)).is_some());
    }
}
