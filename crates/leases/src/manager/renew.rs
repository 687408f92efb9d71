//! Renewing a credential that somebody uses.

use std::sync::Arc;

use super::Manager;
use super::acquire::{Acquire, Held, Plan, Sharing};
use super::issue::failed;
use crate::error::LeaseError;
use crate::ledger::entry::{Entry, RevocationKind};
use crate::mint::{RenewRequest, RenewalKind};
use fnox_core::lease::is_fresh;
use fnox_core::prompt::NoPrompt;

impl Manager<'_> {
    /// A credential that outlives `held`: one that another process got meanwhile, the same one prolonged by its issuer,
    /// or a new one. The old one is left as it is, so it works until its own end. Nobody is asked anything.
    ///
    /// # Errors
    /// [`LeaseError`]; missing masters are one.
    pub async fn renew(&self, held: &Held, request: Acquire) -> Result<Held, LeaseError> {
        let request = Acquire {
            interactive: false,
            require: true,
            ..request
        };
        let lease = self.options.config.lease(held.lease.as_str())?;
        let plan = self.plan(lease, &request)?;
        let is_shared = request.sharing == Sharing::Everybody;
        let _guard = if is_shared {
            self.lock(lease).await?
        } else {
            self.share_lock(lease).await?
        };
        let opened = self.ledger.open().await?;
        let other = self.cached(&plan, &opened).filter(|_| is_shared);
        if let Some(other) = other.filter(|other| outlives(other, held)) {
            return Ok(other);
        }
        let mut context = self.context_of(&plan, &request).await?;
        // The terminal is the program's now.
        context.prompt = Arc::new(NoPrompt);
        if plan.mint.renewal() == RenewalKind::Prolonged
            && opened.entries.iter().any(|entry| is_record_of(entry, held))
        {
            match self.prolong(&plan, &context, held).await {
                Ok(Some(prolonged)) => return Ok(prolonged),
                Ok(None) => {}
                // A new one may be had all the same: a lease can be at the end of its longest life.
                Err(error) => tracing::debug!("`{}` is not prolonged: {error}", held.lease),
            }
        }
        let context = match self.prepared(&plan, &request, context) {
            Ok(context) => context,
            Err(stop) => return Err(stop.into_error()),
        };
        self.issue(&plan, &context).await
    }

    /// The same credential with a later end; `None` if the issuer did not give enough.
    async fn prolong(
        &self,
        plan: &Plan<'_>,
        context: &crate::mint::MintContext,
        held: &Held,
    ) -> Result<Option<Held>, LeaseError> {
        let request = RenewRequest {
            credential: held.credential.clone(),
            duration: plan.duration,
        };
        let credential = plan
            .mint
            .renew(context, &request)
            .await
            .map_err(|error| failed(plan, error))?;
        let now = self.options.clock.now();
        let id = held.credential.id.clone();
        let lease = held.lease.to_string();
        let copy = credential.clone();
        let is_recorded = self
            .ledger
            .update(now, move |entries| {
                entries
                    .iter_mut()
                    .find(|entry| entry.lease_id == id && entry.lease == lease)
                    .is_some_and(|entry| entry.prolong(&copy, now).is_ok())
            })
            .await?;
        let prolonged = Held {
            lease: held.lease.clone(),
            credential,
            created_at: now,
            withhold: held.withhold.clone(),
        };
        // Issuers may answer with success and less than was asked for (the end of the longest life).
        let is_enough = is_fresh(held.created_at, prolonged.credential.expires_at, now)
            && outlives(&prolonged, held);
        Ok((is_recorded && is_enough).then_some(prolonged))
    }
}

fn outlives(other: &Held, held: &Held) -> bool {
    match (other.credential.expires_at, held.credential.expires_at) {
        (None, Some(_)) => true,
        (Some(other), Some(held)) => other > held,
        (_, None) => false,
    }
}

fn is_record_of(entry: &Entry, held: &Held) -> bool {
    entry.lease_id == held.credential.id
        && entry.lease == held.lease.as_str()
        && entry.revocation_failure.is_none()
        && (entry.revocation == RevocationKind::Supported || entry.revoked_at.is_none())
}
