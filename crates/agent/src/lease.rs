//! Leases while they are held.
//!
//! A [`Lease`] that is dropped is given up, so that no path through the program, a failure's least of all, leaves
//! one behind. How long it lives is measured from the vault's own two times and this guest's monotonic clock: the
//! wall clock of a guest that was just resumed or never heard of NTP says nothing.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, Host, SecretBytes, VaultName};
use fnox_vault_wire::methods::{
    AccessSecret, Delivery, LeaseGrant, LeaseInfo, LeaseStatus, ListLeases, RenewLease,
    RequestLease, RevocationReason, RevokeLease, Role, Whoami,
};
use fnox_vault_wire::{Client, ClientError, LeaseId};
use tokio::time::Instant;

use crate::error::AgentError;

/// How long to wait for the vault's word when leases are given up at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Asks a vault in an agent's name.
#[derive(Debug, Clone)]
pub struct Borrower {
    client: Client,
    agent: String,
    clock: Arc<dyn Clock>,
    /// The tool that policy and audit see.
    tool: Option<&'static str>,
}

/// A lease. Dropping it gives it up.
#[derive(Debug)]
#[must_use = "dropping it gives the lease up"]
pub struct Lease {
    id: LeaseId,
    client: Client,
    grant: LeaseGrant,
    life: Duration,
    ends: Instant,
    held: bool,
}

/// A lease and what it was for.
#[derive(Debug)]
pub struct Loan {
    /// The lease.
    pub lease: Lease,
    /// The value.
    pub value: SecretBytes,
}

/// What came of an attempt to make a lease live longer.
#[derive(Debug)]
pub enum Renewal {
    /// It does.
    Longer,
    /// It does not and will not: the policy's limit, or a vault that says no.
    Over,
    /// The vault does not answer now.
    Later(ClientError),
}

