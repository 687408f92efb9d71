//! The files of records: one JSON document a line, chained ([`fnox_core::audit`]), with a sealed head beside them.
//!
//! `NAME.lock` is held while anything is appended, so several processes can; nobody waits for it longer than
//! [`PATIENCE`]. Records reach the disk before the head does. What a crash in between leaves is told from forgery by the
//! chain: whole records that fit it are taken over, half a line is cut off, anything else is refused.
//!
//! A file that is full is set aside under the number of its last record ([`files`]), and the chain goes on in a new one,
//! whose first record names that number and its MAC. A process that is killed between any two steps leaves a state from
//! which the next one goes on.

mod files;
mod key;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::Folders;
use fnox_core::audit::{Chain, Entry, Head, Outcome, Record, Report, Verifier};
use fnox_leases::ledger::LedgerError;
use fnox_leases::ledger::file;
use fnox_leases::ledger::lock::{Lock, introduction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::files::{Former, beside};
pub(crate) use self::stream::Stream;

/// How long one process waits for others that append.
const PATIENCE: Duration = Duration::from_secs(15);

/// The first record of every file but the first.
pub(crate) const CONTINUED: &str = "log_continued";

/// The log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Stored(#[from] LedgerError),
    #[error("{} is not as it was written: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
}

/// How large a file becomes, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A file of as many bytes takes no further records.
    pub(crate) max_size: u64,
    /// How many full files are kept; all without a number.
    pub(crate) keep: Option<u64>,
}

impl Default for Limits {
    /// 16 MiB a file, and no file is given up: otherwise whoever uses secrets often enough could have the record of one
    /// use removed.
    fn default() -> Self {
        Self {
            max_size: 16 * 1024 * 1024,
            keep: None,
        }
    }
}

/// Where a log ends, and the size of its newest file then.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    head: Head,
    bytes: u64,
}

/// What the first record of a file says of the file before it.
#[derive(Debug, Serialize, Deserialize)]
struct Continued {
    /// Number and MAC of the former file's last record.
    after: u64,
    #[serde(with = "hex::serde")]
    mac: [u8; 32],
    /// Number of the oldest record that is kept. One that is missing although it comes after this was taken away.
    oldest: u64,
}

/// A log that is open for appending, under its lock.
#[derive(Debug)]
struct Growing {
    file: File,
    chain: Chain,
    /// The size of the file, all of it records of the chain.
    bytes: u64,
}

/// A log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    path: PathBuf,
    key: PathBuf,
    limits: Limits,
}

impl Log {
    /// The log of a path; its key is in the state folder, wherever the log is.
    pub(crate) fn new(path: PathBuf, folders: &Folders, limits: Limits) -> Self {
        Self {
            path,
            key: folders.state.join("audit.key"),
            limits,
        }
    }

    /// Appends records, all of them or none. They are on the disk when this returns.
    pub(crate) async fn append(&self, entries: Vec<Entry>, now: Timestamp) -> Result<(), LogError> {
        let _lock = self.lock().await?;
        let mut growing = self.resume()?;
        self.write(&mut growing, entries, now)?;
        self.settle(&growing)
    }

    /// Every record, oldest first, as far as lines can be read.
    pub(crate) async fn records(&self) -> Result<Vec<Record>, LogError> {
        let mut all = Vec::new();
        if !self.exists() {
            return Ok(all);
        }
        let _lock = Lock::share(&beside(&self.path, "lock"), PATIENCE, &holder()).await?;
        for path in self.paths()? {
            all.extend(files::read(&path)?);
        }
        Ok(all)
    }

    /// Compares every record of all files with the chain and the end with the head.
    pub(crate) async fn verify(&self) -> Result<Report, LogError> {
        if !self.exists() {
            return Ok(Verifier::new(&key::none(), Vec::new()).finish(None));
        }
        let _lock = Lock::share(&beside(&self.path, "lock"), PATIENCE, &holder()).await?;
        let keys = key::read(&self.key)?;
        let mut end = self.end()?;
        let mut verifier = Verifier::new(&keys, Vec::new());
        let (mut is_first, mut first, mut oldest) = (true, 0, 1);
        for path in self.paths()? {
            for record in files::read(&path)? {
                let continued = continued(&record);
                if let Some(continued) = &continued {
                    oldest = continued.oldest;
                }
                if is_first {
                    first = record.sequence;
                    if let Some(Continued { after, mac, .. }) = continued {
                        verifier = verifier.after(after, mac);
                    }
                    is_first = false;
                }
                // A crash, or a writer that is at work, leaves records that the head does not know yet.
                if let Some(end) = &mut end
                    && record.sequence > end.head.sequence
                    && let Ok(mut chain) = Chain::resume(&keys, &end.head)
                    && chain.append(record.entry.clone(), record.time) == record
                {
                    end.head = chain.head();
                }
                verifier.record(record);
            }
        }
        let mut report = verifier.finish(end.as_ref().map(|end| &end.head));
        if first > oldest {
            let (expected, found) = (oldest, first);
            report
                .flaws
                .insert(0, fnox_core::audit::Flaw::Gap { expected, found });
        }
        Ok(report)
    }

