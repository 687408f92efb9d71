//! Listing leases.

use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, VaultName};
use fnox_vault_wire::methods::{LeaseInfo, LeaseList, LeaseStatus, ListLeases, Role};
use jiff::Timestamp;

use super::access::is_own;
use super::{Engine, page};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;

/// How many leases a page has at the most.
const PAGE: usize = 1000;

impl Engine {
    /// Lists leases: an agent's own, or all.
    ///
    /// # Errors
    /// `Invalid` for a name that is not one; `OutOfRange`; `Store`.
    pub async fn list_leases(
        &self,
        identity: &Identity,
        params: &ListLeases,
    ) -> Result<LeaseList, VaultError> {
        let agent = match identity.role {
            Role::Agent | Role::Gateway => Some(Self::agent_of(identity, "")?),
            _ => params.agent.as_deref().map(AgentId::parse).transpose()?,
        };
        let secret = params.secret.as_deref().map(VaultName::parse).transpose()?;
        let limit = page::size(params.limit, PAGE / 2, PAGE)?;
        let now = self.now().wall;
        let fits = |lease: &Lease| {
            (identity.role.is_trusted() || is_own(identity, lease))
                && (params.all || status(lease, now) == LeaseStatus::Active)
        };
        let (mut leases, mut after) = (Vec::new(), params.after);
        loop {
            let page = self
                .shared
                .stores
                .leases
                .leases(agent.as_ref(), secret.as_ref(), after, PAGE)
                .await;
            let mut page = page.map_err(|error| self.failed(error))?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|lease| lease.id);
            self.count_unsure_uses(&mut page);
            leases.extend(page.into_iter().filter(fits));
            if is_last || leases.len() > limit {
                break;
            }
        }
        let has_more = leases.len() > limit;
        leases.truncate(limit);
        let next = leases.last().filter(|_| has_more).map(|last| last.id);
        Ok(LeaseList {
            leases: leases.iter().map(|lease| info(lease, now)).collect(),
            next,
        })
    }

    /// Counts the uses of which the store could not say whether they are durable: access counts them too. Where others
    /// write here, the store's count is the true one.
    fn count_unsure_uses(&self, leases: &mut [Lease]) {
        if self.shared.stores.leases.is_shared() {
            return;
        }
        let table = self.table();
        for lease in leases {
            if let Some(known) = table.lease(lease.id)
                && known.uses > lease.uses
            {
                lease.uses = known.uses;
                if lease.state == LeaseState::Active {
                    lease.state = known.state;
                    lease.reason = known.reason;
                }
            }
        }
    }
}

fn info(lease: &Lease, now: Timestamp) -> LeaseInfo {
    LeaseInfo {
        lease_id: lease.id,
        agent: lease.agent.to_string(),
        peer: lease.peer.to_string(),
        secret_name: lease.secret.to_string(),
        domain: lease.host.to_string(),
        rule: lease.rule.to_string(),
        status: status(lease, now),
        reason: lease.reason,
        issued_at: lease.issued_at,
        expires_at: lease.expires_at,
        uses: lease.uses,
        max_uses: lease.max_uses,
        renewable: lease.renewable,
        renewals: lease.renewals,
        session_id: lease.session,
        delivery: lease.delivery,
    }
}

fn status(lease: &Lease, now: Timestamp) -> LeaseStatus {
    match lease.state {
        LeaseState::Revoked => LeaseStatus::Revoked,
        LeaseState::Exhausted => LeaseStatus::Exhausted,
        LeaseState::Expired => LeaseStatus::Expired,
        LeaseState::Active | LeaseState::Pending if now >= lease.expires_at => LeaseStatus::Expired,
        LeaseState::Active | LeaseState::Pending => LeaseStatus::Active,
    }
}