impl Borrower {
    /// In whose name: the one given, or the agent that the token belongs to.
    ///
    /// # Errors
    /// `Vault`, or `NoAgent` if the token does not say.
    pub async fn new(
        client: Client,
        agent: Option<&str>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AgentError> {
        let agent = if let Some(agent) = agent {
            agent.to_owned()
        } else {
            let identity = client.call(&Whoami {}).await.map_err(AgentError::Vault)?;
            match (identity.role, identity.agent) {
                (Role::Agent, Some(agent)) => agent,
                _ => return Err(AgentError::NoAgent),
            }
        };
        Ok(Self {
            client,
            agent,
            clock,
            tool: None,
        })
    }

    /// Names the tool that will use what is lent.
    #[must_use]
    pub fn for_tool(mut self, tool: &'static str) -> Self {
        self.tool = Some(tool);
        self
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for a lease and uses it once.
    ///
    /// # Errors
    /// `Lease`, `InjectOnly`. Nothing is held then.
    pub async fn lend(
        &self,
        secret: &VaultName,
        host: &Host,
        ttl_secs: Option<u64>,
    ) -> Result<Loan, AgentError> {
        let refused = |source| AgentError::Lease {
            secret: secret.to_string(),
            host: host.to_string(),
            source,
        };
        let request = RequestLease {
            ttl_secs,
            tool_name: self.tool.map(str::to_owned),
            ..RequestLease::new(&self.agent, secret.as_str(), &host.to_string())
        };
        let late = self.client.clone();
        let granted = self
            .client
            .call_or_else(&request, move |grant| {
                late.fire(&revocation(grant.lease_id));
            })
            .await;
        let grant = granted.map_err(refused)?;
        let mut lease = Lease {
            id: grant.lease_id,
            client: self.client.clone(),
            life: Duration::ZERO,
            ends: Instant::now(),
            grant,
            held: true,
        };
        if lease.grant.delivery == Delivery::Inject {
            return Err(AgentError::InjectOnly {
                secret: secret.to_string(),
                host: host.to_string(),
            });
        }
        let access = AccessSecret::new(lease.id, host.to_string());
        let accessed = self.client.call(&access).await.map_err(refused)?;
        lease.grant.remaining_uses = lease
            .grant
            .remaining_uses
            .map(|uses| uses.saturating_sub(1));
        Ok(Loan {
            lease,
            value: accessed.secret.0,
        })
    }

    /// Finds out how long a lease lives, before it is [looked after](Lease::renew).
    pub async fn measure(&self, lease: &mut Lease) {
        let asked = Instant::now();
        let ends = lease.grant.expires_at;
        let since = match self.leases_of(&lease.grant.secret_name, true).await {
            Ok(all) => all
                .into_iter()
                .find(|info| info.lease_id == lease.id)
                .map(|info| info.issued_at),
            // A vault that speaks only zerolease's methods.
            Err(_) => None,
        };
        let life = ends.duration_since(since.unwrap_or_else(|| self.clock.now()));
        lease.life = Duration::try_from(life).unwrap_or_default();
        lease.ends = asked + lease.life;
    }

    /// A live lease of this agent's own that lasts for at least half of its life.
    pub(crate) async fn reusable(&self, secret: &VaultName, host: &Host) -> Option<LeaseInfo> {
        let host = host.to_string();
        let now = self.clock.now();
        let all = self.leases_of(secret.as_str(), false).await.ok()?;
        all.into_iter().find(|lease| {
            let life = lease.expires_at.duration_since(lease.issued_at);
            lease.status == LeaseStatus::Active
                && lease.domain == host
                && lease.agent == self.agent
                && lease.delivery == Delivery::Value
                && lease.expires_at.duration_since(now) > life / 2
        })
    }

    /// The leases of a secret, as far as this agent sees them; of all secrets if it is empty.
    pub(crate) async fn leases_of(
        &self,
        secret: &str,
        all: bool,
    ) -> Result<Vec<LeaseInfo>, ClientError> {
        let mut params = ListLeases {
            agent: Some(self.agent.clone()),
            secret: (!secret.is_empty()).then(|| secret.to_owned()),
            all,
            ..ListLeases::default()
        };
        let mut leases = Vec::new();
        loop {
            let page = self.client.call(&params).await?;
            leases.extend(page.leases);
            params.after = page.next;
            if params.after.is_none() {
                return Ok(leases);
            }
        }
    }
}

/// Gives leases up by their ids. The vault's answer is awaited by [`settle`].
pub(crate) fn give_up(client: &Client, leases: &[LeaseId]) {
    for id in leases {
        client.fire(&revocation(*id));
    }
}

/// Waits until the vault knows of every lease that was given up; `false` if it does not answer in time.
pub(crate) async fn settle(client: &Client) -> bool {
    tokio::time::timeout(GOODBYE, client.settle()).await.is_ok()
}

impl Lease {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// What was granted.
    #[must_use]
    pub fn grant(&self) -> &LeaseGrant {
        &self.grant
    }

    /// When it ends.
    #[must_use]
    pub(crate) fn ends(&self) -> Instant {
        self.ends
    }

    /// When to make it live longer: half of what it has left from now on, and not at once.
    #[must_use]
    pub(crate) fn next_care(&self) -> Instant {
        let now = Instant::now();
        let left = self.ends.saturating_duration_since(now);
        // A short lease that must be retried is not asked for in a tight loop.
        now + (left / 2).max(Duration::from_millis(200)).min(left)
    }

    /// Makes it live as long again as it did first.
    pub async fn renew(&mut self) -> Renewal {
        // A lease whose uses are spent is over for the vault, though its value is good until its end.
        if !self.grant.renewable || self.grant.remaining_uses == Some(0) {
            return Renewal::Over;
        }
        let seconds = i64::try_from(self.life.as_secs()).unwrap_or(i64::MAX);
        let renewal = RenewLease {
            lease_id: self.id,
            extension_secs: seconds.clamp(1, 86_400),
        };
        match self.client.call(&renewal).await {
            Ok(renewed) => {
                let longer = renewed.expires_at.duration_since(self.grant.expires_at);
                let longer = Duration::try_from(longer).unwrap_or_default();
                self.ends += longer;
                self.grant = renewed;
                if longer.is_zero() {
                    Renewal::Over
                } else {
                    Renewal::Longer
                }
            }
            Err(error) => match error {
                ClientError::Connect { .. } | ClientError::TimedOut | ClientError::Closed => {
                    Renewal::Later(error)
                }
                _ => Renewal::Over,
            },
        }
    }

    /// Leaves it to run until its end.
    pub fn leave(mut self) -> LeaseId {
        self.held = false;
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.held {
            self.client.fire(&revocation(self.id));
        }
    }
}

fn revocation(lease_id: LeaseId) -> RevokeLease {
    RevokeLease {
        lease_id,
        reason: RevocationReason::Released,
    }
}
