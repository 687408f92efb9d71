//! Whether the vault can do its work.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use fnox_vault_wire::methods::{HealthDetails, HealthReport, Role};

use super::Engine;
use crate::identity::Identity;
use crate::store::StoreError;

/// What did not work the last time it was tried.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Option<String>>);

impl Troubles {
    pub(super) fn note(&self, error: &StoreError) {
        if error.refusal().is_none() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }

    /// Remembers how a write ended.
    pub(super) fn watch<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            Ok(_) => {
                let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if trouble.is_some() {
                    *trouble = None;
                }
            }
            Err(error) => self.note(error),
        }
        outcome
    }

    fn current(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Engine {
    /// How the vault is. Administrators hear more.
    pub async fn health(&self, identity: &Identity) -> HealthReport {
        let troubles = self.shared.troubles.current().into_iter();
        let problems: Vec<String> = troubles.chain(self.minted_problem()).collect();
        let details = match identity.role {
            Role::Admin => Some(self.details(problems.clone()).await),
            Role::Orchestrator | Role::Agent | Role::Gateway => None,
        };
        HealthReport {
            status: if problems.is_empty() {
                "ok"
            } else {
                "degraded"
            }
            .to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            details,
        }
    }

    async fn details(&self, problems: Vec<String>) -> HealthDetails {
        let shared = &self.shared;
        let audit_records = match &shared.stores.audit {
            Some(log) => log
                .head()
                .await
                .ok()
                .map(|head| head.map_or(0, |head| head.sequence)),
            None => None,
        };
        let policy = &shared.options.policy_source;
        HealthDetails {
            vault_id: shared.ring.vault_id(),
            store: shared
                .live
                .as_ref()
                .map_or_else(|| shared.stores.secrets.describe(), |live| live.describe()),
            key_source: shared.source.describe(),
            policy: policy
                .as_ref()
                .map_or_else(|| "-".to_owned(), |source| source.origin()),
            rules: self.policy().rules().len() as u64,
            uptime_secs: shared
                .clock
                .monotonic()
                .saturating_sub(shared.started)
                .as_secs(),
            live_leases: self.table().live(),
            connections: shared.connections.load(Ordering::Relaxed),
            audit_records,
            memory_locked: shared.ring.locked(),
            problems,
        }
    }

    /// Counts a connection for as long as the answer lives.
    #[must_use]
    pub fn connection(&self) -> ConnectionCount {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        ConnectionCount(self.clone())
    }
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionCount(Engine);

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
