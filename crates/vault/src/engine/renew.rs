//! Letting leases live longer.

use fnox_core::audit::Entry;
use fnox_vault_wire::methods::{LeaseEvent, LeaseGrant, RenewLease};
use jiff::Timestamp;

use super::access::{is_own, over_error, state_error};
use super::audit::lease_entry;
use super::request::{granted, later};
use super::{Asked, Engine};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::policy::Decision;
use crate::store::{Change, StoreError};

/// The longest extension of one call, in seconds.
const LONGEST: i64 = 86_400;

impl Engine {
    /// Moves a lease's expiry, never backwards, as far as today's policy allows.
    ///
    /// # Errors
    /// `LeaseNotFound`, `LeaseExpired`, `LeaseRevoked`; `OutOfRange` unless the extension is 1 to 86 400 seconds;
    /// `NotRenewable`; `RenewalLimit` at the end of its life; `Denied` if the policy would not grant it today;
    /// `MintUnavailable`, `MintRefused` if its credential cannot be renewed: then the lease is as it was.
    pub async fn renew_lease(
        &self,
        identity: &Identity,
        params: &RenewLease,
    ) -> Result<LeaseGrant, VaultError> {
        let id = params.lease_id;
        let lease = match self.renewable(identity, params).await {
            Ok(lease) => lease,
            Err(error) => {
                return self
                    .deny(self.entry_of("renewal_denied", identity, id), error)
                    .await;
            }
        };
        let now = self.now();
        let expires_at =
            match self.renewed_expiry(&lease, params.extension_secs.unsigned_abs(), now.wall) {
                Ok(expires_at) => expires_at,
                Err(error) => {
                    return self
                        .deny(lease_entry("renewal_denied", identity, &lease), error)
                        .await;
                }
            };
        if let Err(not_renewed) = self.renew_minted(identity, &lease, expires_at).await {
            let mut entry = lease_entry("renewal_denied", identity, &lease);
            let error = not_renewed.noted(&mut entry);
            return self.deny(entry, error).await;
        }
        let mut entry = lease_entry("lease_renewed", identity, &lease);
        entry.reason = Some(format!("until {expires_at}"));
        self.renew(lease, now.wall, expires_at, entry).await
    }

    async fn renew(
        &self,
        mut lease: Lease,
        now: Timestamp,
        expires_at: Timestamp,
        entry: Entry,
    ) -> Result<LeaseGrant, VaultError> {
        let id = lease.id;
        let change = Change::Renew {
            id,
            now,
            expires_at,
        };
        let outcome = self
            .shared
            .stores
            .leases
            .commit(change, self.entries(vec![entry.clone()]))
            .await;
        match self.shared.troubles.watch(outcome) {
            Ok(_) => {
                let now = self.now();
                self.table().set_expiry(id, expires_at, now, true);
                let agent = lease.agent.to_string();
                self.tell_of(
                    &lease,
                    LeaseEvent::LeaseRenewed {
                        lease_id: id,
                        agent,
                        expires_at,
                    },
                );
                lease.expires_at = expires_at;
                Ok(granted(&lease))
            }
            Err(StoreError::Refused(refusal)) => {
                let error = self.learn_refusal(id, refusal);
                self.deny(
                    Entry {
                        event: "renewal_denied".to_owned(),
                        ..entry
                    },
                    error,
                )
                .await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A lease that the caller may renew.
    async fn renewable(
        &self,
        identity: &Identity,
        params: &RenewLease,
    ) -> Result<Lease, VaultError> {
        let id = params.lease_id;
        let lease = self.known_lease(id).await?;
        if !identity.role.is_trusted() && !is_own(identity, &lease) {
            return Err(VaultError::LeaseNotFound(id));
        }
        let now = self.now();
        let standing = self
            .table()
            .standing(id, now)
            .map(Result::<&Lease, _>::cloned);
        let lease = match standing {
            Some(Ok(lease)) => lease,
            Some(Err(over)) => return Err(over_error(over, id)),
            None => return Err(state_error(&lease)),
        };
        if !(1..=LONGEST).contains(&params.extension_secs) {
            return Err(VaultError::OutOfRange(format!(
                "extension_secs is {}; it must be between 1 and {LONGEST}",
                params.extension_secs
            )));
        }
        if !lease.renewable {
            return Err(VaultError::NotRenewable(id));
        }
        if let Some(session) = lease.session {
            let session = self.live_session(session, now).await?;
            if lease.renewals >= session.max_renewals_per_lease {
                let limit = format!(
                    "its session allows {} renewals",
                    session.max_renewals_per_lease
                );
                return Err(VaultError::RenewalLimit { id, limit });
            }
        }
        Ok(lease)
    }

    fn renewed_expiry(
        &self,
        lease: &Lease,
        seconds: u64,
        now: Timestamp,
    ) -> Result<Timestamp, VaultError> {
        let asked = Asked {
            agent: lease.agent.clone(),
            secret: lease.secret.clone(),
            host: lease.host.clone(),
            tool: lease.tool.clone(),
        };
        let policy = self.policy();
        let Decision::Allowed { terms, .. } = policy.decide(&asked.question(now)) else {
            return Err(VaultError::Denied(
                "today's policy does not grant this lease any more".to_owned(),
            ));
        };
        if !terms.renewable {
            return Err(VaultError::NotRenewable(lease.id));
        }
        let ends_at = lease
            .ends_at
            .min(later(lease.issued_at, terms.max_lifetime.as_secs())?);
        if lease.expires_at >= ends_at {
            let limit = format!("it ends for good at {ends_at}");
            return Err(VaultError::RenewalLimit {
                id: lease.id,
                limit,
            });
        }
        let longest = self
            .mint_terms(&lease.secret)
            .map_or(u64::MAX, |mint| mint.maximum.as_secs());
        let wanted = later(now, seconds.min(terms.max_ttl.as_secs()).min(longest))?;
        Ok(wanted.min(ends_at).max(lease.expires_at))
    }
}
