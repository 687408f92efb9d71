//! Withdrawing credentials at their issuers: when their lease is over, when the vault ends, and when it runs again.
//!
//! Nobody waits for an issuer to be told. What it refuses, or does not answer, stays on the mint's own record and is
//! tried again for as long as the vault runs.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use fnox_core::audit::{Entry, Outcome};
use fnox_core::credential::{Settled, Withdrawal};
use fnox_vault_wire::LeaseId;

use super::masters::EngineMasters;
use super::{Minted, Slot};
use crate::engine::Engine;
use crate::engine::audit::{about, system_entry};
use crate::lease::Lease;

impl Engine {
    /// Withdraws what was issued for a lease that is over, without waiting for it.
    pub(in crate::engine) fn end_minted(&self, id: LeaseId) {
        let Some(minted) = self.minted() else {
            return;
        };
        let slot = minted.slots().remove(&id);
        if let Some(slot) = slot {
            let engine = self.clone();
            let mut ending = minted.ending();
            while ending.try_join_next().is_some() {}
            ending.spawn(async move { engine.withdraw_minted(&slot).await });
        }
    }

    /// The same for every lease that fits.
    pub(in crate::engine) fn end_minted_where(&self, fits: impl Fn(&Lease) -> bool) {
        let Some(minted) = self.minted() else {
            return;
        };
        let ids: Vec<LeaseId> = {
            let slots = minted.slots();
            let fitting = slots.values().filter(|slot| fits(&slot.lease));
            fitting.map(|slot| slot.lease.id).collect()
        };
        for id in ids {
            self.end_minted(id);
        }
    }

    /// The same for every lease that is over.
    pub(in crate::engine) fn end_overdue_minted(&self) {
        self.end_minted_where(|lease| self.is_over(lease.id));
    }

    async fn withdraw_minted(&self, slot: &Slot) {
        let mut state = slot.state.write().await;
        state.is_over = true;
        state.held = None;
        let Some(minted) = self.minted() else {
            return;
        };
        if !slot.was_asked.load(Ordering::Acquire) {
            return;
        }
        let holder = slot.lease.id.to_string();
        match minted
            .mints
            .withdraw(&holder, EngineMasters::of(self))
            .await
        {
            Ok(withdrawals) => {
                self.record_withdrawals(withdrawals, Some(&slot.lease))
                    .await;
            }
            Err(error) => tracing::warn!(
                "what was issued for lease {holder} could not be withdrawn yet: {error}"
            ),
        }
    }

    /// Withdraws what no lease holds any more: what a crash left behind, and what could not be withdrawn before. A
    /// running vault does it by itself.
    pub async fn settle_minted(&self) {
        let Some(minted) = self.minted() else {
            return;
        };
        let engine = self.clone();
        let is_live = Arc::new(move |holder: &str| engine.holds_minted(holder));
        match minted.mints.settle(is_live, EngineMasters::of(self)).await {
            Ok(withdrawals) => self.record_withdrawals(withdrawals, None).await,
            Err(error) => {
                tracing::warn!("what was issued before could not be withdrawn yet: {error}");
            }
        }
    }

    fn holds_minted(&self, holder: &str) -> bool {
        let id = holder.parse().ok().map(LeaseId);
        let slots = self.minted().map(Minted::slots);
        id.zip(slots)
            .is_some_and(|(id, slots)| slots.contains_key(&id))
    }

    /// Withdraws everything that was issued for any lease, and issues nothing more. For the end of the vault.
    pub async fn close_minted(&self) {
        let Some(minted) = self.minted() else {
            return;
        };
        {
            let _slots = minted.slots();
            minted.is_closed.store(true, Ordering::Release);
        }
        self.end_minted_where(|_| true);
        let mut ending = std::mem::take(&mut *minted.ending());
        while ending.join_next().await.is_some() {}
        self.settle_minted().await;
    }

    /// What is wrong with withdrawals right now.
    pub(in crate::engine) fn minted_problem(&self) -> Option<String> {
        let failed = self.minted()?.failed().len();
        (failed > 0).then(|| {
            format!(
                "{failed} credential{} of leases that are over could not be withdrawn and may still work: the audit \
                 log says why",
                if failed == 1 { "" } else { "s" }
            )
        })
    }

    async fn record_withdrawals(&self, withdrawals: Vec<Withdrawal>, lease: Option<&Lease>) {
        let entries: Vec<Entry> = withdrawals
            .into_iter()
            .filter(|withdrawal| {
                self.minted()
                    .is_some_and(|minted| minted.is_news(withdrawal))
            })
            .map(|withdrawal| withdrawal_entry(withdrawal, lease))
            .collect();
        if entries.is_empty() {
            return;
        }
        // It is done, whether it can be recorded or not, and nobody waits for an answer.
        if let Err(error) = self.record(entries).await {
            tracing::warn!("credentials were withdrawn, but that is not on record: {error}");
        }
    }
}

impl Minted {
    fn failed(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an outcome is worth a record: a failure that repeats itself is told once.
    fn is_news(&self, withdrawal: &Withdrawal) -> bool {
        let which = (withdrawal.name.clone(), withdrawal.credential.clone());
        match &withdrawal.outcome {
            Settled::Failed(why) => self.failed().insert(which, why.clone()).as_ref() != Some(why),
            Settled::Withdrawn | Settled::ExpiresOnly(_) => {
                self.failed().remove(&which);
                true
            }
        }
    }
}

fn withdrawal_entry(withdrawal: Withdrawal, lease: Option<&Lease>) -> Entry {
    let mut entry = system_entry("credential_withdrawn");
    if let Some(lease) = lease {
        entry = about(entry, lease);
    }
    entry.secret = Some(withdrawal.name);
    if let Some(id) = withdrawal.holder.and_then(|holder| holder.parse().ok()) {
        entry.lease = Some(id);
    }
    let what = withdrawal.credential;
    entry.reason = Some(match withdrawal.outcome {
        Settled::Withdrawn => format!("credential {what}"),
        Settled::ExpiresOnly(Some(end)) => {
            format!("credential {what}: its issuer cannot, it works until {end}")
        }
        Settled::ExpiresOnly(None) => {
            format!("credential {what}: its issuer cannot, and it has no end of its own")
        }
        Settled::Failed(why) => {
            entry.outcome = Outcome::Error;
            format!("credential {what}: {why}")
        }
    });
    entry
}
