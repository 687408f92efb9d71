//! From a use of a lease to a credential: the one that the lease has, a renewed one, or a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fnox_core::credential::{Loan, MintTerms};
use fnox_core::{Credential, Lifetime};
use jiff::Timestamp;

use super::masters::EngineMasters;
use super::{Answer, Held, Issued, NotIssued, Slot};
use crate::engine::Engine;
use crate::engine::audit::lease_entry;
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;

impl Engine {
    /// What one use of a lease of a mint answers with: its credential, issued now if need be.
    pub(in crate::engine) async fn issued(
        &self,
        identity: &Identity,
        lease: &Lease,
        wanted: Option<&str>,
    ) -> Result<Option<Issued>, NotIssued> {
        let Some(terms) = self.mint_terms(&lease.secret) else {
            return Ok(None);
        };
        if let (Some(only), Some(wanted)) = (&terms.variable, wanted)
            && only != wanted
        {
            let text = format!("of `{}`, this vault gives out `{only}` alone", lease.secret);
            return Err(VaultError::Denied(text).into());
        }
        let slot = self.slot(lease)?;
        let now = self.now().wall;
        if !terms.per_operation
            && let Some(held) = &slot.state.read().await.held
            && held.is_good_for(lease, now)
        {
            return Ok(Some(self.answer(terms, lease, &held.credential, wanted)?));
        }
        let work = {
            let (engine, terms) = (self.clone(), terms.clone());
            let (lease, identity) = (lease.clone(), identity.clone());
            // Of its own, because it must not stop half-way where the caller hangs up.
            tokio::spawn(async move {
                if terms.per_operation {
                    engine
                        .issue_for_one_use(&identity, &slot, &terms, &lease)
                        .await
                } else {
                    engine
                        .issue_for_all_uses(&identity, &slot, &terms, &lease)
                        .await
                }
            })
        };
        let credential = work.await.unwrap_or_else(|_| {
            Err(VaultError::MintUnavailable(lease.secret.to_string()).into())
        })?;
        Ok(Some(self.answer(terms, lease, &credential, wanted)?))
    }

    fn answer(
        &self,
        terms: &MintTerms,
        lease: &Lease,
        credential: &Credential,
        wanted: Option<&str>,
    ) -> Result<Issued, VaultError> {
        let now = self.now().wall;
        if credential.expires_at.is_some_and(|end| end <= now) {
            return Err(VaultError::MintUnavailable(lease.secret.to_string()));
        }
        let wanted = wanted.or(terms.variable.as_deref());
        Ok(Issued {
            answer: Answer::of(lease.secret.as_str(), credential, wanted)?,
            note: note(credential),
        })
    }

    /// The place where a lease's credential is or will be. Whoever ends the lease from here on finds it.
    fn slot(&self, lease: &Lease) -> Result<Arc<Slot>, VaultError> {
        let Some(minted) = self.minted() else {
            return Err(VaultError::SecretNotFound(lease.secret.to_string()));
        };
        let slot = {
            let mut slots = minted.slots();
            if minted.is_closed.load(Ordering::Acquire) {
                return Err(VaultError::ShuttingDown);
            }
            let slot = slots.entry(lease.id).or_insert_with(|| {
                Arc::new(Slot {
                    lease: lease.clone(),
                    was_asked: AtomicBool::new(false),
                    state: Arc::default(),
                })
            });
            Arc::clone(slot)
        };
        // It may have ended a moment before it had a place to be ended in.
        if self.is_over(lease.id) {
            self.end_minted(lease.id);
            return Err(VaultError::LeaseRevoked(lease.id));
        }
        Ok(slot)
    }

    async fn issue_for_one_use(
        &self,
        identity: &Identity,
        slot: &Slot,
        terms: &MintTerms,
        lease: &Lease,
    ) -> Result<Credential, NotIssued> {
        let state = slot.state.read().await;
        if state.is_over {
            return Err(VaultError::LeaseRevoked(lease.id).into());
        }
        let credential = self.issue(slot, terms, lease).await?;
        self.record_credential("credential_issued", identity, lease, &credential)
            .await?;
        Ok(credential)
    }

