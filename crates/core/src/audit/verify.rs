//! Walking a log from its beginning and finding what does not fit.

use subtle::ConstantTimeEq as _;

use super::{ChainKeys, Checkpoint, Head, Record, head_is_genuine};

/// Takes the records of a log in their stored order and compares each with the chain.
#[derive(Debug)]
pub struct Verifier<'a> {
    keys: &'a ChainKeys,
    checkpoints: Vec<Checkpoint>,
    /// What came before the first record: its number and its MAC.
    begin: (u64, [u8; 32]),
    /// Whether there was a first record from the beginning.
    is_never_empty: bool,
    previous: Option<Record>,
    verified: u64,
    flaws: Vec<Flaw>,
}

impl<'a> Verifier<'a> {
    /// A verifier at the beginning of a log. `checkpoints` are those kept elsewhere, their signatures
    /// already verified.
    #[must_use]
    pub fn new(keys: &'a ChainKeys, mut checkpoints: Vec<Checkpoint>) -> Self {
        checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
        Self {
            keys,
            checkpoints,
            begin: (0, [0; 32]),
            is_never_empty: false,
            previous: None,
            verified: 0,
            flaws: Vec::new(),
        }
    }

    /// The same after a record that is not there any more, because its file was given up. The next one proves by its own
    /// MAC that this was the one before it.
    #[must_use]
    pub fn after(self, sequence: u64, mac: [u8; 32]) -> Self {
        Self {
            begin: (sequence, mac),
            ..self
        }
    }

    /// The same for a log whose maker writes the first record at once: one without any was emptied. Of other logs nobody
    /// can tell that from one that is new.
    #[must_use]
    pub fn never_empty(self) -> Self {
        Self {
            is_never_empty: true,
            ..self
        }
    }

    /// Takes the next record.
    pub fn record(&mut self, record: Record) {
        let expected = self
            .previous
            .as_ref()
            .map_or(self.begin.0, |previous| previous.sequence)
            .saturating_add(1);
        if record.sequence != expected {
            self.flaws.push(Flaw::Gap {
                expected,
                found: record.sequence,
            });
        }
        if self
            .previous
            .as_ref()
            .is_some_and(|previous| record.time < previous.time)
        {
            self.flaws.push(Flaw::TimeRunsBack {
                sequence: record.sequence,
            });
        }
        let before = self
            .previous
            .as_ref()
            .map_or(self.begin.1, |previous| previous.mac);
        match self.keys.find(&record.key_id) {
            None => self.flaws.push(Flaw::UnknownKey {
                sequence: record.sequence,
                key_id: record.key_id.clone(),
            }),
            Some(key) => {
                let mac = key.record_mac(&before, record.sequence, record.time, &record.entry);
                if mac.ct_eq(&record.mac).into() {
                    self.verified += 1;
                } else {
                    self.flaws.push(Flaw::Changed {
                        sequence: record.sequence,
                    });
                }
            }
        }
        for checkpoint in &self.checkpoints {
            if checkpoint.sequence == record.sequence && checkpoint.mac != record.mac {
                self.flaws.push(Flaw::NotAsCheckpointed {
                    sequence: record.sequence,
                });
            }
        }
        self.previous = Some(record);
    }

    /// Compares the end of the log with its head, and tells what was found.
    #[must_use]
    pub fn finish(mut self, head: Option<&Head>) -> Report {
        let (sequence, mac) = self
            .previous
            .as_ref()
            .map_or(self.begin, |last| (last.sequence, last.mac));
        match head {
            None if sequence == 0 && self.is_never_empty => self.flaws.push(Flaw::Emptied),
            None if sequence == 0 => {}
            None => self.flaws.push(Flaw::HeadMissing),
            Some(head) if !head_is_genuine(self.keys, head) => self.flaws.push(Flaw::HeadChanged),
            Some(head) if head.sequence != sequence => {
                self.flaws.push(Flaw::Truncated {
                    expected: head.sequence,
                    found: sequence,
                });
            }
            Some(head) if head.mac != mac => self.flaws.push(Flaw::HeadChanged),
            Some(_) => {}
        }
        if let Some(last) = self
            .checkpoints
            .last()
            .filter(|last| last.sequence > sequence)
        {
            self.flaws.push(Flaw::Truncated {
                expected: last.sequence,
                found: sequence,
            });
        }
        Report {
            records: sequence,
            verified: self.verified,
            flaws: self.flaws,
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Number of the last record.
    pub records: u64,
    /// How many records fit the chain.
    pub verified: u64,
    /// What did not fit, in the order in which it was met.
    pub flaws: Vec<Flaw>,
}

impl Report {
    /// Whether the log is as it was written.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.flaws.is_empty()
    }
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A number is missing, stands twice or stands in the wrong place.
    #[error(
        "record {expected} should come next, but {found} does: records were removed, added or reordered"
    )]
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The MAC does not fit: this record or the one before it was changed.
    #[error("record {sequence} does not fit the chain: it or the record before it was changed")]
    Changed {
        /// Number of the record.
        sequence: u64,
    },
    /// A record is older than the one before.
    #[error("record {sequence} is older than the record before it")]
    TimeRunsBack {
        /// Number of the record.
        sequence: u64,
    },
    /// Nobody here has the key.
    #[error("record {sequence} names the key `{key_id}`, which this vault never had")]
    UnknownKey {
        /// Number of the record.
        sequence: u64,
        /// The id that it names.
        key_id: String,
    },
    /// The newest records are missing.
    #[error(
        "the log ends at record {found}, but it had {expected}: the newest records were removed"
    )]
    Truncated {
        /// How many there were.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// There is nothing, although there was a first record from the beginning.
    #[error(
        "the log is empty, but its first record was written when it was made: all records were removed"
    )]
    Emptied,
    /// There are records but no head.
    #[error("the log's head is missing")]
    HeadMissing,
    /// The head does not fit the key or the last record.
    #[error("the log's head was changed")]
    HeadChanged,
    /// A checkpoint that was kept elsewhere says otherwise.
    #[error(
        "record {sequence} is not the one that a signed checkpoint names: the log was replaced"
    )]
    NotAsCheckpointed {
        /// Number of the record.
        sequence: u64,
    },
}
