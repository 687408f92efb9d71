//! What this process knows without asking: sealed values for a few seconds, and what is in the index.
//!
//! Only sealed bytes are kept. A value that was read while somebody wrote is not kept: every write begins a new
//! *epoch*, and what was asked for in an earlier one is not remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::seal::Algorithm;
use fnox_vault::store::SecretRecord;

use crate::payload::Document;

/// How long a write of this process counts more than a list of AWS, which may lag by five minutes.
const RECENT: Duration = Duration::from_mins(10);
/// How many values are kept at most; none is larger than 64 KiB.
const VALUES: usize = 512;

/// A value and the version of AWS that holds it.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) version_id: String,
    pub(crate) document: Document,
}

/// What the index knows of one secret of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The version of AWS that was seen.
    pub(crate) version_id: String,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A secret of this store.
    Ours(Arc<Summary>),
    /// Deleted.
    Gone,
    /// Something else below the same prefix.
    Foreign,
}

/// A secret without its sealed bytes.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) record: SecretRecord,
    /// Key and algorithm of each version.
    pub(crate) versions: Vec<(String, Algorithm)>,
}

impl Seen {
    pub(crate) fn of(current: &Current) -> Self {
        let document = &current.document;
        let what = match document.record() {
            None => What::Gone,
            Some(record) => What::Ours(Arc::new(Summary {
                record,
                versions: document
                    .versions
                    .iter()
                    .map(|version| (version.key_id.clone(), version.algorithm))
                    .collect(),
            })),
        };
        Self {
            version_id: current.version_id.clone(),
            what,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    values: HashMap<String, (Duration, Arc<Current>)>,
    /// By AWS's names.
    index: HashMap<String, Seen>,
    written: HashMap<String, Duration>,
    /// Of which it is not known whether a write succeeded.
    doubtful: HashMap<String, Duration>,
    listed_at: Option<Duration>,
}

/// The store's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    keep: Duration,
    state: Mutex<State>,
}

impl Memory {
    pub(crate) fn new(keep: Duration) -> Self {
        Self {
            keep,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be given to [`Self::keep`] with what is read from now on.
    pub(crate) fn epoch(&self) -> u64 {
        self.state().epoch
    }

    pub(crate) fn value(&self, aws_name: &str, now: Duration) -> Option<Arc<Current>> {
        let state = self.state();
        let (at, current) = state.values.get(aws_name)?;
        (now.saturating_sub(*at) < self.keep).then(|| Arc::clone(current))
    }

    /// Keeps what was read in an epoch.
    pub(crate) fn keep(&self, aws_name: &str, current: &Arc<Current>, epoch: u64, now: Duration) {
        let mut state = self.state();
        if state.epoch == epoch {
            self.remember(&mut state, aws_name, current, now);
        }
    }

    fn remember(&self, state: &mut State, aws_name: &str, current: &Arc<Current>, now: Duration) {
        if self.keep.is_zero() {
            return;
        }
        if state.values.len() >= VALUES {
            state
                .values
                .retain(|_, (at, _)| now.saturating_sub(*at) < self.keep);
        }
        if state.values.len() < VALUES {
            let kept = (now, Arc::clone(current));
            state.values.insert(aws_name.to_owned(), kept);
        }
    }

    /// A write begins: what is known of it may be wrong from now on.
    pub(crate) fn doubt(&self, aws_name: &str, now: Duration) {
        let mut state = self.state();
        state.doubtful.insert(aws_name.to_owned(), now);
        state.epoch += 1;
        state.values.remove(aws_name);
        state.index.remove(aws_name);
        state.written.remove(aws_name);
        state.listed_at = None;
    }

    /// A write was made.
    pub(crate) fn written(&self, aws_name: &str, current: &Arc<Current>, now: Duration) {
        let mut state = self.state();
        state.epoch += 1;
        state.index.insert(aws_name.to_owned(), Seen::of(current));
        state.written.insert(aws_name.to_owned(), now);
        state.doubtful.remove(aws_name);
        if current.document.versions.is_empty() {
            state.values.remove(aws_name);
        } else {
            self.remember(&mut state, aws_name, current, now);
        }
    }

    /// Names that a list may lack although there is such a secret.
    pub(crate) fn doubtful(&self, now: Duration) -> Vec<String> {
        let mut state = self.state();
        state
            .doubtful
            .retain(|_, at| now.saturating_sub(*at) < RECENT);
        state.doubtful.keys().cloned().collect()
    }

    /// Whether the list was asked for a moment ago.
    pub(crate) fn is_listed(&self, now: Duration) -> bool {
        let listed_at = self.state().listed_at;
        listed_at.is_some_and(|at| now.saturating_sub(at) < self.keep)
    }

    pub(crate) fn summaries(&self) -> Vec<Arc<Summary>> {
        let state = self.state();
        let ours = state.index.values().filter_map(|seen| match &seen.what {
            What::Ours(summary) => Some(Arc::clone(summary)),
            What::Gone | What::Foreign => None,
        });
        ours.collect()
    }

    /// What is known of a version that AWS lists. What was written here a moment ago is known better here.
    pub(crate) fn seen(
        &self,
        aws_name: &str,
        version_id: Option<&str>,
        now: Duration,
    ) -> Option<Seen> {
        let state = self.state();
        let seen = state.index.get(aws_name)?;
        let is_same = version_id == Some(seen.version_id.as_str());
        (is_same || state.is_recent(aws_name, now)).then(|| seen.clone())
    }

    /// A whole list was read in an epoch. What was written here since, or a moment before, stays as it is known.
    pub(crate) fn list(&self, mut listed: HashMap<String, Seen>, epoch: u64, now: Duration) {
        let mut state = self.state();
        state
            .written
            .retain(|_, at| now.saturating_sub(*at) < RECENT);
        let written: Vec<String> = state.written.keys().cloned().collect();
        for name in written {
            if let Some(seen) = state.index.get(&name) {
                listed.insert(name, seen.clone());
            }
        }
        state.index = listed;
        state.listed_at = (state.epoch == epoch).then_some(now);
    }
}

impl State {
    fn is_recent(&self, aws_name: &str, now: Duration) -> bool {
        let at = self.written.get(aws_name);
        at.is_some_and(|at| now.saturating_sub(*at) < RECENT)
    }
}

#[cfg(test)]
mod tests {
    use fnox_core::VaultName;
    use fnox_core::seal::Sealed;
    use fnox_vault::store::StoredSecret;
    use fnox_vault_wire::SecretId;
    use fnox_vault_wire::methods::SecretKind;

    use super::*;

    const NAME: &str = "p/a";
    const MINUTE: Duration = Duration::from_mins(1);

    fn current(version_id: &str, is_living: bool) -> Arc<Current> {
        let secret = StoredSecret {
            record: SecretRecord {
                id: SecretId::generate(),
                name: VaultName::parse("a").unwrap(),
                kind: SecretKind::Pat,
                description: None,
                tags: [].into(),
                created_at: jiff::Timestamp::UNIX_EPOCH,
                updated_at: jiff::Timestamp::UNIX_EPOCH,
                version: 1,
                algorithm: Algorithm::Aes256Gcm,
            },
            key_id: "k".to_owned(),
            sealed_kind: SecretKind::Pat,
            sealed: Sealed {
                nonce: vec![0; 12],
                ciphertext: vec![0; 16],
            },
        };
        let mut document = Document::new("p", secret);
        if !is_living {
            document.versions.clear();
        }
        Arc::new(Current {
            version_id: version_id.to_owned(),
            document,
        })
    }

    fn listed(current: &Current) -> HashMap<String, Seen> {
        [(NAME.to_owned(), Seen::of(current))].into()
    }

    #[test]
    fn a_list_that_lags_hides_nothing_and_revives_nothing() {
        let memory = Memory::new(MINUTE);
        let now = Duration::from_hours(1);
        memory.written(NAME, &current("v1", true), now);
        memory.list(HashMap::new(), memory.epoch(), now + MINUTE);
        assert_eq!(memory.summaries().len(), 1);
        assert!(memory.seen(NAME, Some("v0"), now + MINUTE).is_some());

        memory.written(NAME, &current("v2", false), now);
        memory.list(listed(&current("v1", true)), memory.epoch(), now + MINUTE);
        assert!(memory.summaries().is_empty());

        // Later, the list is right.
        let later = now + 11 * MINUTE;
        memory.list(listed(&current("v3", true)), memory.epoch(), later);
        assert_eq!(memory.summaries().len(), 1);
        assert!(memory.seen(NAME, Some("v4"), later).is_none());
    }

    #[test]
    fn what_was_read_before_a_write_is_not_kept() {
        let memory = Memory::new(MINUTE);
        let epoch = memory.epoch();
        memory.doubt(NAME, MINUTE);
        memory.keep(NAME, &current("v1", true), epoch, MINUTE);
        assert!(memory.value(NAME, MINUTE).is_none());
        memory.keep(NAME, &current("v1", true), memory.epoch(), MINUTE);
        assert!(memory.value(NAME, MINUTE).is_some());
        assert!(memory.value(NAME, 2 * MINUTE).is_none());
        memory.written(NAME, &current("v2", false), MINUTE);
        assert!(memory.value(NAME, MINUTE).is_none());
    }

    #[test]
    fn a_write_of_unknown_fate_is_looked_for() {
        let memory = Memory::new(MINUTE);
        memory.doubt(NAME, MINUTE);
        assert_eq!(memory.doubtful(2 * MINUTE), [NAME]);
        memory.written(NAME, &current("v1", true), MINUTE);
        assert!(memory.doubtful(2 * MINUTE).is_empty());
        memory.doubt(NAME, MINUTE);
        assert!(memory.doubtful(20 * MINUTE).is_empty());
    }

    #[test]
    fn nothing_is_kept_where_nothing_shall_be() {
        let memory = Memory::new(Duration::ZERO);
        memory.written(NAME, &current("v1", true), MINUTE);
        assert!(memory.value(NAME, MINUTE).is_none());
        memory.list(HashMap::new(), memory.epoch(), MINUTE);
        assert!(!memory.is_listed(MINUTE));
    }
}