    /// Where the records are, oldest first.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>, LogError> {
        let former = files::former(&self.path)?;
        let mut paths: Vec<PathBuf> = former.into_iter().map(|one| one.path).collect();
        if self.path.exists() {
            paths.push(self.path.clone());
        }
        Ok(paths)
    }

    fn exists(&self) -> bool {
        self.path.exists()
            || beside(&self.path, "head").exists()
            || files::former(&self.path).is_ok_and(|former| !former.is_empty())
    }

    /// Has the log for itself.
    async fn lock(&self) -> Result<Lock, LogError> {
        self.make_folders()?;
        Ok(Lock::acquire(&beside(&self.path, "lock"), PATIENCE, &holder()).await?)
    }

    /// The growing end. What a crash left after the head is taken over or cut off.
    fn resume(&self) -> Result<Growing, LogError> {
        let keys = key::read_or_make(&self.key)?;
        let end = self.end()?;
        let former = files::former(&self.path)?;
        let newest = former.last();
        let mut file = files::open(&self.path)?;
        let length = self.size(&file)?;
        let (mut chain, begin) = match end {
            None if newest.is_some() || length > 0 => {
                return Err(self.broken(&"its head was removed"));
            }
            None => {
                // So that from the first record on a log without a head is one whose head was removed.
                let chain = Chain::empty(keys.current().clone());
                self.store(&chain, 0)?;
                (chain, 0)
            }
            Some(end) => {
                let chain = Chain::resume(&keys, &end.head);
                let chain = chain.map_err(|error| self.broken(&error))?;
                (chain, self.begin(&end, newest)?)
            }
        };
        if length < begin {
            return Err(self.broken(&"its newest records were removed"));
        }
        let mut bytes = begin;
        if length > begin {
            let (records, whole) = files::read_from(&self.path, &mut file, begin)?;
            for record in records {
                let expected = chain.append(record.entry.clone(), record.time);
                if expected != record {
                    return Err(self.broken(&"it has records that nobody with its key wrote"));
                }
            }
            file.set_len(whole)
                .map_err(|error| self.io("write", error))?;
            bytes = whole;
        }
        Ok(Growing { file, chain, bytes })
    }

    /// Where in the newest file the records begin that the head does not know: at its beginning, if the file that the head
    /// knows has been set aside since.
    fn begin(&self, end: &End, newest: Option<&Former>) -> Result<u64, LogError> {
        let Some(former) = newest.filter(|former| former.last >= end.head.sequence) else {
            return Ok(end.bytes);
        };
        if former.last > end.head.sequence || former.bytes != end.bytes {
            let reason = format!(
                "{} is not the file that was set aside",
                former.path.display()
            );
            return Err(self.broken(&reason));
        }
        Ok(0)
    }

    /// Writes records without waiting for the disk. If not all of them can be written, none is.
    fn write(
        &self,
        growing: &mut Growing,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<(), LogError> {
        if growing.bytes >= self.limits.max_size {
            self.rotate(growing)?;
        }
        let mut chain = growing.chain.clone();
        let mut text = Vec::new();
        let continued = self.continued(&chain, growing.bytes)?;
        for entry in continued.into_iter().chain(entries) {
            let record = chain.append(entry, now);
            serde_json::to_writer(&mut text, &record)
                .map_err(|error| self.io("write", error.into()))?;
            text.push(b'\n');
        }
        let written = growing
            .file
            .seek(SeekFrom::Start(growing.bytes))
            .and_then(|_| growing.file.write_all(&text));
        if let Err(error) = written {
            self.take_back(growing);
            return Err(self.io("write", error));
        }
        growing.chain = chain;
        growing.bytes += text.len() as u64;
        Ok(())
    }

    /// Brings what was written to the disk, and the head after it.
    fn settle(&self, growing: &Growing) -> Result<(), LogError> {
        growing
            .file
            .sync_data()
            .map_err(|error| self.io("write", error))?;
        self.store(&growing.chain, growing.bytes)?;
        self.give_up_oldest()
    }

    /// Stores where the log ends.
    fn store(&self, chain: &Chain, bytes: u64) -> Result<(), LogError> {
        let end = End {
            head: chain.head(),
            bytes,
        };
        let path = beside(&self.path, "head");
        let text = serde_json::to_string(&end).map_err(|error| self.io("write", error.into()))?;
        file::sweep(&path);
        Ok(file::replace(&path, &text)?)
    }

    /// Nothing of it, rather than half of it.
    fn take_back(&self, growing: &Growing) {
        if let Err(error) = growing.file.set_len(growing.bytes) {
            tracing::debug!("half a record stays in {}: {error}", self.path.display());
        }
    }

    /// Sets the file aside. The head knows all of it first: whether a file that is set aside is whole is told by that.
    fn rotate(&self, growing: &mut Growing) -> Result<(), LogError> {
        self.settle(growing)?;
        files::set_aside(&self.path, growing.chain.head().sequence)?;
        growing.file = files::open(&self.path)?;
        growing.bytes = 0;
        Ok(())
    }

    /// What the first record of a new file is to say, if this is the place for one.
    fn continued(&self, chain: &Chain, bytes: u64) -> Result<Option<Entry>, LogError> {
        let head = chain.head();
        if bytes > 0 || head.sequence == 0 {
            return Ok(None);
        }
        let former = files::former(&self.path)?;
        let given_up = former.len().saturating_sub(self.kept());
        let last_given_up = given_up.checked_sub(1).and_then(|at| former.get(at));
        // Never from what is there: a file that somebody removed would be forgotten.
        let before = match former.last() {
            Some(former) => files::first_record(&former.path)?,
            None => None,
        };
        let before = before.as_ref().and_then(continued);
        let oldest = before.map_or(1, |before| before.oldest);
        let oldest = last_given_up.map_or(oldest, |former| oldest.max(former.last + 1));
        let detail = Continued {
            after: head.sequence,
            mac: head.mac,
            oldest,
        };
        let mut entry = Entry::new(CONTINUED, "fnox", Outcome::Ok);
        entry.detail =
            Some(serde_json::to_string(&detail).map_err(|error| self.io("write", error.into()))?);
        Ok(Some(entry))
    }

    /// Removes the files that the newest file says are given up; that record is on the disk by now. What cannot be removed
    /// is tried again by the next writer.
    fn give_up_oldest(&self) -> Result<(), LogError> {
        if self.limits.keep.is_none() {
            return Ok(());
        }
        let former = files::former(&self.path)?;
        if former.len() <= self.kept() {
            return Ok(());
        }
        let first = files::first_record(&self.path)?;
        let oldest = first.as_ref().and_then(continued).map(|first| first.oldest);
        for one in former {
            if oldest.is_some_and(|oldest| one.last < oldest)
                && let Err(error) = std::fs::remove_file(&one.path)
            {
                tracing::warn!("{} is not removed: {error}", one.path.display());
            }
        }
        Ok(())
    }

    /// How many full files are kept.
    fn kept(&self) -> usize {
        let keep = self.limits.keep.unwrap_or(u64::MAX);
        usize::try_from(keep).unwrap_or(usize::MAX)
    }

    fn end(&self) -> Result<Option<End>, LogError> {
        let Some(text) = file::read(&beside(&self.path, "head"))? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| self.broken(&"its head cannot be read"))
    }

    fn make_folders(&self) -> Result<(), LogError> {
        if let Some(folder) = self.key.parent() {
            file::private_folder(folder)?;
        }
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if folder.is_dir() {
            return Ok(());
        }
        Ok(file::private_folder(folder)?)
    }

    fn size(&self, file: &File) -> Result<u64, LogError> {
        let metadata = file.metadata().map_err(|error| self.io("read", error))?;
        Ok(metadata.len())
    }

    fn io(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> LogError {
        LogError::Broken {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

/// What a record says of the file before its own, if it is the first of one.
fn continued(record: &Record) -> Option<Continued> {
    let detail = record.entry.detail.as_deref()?;
    (record.entry.event == CONTINUED)
        .then(|| serde_json::from_str(detail).ok())
        .flatten()
}

fn holder() -> String {
    introduction("audit")
}
