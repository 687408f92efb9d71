//! Ending what is over, without being asked.

use std::time::Duration;

use fnox_core::lease::LeaseState;

use super::Engine;
use super::audit::{about, system_entry};
use crate::lease_table::Moment;
use crate::store::{Change, Foreign};

/// How many leases are ended in one transaction.
const BATCH: usize = 500;
/// The longest sleep: somebody may set the wall clock meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How often what could not be withdrawn at its issuer is tried again.
const SETTLE_EVERY: Duration = Duration::from_secs(30);
/// How often what ended long ago is forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

impl Engine {
    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.shared.time.now(self.shared.clock.as_ref())
    }

    /// Ends the leases whose time is over, and tells how many. A running vault does it by itself.
    pub async fn sweep(&self) -> u64 {
        if self.shared.time.has_jumped(self.shared.clock.as_ref()) {
            let now = self.now();
            self.table().rewind(now);
        }
        self.end_overdue_minted();
        let mut count = 0;
        loop {
            let now = self.now();
            let due = self.table().due(now, BATCH);
            if due.is_empty() {
                return count;
            }
            let ids = due.iter().map(|lease| lease.id).collect();
            let entries = due
                .iter()
                .map(|lease| about(system_entry("lease_expired"), lease))
                .collect();
            let outcome = self
                .shared
                .stores
                .leases
                .commit(Change::Expire { ids }, self.entries(entries))
                .await;
            if let Err(error) = self.shared.troubles.watch(outcome) {
                // Nobody can use them meanwhile: every use asks the clock.
                tracing::warn!(
                    "{} leases are over, but that could not be stored: {error}",
                    due.len()
                );
                self.table().still_due(&due);
                return count;
            }
            for lease in due {
                let ended = self.table().end(lease.id, LeaseState::Expired, None);
                if let Some(ended) = ended {
                    count += 1;
                    self.tell_ended(&ended);
                }
            }
        }
    }

    /// Sweeps, listens to other vaults and forgets what ended long ago, until the future is dropped.
    pub async fn run(&self) {
        tokio::join!(
            self.sweep_for_ever(),
            self.listen_for_ever(),
            self.forget_for_ever(),
            self.settle_for_ever()
        );
    }

    async fn sweep_for_ever(&self) {
        loop {
            self.sweep().await;
            let now = self.now().monotonic;
            let until = self
                .table()
                .next_deadline()
                .map_or(LONGEST_SLEEP, |next| next.saturating_sub(now));
            // One after another, not one for each lease.
            let pause = until.clamp(Duration::from_millis(50), LONGEST_SLEEP);
            tokio::time::sleep(pause).await;
        }
    }

    async fn settle_for_ever(&self) {
        loop {
            self.settle_minted().await;
            tokio::time::sleep(SETTLE_EVERY).await;
        }
    }

    async fn forget_for_ever(&self) {
        loop {
            let remember = self.shared.options.remember;
            if let Ok(before) = self.now().wall.checked_sub(remember)
                && let Err(error) = self.shared.stores.leases.forget(before).await
            {
                tracing::warn!("old leases could not be removed from the store: {error}");
            }
            tokio::time::sleep(FORGET_EVERY).await;
        }
    }

    async fn listen_for_ever(&self) {
        use tokio::sync::broadcast::error::RecvError;
        let Some(mut changes) = self.shared.stores.leases.foreign_changes() else {
            return;
        };
        loop {
            match changes.recv().await {
                Ok(change) => self.follow(change).await,
                Err(RecvError::Lagged(_)) => self.follow(Foreign::Unknown).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Does here what another vault did.
    async fn follow(&self, change: Foreign) {
        match change {
            Foreign::Leases(leases) => {
                for lease in leases {
                    self.learn_and_tell(&lease);
                }
            }
            Foreign::TokenRevoked(token) => self.tell_of_token(token),
            Foreign::SessionClosed(_) | Foreign::SecretChanged(_) => {}
            Foreign::RingChanged => self.reload_ring().await,
            Foreign::QuestionsChanged => self.shared.questions.stir(),
            Foreign::Unknown => {
                self.shared.questions.stir();
                self.reload_ring().await;
                if let Err(error) = self.learn_everything().await {
                    tracing::warn!("the store's leases could not be read: {error}");
                }
            }
        }
    }
}
