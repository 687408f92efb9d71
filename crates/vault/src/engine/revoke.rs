//! Withdrawing leases.

use fnox_core::audit::Entry;
use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, VaultName};
use fnox_vault_wire::methods::{RevocationReason, RevokeLease, RevokeLeases, Role};

use super::Engine;
use super::access::is_own;
use super::audit::{about, entry, lease_entry};
use crate::error::VaultError;
use crate::identity::{Identity, PeerBinding};
use crate::lease::Lease;
use crate::store::Change;

/// How many leases are withdrawn in one transaction.
const BATCH: usize = 500;

impl Engine {
    /// Withdraws one lease. Withdrawing it again is no failure.
    ///
    /// # Errors
    /// `LeaseNotFound`, also for an agent that asks for the lease of another; `Store`.
    pub async fn revoke_lease(
        &self,
        identity: &Identity,
        params: &RevokeLease,
    ) -> Result<(), VaultError> {
        let id = params.lease_id;
        let lease = self.known_lease(id).await.and_then(|lease| {
            let may = identity.role.is_trusted() || is_own(identity, &lease);
            if may {
                Ok(lease)
            } else {
                Err(VaultError::LeaseNotFound(id))
            }
        });
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                return self
                    .deny(self.entry_of("revocation_denied", identity, id), error)
                    .await;
            }
        };
        let reason = reason_of(identity, params.reason);
        let entry = entry("lease_revoked", identity);
        self.withdraw(vec![lease], reason, &entry).await?;
        Ok(())
    }

    /// Withdraws every live lease of an agent.
    ///
    /// # Errors
    /// `Store`, `Audit`; then some may be withdrawn already.
    pub async fn revoke_all_for_agent(
        &self,
        identity: &Identity,
        agent: &str,
    ) -> Result<u64, VaultError> {
        let selector = RevokeLeases {
            agent: Some(agent.to_owned()),
            ..RevokeLeases::default()
        };
        self.revoke_leases(identity, &selector).await
    }

    /// Withdraws every live lease that fits all given keys and belongs to the caller; administrators and
    /// orchestrators may withdraw those of others.
    ///
    /// # Errors
    /// `Invalid` without any key; `Store`, `Audit`.
    pub async fn revoke_leases(
        &self,
        identity: &Identity,
        params: &RevokeLeases,
    ) -> Result<u64, VaultError> {
        let has_key = params.agent.is_some()
            || params.secret.is_some()
            || params.token_id.is_some()
            || params.session_id.is_some();
        if !has_key && !params.all {
            return Err(VaultError::Invalid(
                "say which leases: agent, secret, token_id, session_id or all".to_owned(),
            ));
        }
        let agent = match identity.role {
            Role::Agent | Role::Gateway => Some(Self::agent_of(identity, "")?),
            _ => params.agent.as_deref().map(AgentId::parse).transpose()?,
        };
        let secret = params.secret.as_deref().map(VaultName::parse).transpose()?;
        let fits = |lease: &Lease| {
            agent.as_ref().is_none_or(|agent| *agent == lease.agent)
                && secret.as_ref().is_none_or(|secret| *secret == lease.secret)
                && params
                    .token_id
                    .is_none_or(|token| lease.peer == PeerBinding::Token(token))
                && params
                    .session_id
                    .is_none_or(|session| lease.session == Some(session))
                && (identity.role.is_trusted() || is_own(identity, lease))
        };
        let reason = reason_of(identity, RevocationReason::AdminRevoked);
        self.withdraw_all(fits, reason, &entry("lease_revoked", identity))
            .await
    }

    /// Withdraws every live lease that fits.
    pub(super) async fn withdraw_all(
        &self,
        fits: impl Fn(&Lease) -> bool,
        reason: RevocationReason,
        entry: &Entry,
    ) -> Result<u64, VaultError> {
        let leases = if self.shared.stores.leases.is_shared() {
            let live = self
                .shared
                .stores
                .leases
                .live_leases()
                .await
                .map_err(|error| self.failed(error))?;
            live.into_iter().filter(&fits).collect()
        } else {
            self.table().select(&fits)
        };
        let count = self.withdraw(leases, reason, entry).await?;
        // Leases that are used up are not live, but their credentials are.
        self.end_minted_where(fits);
        Ok(count)
    }

    /// Withdraws these leases, and tells how many were live.
    pub(super) async fn withdraw(
        &self,
        leases: Vec<Lease>,
        reason: RevocationReason,
        entry: &Entry,
    ) -> Result<u64, VaultError> {
        let mut count = 0;
        for batch in leases.chunks(BATCH) {
            let ids = batch.iter().map(|lease| lease.id).collect();
            let entries: Vec<Entry> = batch
                .iter()
                .map(|lease| {
                    let mut entry = about(entry.clone(), lease);
                    entry.reason = Some(match entry.reason.take() {
                        Some(words) => format!("{}: {words}", reason.as_str()),
                        None => reason.as_str().to_owned(),
                    });
                    entry
                })
                .collect();
            let change = Change::Revoke { ids, reason };
            let outcome = self
                .shared
                .stores
                .leases
                .commit(change, self.entries(entries))
                .await;
            self.shared.troubles.watch(outcome)?;
            for lease in batch {
                self.end_minted(lease.id);
                let ended = self
                    .table()
                    .end(lease.id, LeaseState::Revoked, Some(reason));
                let was_live = match ended {
                    Some(ended) => {
                        self.tell_ended(&ended);
                        true
                    }
                    // Granted by another vault: not known here, but live a moment ago.
                    None => {
                        self.table().lease(lease.id).is_none() && lease.state == LeaseState::Active
                    }
                };
                count += u64::from(was_live);
            }
        }
        Ok(count)
    }

    /// What a lease's end means when a policy, a token or a secret ended it.
    pub(super) async fn withdraw_live(
        &self,
        leases: Vec<Lease>,
        reason: RevocationReason,
        identity: &Identity,
    ) -> Result<u64, VaultError> {
        let Some(first) = leases.first() else {
            return Ok(0);
        };
        let entry = lease_entry("lease_revoked", identity, first);
        self.withdraw(leases, reason, &entry).await
    }
}

/// The reason that is kept: an administrator's word counts, others give back what they hold.
fn reason_of(identity: &Identity, claimed: RevocationReason) -> RevocationReason {
    match identity.role {
        Role::Admin => claimed,
        Role::Orchestrator | Role::Agent | Role::Gateway => RevocationReason::Released,
    }
}
