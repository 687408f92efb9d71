//! Putting things on record, and reading the record.
//!
//! What changes a lease, a token or a session is recorded in the same transaction. What changes anything else is
//! recorded before (`begun`) and after: a change that is not on record cannot happen, whatever fails between.

use fnox_core::audit::{
    Checkpoint, Entry, InvalidCheckpoint, Outcome, PublicCheckpointKey, Verifier,
};
use fnox_vault_wire::methods::{AUDIT_EVENTS, AuditPage, AuditQuery, AuditVerified, Checkpointed};

use super::{Engine, page};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::store::{AuditLog, StoreError};

/// How many records a page has at the most.
const PAGE: usize = 1000;
/// How many flaws a verification lists.
const FLAWS: usize = 100;

/// An entry about something that a caller does, so far successful.
pub(super) fn entry(event: &str, identity: &Identity) -> Entry {
    let mut entry = Entry::new(event, &identity.actor(), Outcome::Ok);
    entry.peer = Some(identity.origin.clone());
    entry.agent = identity.agent.as_ref().map(ToString::to_string);
    entry
}

/// An entry about a lease.
pub(super) fn lease_entry(event: &str, identity: &Identity, lease: &Lease) -> Entry {
    about(entry(event, identity), lease)
}

/// The vault itself.
pub(super) fn system_identity() -> Identity {
    Identity {
        origin: "vault".to_owned(),
        ..Identity::local()
    }
}

/// An entry about something that the vault does by itself.
pub(super) fn system_entry(event: &str) -> Entry {
    Entry::new(event, "system", Outcome::Ok)
}

pub(super) fn about(mut entry: Entry, lease: &Lease) -> Entry {
    entry.agent = Some(lease.agent.to_string());
    entry.secret = Some(lease.secret.to_string());
    entry.host = Some(lease.host.to_string());
    entry.lease = Some(lease.id.0);
    entry.rule = Some(lease.rule.to_string());
    entry
}

impl Engine {
    fn log(&self) -> Result<&dyn AuditLog, VaultError> {
        self.shared.stores.audit.as_deref().ok_or_else(|| {
            VaultError::Unsupported("this vault keeps no audit log that could be read".to_owned())
        })
    }

    /// Whether anybody wants to know: where no log is kept and nobody reads the events, entries are not made.
    fn is_recorded(&self) -> bool {
        self.shared.stores.audit.is_some()
            || tracing::enabled!(target: "fnox_vault::audit", tracing::Level::INFO)
    }

    /// The entries that go with a change, for the store; log shippers get them here.
    pub(super) fn entries(&self, entries: Vec<Entry>) -> Vec<Entry> {
        entries.iter().for_each(trace);
        if self.shared.stores.audit.is_some() {
            entries
        } else {
            Vec::new()
        }
    }

    /// The same for one entry, which is made only if somebody wants it.
    pub(super) fn entry_with(&self, entry: impl FnOnce() -> Entry) -> Vec<Entry> {
        if self.is_recorded() {
            self.entries(vec![entry()])
        } else {
            Vec::new()
        }
    }

    /// Puts entries on record. Whoever calls it answers only if it succeeds.
    pub(super) async fn record(&self, entries: Vec<Entry>) -> Result<(), VaultError> {
        let Some(log) = &self.shared.stores.audit else {
            for entry in &entries {
                trace(entry);
            }
            return Ok(());
        };
        for entry in &entries {
            trace(entry);
        }
        self.shared
            .troubles
            .watch(log.append(entries).await)
            .map_err(|error| VaultError::Audit(error.to_string()))
    }

    /// Records that something was refused, and refuses it.
    pub(super) async fn deny<T>(
        &self,
        mut entry: Entry,
        error: VaultError,
    ) -> Result<T, VaultError> {
        entry.outcome = if is_fault(&error) {
            Outcome::Error
        } else {
            Outcome::Denied
        };
        let text = error.to_string();
        entry.reason = Some(match entry.reason.take() {
            Some(what) => format!("{what}: {text}"),
            None => text,
        });
        match self.record(vec![entry]).await {
            // Nothing was done, and the failure itself says more than that it could not be recorded.
            Err(_) if is_fault(&error) => Err(error),
            Err(unrecorded) => Err(unrecorded),
            Ok(()) => Err(error),
        }
    }

    /// Does something that cannot be recorded in its own transaction: on record before and after.
    pub(super) async fn on_record<T, F>(&self, entry: Entry, work: F) -> Result<T, VaultError>
    where
        F: Future<Output = Result<T, VaultError>>,
    {
        self.record(vec![Entry {
            outcome: Outcome::Begun,
            ..entry.clone()
        }])
        .await?;
        match work.await {
            Ok(done) => {
                self.record(vec![Entry {
                    outcome: Outcome::Ok,
                    ..entry
                }])
                .await?;
                Ok(done)
            }
            Err(error) => self.deny(entry, error).await,
        }
    }

    /// Puts on record that the store was put back from a copy, and that every right in it was withdrawn.
    ///
    /// # Errors
    /// `Audit`.
    pub async fn record_restored(&self, at: jiff::Timestamp) -> Result<(), VaultError> {
        let mut entry = system_entry("store_restored");
        entry.reason = Some(format!(
            "at {at}; every lease, token and session of the copy was withdrawn"
        ));
        self.record(vec![entry]).await
    }

    /// What a store's failure means, once its change was not made or may not have been.
    pub(super) fn failed(&self, error: StoreError) -> VaultError {
        self.shared.troubles.note(&error);
        error.into()
    }

