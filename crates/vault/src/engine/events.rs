//! What subscribers and connections hear about: leases that end, tokens that are withdrawn.
//!
//! These are two channels: every connection listens for the end of its token, which is rare; only who subscribed
//! listens for leases, which is not.

use std::sync::Arc;

use fnox_core::AgentId;
use fnox_vault_wire::TokenId;
use fnox_vault_wire::methods::{LeaseEvent, Role};
use tokio::sync::broadcast;

use super::Engine;
use crate::identity::{Identity, PeerBinding};
use crate::lease::Lease;

/// How many events a slow listener may be behind before it misses some, and is told so.
const CAPACITY: usize = 4096;

/// Something happened to a lease.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub event: LeaseEvent,
    /// Whose lease it is.
    pub agent: AgentId,
    /// Who asked for it.
    pub peer: PeerBinding,
}

impl Event {
    /// The event, if this caller may hear of it.
    #[must_use]
    pub fn for_subscriber(&self, identity: &Identity) -> Option<&LeaseEvent> {
        let is_own = identity.agent.as_ref() == Some(&self.agent) && identity.peer == self.peer;
        (identity.role != Role::Agent || is_own).then_some(&self.event)
    }
}

#[derive(Debug)]
pub(super) struct Events {
    leases: broadcast::Sender<Arc<Event>>,
    tokens: broadcast::Sender<TokenId>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            leases: broadcast::channel(CAPACITY).0,
            tokens: broadcast::channel(CAPACITY).0,
        }
    }
}

impl Engine {
    /// Everything that happens to leases from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.events.leases.subscribe()
    }

    /// Tokens that are withdrawn from now on.
    #[must_use]
    pub fn withdrawn_tokens(&self) -> broadcast::Receiver<TokenId> {
        self.shared.events.tokens.subscribe()
    }

    pub(super) fn tell_of_token(&self, token: TokenId) {
        self.shared.questions.forget_token(token);
        // Nobody listening is no failure.
        let _ = self.shared.events.tokens.send(token);
    }

    pub(super) fn tell_of(&self, lease: &Lease, event: LeaseEvent) {
        if self.shared.events.leases.receiver_count() > 0 {
            let event = Event {
                event,
                agent: lease.agent.clone(),
                peer: lease.peer,
            };
            let _ = self.shared.events.leases.send(Arc::new(event));
        }
    }

    pub(super) fn tell_ended(&self, lease: &Lease) {
        let (lease_id, agent) = (lease.id, lease.agent.to_string());
        let event = match lease.reason {
            Some(reason) => LeaseEvent::LeaseRevoked {
                lease_id,
                agent,
                reason,
            },
            None => LeaseEvent::LeaseExpired { lease_id, agent },
        };
        self.tell_of(lease, event);
    }
}
