//! Minting: the intent on record, then the call, then the credential on record, then the credential in hand.

use fnox_core::lease::LeaseState;
use fnox_core::{Credential, Lifetime};
use jiff::{SignedDuration, Timestamp};

use super::Manager;
use super::acquire::{Held, Plan, Sharing};
use crate::error::LeaseError;
use crate::ledger::entry::{Entry, RevocationKind};
use crate::ledger::{LedgerError, random_hex};
use crate::mint::{CreateRequest, MintContext, MintError, Prepared, RevokeRequest};
use crate::principal::identify;

impl Manager<'_> {
    /// Mints a lease. The caller holds the lease's lock.
    pub(super) async fn issue(
        &self,
        plan: &Plan<'_>,
        context: &MintContext,
    ) -> Result<Held, LeaseError> {
        let intent = self.intent(plan).await?;
        let mut request = CreateRequest {
            duration: plan.duration,
            label: plan.label.clone(),
            provisional_id: intent.lease_id.clone(),
            prepared: Prepared::new(),
        };
        request.prepared = match plan.mint.prepare(context, &request).await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.settle(&intent, &error).await;
                return Err(failed(plan, error));
            }
        };
        if let Err(source) = self.record_prepared(&intent, &request.prepared).await {
            let withdrawn = undo(plan, context, request).await;
            return Err(not_recorded(plan, withdrawn, source));
        }
        let credential = match plan.mint.create(context, &request).await {
            Ok(credential) => credential,
            Err(error) => {
                self.settle(&intent, &error).await;
                return Err(failed(plan, error));
            }
        };
        let created_at = match self.record(&intent, &credential).await {
            Ok(created_at) => created_at,
            Err(source) => {
                let withdrawn = take_back(plan, context, credential).await;
                return Err(not_recorded(plan, withdrawn, source));
            }
        };
        Ok(Held {
            lease: plan.lease.name.clone(),
            credential,
            created_at,
            withhold: self.withheld_in(plan)?,
        })
    }

    /// Writes down what is about to be asked for. From here on a crash leaves something to find.
    async fn intent(&self, plan: &Plan<'_>) -> Result<Entry, LeaseError> {
        let opened = self.ledger.open().await?;
        let key = self.ledger.writing_key(&opened).await?;
        let now = self.options.clock.now();
        let kind = plan.lease.spec.name;
        let run = match plan.sharing {
            Sharing::ThisRun => Some(self.run()?),
            Sharing::Everybody | Sharing::Nobody => None,
        };
        let life = plan
            .duration
            .max(plan.mint.unfindable().unwrap_or(plan.duration));
        let prefix = if kind == "command" { "cmd" } else { kind };
        let entry = Entry {
            record: random_hex(),
            lease_id: format!("{prefix}-{}", random_hex()),
            lease: plan.lease.name.to_string(),
            kind: kind.to_owned(),
            label: plan.label.clone(),
            state: LeaseState::Pending,
            created_at: now,
            expires_at: Some(later(now, life)),
            revoked_at: None,
            revocation: plan.mint.revocation(),
            revocation_failure: None,
            // A record without identity is never reused.
            identity: (plan.sharing == Sharing::Everybody && !plan.mint.is_single_use()).then(
                || {
                    identify(
                        &key,
                        plan.lease,
                        plan.mint.as_ref(),
                        self.options.config,
                        self.options.env,
                    )
                },
            ),
            run,
            variables: Vec::new(),
            private: Vec::new(),
        };
        let copy = entry.clone();
        self.ledger
            .update(now, |entries| entries.push(copy))
            .await?;
        Ok(entry)
    }

    /// Writes down the handle of what is about to be issued.
    async fn record_prepared(
        &self,
        intent: &Entry,
        prepared: &Prepared,
    ) -> Result<(), LedgerError> {
        if prepared.is_empty() {
            return Ok(());
        }
        let now = self.options.clock.now();
        self.ledger
            .update(now, |entries| {
                if let Some(entry) = entries
                    .iter_mut()
                    .find(|entry| entry.record == intent.record)
                {
                    entry.private.clone_from(prepared);
                }
            })
            .await?;
        Ok(())
    }

    async fn record(
        &self,
        intent: &Entry,
        credential: &Credential,
    ) -> Result<Timestamp, LedgerError> {
        let now = self.options.clock.now();
        let mut completed = intent.clone();
        // A fresh intent can always be completed.
        let _ = completed.complete(credential, now);
        self.ledger
            .update(now, |entries| {
                entries.retain(|entry| entry.record != completed.record);
                entries.push(completed);
            })
            .await?;
        Ok(now)
    }

    /// After a failure: forgets the intent if surely nothing was issued, else leaves it for `cleanup`.
    async fn settle(&self, intent: &Entry, error: &MintError) {
        if error.maybe_issued {
            return;
        }
        let now = self.options.clock.now();
        let forgotten = self
            .ledger
            .update(now, |entries| {
                entries.retain(|entry| entry.record != intent.record);
            })
            .await;
        if let Err(error) = forgotten {
            tracing::debug!("the intent {} stays on record: {error}", intent.record);
        }
    }
}

pub(super) fn failed(plan: &Plan<'_>, error: MintError) -> LeaseError {
    let fields = &plan.lease.fields;
    LeaseError::Mint {
        lease: plan.lease.name.clone(),
        location: error.key.map(|key| fields.location_of(key).clone()),
        source: error,
    }
}

fn not_recorded(plan: &Plan<'_>, withdrawn: bool, source: LedgerError) -> LeaseError {
    LeaseError::NotRecorded {
        lease: plan.lease.name.clone(),
        withdrawn,
        source,
    }
}

/// Withdraws the handle of what was not issued yet.
async fn undo(plan: &Plan<'_>, context: &MintContext, request: CreateRequest) -> bool {
    let request = RevokeRequest {
        lease_id: request.provisional_id,
        is_intent: true,
        label: request.label,
        expires_at: None,
        credential: None,
        prepared: request.prepared,
    };
    plan.mint.revoke(context, &request).await.is_ok()
}

/// Withdraws a credential that could not be recorded, if its issuer can.
async fn take_back(plan: &Plan<'_>, context: &MintContext, credential: Credential) -> bool {
    if plan.mint.revocation() != RevocationKind::Supported {
        return false;
    }
    let request = RevokeRequest {
        lease_id: credential.id.clone(),
        is_intent: false,
        label: plan.label.clone(),
        expires_at: credential.expires_at,
        credential: Some(credential),
        prepared: Prepared::new(),
    };
    plan.mint.revoke(context, &request).await.is_ok()
}

pub(super) fn later(now: Timestamp, duration: Lifetime) -> Timestamp {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