    async fn issue_for_all_uses(
        &self,
        identity: &Identity,
        slot: &Slot,
        terms: &MintTerms,
        lease: &Lease,
    ) -> Result<Credential, NotIssued> {
        let mut state = slot.state.write().await;
        if state.is_over {
            return Err(VaultError::LeaseRevoked(lease.id).into());
        }
        let now = self.now().wall;
        let old = match &state.held {
            // Somebody else got it while this use waited.
            Some(held) if held.is_good_for(lease, now) => return Ok(held.credential.clone()),
            Some(held) if !held.has_ended(now) => Some(held.credential.clone()),
            _ => None,
        };
        let outcome = match &old {
            None => self.issue(slot, terms, lease).await,
            Some(old) => {
                self.renew_credential(terms, lease, lease.expires_at, old)
                    .await
            }
        };
        let credential = match (outcome, old) {
            (Ok(credential), _) => credential,
            // What has not ended still works, and nothing longer-lived takes its place.
            (Err(error), Some(old)) if old.expires_at.is_none_or(|end| end > self.now().wall) => {
                tracing::warn!(
                    "the credential of lease {} was not renewed: {}",
                    lease.id,
                    error.details.unwrap_or_else(|| error.error.to_string())
                );
                return Ok(old);
            }
            (Err(error), _) => return Err(error),
        };
        state.held = Some(Held {
            credential: credential.clone(),
            since: self.now().wall,
        });
        self.record_credential("credential_issued", identity, lease, &credential)
            .await?;
        Ok(credential)
    }

    async fn issue(
        &self,
        slot: &Slot,
        terms: &MintTerms,
        lease: &Lease,
    ) -> Result<Credential, NotIssued> {
        let Some(minted) = self.minted() else {
            return Err(VaultError::SecretNotFound(lease.secret.to_string()).into());
        };
        slot.was_asked.store(true, Ordering::Release);
        let loan = self.loan(terms, lease, lease.expires_at);
        minted
            .mints
            .issue(&terms.name, &loan, EngineMasters::of(self))
            .await
            .map_err(|error| NotIssued::by_mint(&terms.name, error))
    }

    async fn renew_credential(
        &self,
        terms: &MintTerms,
        lease: &Lease,
        until: Timestamp,
        held: &Credential,
    ) -> Result<Credential, NotIssued> {
        let Some(minted) = self.minted() else {
            return Err(VaultError::SecretNotFound(lease.secret.to_string()).into());
        };
        let loan = self.loan(terms, lease, until);
        minted
            .mints
            .renew(&terms.name, &loan, held, EngineMasters::of(self))
            .await
            .map_err(|error| NotIssued::by_mint(&terms.name, error))
    }

    /// For the rest of the lease's life, as near as the issuer can.
    fn loan(&self, terms: &MintTerms, lease: &Lease, until: Timestamp) -> Loan {
        let left = until.duration_since(self.now().wall);
        let seconds =
            u64::try_from(left.as_secs()).unwrap_or(0) + u64::from(left.subsec_nanos() > 0);
        Loan {
            holder: lease.id.to_string(),
            lifetime: Lifetime::from_secs(seconds).clamp(terms.minimum, terms.maximum),
        }
    }

    /// Renews the credential of a lease that is about to be renewed. Before the lease: a lease that promises more than
    /// its credential would be a promise that nobody keeps.
    pub(in crate::engine) async fn renew_minted(
        &self,
        identity: &Identity,
        lease: &Lease,
        until: Timestamp,
    ) -> Result<(), NotIssued> {
        let Some(terms) = self.mint_terms(&lease.secret) else {
            return Ok(());
        };
        let slot = self
            .minted()
            .and_then(|minted| minted.slots().get(&lease.id).cloned());
        let Some(slot) = slot.filter(|_| !terms.per_operation) else {
            return Ok(());
        };
        let (engine, terms) = (self.clone(), terms.clone());
        let (lease, identity) = (lease.clone(), identity.clone());
        let name = lease.secret.to_string();
        let work = tokio::spawn(async move {
            let mut state = slot.state.write().await;
            let held = match &state.held {
                Some(held) if !state.is_over => held.credential.clone(),
                _ => return Ok(()),
            };
            let now = engine.now().wall;
            // What has ended already is issued anew by the next use.
            if held.expires_at.is_none_or(|end| end >= until || end <= now) {
                return Ok(());
            }
            let credential = engine
                .renew_credential(&terms, &lease, until, &held)
                .await?;
            state.held = Some(Held {
                credential: credential.clone(),
                since: engine.now().wall,
            });
            engine
                .record_credential("credential_renewed", &identity, &lease, &credential)
                .await?;
            Ok(())
        });
        work.await
            .unwrap_or_else(|_| Err(VaultError::MintUnavailable(name).into()))
    }

    /// Both ids on one record.
    async fn record_credential(
        &self,
        event: &str,
        identity: &Identity,
        lease: &Lease,
        credential: &Credential,
    ) -> Result<(), VaultError> {
        let mut entry = lease_entry(event, identity, lease);
        entry.reason = Some(note(credential));
        self.record(vec![entry]).await
    }
}

fn note(credential: &Credential) -> String {
    match credential.expires_at {
        Some(end) => format!("credential {} until {end}", credential.id),
        None => format!("credential {} without an end of its own", credential.id),
    }
}
