//! An engine over a store in memory, with a clock that a test advances.

use std::sync::Arc;

use fnox_core::audit::Record;
use fnox_core::{AgentId, Clock, SecretBytes, SecretString};
use fnox_testkit::FakeClock;
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::store::{MemoryStore, Stores};
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity, PeerBinding, VaultError};
use fnox_vault_wire::methods::{
    AccessSecret, AuditQuery, LeaseGrant, RequestLease, RevocationReason, RevokeLease, Role,
    SecretKind, StoreSecret,
};
use fnox_vault_wire::{Code, LeaseId, SecretValue};

/// A policy that lets `coder` use `token` at hosts below `example.com`, renewably.
pub(crate) const POLICY: &str = r#"
[[rule]]
agent = "coder"
secret = "token"
hosts = ["*.example.com"]
ttl = "10m"
max_ttl = "20m"
renewable = true
max_lifetime = "1h"

[[rule]]
agent = "coder"
secret = "once"
hosts = ["api.example.com"]
ttl = "5m"
max_uses = 1
"#;

/// A vault and everything that outlives it.
pub(crate) struct World {
    pub engine: Engine,
    pub clock: Arc<FakeClock>,
    pub stores: Stores,
    pub options: EngineOptions,
}

impl World {
    /// A new vault with the secrets `token` and `once`.
    pub(crate) async fn new(policy: &str) -> Self {
        Self::with_options(policy, EngineOptions::default()).await
    }

    pub(crate) async fn with_options(policy: &str, options: EngineOptions) -> Self {
        let clock = Arc::new(FakeClock::at("2026-01-02T03:04:05Z"));
        let stores =
            Arc::new(MemoryStore::with_clock(Arc::clone(&clock) as Arc<dyn Clock>)).stores();
        let engine = Engine::create(parts(policy, &clock, &stores, &options))
            .await
            .unwrap();
        let world = Self {
            engine,
            clock,
            stores,
            options,
        };
        for name in ["token", "once"] {
            world
                .store(name, format!("value of {name}").as_bytes())
                .await
                .unwrap();
        }
        world
    }

    /// The vault as it is after its process ended and another one began.
    pub(crate) async fn restart(&mut self, policy: &str) {
        self.engine = Engine::open(parts(policy, &self.clock, &self.stores, &self.options))
            .await
            .unwrap();
    }

    pub(crate) async fn store(&self, name: &str, value: &[u8]) -> Result<(), VaultError> {
        let params = StoreSecret {
            name: name.to_owned(),
            plaintext: SecretValue(SecretBytes::new(value.to_vec())),
            kind: SecretKind::Opaque,
            description: None,
            tags: std::collections::BTreeMap::new(),
            algorithm: None,
        };
        self.engine.store_secret(&admin(), params).await.map(drop)
    }

    pub(crate) async fn request(
        &self,
        who: &Identity,
        secret: &str,
        host: &str,
    ) -> Result<LeaseGrant, VaultError> {
        self.engine
            .request_lease(who, &RequestLease::new("coder", secret, host))
            .await
    }

    pub(crate) async fn access(
        &self,
        who: &Identity,
        id: LeaseId,
        host: &str,
    ) -> Result<Vec<u8>, VaultError> {
        let params = AccessSecret::new(id, host);
        let delivered = self.engine.access_secret(who, &params).await?;
        Ok(delivered.secret.expose_secret().to_vec())
    }

    pub(crate) async fn revoke(&self, who: &Identity, id: LeaseId) -> Result<(), VaultError> {
        let params = RevokeLease {
            lease_id: id,
            reason: RevocationReason::AdminRevoked,
        };
        self.engine.revoke_lease(who, &params).await
    }

    /// What the vault takes for now.
    pub(crate) fn engine_now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// The audit log, oldest first.
    pub(crate) async fn log(&self) -> Vec<Record> {
        let log = self.stores.audit.as_ref().unwrap();
        log.query(&AuditQuery::default(), 100_000).await.unwrap()
    }

    /// Kinds and outcomes of the newest records, oldest first.
    pub(crate) async fn last(&self, count: usize) -> Vec<String> {
        let log = self.log().await;
        let skipped = log.len().saturating_sub(count);
        log.iter()
            .skip(skipped)
            .map(|record| format!("{} {}", record.entry.event, record.entry.outcome))
            .collect()
    }
}

fn parts(
    policy: &str,
    clock: &Arc<FakeClock>,
    stores: &Stores,
    options: &EngineOptions,
) -> EngineParts {
    let key = SecretString::from("a5".repeat(32).as_str());
    EngineParts {
        stores: stores.clone(),
        live: None,
        source: Arc::new(EnvKey::new("FNOX_TEST_VAULT_KEY", Some(key)).unwrap()),
        policy: Policy::load(policy, "policy.toml").unwrap().policy,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        options: options.clone(),
    }
}

pub(crate) fn admin() -> Identity {
    Identity::local()
}

pub(crate) fn agent(name: &str, uid: u32) -> Identity {
    Identity {
        role: Role::Agent,
        agent: Some(AgentId::parse(name).unwrap()),
        peer: PeerBinding::Uid(uid),
        origin: format!("unix(uid={uid})"),
        expires_at: None,
    }
}

pub(crate) fn orchestrator(uid: u32) -> Identity {
    Identity {
        role: Role::Orchestrator,
        agent: None,
        ..agent("x", uid)
    }
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> Code {
    outcome.expect_err("a refusal").code()
}
