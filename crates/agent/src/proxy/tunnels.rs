//! What is open, by the host that it leads to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fnox_core::Host;
use tokio::sync::oneshot;

/// Every open tunnel. Copies are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Tunnels(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    /// None if the request names no proper host: then any end is its end.
    host: Option<String>,
    /// Dropped to end it.
    _alive: oneshot::Sender<()>,
}

/// A place in the table. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    tunnels: Tunnels,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Tunnels {
    /// A tunnel to what a request names is open from now on.
    pub(super) fn open(&self, authority: &str) -> Place {
        let host = Host::parse(authority).ok().map(|host| host.name());
        let (alive, ended) = oneshot::channel();
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.open.insert(
            number,
            Open {
                host,
                _alive: alive,
            },
        );
        Place {
            tunnels: self.clone(),
            number,
            ended,
        }
    }

    /// Ends what leads to a host, on any port; tells how many that were.
    pub(super) fn end_for(&self, name: &str) -> usize {
        let mut table = self.table();
        let before = table.open.len();
        table
            .open
            .retain(|_, open| open.host.as_deref().is_some_and(|host| host != name));
        before - table.open.len()
    }

    /// Ends all; tells how many that were.
    pub(super) fn end_all(&self) -> usize {
        let mut table = self.table();
        let count = table.open.len();
        table.open.clear();
        count
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until somebody ends the tunnel.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent: what ends it is that the sender is gone.
        let _gone = (&mut self.ended).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tunnels.table().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_tunnels_end_and_others_stay() {
        let tunnels = Tunnels::default();
        let mut one = tunnels.open("API.example:443");
        let mut other = tunnels.open("other.example:443");
        let mut nowhere = tunnels.open("###");
        let gone = tunnels.open("api.example");
        drop(gone);
        assert_eq!(tunnels.end_for("api.example"), 2);
        assert!(
            one.ended
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(
            nowhere.ended.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(
            other.ended.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        );
        assert_eq!(tunnels.end_all(), 1);
        assert_eq!(
            other.ended.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(tunnels.end_all(), 0);
    }
}
