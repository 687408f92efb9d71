//! Who is at the other end of a connection, and what its leases are bound to.

use std::fmt;
use std::str::FromStr;

use fnox_core::AgentId;
use fnox_vault_wire::{Role, TokenId};
use jiff::Timestamp;

/// What a lease is bound to besides its agent: whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerBinding {
    /// A user of this machine.
    Uid(u32),
    /// The holder of a token.
    Token(TokenId),
    /// A guest.
    Cid(u32),
    /// The program that the engine is built into.
    Local,
}

impl fmt::Display for PeerBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(formatter, "uid:{uid}"),
            Self::Token(token) => write!(formatter, "token:{token}"),
            Self::Cid(cid) => write!(formatter, "cid:{cid}"),
            Self::Local => formatter.write_str("local"),
        }
    }
}

impl FromStr for PeerBinding {
    type Err = InvalidPeer;

    fn from_str(text: &str) -> Result<Self, InvalidPeer> {
        let fail = || InvalidPeer {
            text: text.escape_debug().take(80).collect(),
        };
        if text == "local" {
            return Ok(Self::Local);
        }
        let (kind, value) = text.split_once(':').ok_or_else(fail)?;
        match kind {
            "uid" => value.parse().map(Self::Uid).map_err(|_| fail()),
            "cid" => value.parse().map(Self::Cid).map_err(|_| fail()),
            "token" => value.parse().map(Self::Token).map_err(|_| fail()),
            _ => Err(fail()),
        }
    }
}

/// A text does not name a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a peer: write it like uid:1000 or cid:7")]
pub struct InvalidPeer {
    /// The text.
    pub text: String,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it may do.
    pub role: Role,
    /// In whose name it asks. Always there for agents.
    pub agent: Option<AgentId>,
    /// What its leases are bound to.
    pub peer: PeerBinding,
    /// The transport's own word on the other end, for the audit log.
    pub origin: String,
    /// When its token ends.
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// The program that the engine is built into: it may do everything.
    #[must_use]
    pub fn local() -> Self {
        Self {
            role: Role::Admin,
            agent: None,
            peer: PeerBinding::Local,
            origin: "in process".to_owned(),
            expires_at: None,
        }
    }

    /// Its token.
    #[must_use]
    pub fn token(&self) -> Option<TokenId> {
        match self.peer {
            PeerBinding::Token(token) => Some(token),
            _ => None,
        }
    }

    /// How the audit log names it: its role, and the agent or peer.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.agent {
            Some(agent) => format!("{} {agent}", self.role),
            None => format!("{} {}", self.role, self.peer),
        }
    }
}
