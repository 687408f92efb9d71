//! The audit log's records, and the chain that makes changes to them visible.
//!
//! Every record carries a MAC over the MAC before it and over all of its own columns, so an edited, removed,
//! reordered or nulled record breaks the chain, whoever has no key cannot mend it, and records cannot be
//! confused for one another: columns are length-prefixed, absent ones differ from empty ones. The head of the
//! log (its length and last MAC) has a MAC of its own, so that cutting off the newest records is noticed; a
//! log that was put back as a whole, head included, is noticed with a checkpoint that was kept elsewhere.
//!
//! Sequence numbers and times are given by whoever holds the [`Chain`]: the single writer. Whoever asks for
//! a record gives an [`Entry`], which has neither.

mod checkpoint;
mod verify;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::checkpoint::{Checkpoint, CheckpointKey, InvalidCheckpoint, PublicCheckpointKey};
pub use self::verify::{Flaw, Report, Verifier};

/// What happened, told by whoever did it. The writer adds number, time and MAC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// What happened, for example `lease_granted`.
    pub event: String,
    /// Who did it: the role and label of the connection, or `system`.
    pub actor: String,
    /// The other end of the connection, for example `uid:1000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The agent it was done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The host the secret was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Uuid>,
    /// The policy's rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in one line; never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The project of a team server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The approval of a team server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// More about it as one JSON object, in the words of the event's description; never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Entry {
    /// An entry that names only what, who and how it ended.
    #[must_use]
    pub fn new(event: &str, actor: &str, outcome: Outcome) -> Self {
        Self {
            event: event.to_owned(),
            actor: actor.to_owned(),
            peer: None,
            agent: None,
            secret: None,
            host: None,
            lease: None,
            rule: None,
            outcome,
            reason: None,
            project: None,
            approval: None,
            detail: None,
        }
    }
}

/// How a recorded action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is about to be done; another record tells how it ended. A crash between leaves only this one.
    Begun,
    /// It was done.
    Ok,
    /// A rule, a role or a limit forbade it.
    Denied,
    /// It was allowed and did not work.
    Error,
}

impl Outcome {
    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Begun, Self::Ok, Self::Denied, Self::Error]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One line of the log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 without gaps.
    pub sequence: u64,
    /// When the writer wrote it. Never earlier than the record before.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// Which key made the MAC.
    pub key_id: String,
    /// HMAC-SHA-256 over the MAC before and everything above.
    #[serde(with = "hex::serde")]
    pub mac: [u8; 32],
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last record; 0 for an empty log.
    pub sequence: u64,
    /// Time of the last record.
    pub time: Timestamp,
    /// MAC of the last record; zeros for an empty log.
    #[serde(with = "hex::serde")]
    pub mac: [u8; 32],
    /// Which key made `seal`.
    pub key_id: String,
    /// MAC over the fields above, so that nobody without the key can move the head.
    #[serde(with = "hex::serde")]
    pub seal: [u8; 32],
}

