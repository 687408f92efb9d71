//! The vault itself, without any transport.
//!
//! Every method takes the caller's [`Identity`] and asks in this order: may this role do it at all, is the lease
//! its own, does the policy allow it, is there room, is there such a secret. Then the change and its audit record
//! become durable together, and only then is anything answered. Refusals are recorded too.

mod access;
mod admission;
mod approvals;
mod audit;
mod events;
mod health;
mod keys;
mod listing;
mod minted;
mod page;
mod policy;
mod renew;
mod request;
mod requests;
mod revoke;
mod secrets;
mod sessions;
mod startup;
mod sweep;
mod time;
mod tokens;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use fnox_core::seal::Algorithm;
use fnox_core::{AgentId, Clock, Host, VaultName};
use fnox_vault_wire::methods::{Method, Role};

pub use self::access::Delivered;
pub use self::events::Event;
use self::health::Troubles;
use self::time::Time;
pub use self::tokens::TOKEN_PREFIX;
use crate::error::VaultError;
use crate::identity::Identity;
use crate::key_ring::KeyRing;
use crate::key_source::KeySource;
use crate::lease_table::LeaseTable;
use crate::policy::{Policy, PolicySource, RateLimits};
use crate::store::{LiveSecrets, Stores};

/// A running vault. Clones are the same vault.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stores: Stores,
    live: Option<Arc<dyn LiveSecrets>>,
    minted: OnceLock<minted::Minted>,
    ring: Arc<KeyRing>,
    source: Arc<dyn KeySource>,
    policy: RwLock<Arc<Policy>>,
    table: Mutex<LeaseTable>,
    rates: RateLimits,
    time: Time,
    clock: Arc<dyn Clock>,
    events: events::Events,
    troubles: Troubles,
    questions: approvals::Questions,
    options: EngineOptions,
    connections: AtomicU64,
    /// When the vault started, on the monotonic clock.
    started: Duration,
    /// One change of keys at a time.
    rotating: tokio::sync::Mutex<()>,
}

/// What an engine is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// Where things are stored.
    pub stores: Stores,
    /// Secrets that live elsewhere, in the place of those of the store.
    pub live: Option<Arc<dyn LiveSecrets>>,
    /// Where the wrapping key is.
    pub source: Arc<dyn KeySource>,
    /// What is allowed.
    pub policy: Policy,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub options: EngineOptions,
}

/// Numbers that a vault can be told.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How many live leases one agent may have.
    pub max_leases_per_agent: u32,
    /// How new values are sealed.
    pub algorithm: Algorithm,
    /// How many versions of a secret are kept.
    pub keep_versions: u32,
    /// Where the policy came from; it is read again from there.
    pub policy_source: Option<Arc<dyn PolicySource>>,
    /// How long ended leases, tokens and sessions are remembered in the store.
    pub remember: Duration,
}

impl Default for EngineOptions {
    /// 100 leases, AES-256-GCM, 3 versions, 30 days.
    fn default() -> Self {
        Self {
            max_leases_per_agent: 100,
            algorithm: Algorithm::Aes256Gcm,
            keep_versions: 3,
            policy_source: None,
            remember: Duration::from_hours(30 * 24),
        }
    }
}

/// The longest value that a secret may have.
pub const MAX_VALUE: usize = 512 * 1024;

impl Engine {
    fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.shared
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(
            &self
                .shared
                .policy
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Fails unless the role may call the method.
    ///
    /// # Errors
    /// [`VaultError::RoleDenied`], on record.
    pub async fn authorise(&self, identity: &Identity, method: Method) -> Result<(), VaultError> {
        if method.callers().include(identity.role) {
            return Ok(());
        }
        let error = VaultError::RoleDenied {
            method,
            role: identity.role.as_str(),
        };
        let mut entry = audit::entry("method_denied", identity);
        entry.reason = Some(method.name().to_owned());
        self.deny(entry, error).await
    }

    /// In whose name a caller asks: an agent always in its own, the others in the one they give.
    fn agent_of(identity: &Identity, asserted: &str) -> Result<AgentId, VaultError> {
        match (identity.role, &identity.agent) {
            (Role::Agent | Role::Gateway, Some(agent)) => Ok(agent.clone()),
            // invariant: authentication gives every agent its name.
            (Role::Agent | Role::Gateway, None) => {
                Err(VaultError::Unauthenticated("the agent has no name"))
            }
            _ => Ok(AgentId::parse(asserted)?),
        }
    }
}

/// A request for a lease, parsed.
#[derive(Debug)]
struct Asked {
    agent: AgentId,
    secret: VaultName,
    host: Host,
    tool: Option<Arc<str>>,
}
