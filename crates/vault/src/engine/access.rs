//! Spending leases.

use fnox_core::audit::Entry;
use fnox_core::{Host, SecretBytes, VaultName};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::{AccessSecret, Delivery, Role};

use super::Engine;
use super::admission::Use;
use super::audit::{entry, lease_entry};
use super::minted::{Answer, Issued, NotIssued};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::key_ring::KeyRingError;
use crate::lease::Lease;
use crate::lease_table::{Moment, Over};
use crate::store::{Change, Refusal, StoreError};

/// A value on its way to the holder of a lease.
///
/// The use is counted and on record. Whoever could not deliver a single byte of it gives the use back with
/// [`Engine::undelivered`].
#[derive(Debug)]
#[must_use]
pub struct Delivered {
    /// The value.
    pub secret: SecretBytes,
    /// The lease that was spent.
    pub lease: LeaseId,
}

impl Engine {
    /// Spends one use of a lease and answers with the value.
    ///
    /// # Errors
    /// `LeaseNotFound` also for the lease of somebody else; `LeaseRevoked`, `LeaseExpired`, `LeaseExhausted`;
    /// `Denied` for another host, or where only a gateway may use the value; `SecretNotFound`, `Opening`, `Store`,
    /// `MintUnavailable`, `MintRefused`: then the use is not spent, unless the store cannot say whether it is.
    pub async fn access_secret(
        &self,
        identity: &Identity,
        params: &AccessSecret,
    ) -> Result<Delivered, VaultError> {
        let target = Host::parse(&params.target_domain)?;
        let id = params.lease_id;
        let lease = match self.own_live_lease(identity, id).await {
            Ok(lease) => lease,
            Err(error) => {
                return self
                    .deny(self.entry_of("access_denied", identity, id), error)
                    .await;
            }
        };
        let denied = || {
            let mut entry = lease_entry("access_denied", identity, &lease);
            entry.host = Some(target.to_string());
            entry
        };
        if !lease.host.covers(&target) {
            let error =
                VaultError::Denied(format!("the lease is for {}, not for {target}", lease.host));
            return self.deny(denied(), error).await;
        }
        if lease.delivery == Delivery::Inject && identity.role != Role::Gateway {
            let error = VaultError::Denied(format!(
                "{} lets only a gateway use `{}`; its value is not given out",
                lease.rule, lease.secret
            ));
            return self.deny(denied(), error).await;
        }
        let now = self.now();
        let reserved = self.table().reserve_use(id, now);
        let reserved = match reserved {
            Some(Ok(())) => Use::reserved(self, lease.clone()),
            Some(Err(over)) => return self.deny(denied(), over_error(over, id)).await,
            None => return self.deny(denied(), VaultError::LeaseNotFound(id)).await,
        };
        let wanted = params.variable.as_deref();
        let (secret, note) = match self.value_for(identity, reserved.lease(), wanted).await {
            Ok(found) => found,
            Err(not_issued) => {
                drop(reserved);
                let mut entry = denied();
                let error = not_issued.noted(&mut entry);
                return self.deny(entry, error).await;
            }
        };
        self.spend(identity, reserved, &target, note).await?;
        Ok(Delivered { secret, lease: id })
    }

    /// The value that a use is answered with, and what its record says of it: of a credential which one it is.
    async fn value_for(
        &self,
        identity: &Identity,
        lease: &Lease,
        variable: Option<&str>,
    ) -> Result<(SecretBytes, Option<String>), NotIssued> {
        if let Some(issued) = self.issued(identity, lease, variable).await? {
            let Issued {
                answer: Answer(value),
                note,
            } = issued;
            return Ok((value, Some(note)));
        }
        if variable.is_some() {
            let text = format!(
                "`{}` is a stored secret, which has no variables",
                lease.secret
            );
            return Err(VaultError::Invalid(text).into());
        }
        Ok((self.value_of(&lease.secret).await?, None))
    }

    async fn spend(
        &self,
        identity: &Identity,
        reserved: Use<'_>,
        target: &Host,
        note: Option<String>,
    ) -> Result<(), VaultError> {
        let id = reserved.lease().id;
        let entry = |event| {
            let mut entry = lease_entry(event, identity, reserved.lease());
            entry.host = Some(target.to_string());
            entry
        };
        let entries = self.entry_with(|| Entry {
            reason: note,
            ..entry("secret_accessed")
        });
        let change = Change::Spend {
            id,
            now: self.now().wall,
        };
        let outcome = self.shared.stores.leases.commit(change, entries).await;
        match self.shared.troubles.watch(outcome) {
            Ok(moved) => {
                // Where others spend too, the store's count is the true one.
                match moved
                    .into_iter()
                    .next()
                    .filter(|_| self.shared.stores.leases.is_shared())
                {
                    Some(lease) => {
                        reserved.give_back();
                        self.learn(lease);
                    }
                    None => reserved.confirm(),
                }
                Ok(())
            }
            Err(StoreError::Refused(refusal)) => {
                let entry = entry("access_denied");
                reserved.give_back();
                let error = self.learn_refusal(id, refusal);
                self.deny(entry, error).await
            }
            Err(error @ StoreError::NotWritten { .. }) => {
                reserved.give_back();
                Err(error.into())
            }
            // It may be durable all the same: a right that may be used is used.
            Err(error) => {
                reserved.confirm();
                Err(error.into())
            }
        }
    }

