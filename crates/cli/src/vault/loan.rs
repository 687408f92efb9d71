//! A borrowed value: the lease and what keeps it alive.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, SecretBytes};
use fnox_vault_wire::methods::{
    AccessSecret, LeaseGrant, RenewLease, RequestLease, RevocationReason, RevokeLease,
};
use fnox_vault_wire::{Client, LeaseId};

use super::connect::call;
use super::target::Target;
use crate::error::CliError;

/// What to ask for besides secret and host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub agent: String,
    pub ttl_secs: Option<u64>,
    pub tool: Option<String>,
}

/// A lease that is held. It must be given back with [`give_back`], unless somebody goes on using the value.
#[derive(Debug)]
pub(crate) struct Loan {
    pub grant: LeaseGrant,
    pub value: SecretBytes,
}

/// Asks for a lease and uses it once.
pub(crate) async fn borrow_value(
    client: &Client,
    target: &Target,
    terms: &Terms,
) -> Result<Loan, CliError> {
    let host = target.host.to_string();
    let request = RequestLease {
        ttl_secs: terms.ttl_secs,
        tool_name: terms.tool.clone(),
        ..RequestLease::new(&terms.agent, target.secret.as_str(), &host)
    };
    let grant = call(client, &request).await?;
    let access = AccessSecret::new(grant.lease_id, host);
    match call(client, &access).await {
        Ok(accessed) => Ok(Loan {
            grant,
            value: accessed.secret.0,
        }),
        Err(error) => {
            give_back(client, [grant.lease_id]).await;
            Err(error)
        }
    }
}

/// Gives leases back, and waits until the vault knows. Those that are over already need nothing.
pub(crate) async fn give_back(client: &Client, leases: impl IntoIterator<Item = LeaseId>) {
    for lease_id in leases {
        client.fire(&RevokeLease {
            lease_id,
            reason: RevocationReason::Released,
        });
    }
    // The program has ended; a vault that is gone must not keep its exit code back for long.
    let _late = tokio::time::timeout(Duration::from_secs(5), client.settle()).await;
}

/// Renews a lease for as long as it is renewable, each time when half of its life is over.
pub(crate) async fn keep_alive(client: Client, clock: Arc<dyn Clock>, mut grant: LeaseGrant) {
    let life = |grant: &LeaseGrant| -> u64 {
        let left = grant.expires_at.duration_since(clock.now()).as_secs();
        u64::try_from(left).unwrap_or(0)
    };
    let whole = life(&grant);
    while grant.renewable && grant.remaining_uses != Some(0) {
        let left = life(&grant);
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_secs((left / 2).max(1))).await;
        let renewal = RenewLease {
            lease_id: grant.lease_id,
            extension_secs: i64::try_from(whole.max(1)).unwrap_or(i64::MAX),
        };
        match client.call(&renewal).await {
            Ok(renewed) if renewed.expires_at > grant.expires_at => grant = renewed,
            Ok(_) => {
                tracing::debug!("the lease of {} lives as long as it may", grant.secret_name);
                return;
            }
            Err(error) if error.known_code().is_some() => {
                tracing::warn!(
                    "the lease of {} was not renewed: {error}",
                    grant.secret_name
                );
                return;
            }
            // No connection: there is time to try again.
            Err(error) => tracing::debug!("renewing {}: {error}", grant.secret_name),
        }
    }
}
