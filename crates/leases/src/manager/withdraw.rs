//! Withdrawing leases and settling what crashes left behind.
//!
//! A withdrawal is noted before the issuer is called: from then on the credential is not handed out any
//! more. If the issuer refuses, the lease stays unrevoked, with the reason, and can be tried again.
//!
//! A change of the ledger writes all of it and waits for the disk, so of many leases all are noted at once, and what came
//! of them is written down some at a time. Whoever is killed in between leaves withdrawals that are tried again.

use std::collections::HashMap;

use fnox_config::LeaseConfig;
use fnox_core::LeaseName;
use fnox_core::lease::LeaseState;
use jiff::Timestamp;

use super::{Acquire, LeaseSummary, Manager};
use crate::error::LeaseError;
use crate::ledger::entry::{Entry, RevocationKind};
use crate::mint::{Mint, Prepared, Prerequisite, RevokeRequest};

/// Of how many withdrawals the ledger learns at once what came of them.
const AT_ONCE: usize = 32;

/// What came of withdrawing one lease.
#[derive(Debug)]
pub struct Revocation {
    /// The issuer's handle.
    pub lease_id: String,
    /// Name of the lease in the configuration.
    pub lease: String,
    /// The label under which it was asked for.
    pub label: String,
    /// What came of it.
    pub outcome: RevocationOutcome,
}

/// What came of withdrawing one lease.
#[derive(Debug)]
pub enum RevocationOutcome {
    /// The issuer withdrew it.
    Revoked,
    /// fnox forgot it. Its issuer cannot withdraw it: it works until this moment.
    ExpiresOnly {
        /// When it stops working. `None`: never.
        expires_at: Option<Timestamp>,
    },
    /// It was withdrawn before.
    AlreadyRevoked,
    /// It is being created right now, so it was left alone.
    InProgress {
        /// Who creates it.
        holder: String,
    },
    /// It could not be withdrawn and stays as it was.
    Failed(LeaseError),
}

/// What `cleanup` did.
#[derive(Debug, Default)]
pub struct CleanupReport {
    /// Expired leases, open intents and failed withdrawals, and what came of each.
    pub settled: Vec<Revocation>,
}

impl CleanupReport {
    /// The first failure, if one of them failed.
    #[must_use]
    pub fn failure(&self) -> Option<&LeaseError> {
        self.settled.iter().find_map(Revocation::failure)
    }
}

