//! Minting: the intent on record, then the call, then the credential on record, then the credential in hand.

use fnox_core::lease::LeaseState;
use fnox_core::{Credential, Lifetime};
use jiff::{SignedDuration, Timestamp};

use super::Manager;
use super::acquire::{Held, Plan};
use crate::error::LeaseError;
use crate::ledger::entry::{Entry, RevocationKind};
use crate::ledger::{LedgerError, random_hex};
use crate::mint::{CreateRequest, MintContext, MintError, RevokeRequest};
use crate::principal::identify;

impl Manager<'_> {
    /// Mints a lease. The caller holds the lease's lock.
    pub(super) async fn issue(
        &self,
        plan: &Plan<'_>,
        context: &MintContext,
    ) -> Result<Held, LeaseError> {
        let intent = self.intent(plan).await?;
        let request = CreateRequest {
            duration: plan.duration,
            label: plan.label.clone(),
            provisional_id: intent.lease_id.clone(),
        };
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
                return Err(LeaseError::NotRecorded {
                    lease: plan.lease.name.clone(),
                    withdrawn: take_back(plan, context, credential).await,
                    source,
                });
            }
        };
        Ok(Held {
            lease: plan.lease.name.clone(),
            credential,
            created_at,
            withhold: self.withheld_by(plan.mint.as_ref()),
        })
    }

    /// Writes down what is about to be asked for. From here on a crash leaves something to find.
    async fn intent(&self, plan: &Plan<'_>) -> Result<Entry, LeaseError> {
        let opened = self.ledger.open().await?;
        let key = self.ledger.writing_key(&opened).await?;
        let now = self.options.clock.now();
        let kind = plan.lease.spec.name;
        let prefix = if kind == "command" { "cmd" } else { kind };
        let entry = Entry {
            record: random_hex(),
            lease_id: format!("{prefix}-{}", random_hex()),
            lease: plan.lease.name.to_string(),
            kind: kind.to_owned(),
            label: plan.label.clone(),
            state: LeaseState::Pending,
            created_at: now,
            expires_at: Some(later(now, plan.duration)),
            revoked_at: None,
            revocation: plan.mint.revocation(),
            revocation_failure: None,
            identity: Some(identify(
                &key,
                plan.lease,
                plan.mint.as_ref(),
                self.options.config,
                self.options.env,
            )),
            variables: Vec::new(),
        };
        let copy = entry.clone();
        self.ledger
            .update(now, |entries| entries.push(copy))
            .await?;
        Ok(entry)
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

fn failed(plan: &Plan<'_>, error: MintError) -> LeaseError {
    let fields = &plan.lease.fields;
    LeaseError::Mint {
        lease: plan.lease.name.clone(),
        location: error.key.map(|key| fields.location_of(key).clone()),
        source: error,
    }
}

/// Withdraws a credential that could not be recorded, if its issuer can.
async fn take_back(plan: &Plan<'_>, context: &MintContext, credential: Credential) -> bool {
    if plan.mint.revocation() != RevocationKind::Supported {
        return false;
    }
    let request = RevokeRequest {
        lease_id: credential.id.clone(),
        label: plan.label.clone(),
        credential: Some(credential),
    };
    plan.mint.revoke(context, &request).await.is_ok()
}

fn later(now: Timestamp, duration: Lifetime) -> Timestamp {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