    /// Reads the log.
    ///
    /// # Errors
    /// [`VaultError::OutOfRange`]; [`VaultError::Unsupported`] where there is none to read.
    pub async fn audit_query(
        &self,
        identity: &Identity,
        query: AuditQuery,
    ) -> Result<AuditPage, VaultError> {
        let limit = page::size(query.limit, PAGE / 2, PAGE)?;
        let mut records = self
            .log()?
            .query(&query, limit + 1)
            .await
            .map_err(|error| self.failed(error))?;
        let mut entry = entry("audit_read", identity);
        entry.agent.clone_from(&query.agent);
        entry.secret.clone_from(&query.secret);
        self.record(vec![entry]).await?;
        let count = records.len();
        records.truncate(limit.min(page::fitting(&records)));
        let next = records
            .last()
            .filter(|_| count > records.len())
            .map(|last| last.sequence);
        Ok(AuditPage { records, next })
    }

    /// Walks through the whole log.
    ///
    /// # Errors
    /// [`VaultError::Unsupported`] where there is none; [`VaultError::Invalid`] for a checkpoint that this
    /// vault has not signed. Flaws are no error but the answer.
    pub async fn audit_verify(
        &self,
        identity: &Identity,
        checkpoints: &[String],
    ) -> Result<AuditVerified, VaultError> {
        let log = self.log()?;
        let checkpoints = self.opened(checkpoints)?;
        let keys = self.shared.ring.chain_keys();
        let mut verifier = Verifier::new(&keys, checkpoints);
        let mut unreadable = Vec::new();
        let (mut head, mut position) = (None, 0);
        loop {
            let page = log
                .scan(position, PAGE)
                .await
                .map_err(|error| self.failed(error))?;
            if page.is_empty() {
                // A record that came between the last page and the head is read in one more turn.
                let newest = log.head().await.map_err(|error| self.failed(error))?;
                if newest == head || unreadable.len() >= FLAWS {
                    break;
                }
                head = newest;
                continue;
            }
            for found in page {
                position = found.position;
                match found.record {
                    Ok(record) => verifier.record(record),
                    Err(problem) => unreadable.push(problem),
                }
            }
        }
        let report = verifier.finish(head.as_ref());
        let mut flaws = unreadable;
        flaws.extend(report.flaws.iter().take(FLAWS).map(ToString::to_string));
        let answer = AuditVerified {
            intact: flaws.is_empty(),
            records: report.records,
            verified: report.verified,
            flaws,
        };
        let mut entry = entry("audit_verified", identity);
        entry.outcome = if answer.intact {
            Outcome::Ok
        } else {
            Outcome::Error
        };
        entry.reason = Some(format!(
            "{} of {} records verified",
            answer.verified, answer.records
        ));
        self.record(vec![entry]).await?;
        Ok(answer)
    }

    fn opened(&self, notes: &[String]) -> Result<Vec<Checkpoint>, VaultError> {
        let key = self.checkpoint_public_key();
        let origin = self.log_origin();
        notes
            .iter()
            .map(|note| {
                let checkpoint = key.open(note)?;
                if checkpoint.origin == origin {
                    Ok(checkpoint)
                } else {
                    Err(InvalidCheckpoint::Signature)
                }
            })
            .collect::<Result<_, _>>()
            .map_err(|error| VaultError::Invalid(error.to_string()))
    }

    fn checkpoint_public_key(&self) -> PublicCheckpointKey {
        self.shared.ring.checkpoint_key().public()
    }

    fn log_origin(&self) -> String {
        format!("fnox-vault/{}", self.shared.ring.vault_id())
    }

    /// Signs how far the log has come, to be kept elsewhere.
    ///
    /// # Errors
    /// [`VaultError::Unsupported`] where there is no log.
    pub async fn audit_checkpoint(&self) -> Result<Checkpointed, VaultError> {
        let head = self
            .log()?
            .head()
            .await
            .map_err(|error| self.failed(error))?;
        let Some(head) = head else {
            return Err(VaultError::Unsupported("the audit log is empty".to_owned()));
        };
        let key = self.shared.ring.checkpoint_key();
        let checkpoint = Checkpoint::of_head(&self.log_origin(), &head);
        Ok(Checkpointed {
            note: key.sign(&checkpoint),
            public_key: key.public().to_string(),
        })
    }
}

/// The same for log shippers: one event each, with the record's own words as fields.
pub(super) fn trace(entry: &Entry) {
    debug_assert!(
        AUDIT_EVENTS.contains(&entry.event.as_str()),
        "nobody could look for `{}`",
        entry.event
    );
    tracing::info!(
        target: "fnox_vault::audit",
        event = entry.event,
        actor = entry.actor,
        peer = entry.peer,
        agent = entry.agent,
        secret = entry.secret,
        host = entry.host,
        lease = entry.lease.map(|lease| lease.to_string()),
        rule = entry.rule,
        outcome = entry.outcome.as_str(),
        reason = entry.reason,
    );
}

/// Whether an error is nobody's decision but a failure.
fn is_fault(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Sealing
            | VaultError::Opening
            | VaultError::Keys { .. }
            | VaultError::Audit(_)
            | VaultError::Store(_)
            | VaultError::Unsupported(_)
            | VaultError::MintUnavailable(_)
            | VaultError::MintRefused(_)
            | VaultError::TimedOut
            | VaultError::ShuttingDown
    )
}