impl Revocation {
    /// Why it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&LeaseError> {
        match &self.outcome {
            RevocationOutcome::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl Manager<'_> {
    /// Withdraws the leases that `target` names: an id, else the name of a lease (its active ones), else
    /// the unique beginning of an id, as `lease list` shows it. None of a lease is active: an empty answer.
    ///
    /// # Errors
    /// [`LeaseError::UnknownTarget`] or [`LeaseError::AmbiguousTarget`]. What the issuer refused is a part of
    /// the answer.
    pub async fn revoke(&self, target: &str) -> Result<Vec<Revocation>, LeaseError> {
        let now = self.options.clock.now();
        let entries = self.ledger.open().await?.entries;
        let is_configured = self.options.config.leases.contains_key(target);
        let chosen = choose(&entries, target, is_configured, now)?;
        self.withdraw(chosen).await
    }

    /// Withdraws every lease that is not over.
    ///
    /// # Errors
    /// [`LeaseError::Ledger`]
    pub async fn revoke_all(&self) -> Result<Vec<Revocation>, LeaseError> {
        let now = self.options.clock.now();
        let entries = self.ledger.open().await?.entries;
        let alive = entries.into_iter().filter(|entry| is_alive(entry, now));
        self.withdraw(alive.collect()).await
    }

    /// Withdraws every lease that fits and was not withdrawn yet, what is over and what failed before included.
    ///
    /// # Errors
    /// [`LeaseError::Ledger`]
    pub async fn revoke_where(
        &self,
        fits: impl Fn(&LeaseSummary) -> bool,
    ) -> Result<Vec<Revocation>, LeaseError> {
        let now = self.options.clock.now();
        let entries = self.ledger.open().await?.entries;
        let fitting = entries.into_iter().filter(|entry| {
            entry.state != LeaseState::Revoked && fits(&LeaseSummary::of(entry, now))
        });
        self.withdraw(fitting.collect()).await
    }

    /// Settles expired leases, intents whose process is gone, credentials of runs that were killed, and withdrawals that
    /// failed; then tidies the ledger's folder.
    ///
    /// # Errors
    /// [`LeaseError::Ledger`]
    pub async fn cleanup(&self) -> Result<CleanupReport, LeaseError> {
        let now = self.options.clock.now();
        let entries = self.ledger.open().await?.entries;
        let mut open = Vec::new();
        for entry in entries {
            let is_open = match entry.state_at(now) {
                LeaseState::Expired | LeaseState::Exhausted | LeaseState::Pending => true,
                LeaseState::Revoked => false,
                LeaseState::Active => {
                    entry.revocation_failure.is_some() || self.is_left_behind(&entry)?
                }
            };
            if is_open {
                open.push(entry);
            }
        }
        let mut settled = self.withdraw(open).await?;
        // A lease that is being created is nobody's leftover.
        settled.retain(|one| !matches!(one.outcome, RevocationOutcome::InProgress { .. }));
        self.ledger.tidy(now).await?;
        Ok(CleanupReport { settled })
    }

    /// Whether the run that alone had it is over, and did not withdraw it.
    fn is_left_behind(&self, entry: &Entry) -> Result<bool, LeaseError> {
        match &entry.run {
            Some(run) => Ok(self.ledger.is_over(run)?),
            None => Ok(false),
        }
    }

    async fn withdraw(&self, entries: Vec<Entry>) -> Result<Vec<Revocation>, LeaseError> {
        // What may still be in the making is settled under the lock of its lease, each for itself.
        let (pending, made): (Vec<_>, Vec<_>) = entries
            .iter()
            .partition(|entry| entry.state == LeaseState::Pending);
        let mut outcomes: HashMap<&str, RevocationOutcome> = HashMap::new();
        for entry in pending {
            outcomes.insert(&entry.record, self.withdraw_pending(entry).await?);
        }
        self.withdraw_all(&made, &mut outcomes).await?;
        let mut done = Vec::with_capacity(entries.len());
        for entry in &entries {
            if let Some(outcome) = outcomes.remove(entry.record.as_str()) {
                done.push(Revocation {
                    lease_id: entry.lease_id.clone(),
                    lease: entry.lease.clone(),
                    label: entry.label.clone(),
                    outcome,
                });
            }
        }
        Ok(done)
    }

    async fn withdraw_pending(&self, entry: &Entry) -> Result<RevocationOutcome, LeaseError> {
        // The lock of the lease tells a living minter from a dead one; it dies with its process.
        let guard = match self.ledger.try_lock_lease(&entry.lease)? {
            Ok(lock) => lock,
            Err(holder) => return Ok(RevocationOutcome::InProgress { holder }),
        };
        if !self.is_still_pending(entry).await? {
            return Ok(RevocationOutcome::InProgress {
                holder: "another process".to_owned(),
            });
        }
        let mut outcomes = HashMap::new();
        self.withdraw_all(&[entry], &mut outcomes).await?;
        drop(guard);
        let outcome = outcomes.remove(entry.record.as_str());
        Ok(outcome.unwrap_or(RevocationOutcome::AlreadyRevoked))
    }

    /// Withdraws all of these: those that nobody can withdraw are forgotten.
    async fn withdraw_all<'e>(
        &self,
        entries: &[&'e Entry],
        outcomes: &mut HashMap<&'e str, RevocationOutcome>,
    ) -> Result<(), LeaseError> {
        let mut notes = Notes::default();
        let mut to_call = Vec::new();
        for &entry in entries {
            if entry.state == LeaseState::Revoked {
                outcomes.insert(&entry.record, RevocationOutcome::AlreadyRevoked);
                continue;
            }
            let outcome = match self.revoker(entry)? {
                Revoker::Nobody => {
                    notes.add(entry, Note::Revoked);
                    RevocationOutcome::ExpiresOnly {
                        expires_at: entry.expires_at,
                    }
                }
                Revoker::Gone => RevocationOutcome::Failed(LeaseError::NotConfigured {
                    lease: entry.lease.clone(),
                    lease_id: entry.lease_id.clone(),
                }),
                Revoker::Mint(lease, mint) => {
                    notes.add(entry, Note::Begun);
                    to_call.push((entry, lease, mint));
                    continue;
                }
            };
            outcomes.insert(&entry.record, outcome);
        }
        self.write_down(&mut notes).await?;
        for (entry, lease, mint) in to_call {
            let (note, outcome) = match self.call_issuer(entry, lease, mint.as_ref()).await {
                Ok(()) => (Note::Revoked, RevocationOutcome::Revoked),
                Err(error) => (
                    Note::Failed(error.to_string()),
                    RevocationOutcome::Failed(error),
                ),
            };
            outcomes.insert(&entry.record, outcome);
            notes.add(entry, note);
            if notes.0.len() >= AT_ONCE {
                self.write_down(&mut notes).await?;
            }
        }
        self.write_down(&mut notes).await
    }

    async fn is_still_pending(&self, entry: &Entry) -> Result<bool, LeaseError> {
        let entries = self.ledger.open().await?.entries;
        Ok(entries
            .iter()
            .any(|current| current.record == entry.record && current.state == LeaseState::Pending))
    }

    fn revoker(&self, entry: &Entry) -> Result<Revoker<'_>, LeaseError> {
        let lease = self.options.config.leases.get(entry.lease.as_str());
        // Records taken over from a plain ledger do not know their type.
        let lease = lease.filter(|lease| entry.kind.is_empty() || entry.kind == lease.spec.name);
        if let Some(lease) = lease {
            let mint = self.mint(lease)?;
            let is_lost = entry.state == LeaseState::Pending && mint.unfindable().is_some();
            return Ok(match mint.revocation() {
                RevocationKind::Supported if !is_lost => Revoker::Mint(lease, mint),
                _ => Revoker::Nobody,
            });
        }
        Ok(match entry.revocation {
            RevocationKind::Supported if !entry.kind.is_empty() => Revoker::Gone,
            _ => Revoker::Nobody,
        })
    }

