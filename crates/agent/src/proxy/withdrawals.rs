//! Hearing from the vault what ends.

use std::time::Duration;

use fnox_core::Host;
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::client::LeaseEvents;
use fnox_vault_wire::methods::{LeaseEvent, RevocationReason, Whoami};
use tokio::time::MissedTickBehavior;

use super::tunnels::Tunnels;
use crate::lease::Borrower;
use crate::report::note;

/// How often the vault is asked whether it is there and knows this agent.
const LOOK: Duration = Duration::from_secs(5);

/// Ends tunnels as leases are withdrawn. It comes back only when the connection to the vault has ended for good.
pub(super) async fn hear(vault: Option<Borrower>, events: Option<LeaseEvents>, tunnels: Tunnels) {
    let (Some(vault), Some(mut events)) = (vault, events) else {
        return std::future::pending().await;
    };
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reachable = true;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => heard(&vault, &tunnels, event).await,
                None => return,
            },
            _ = look.tick() => {
                let answered = vault.client().call_with_limit(&Whoami {}, LOOK).await;
                if let Err(error) = &answered {
                    // Withdrawals cannot be heard: nothing stays open that was allowed before.
                    let count = tunnels.end_all();
                    if reachable || count > 0 {
                        note(&format!("{count} tunnels were ended: {error}"));
                    }
                }
                reachable = answered.is_ok();
            }
        }
    }
}

async fn heard(vault: &Borrower, tunnels: &Tunnels, event: LeaseEvent) {
    match event {
        LeaseEvent::LeaseRevoked {
            lease_id, reason, ..
        } if is_withdrawal(reason) => withdrawn(vault, tunnels, lease_id, reason).await,
        LeaseEvent::Lagged { .. } => {
            let count = tunnels.end_all();
            note(&format!(
                "{count} tunnels were ended: what the vault said in the meantime was missed"
            ));
        }
        // An end by time, by use or by its holder: the gateway ends what was on its way with it.
        LeaseEvent::LeaseRevoked { .. }
        | LeaseEvent::LeaseExpired { .. }
        | LeaseEvent::LeaseRenewed { .. } => {}
    }
}

async fn withdrawn(vault: &Borrower, tunnels: &Tunnels, id: LeaseId, reason: RevocationReason) {
    let reason = reason.as_str();
    let host = host_of(vault, id).await;
    let (count, what) = match &host {
        Some(host) => (tunnels.end_for(host), host.as_str()),
        // It cannot be told which they are.
        None => (tunnels.end_all(), "any host"),
    };
    note(&format!(
        "a lease was withdrawn ({reason}): {count} tunnels to {what} were ended"
    ));
}

async fn host_of(vault: &Borrower, id: LeaseId) -> Option<String> {
    let leases = vault.leases_of("", true).await.ok()?;
    let lease = leases.into_iter().find(|lease| lease.lease_id == id)?;
    Host::parse(&lease.domain).ok().map(|host| host.name())
}

/// Whether somebody took the lease away.
fn is_withdrawal(reason: RevocationReason) -> bool {
    !matches!(
        reason,
        RevocationReason::Expired | RevocationReason::UseLimitReached | RevocationReason::Released
    )
}
