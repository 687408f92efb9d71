//! The vault's leases as they are stored.

use std::sync::Arc;

use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, Host, VaultName};
use fnox_vault_wire::methods::{Delivery, RevocationReason};
use fnox_vault_wire::{LeaseId, SessionId};
use jiff::Timestamp;

use crate::identity::PeerBinding;

/// The right of one agent to use one secret at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The handle.
    pub id: LeaseId,
    /// For whom.
    pub agent: AgentId,
    /// Who asked for it, and may use it.
    pub peer: PeerBinding,
    /// The secret.
    pub secret: VaultName,
    /// The host.
    pub host: Host,
    /// The rule that granted it, by name or as `rule N`.
    pub rule: Arc<str>,
    /// The tool that it was asked for with.
    pub tool: Option<Arc<str>>,
    /// When it was granted.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it ends at the latest, whatever is renewed.
    pub ends_at: Timestamp,
    /// How often it may be used. `None`: without limit.
    pub max_uses: Option<u32>,
    /// How often it was used.
    pub uses: u32,
    /// Whether its rule lets it be renewed.
    pub renewable: bool,
    /// How often it was renewed.
    pub renewals: u32,
    /// The session that it ends with.
    pub session: Option<SessionId>,
    /// Whether the holder may receive the value.
    pub delivery: Delivery,
    /// Where it is in its life. Never `Pending`: a lease is granted or not.
    pub state: LeaseState,
    /// Why it was withdrawn, once it is.
    pub reason: Option<RevocationReason>,
}

impl Lease {
    /// Uses that are left. `None`: without limit.
    #[must_use]
    pub fn remaining_uses(&self) -> Option<u32> {
        self.max_uses
            .map(|maximum| maximum.saturating_sub(self.uses))
    }
}