/// A key that makes MACs of records, and its id.
#[derive(Clone)]
pub struct ChainKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl ChainKey {
    /// Wraps key bytes.
    #[must_use]
    pub fn new(id: String, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, bytes }
    }

    /// The key's id, which is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn record_mac(
        &self,
        previous: &[u8; 32],
        sequence: u64,
        time: Timestamp,
        entry: &Entry,
    ) -> [u8; 32] {
        let mut mac = Framed::new(&self.bytes, b"fnox audit record v1");
        mac.part(Some(previous));
        mac.part(Some(&sequence.to_be_bytes()));
        mac.part(Some(&time.as_nanosecond().to_be_bytes()));
        mac.part(Some(entry.event.as_bytes()));
        mac.part(Some(entry.actor.as_bytes()));
        mac.part(entry.peer.as_deref().map(str::as_bytes));
        mac.part(entry.agent.as_deref().map(str::as_bytes));
        mac.part(entry.secret.as_deref().map(str::as_bytes));
        mac.part(entry.host.as_deref().map(str::as_bytes));
        mac.part(
            entry
                .lease
                .as_ref()
                .map(|lease| lease.as_bytes().as_slice()),
        );
        mac.part(entry.rule.as_deref().map(str::as_bytes));
        mac.part(Some(entry.outcome.as_str().as_bytes()));
        mac.part(entry.reason.as_deref().map(str::as_bytes));
        mac.part(Some(self.id.as_bytes()));
        // Each with its name, and only if it is there: records without them have the MACs they always had.
        let later: [(&[u8], Option<&[u8]>); 3] = [
            (b"project", entry.project.as_deref().map(str::as_bytes)),
            (
                b"approval",
                entry.approval.as_ref().map(|id| id.as_bytes().as_slice()),
            ),
            (b"detail", entry.detail.as_deref().map(str::as_bytes)),
        ];
        for (name, value) in later {
            if value.is_some() {
                mac.part(Some(name));
                mac.part(value);
            }
        }
        mac.finish()
    }

    fn head_seal(&self, sequence: u64, time: Timestamp, last: &[u8; 32]) -> [u8; 32] {
        let mut mac = Framed::new(&self.bytes, b"fnox audit head v1");
        mac.part(Some(&sequence.to_be_bytes()));
        mac.part(Some(&time.as_nanosecond().to_be_bytes()));
        mac.part(Some(last));
        mac.part(Some(self.id.as_bytes()));
        mac.finish()
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChainKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// All keys that records of one log were made with: one writes, the others only verify.
#[derive(Debug, Clone)]
pub struct ChainKeys {
    current: ChainKey,
    former: Vec<ChainKey>,
}

impl ChainKeys {
    /// The key that writes, and those that wrote before.
    #[must_use]
    pub fn new(current: ChainKey, former: Vec<ChainKey>) -> Self {
        Self { current, former }
    }

    /// The key that writes.
    #[must_use]
    pub fn current(&self) -> &ChainKey {
        &self.current
    }

    /// The key of an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&ChainKey> {
        std::iter::once(&self.current)
            .chain(&self.former)
            .find(|key| key.id == id)
    }
}

/// The growing end of a log. Its holder is the single writer.
#[derive(Debug, Clone)]
pub struct Chain {
    key: ChainKey,
    sequence: u64,
    time: Timestamp,
    mac: [u8; 32],
}

impl Chain {
    /// The beginning of an empty log.
    #[must_use]
    pub fn empty(key: ChainKey) -> Self {
        Self {
            key,
            sequence: 0,
            time: Timestamp::UNIX_EPOCH,
            mac: [0; 32],
        }
    }

    /// Goes on where a log ended.
    ///
    /// # Errors
    /// [`ForgedHead`] if the head's seal does not fit: the log was changed by somebody without the key.
    pub fn resume(keys: &ChainKeys, head: &Head) -> Result<Self, ForgedHead> {
        if !head_is_genuine(keys, head) {
            return Err(ForgedHead);
        }
        Ok(Self {
            key: keys.current.clone(),
            sequence: head.sequence,
            time: head.time,
            mac: head.mac,
        })
    }

    /// Makes the next record. A clock that was set back does not take the log back: the time of the
    /// record before is used again.
    pub fn append(&mut self, entry: Entry, now: Timestamp) -> Record {
        let time = now.max(self.time);
        let sequence = self.sequence + 1;
        let mac = self.key.record_mac(&self.mac, sequence, time, &entry);
        (self.sequence, self.time, self.mac) = (sequence, time, mac);
        Record {
            sequence,
            time,
            entry,
            key_id: self.key.id.clone(),
            mac,
        }
    }

    /// The head to store with the records made so far.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            sequence: self.sequence,
            time: self.time,
            mac: self.mac,
            key_id: self.key.id.clone(),
            seal: self.key.head_seal(self.sequence, self.time, &self.mac),
        }
    }

    /// Time of the last record: the latest moment that this log knows to have passed.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }
}

/// The log's head was not written by a holder of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log's head was changed, or belongs to another key")]
pub struct ForgedHead;

fn head_is_genuine(keys: &ChainKeys, head: &Head) -> bool {
    use subtle::ConstantTimeEq as _;
    keys.find(&head.key_id).is_some_and(|key| {
        key.head_seal(head.sequence, head.time, &head.mac)
            .ct_eq(&head.seal)
            .into()
    })
}

/// HMAC over parts that cannot run into one another and may be absent.
struct Framed(Hmac<Sha256>);

impl Framed {
    fn new(key: &[u8; 32], label: &[u8]) -> Self {
        // invariant: HMAC takes keys of any length (RFC 2104, section 2).
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let mut framed = Self(mac);
        framed.part(Some(label));
        framed
    }

    fn part(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.0.update(&[0]),
            Some(bytes) => {
                self.0.update(&[1]);
                self.0.update(&(bytes.len() as u64).to_be_bytes());
                self.0.update(bytes);
            }
        }
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}