    async fn call_issuer(
        &self,
        entry: &Entry,
        lease: &LeaseConfig,
        mint: &dyn Mint,
    ) -> Result<(), LeaseError> {
        let name: &LeaseName = &lease.name;
        let context = match self.parent_of(mint)? {
            None => self.context(name, mint).await?,
            Some(parent) => {
                let request = Acquire::for_exec(&parent.name);
                let held = self.parent_credential(name, parent, &request).await;
                self.context_below(name, mint, held?).await?
            }
        };
        if let Prerequisite::Missing { message, .. } = mint.prerequisites(&context) {
            return Err(LeaseError::PrerequisitesMissing {
                lease: name.clone(),
                message,
                hint: format!("the masters of lease `{name}` are needed to revoke it"),
            });
        }
        let request = RevokeRequest {
            lease_id: entry.lease_id.clone(),
            is_intent: entry.state == LeaseState::Pending,
            label: entry.label.clone(),
            credential: entry.credential(),
            prepared: match entry.state {
                LeaseState::Pending => entry.private.clone(),
                _ => Prepared::new(),
            },
            expires_at: entry.expires_at,
        };
        mint.revoke(&context, &request)
            .await
            .map_err(|source| LeaseError::Mint {
                lease: name.clone(),
                location: source.key.map(|key| lease.fields.location_of(key).clone()),
                source,
            })
    }

    /// Takes the notes into the ledger.
    async fn write_down(&self, notes: &mut Notes) -> Result<(), LeaseError> {
        let mut notes = std::mem::take(&mut notes.0);
        if notes.is_empty() {
            return Ok(());
        }
        let now = self.options.clock.now();
        let write = |entries: &mut Vec<Entry>| {
            for entry in entries {
                if let Some(note) = notes.remove(&entry.record) {
                    note.write(entry, now);
                }
            }
        };
        self.ledger.update(now, write).await?;
        Ok(())
    }
}