    /// The value of a stored secret, or of one that lives elsewhere.
    pub(super) async fn value_of(&self, name: &VaultName) -> Result<SecretBytes, VaultError> {
        let missing = || VaultError::SecretNotFound(name.to_string());
        if let Some(live) = &self.shared.live {
            return live
                .value(name)
                .await
                .map_err(|error| self.failed(error))?
                .ok_or_else(missing);
        }
        let read = async || {
            let stored = self.shared.stores.secrets.secret(name).await;
            stored
                .map_err(|error| self.failed(error))?
                .ok_or_else(missing)
        };
        match self.shared.ring.open_secret(read().await?.as_ref()) {
            // Sealed with a key that another vault has just made, or sealed anew since it was read.
            Err(KeyRingError::UnknownKey { .. }) => {
                self.reload_ring().await;
                Ok(self.shared.ring.open_secret(read().await?.as_ref())?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Gives a use back of which not one byte was delivered.
    ///
    /// # Errors
    /// `Store`: then the use stays spent.
    pub async fn undelivered(&self, identity: &Identity, id: LeaseId) -> Result<(), VaultError> {
        self.refund(identity, id, "nothing was delivered").await
    }

    /// Gives a use back of which a gateway says that nothing of its request left. That it spent the use, and gives it back
    /// but once, is for the caller to know.
    ///
    /// # Errors
    /// `Store`: then the use stays spent.
    pub async fn unsent(&self, identity: &Identity, id: LeaseId) -> Result<(), VaultError> {
        self.refund(identity, id, "nothing was sent").await
    }

    async fn refund(
        &self,
        identity: &Identity,
        id: LeaseId,
        reason: &str,
    ) -> Result<(), VaultError> {
        let mut entry = self.entry_of("use_refunded", identity, id);
        entry.reason = Some(reason.to_owned());
        let change = Change::Refund { id };
        self.shared
            .stores
            .leases
            .commit(change, self.entries(vec![entry]))
            .await
            .map_err(|error| self.failed(error))?;
        self.table().refund_use(id);
        Ok(())
    }

    /// A lease that can be used now and that the caller may spend.
    async fn own_live_lease(&self, identity: &Identity, id: LeaseId) -> Result<Lease, VaultError> {
        let now = self.now();
        if let Some(judged) = self.judged(identity, id, now) {
            return judged;
        }
        let lease = self.known_lease(id).await?;
        if !may_spend(identity, &lease) {
            return Err(VaultError::LeaseNotFound(id));
        }
        // Known to the store alone: long over, unless another vault granted it.
        self.judged(identity, id, now)
            .unwrap_or_else(|| Err(state_error(&lease)))
    }

    /// The same for a lease that is known here.
    fn judged(
        &self,
        identity: &Identity,
        id: LeaseId,
        now: Moment,
    ) -> Option<Result<Lease, VaultError>> {
        let table = self.table();
        if !may_spend(identity, table.lease(id)?) {
            return Some(Err(VaultError::LeaseNotFound(id)));
        }
        Some(match table.standing(id, now)? {
            Ok(lease) => Ok(lease.clone()),
            Err(over) => Err(over_error(over, id)),
        })
    }

    /// A lease by its id, whoever asks. Memory first; what another vault granted is in the store.
    pub(super) async fn known_lease(&self, id: LeaseId) -> Result<Lease, VaultError> {
        let known = self.table().lease(id).cloned();
        if let Some(lease) = known {
            return Ok(lease);
        }
        let stored = self
            .shared
            .stores
            .leases
            .lease(id)
            .await
            .map_err(|error| self.failed(error))?;
        let lease = stored.ok_or(VaultError::LeaseNotFound(id))?;
        if self.shared.stores.leases.is_shared() {
            self.learn(lease.clone());
        }
        Ok(lease)
    }

    /// Takes over what a shared store says of a lease.
    pub(super) fn learn(&self, lease: Lease) {
        let now = self.now();
        self.table().learn(lease, now);
    }

    pub(super) fn learn_refusal(&self, id: LeaseId, refusal: Refusal) -> VaultError {
        match refusal {
            Refusal::NotLive(Some(lease)) => {
                self.learn_and_tell(&lease);
                state_error(&lease)
            }
            _ => VaultError::LeaseNotFound(id),
        }
    }

    pub(super) fn entry_of(
        &self,
        event: &str,
        identity: &Identity,
        id: LeaseId,
    ) -> fnox_core::audit::Entry {
        if let Some(lease) = self.table().lease(id) {
            return lease_entry(event, identity, lease);
        }
        let mut entry = entry(event, identity);
        entry.lease = Some(id.0);
        entry
    }
}

/// Whether a lease is the caller's own: asked for in the same name by the same peer. Only administrators and
/// orchestrators ask in several names.
pub(super) fn is_own(identity: &Identity, lease: &Lease) -> bool {
    let is_agent = identity.role.is_trusted() || identity.agent.as_ref() == Some(&lease.agent);
    is_agent && identity.peer == lease.peer
}

/// Whether the caller may use a lease: its own, or as a gateway anybody's on behalf of the agent in whose name it is, whether
/// that agent asked for it or an orchestrator or administrator did.
fn may_spend(identity: &Identity, lease: &Lease) -> bool {
    identity.role == Role::Gateway || is_own(identity, lease)
}

pub(super) fn over_error(over: Over, id: LeaseId) -> VaultError {
    match over {
        Over::Expired => VaultError::LeaseExpired(id),
        Over::Exhausted => VaultError::LeaseExhausted(id),
        Over::Revoked => VaultError::LeaseRevoked(id),
    }
}

/// Why a lease that the store knows cannot be used.
pub(super) fn state_error(lease: &Lease) -> VaultError {
    use fnox_core::lease::LeaseState;
    match lease.state {
        LeaseState::Revoked => VaultError::LeaseRevoked(lease.id),
        LeaseState::Exhausted => VaultError::LeaseExhausted(lease.id),
        LeaseState::Active | LeaseState::Pending | LeaseState::Expired => {
            VaultError::LeaseExpired(lease.id)
        }
    }
}
