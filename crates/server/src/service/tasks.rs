//! What happens by itself: things end by time, are forgotten, and files are read again.

use std::time::Duration;

use super::Service;

impl Service {
    /// Runs until it is dropped.
    pub async fn keep_house(&self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u64 = 0;
        loop {
            tick.tick().await;
            self.tidy(ticks).await;
            ticks += 1;
        }
    }

    async fn tidy(&self, ticks: u64) {
        self.reload_policy();
        self.look_for_restoration().await;
        if ticks.is_multiple_of(EXPIRE_EVERY) {
            match self.store().expire(self.now(), BATCH).await {
                Ok(expired) => {
                    metrics::counter!("fnox_approvals_total", "status" => "expired")
                        .increment(expired.len() as u64);
                }
                Err(error) => tracing::warn!(%error, "nothing could be expired"),
            }
        }
        if ticks.is_multiple_of(FORGET_EVERY) && ticks > 0 {
            if let Err(error) = self.store().forget(self.now(), REMEMBERED).await {
                tracing::warn!(%error, "nothing could be forgotten");
            }
            // Kept where logs go, so that a log that was cut and sealed anew is noticed there.
            match self.store().database().audit_head().await {
                Ok(Some(head)) => tracing::info!(
                    records = head.sequence, mac = %hex::encode(head.mac), "the audit log's head"
                ),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the audit log's head cannot be read"),
            }
        }
    }

    /// Refuses tokens from before a restoration: that they were used may be forgotten.
    async fn look_for_restoration(&self) {
        match self.store().database().take_restored().await {
            Ok(None) => {}
            Ok(Some(moment)) => {
                self.verifier().refuse_before(moment);
                tracing::warn!(
                    %moment,
                    "the database was put back to an older state: tokens from before are refused"
                );
            }
            // The same is told by whatever fails because of it.
            Err(error) => {
                tracing::debug!(%error, "whether the database was put back cannot be read");
            }
        }
    }

    /// Reads the policy again if its file changed. One that is broken, or that others may write to, is told, and the
    /// old one stays.
    pub fn reload_policy(&self) {
        match self.policy().reload_if_changed() {
            None => {}
            Some(Ok(())) => tracing::info!("the policy was read again"),
            Some(Err(error)) => {
                tracing::error!(%error, "the policy's file cannot be used; the policy before it stays in force");
            }
        }
    }
}

const TICK: Duration = Duration::from_secs(1);
const EXPIRE_EVERY: u64 = 5;
const FORGET_EVERY: u64 = 600;
const BATCH: u32 = 200;
/// How long approvals that are over can still be looked at.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);