/// What is to be written down about leases, by their records.
#[derive(Default)]
struct Notes(HashMap<String, Note>);

impl Notes {
    fn add(&mut self, entry: &Entry, note: Note) {
        self.0.insert(entry.record.clone(), note);
    }
}

enum Note {
    /// Its issuer is about to be called.
    Begun,
    Revoked,
    /// Why it is not.
    Failed(String),
}

impl Note {
    fn write(self, entry: &mut Entry, now: Timestamp) {
        match self {
            Self::Begun => {
                entry.revocation_failure.get_or_insert_default();
            }
            Self::Revoked => entry.revoke(now),
            Self::Failed(reason) => entry.revocation_failure = Some(reason),
        }
    }
}

/// Who can withdraw a lease.
enum Revoker<'c> {
    /// The issuer has no way to.
    Nobody,
    /// The issuer, through this mint.
    Mint(&'c LeaseConfig, Box<dyn Mint>),
    /// The issuer, but the configuration does not say how any more.
    Gone,
}

fn is_alive(entry: &Entry, now: Timestamp) -> bool {
    matches!(
        entry.state_at(now),
        LeaseState::Active | LeaseState::Pending
    )
}

fn choose(
    entries: &[Entry],
    target: &str,
    is_configured: bool,
    now: Timestamp,
) -> Result<Vec<Entry>, LeaseError> {
    if let Some(entry) = entries.iter().find(|entry| entry.lease_id == target) {
        return Ok(vec![entry.clone()]);
    }
    let of_lease: Vec<&Entry> = entries.iter().filter(|e| e.lease == target).collect();
    if is_configured || !of_lease.is_empty() {
        let alive = of_lease.into_iter().filter(|entry| is_alive(entry, now));
        return Ok(alive.cloned().collect());
    }
    let beginning = target.trim_end_matches("...");
    let matches: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !beginning.is_empty() && entry.lease_id.starts_with(beginning))
        .collect();
    match matches.as_slice() {
        [] => Err(LeaseError::UnknownTarget {
            target: target.escape_debug().to_string(),
        }),
        [entry] => Ok(vec![(*entry).clone()]),
        several => Err(LeaseError::AmbiguousTarget {
            target: target.escape_debug().to_string(),
            matches: several.iter().map(|entry| entry.lease_id.clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::tests::{at, credential, pending};

    fn entries() -> Vec<Entry> {
        ["AROA:one-1", "AROA:one-2", "AROA:two-1", "aws"]
            .into_iter()
            .map(|id| {
                let mut entry = pending(id);
                entry.complete(&credential(Some(at(60))), at(0)).unwrap();
                entry.lease_id = id.to_owned();
                entry.lease = if id == "aws" { "other" } else { "aws" }.to_owned();
                entry
            })
            .collect()
    }

    fn chosen(target: &str, second: i64) -> Result<Vec<String>, LeaseError> {
        let chosen = choose(&entries(), target, false, at(second))?;
        Ok(chosen.into_iter().map(|entry| entry.lease_id).collect())
    }

    #[test]
    fn an_id_wins_over_a_name_over_a_beginning() {
        assert_eq!(chosen("AROA:one-1", 1).unwrap(), ["AROA:one-1"]);
        assert_eq!(chosen("aws", 1).unwrap(), ["aws"]);
        assert_eq!(chosen("other", 1).unwrap(), ["aws"]);
        assert_eq!(chosen("other", 60).unwrap(), Vec::<String>::new());
        assert_eq!(chosen("AROA:two", 1).unwrap(), ["AROA:two-1"]);
        assert_eq!(chosen("AROA:t...", 60).unwrap(), ["AROA:two-1"]);
    }

    #[test]
    fn what_matches_nothing_or_several_is_an_error_that_lists_them() {
        let text = chosen("AROA:one", 1).unwrap_err().to_string();
        assert!(
            text.contains("2 leases") && text.contains("AROA:one-2"),
            "{text}"
        );
        for target in ["", "...", "nothing"] {
            let error = chosen(target, 1).unwrap_err();
            assert_eq!(error.code(), "lease::unknown", "{target}");
        }
    }
}
