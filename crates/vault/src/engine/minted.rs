//! Leases of credentials that a mint makes when they are used.
//!
//! A mint stands beside the stored secrets, under a name of its own. A lease of it is judged by the same rules; only
//! what a use answers with is not opened but issued. One lease has one credential (or, with `per_operation`, one for
//! each use), cut to the lease's life, and nobody else gets it. When the lease is over, for whatever reason, the
//! credential is withdrawn at its issuer.
//!
//! Attacks this is built against: a crowd of uses that makes an issuer issue a crowd of credentials (one use asks,
//! the others wait for it); a lease that is withdrawn while its credential is being issued (whoever ends it waits for
//! the issuer's answer and then withdraws it); a caller that hangs up in the middle (the work goes on without it, so
//! that nothing is issued that nobody knows of); a crash (what was issued is on the mint's own durable record, and is
//! withdrawn when the vault runs again).
//!
//! What it leaves out: an exhausted lease ends no credential. Its holder has spent the last use to have it, and may
//! use it until the lease's time is over.

mod answer;
mod ending;
mod issuing;
mod masters;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fnox_core::audit::Entry;
use fnox_core::credential::{CredentialMints, IssueError, IssueErrorKind, MintTerms};
use fnox_core::lease::is_fresh;
use fnox_core::{Credential, VaultName};
use fnox_vault_wire::methods::{SecretKind, SecretMetadata};
use fnox_vault_wire::{LeaseId, SecretId};
use jiff::Timestamp;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

pub(super) use self::answer::Answer;
use super::Engine;
use crate::error::VaultError;
use crate::lease::Lease;
use crate::lease_table::Over;

/// The mints of a running vault, and what they made for its leases.
#[derive(Debug)]
pub(super) struct Minted {
    mints: Arc<dyn CredentialMints>,
    metadata: Vec<SecretMetadata>,
    slots: Mutex<HashMap<LeaseId, Arc<Slot>>>,
    /// Withdrawals under way.
    ending: Mutex<JoinSet<()>>,
    /// Withdrawals that have failed so far: mint and credential, and why.
    failed: Mutex<HashMap<(String, String), String>>,
    is_closed: AtomicBool,
}

/// What was issued for one lease.
#[derive(Debug)]
struct Slot {
    lease: Lease,
    /// Whether the issuer was ever asked for anything.
    was_asked: AtomicBool,
    /// Written by whoever issues the lease's one credential and by whoever ends it; read meanwhile by uses that get
    /// credentials of their own.
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    is_over: bool,
}

#[derive(Debug, Clone)]
struct Held {
    credential: Credential,
    since: Timestamp,
}

/// What a use answers with, and which credential that is.
#[derive(Debug)]
pub(super) struct Issued {
    pub answer: Answer,
    pub note: String,
}

/// No credential, with what only the record is told.
#[derive(Debug)]
pub(super) struct NotIssued {
    pub error: VaultError,
    pub details: Option<String>,
}

impl From<VaultError> for NotIssued {
    fn from(error: VaultError) -> Self {
        Self {
            error,
            details: None,
        }
    }
}

impl NotIssued {
    fn by_mint(name: &str, error: IssueError) -> Self {
        let name = name.to_owned();
        Self {
            error: match error.kind {
                IssueErrorKind::Refused => VaultError::MintRefused(name),
                IssueErrorKind::Unavailable => VaultError::MintUnavailable(name),
            },
            details: Some(error.message),
        }
    }

    /// Puts the details into the record of the refusal.
    pub(super) fn noted(self, entry: &mut Entry) -> VaultError {
        entry.reason = self.details;
        self.error
    }
}

impl Minted {
    fn slots(&self) -> MutexGuard<'_, HashMap<LeaseId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn terms(&self, name: &str) -> Option<&MintTerms> {
        self.mints.terms().iter().find(|terms| terms.name == name)
    }
}

impl Engine {
    /// Lends what these mints make, too. Once, before anybody is served.
    ///
    /// # Errors
    /// `Invalid` for a name that no lease could be asked for, or that is a secret's already; `Unsupported` for a vault
    /// that has mints; `Store`.
    pub async fn lend_mints(&self, mints: Arc<dyn CredentialMints>) -> Result<(), VaultError> {
        let now = self.now().wall;
        let mut metadata = Vec::new();
        for terms in mints.terms() {
            let name = VaultName::parse(&terms.name)?;
            if self.has_secret(&name).await? {
                return Err(VaultError::Invalid(format!(
                    "`{name}` is a mint of {} and a secret of this vault: give one of them another name",
                    mints.describe()
                )));
            }
            metadata.push(described(terms, now));
        }
        let minted = Minted {
            mints,
            metadata,
            slots: Mutex::default(),
            ending: Mutex::default(),
            failed: Mutex::default(),
            is_closed: AtomicBool::new(false),
        };
        self.shared.minted.set(minted).map_err(|_| {
            VaultError::Unsupported("this vault lends what its mints make already".to_owned())
        })
    }

    pub(super) fn minted(&self) -> Option<&Minted> {
        self.shared.minted.get()
    }

    /// The mint of this name.
    pub(super) fn mint_terms(&self, name: &VaultName) -> Option<&MintTerms> {
        self.minted()?.terms(name.as_str())
    }

    /// The mints as they stand in lists of secrets.
    pub(super) fn mint_metadata(&self) -> &[SecretMetadata] {
        self.minted().map_or(&[], |minted| &minted.metadata)
    }

    fn is_over(&self, id: LeaseId) -> bool {
        let now = self.now();
        !matches!(
            self.table().standing(id, now),
            Some(Ok(_) | Err(Over::Exhausted))
        )
    }
}

impl Held {
    /// Whether it can be handed out again: it lives as long as its lease, or has enough of its life left.
    fn is_good_for(&self, lease: &Lease, now: Timestamp) -> bool {
        let end = self.credential.expires_at;
        !self.has_ended(now)
            && (end.is_none_or(|end| end >= lease.expires_at) || is_fresh(self.since, end, now))
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.credential.expires_at.is_some_and(|end| end <= now)
    }
}
fn described(terms: &MintTerms, now: Timestamp) -> SecretMetadata {
    SecretMetadata {
        id: SecretId::generate(),
        name: terms.name.clone(),
        kind: SecretKind::Opaque,
        description: terms.description.clone(),
        created_at: now,
        updated_at: now,
        version: 1,
        tags: [("mint".to_owned(), terms.kind.clone())].into(),
        algorithm: None,
    }
}
