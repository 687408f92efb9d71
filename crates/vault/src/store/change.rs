//! Changes of leases, tokens and sessions, each made with its audit entries in one transaction.

use std::sync::Arc;

use fnox_vault_wire::methods::{RevocationReason, ToolBinding};
use fnox_vault_wire::{LeaseId, Role, SessionId, TokenId};
use jiff::Timestamp;

use crate::identity::PeerBinding;
use crate::lease::Lease;

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new lease. Refused with [`Refusal::Cap`] if there are as many live ones as `caps` allow; live means
    /// active with an expiry after the new lease's `issued_at`.
    Grant {
        /// The lease.
        lease: Lease,
        /// How many there may be.
        caps: Caps,
    },
    /// One use more. Refused with [`Refusal::NotLive`] unless the lease is active, not expired at `now` and has
    /// uses left; the last use makes it `Exhausted`.
    Spend {
        /// The lease.
        id: LeaseId,
        /// The vault's present moment.
        now: Timestamp,
    },
    /// One use fewer: nothing was delivered. Makes `Exhausted` active again, and nothing else.
    Refund {
        /// The lease.
        id: LeaseId,
    },
    /// A later expiry. Refused with [`Refusal::NotLive`] unless active and not expired at `now`.
    Renew {
        /// The lease.
        id: LeaseId,
        /// The vault's present moment.
        now: Timestamp,
        /// The new expiry; never earlier than the old one.
        expires_at: Timestamp,
    },
    /// An earlier expiry, because the policy changed. Leases that are over stay as they are.
    Shorten {
        /// The lease.
        id: LeaseId,
        /// The new expiry.
        expires_at: Timestamp,
    },
    /// Withdraws leases; those that are over stay as they are, but for `Exhausted` and `Expired`, which become
    /// `Revoked` silently.
    Revoke {
        /// The leases.
        ids: Vec<LeaseId>,
        /// Why.
        reason: RevocationReason,
    },
    /// Their time is over. Only active ones move.
    Expire {
        /// The leases.
        ids: Vec<LeaseId>,
    },
    /// A new token.
    CreateToken(TokenRecord),
    /// One connection more. Refused with [`Refusal::NotLive`] if it is withdrawn, expired at `now` or used up.
    UseToken {
        /// The token.
        id: TokenId,
        /// The vault's present moment.
        now: Timestamp,
    },
    /// Withdraws a token. Refused with [`Refusal::Missing`] if there is none. Its leases are another change.
    RevokeToken {
        /// The token.
        id: TokenId,
    },
    /// A new session.
    OpenSession(SessionRecord),
    /// Closes a session. Refused with [`Refusal::Missing`] if there is none. Its leases are another change.
    CloseSession {
        /// The session.
        id: SessionId,
    },
}

/// How many live leases there may be, the new one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Of one agent.
    pub per_agent: u32,
    /// Of one agent by one rule.
    pub per_rule: Option<u32>,
    /// Of one session.
    pub per_session: Option<u32>,
}

impl Caps {
    /// What a limit on one agent's leases speaks of.
    pub const OF_AGENT: &str = "live leases of this agent";
    /// What a limit on one agent's leases by one rule speaks of.
    pub const BY_RULE: &str = "live leases of this agent by this rule";
    /// What a limit on one session's leases speaks of.
    pub const OF_SESSION: &str = "live leases of this session";
}

/// Why a store did not make a change. Nothing was changed or recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is one of that name already.
    #[error("it exists already")]
    Exists,
    /// There is none.
    #[error("it does not exist")]
    Missing,
    /// Somebody else changed it first.
    #[error("somebody else changed it first")]
    Moved,
    /// The ring has another active key by now.
    #[error("the key ring has changed")]
    StaleKey,
    /// The lease or token is over. With the lease as it is, if there is one.
    #[error("it is over")]
    NotLive(Option<Arc<Lease>>),
    /// There are as many as there may be.
    #[error("the limit of {limit} {what} is reached")]
    Cap {
        /// Of which there may be no more: [`Caps::OF_AGENT`], [`Caps::BY_RULE`] or [`Caps::OF_SESSION`].
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
}

/// A token as it is stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name.
    pub id: TokenId,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Whose it is.
    pub agent: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many connections it may open. `None`: without limit.
    pub max_uses: Option<u32>,
    /// How many it opened.
    pub uses: u32,
    /// The only peer that may present it.
    pub peer: Option<PeerBinding>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// SHA-256 of its token.
    pub hash: [u8; 32],
    /// The person whose task it is.
    pub user: String,
    /// Where the task came from.
    pub channel: String,
    /// Who opened it.
    pub owner: PeerBinding,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many of its leases may live at once.
    pub max_concurrent_leases: u32,
    /// How often each may be renewed.
    pub max_renewals_per_lease: u32,
    /// Which tool may have which secrets.
    pub tool_bindings: Vec<ToolBinding>,
    /// Whether it was closed.
    pub closed: bool,
}

/// What another vault changed in a shared store.
#[derive(Debug, Clone)]
pub enum Foreign {
    /// These leases are as told here now.
    Leases(Vec<Lease>),
    /// A token was withdrawn.
    TokenRevoked(TokenId),
    /// A session was closed.
    SessionClosed(SessionId),
    /// The key ring is another one.
    RingChanged,
    /// A secret changed or is gone.
    SecretChanged(String),
    /// A question was asked, answered or taken back.
    QuestionsChanged,
    /// Something may have been missed: read everything anew.
    Unknown,
}
