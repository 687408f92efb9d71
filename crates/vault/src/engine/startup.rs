//! Opening a vault, and learning what the store knows.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use fnox_core::lease::LeaseState;
use fnox_vault_wire::methods::{LeaseEvent, RevocationReason};
use fnox_vault_wire::{LeaseId, SessionId, TokenId};
use jiff::Timestamp;

use super::approvals::Questions;
use super::audit::system_entry;
use super::events::Events;
use super::health::Troubles;
use super::time::Time;
use super::{Engine, EngineParts, Shared};
use crate::error::VaultError;
use crate::identity::PeerBinding;
use crate::key_ring::KeyRing;
use crate::lease::Lease;
use crate::lease_table::LeaseTable;
use crate::policy::RateLimits;
use crate::rotation;

impl Engine {
    /// Opens a vault whose store and key exist: checks the key, gives the audit log its own, learns the live
    /// leases, judges them by today's policy, and finishes a change of keys that was interrupted.
    ///
    /// # Errors
    /// `Keys` for a wrong or missing key; `Store`; `Audit` if the log was changed by somebody without the key.
    pub async fn open(parts: EngineParts) -> Result<Self, VaultError> {
        let ring = KeyRing::open(Arc::clone(&parts.source), Arc::clone(&parts.stores.ring)).await?;
        Self::with_ring(parts, ring).await
    }

    /// Creates a vault in an empty store, and opens it.
    ///
    /// # Errors
    /// `Keys` if the source cannot make a key; `Store`, also if there is a vault already.
    pub async fn create(parts: EngineParts) -> Result<Self, VaultError> {
        let ring = KeyRing::create(
            Arc::clone(&parts.source),
            Arc::clone(&parts.stores.ring),
            parts.clock.as_ref(),
        )
        .await?;
        let engine = Self::with_ring(parts, ring).await?;
        engine.record(vec![system_entry("vault_created")]).await?;
        Ok(engine)
    }

    async fn with_ring(parts: EngineParts, ring: KeyRing) -> Result<Self, VaultError> {
        let mut latest = Timestamp::UNIX_EPOCH;
        if let Some(log) = &parts.stores.audit {
            log.unlock(ring.chain_keys())
                .await
                .map_err(|error| VaultError::Audit(error.to_string()))?;
            latest = log.head().await?.map_or(latest, |head| head.time);
        }
        let engine = Self {
            shared: Arc::new(Shared {
                started: parts.clock.monotonic(),
                stores: parts.stores,
                live: parts.live,
                minted: OnceLock::new(),
                ring: Arc::new(ring),
                source: parts.source,
                policy: RwLock::new(Arc::new(parts.policy)),
                table: Mutex::new(LeaseTable::default()),
                rates: RateLimits::new(Arc::clone(&parts.clock)),
                time: Time::since(latest),
                clock: parts.clock,
                events: Events::new(),
                troubles: Troubles::default(),
                questions: Questions::new(),
                options: parts.options,
                connections: AtomicU64::new(0),
                rotating: tokio::sync::Mutex::new(()),
            }),
        };
        engine.learn_everything().await?;
        engine.sweep().await;
        engine.finish_withdrawals().await?;
        engine
            .judge_live_leases(&super::audit::system_identity())
            .await?;
        engine.resume_rotation().await;
        Ok(engine)
    }

    /// Ends leases whose token or session was ended by a vault that did not live to end them too.
    async fn finish_withdrawals(&self) -> Result<(), VaultError> {
        let tokens = self.shared.stores.leases.tokens().await?;
        let revoked: HashSet<TokenId> = tokens
            .into_iter()
            .filter(|token| token.revoked)
            .map(|token| token.id)
            .collect();
        let sessions = self.shared.stores.leases.sessions().await?;
        let open: HashSet<SessionId> = sessions.into_iter().map(|session| session.id).collect();
        let entry = system_entry("lease_revoked");
        let by_token = |lease: &Lease| matches!(lease.peer, PeerBinding::Token(token) if revoked.contains(&token));
        self.withdraw_all(by_token, RevocationReason::TokenRevoked, &entry)
            .await?;
        let by_session = |lease: &Lease| {
            lease
                .session
                .is_some_and(|session| !open.contains(&session))
        };
        self.withdraw_all(by_session, RevocationReason::SessionRevoked, &entry)
            .await?;
        Ok(())
    }

    /// Finishes a change of keys that was interrupted. The vault can do its work without.
    async fn resume_rotation(&self) {
        let shared = &self.shared;
        let _one_at_a_time = shared.rotating.lock().await;
        let outcome = rotation::resume(&shared.ring, shared.stores.secrets.as_ref()).await;
        if let Err(error) = outcome {
            tracing::warn!("an interrupted change of keys could not be finished yet: {error}");
        }
    }

    /// Takes over all live leases of the store; those that are live here and not there are over.
    pub(super) async fn learn_everything(&self) -> Result<(), VaultError> {
        let leases = self.shared.stores.leases.live_leases().await?;
        let live: HashSet<LeaseId> = leases.iter().map(|lease| lease.id).collect();
        for lease in leases {
            self.learn_and_tell(&lease);
        }
        let vanished = self.table().select(|lease| !live.contains(&lease.id));
        for lease in vanished {
            let stored = self.shared.stores.leases.lease(lease.id).await?;
            let gone = Lease {
                state: LeaseState::Revoked,
                reason: Some(RevocationReason::AdminRevoked),
                ..lease
            };
            self.learn_and_tell(&stored.unwrap_or(gone));
        }
        Ok(())
    }

    /// Takes over a lease from a shared store, and tells those who listen what that means for them.
    pub(super) fn learn_and_tell(&self, lease: &Lease) {
        let before = self
            .table()
            .lease(lease.id)
            .map(|known| (known.state, known.expires_at));
        let (state, expires_at) = (lease.state, lease.expires_at);
        self.learn(lease.clone());
        if matches!(state, LeaseState::Revoked | LeaseState::Expired) {
            self.end_minted(lease.id);
        }
        match before {
            Some((LeaseState::Active, _)) if state != LeaseState::Active => self.tell_ended(lease),
            Some((LeaseState::Active, before)) if before < expires_at => {
                let agent = lease.agent.to_string();
                self.tell_of(
                    lease,
                    LeaseEvent::LeaseRenewed {
                        lease_id: lease.id,
                        agent,
                        expires_at,
                    },
                );
            }
            _ => {}
        }
    }
}
