//! Who comes in through which door.
//!
//! A presented token alone decides the role. Without one, the administrators' socket knows people by the operating
//! system's word; every other door is closed to them. The agents' doors never let an administrator in: what a
//! program under an agent can reach must not be able to do everything.

use fnox_core::SecretString;
use fnox_vault_wire::methods::Role;
use fnox_vault_wire::{Code, Peer, WireError};

use super::origin;
use crate::engine::Engine;
use crate::identity::{Identity, PeerBinding};

/// Who may come in through a listener.
#[derive(Debug, Clone)]
pub enum Admission {
    /// These people as administrators; anybody with a token.
    Administrators(Administrators),
    /// Anybody with a token, administrators too.
    AnyToken,
    /// Agents and orchestrators with a token.
    AgentTokens,
}

/// People whom the operating system knows.
#[derive(Debug, Clone, Default)]
pub struct Administrators {
    /// By user.
    pub uids: Vec<u32>,
    /// By the primary group of their process.
    pub gids: Vec<u32>,
}

/// Says who is at the other end.
///
/// # Errors
/// `authentication_failed`, on record.
pub(super) async fn authenticate(
    engine: &Engine,
    admission: &Admission,
    peer: &Peer,
    token: Option<&SecretString>,
) -> Result<Identity, WireError> {
    let origin = origin(peer);
    let binding = match peer {
        Peer::Unix { uid, .. } => Some(PeerBinding::Uid(*uid)),
        Peer::Vsock { cid } => Some(PeerBinding::Cid(*cid)),
        Peer::Tcp { .. } | Peer::HostSocket { .. } => None,
    };
    if let Some(token) = token {
        let identity = engine.authenticate(token, binding, &origin).await?;
        if identity.role == Role::Admin && matches!(admission, Admission::AgentTokens) {
            engine
                .refuse_peer(
                    &identity.origin,
                    "an administrator's token at an agents' door",
                )
                .await?;
            return Err(refused(
                "this is the agents' socket: it takes no administrator's token",
            ));
        }
        return Ok(identity);
    }
    match (admission, peer) {
        (Admission::Administrators(people), Peer::Unix { uid, gid, .. })
            if people.uids.contains(uid) || people.gids.contains(gid) =>
        {
            let identity = Identity {
                role: Role::Admin,
                agent: None,
                peer: PeerBinding::Uid(*uid),
                origin,
                expires_at: None,
            };
            engine.admit_peer(&identity).await?;
            Ok(identity)
        }
        (Admission::Administrators(_), Peer::Unix { uid, .. }) => {
            engine
                .refuse_peer(&origin, "no token, and not an administrator")
                .await?;
            Err(refused(&format!(
                "user {uid} is no administrator here; present a token"
            )))
        }
        _ => {
            engine.refuse_peer(&origin, "no token").await?;
            Err(refused("present a token"))
        }
    }
}

fn refused(why: &str) -> WireError {
    WireError::new(
        Code::AuthenticationFailed,
        format!("authentication failed: {why}"),
    )
}
