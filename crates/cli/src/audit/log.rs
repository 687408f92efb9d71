//! The file of records: one JSON document a line, chained ([`fnox_core::audit`]), with a sealed head beside it.
//!
//! `NAME.lock` is held while anything is appended, so several processes can; nobody waits for it longer than
//! [`PATIENCE`]. Records reach the disk before the head does. What a crash in between leaves is told from forgery by the
//! chain: whole records that fit it are taken over, half a line is cut off, anything else is refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_config::Folders;
use fnox_core::audit::{Chain, ChainKey, ChainKeys, Entry, Head, Record, Report, Verifier};
use fnox_leases::ledger::LedgerError;
use fnox_leases::ledger::file;
use fnox_leases::ledger::lock::{Lock, introduction};
use jiff::Timestamp;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How long one process waits for others that append.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest line that is read: names have limits, so this is far more than any record has.
const LONGEST: usize = 1024 * 1024;

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

/// Where a log ends, and the size of its file then.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    head: Head,
    bytes: u64,
}

/// A log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    key: PathBuf,
}

impl Log {
    /// The log of a path; its key is in the state folder, wherever the log is.
    pub(crate) fn new(path: PathBuf, folders: &Folders) -> Self {
        Self {
            path,
            key: folders.state.join("audit.key"),
        }
    }

    /// Appends records, all of them or none.
    pub(crate) async fn append(&self, entries: Vec<Entry>, now: Timestamp) -> Result<(), LogError> {
        self.make_folders()?;
        let _lock = Lock::acquire(&self.beside("lock"), PATIENCE, &introduction("audit")).await?;
        let keys = self.keys()?;
        let mut file = self.open()?;
        let mut chain = self.resume(&keys, &mut file)?;
        let begin = size(&file).map_err(|error| self.io("read", error))?;
        let mut text = Vec::new();
        for entry in entries {
            let record = chain.append(entry, now);
            serde_json::to_writer(&mut text, &record)
                .map_err(|error| self.io("write", error.into()))?;
            text.push(b'\n');
        }
        let written = file
            .seek(SeekFrom::End(0))
            .and_then(|_| file.write_all(&text))
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Nothing of it, rather than half of it.
            let _ = file.set_len(begin);
            return Err(self.io("write", error));
        }
        let end = End {
            head: chain.head(),
            bytes: begin + text.len() as u64,
        };
        self.store(&end)
    }

    /// Every record, oldest first, as far as lines can be read.
    pub(crate) async fn records(&self) -> Result<Vec<Record>, LogError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let _lock = Lock::share(&self.beside("lock"), PATIENCE, &introduction("audit")).await?;
        let mut file = self.open()?;
        self.read_from(&mut file, 0).map(|(records, _)| records)
    }

    /// Compares every record with the chain and the end with the head.
    pub(crate) async fn verify(&self) -> Result<Report, LogError> {
        if !self.path.exists() && !self.beside("head").exists() {
            let empty = ChainKeys::new(
                ChainKey::new(String::new(), Zeroizing::new([0; 32])),
                vec![],
            );
            return Ok(Verifier::new(&empty, Vec::new()).finish(None));
        }
        let _lock = Lock::share(&self.beside("lock"), PATIENCE, &introduction("audit")).await?;
        let keys = self.keys()?;
        let mut verifier = Verifier::new(&keys, Vec::new());
        if self.path.exists() {
            let mut file = self.open()?;
            let (records, _) = self.read_from(&mut file, 0)?;
            for record in records {
                verifier.record(record);
            }
        }
        let end = self.end()?;
        Ok(verifier.finish(end.as_ref().map(|end| &end.head)))
    }

    /// The growing end. What a crash left after the head is taken over or cut off.
    fn resume(&self, keys: &ChainKeys, file: &mut File) -> Result<Chain, LogError> {
        let length = size(file).map_err(|error| self.io("read", error))?;
        let (mut chain, bytes) = match self.end()? {
            None => (Chain::empty(keys.current().clone()), 0),
            Some(end) => {
                let chain = Chain::resume(keys, &end.head);
                (chain.map_err(|error| self.broken(&error))?, end.bytes)
            }
        };
        if length < bytes {
            return Err(self.broken(&"its newest records were removed"));
        }
        if length > bytes {
            let (records, whole) = self.read_from(file, bytes)?;
            for record in records {
                let expected = chain.append(record.entry.clone(), record.time);
                if expected != record {
                    return Err(self.broken(&"it has records that nobody with its key wrote"));
                }
            }
            file.set_len(whole)
                .map_err(|error| self.io("write", error))?;
        }
        Ok(chain)
    }

    /// The records from a place on, and where the last whole line ends.
    fn read_from(&self, file: &mut File, begin: u64) -> Result<(Vec<Record>, u64), LogError> {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(begin))
            .and_then(|_| file.read_to_end(&mut text))
            .map_err(|error| self.io("read", error))?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut records = Vec::new();
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            if line.len() > LONGEST {
                return Err(self.broken(&"a line is longer than any record"));
            }
            let record = serde_json::from_slice(line).map_err(|error| {
                self.broken(&format!("line {} is no record: {error}", records.len() + 1))
            })?;
            records.push(record);
        }
        Ok((records, begin + whole as u64))
    }

    fn end(&self) -> Result<Option<End>, LogError> {
        let Some(text) = file::read(&self.beside("head"))? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| self.broken(&"its head cannot be read"))
    }

    fn store(&self, end: &End) -> Result<(), LogError> {
        let path = self.beside("head");
        let text = serde_json::to_string(end).map_err(|error| self.io("write", error.into()))?;
        file::sweep(&path);
        Ok(file::replace(&path, &text)?)
    }

    /// Opens the file, which must be this user's own: a link could lead records anywhere.
    fn open(&self) -> Result<File, LogError> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.path)
            .map_err(|error| self.io("open", error))?;
        let metadata = file.metadata().map_err(|error| self.io("open", error))?;
        if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
            let error = io::Error::other("it is no file of yours");
            return Err(self.io("open", error));
        }
        Ok(file)
    }

    /// The key, made by whoever comes first.
    fn keys(&self) -> Result<ChainKeys, LogError> {
        let text = if let Some(text) = file::read(&self.key)? {
            text
        } else {
            let mut rng = rand::rng();
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill(bytes.as_mut_slice());
            let id = hex::encode(rng.random::<[u8; 8]>());
            let secret = Zeroizing::new(BASE64.encode(bytes.as_slice()));
            file::create(&self.key, &Zeroizing::new(format!("{id} {}\n", *secret)))?;
            file::read(&self.key)?.unwrap_or_default()
        };
        file::require_private(&self.key)?;
        let unusable = || LogError::Io {
            action: "use the key of the log in",
            path: self.key.clone(),
            source: io::Error::other("it is no line `ID BASE64`"),
        };
        let (id, secret) = text.trim().split_once(' ').ok_or_else(unusable)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let length = BASE64.decode_slice(secret, bytes.as_mut_slice());
        if length != Ok(32) {
            return Err(unusable());
        }
        Ok(ChainKeys::new(
            ChainKey::new(id.to_owned(), bytes),
            Vec::new(),
        ))
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

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
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

fn size(file: &File) -> io::Result<u64> {
    file.metadata().map(|metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use fnox_core::Env;
    use fnox_core::audit::Outcome;

    use super::*;

    fn log(root: &Path) -> Log {
        let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
        let folders = Folders::from_env(&env);
        Log::new(root.join("logs/audit.log"), &folders)
    }

    async fn add(log: &Log, secret: &str) -> Result<(), LogError> {
        let mut entry = Entry::new("secret_used", "exec", Outcome::Ok);
        entry.secret = Some(secret.to_owned());
        log.append(vec![entry], Timestamp::UNIX_EPOCH).await
    }

    async fn secrets(log: &Log) -> String {
        let records = log.records().await.unwrap();
        let names = records.into_iter().filter_map(|record| record.entry.secret);
        names.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn what_a_crash_left_is_taken_over_or_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        add(&log, "A").await.unwrap();
        let head = std::fs::read(log.beside("head")).unwrap();
        add(&log, "B").await.unwrap();
        // The record is there, the head is not yet.
        std::fs::write(log.beside("head"), &head).unwrap();
        let mut text = std::fs::read(&log.path).unwrap();
        text.extend_from_slice(b"{\"sequence\":3,\"ti");
        std::fs::write(&log.path, text).unwrap();
        add(&log, "C").await.unwrap();
        assert_eq!(secrets(&log).await, "A B C");
        assert!(log.verify().await.unwrap().is_intact());
    }

    #[tokio::test]
    async fn changes_are_noticed_and_nothing_is_appended_to_a_forged_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        for name in ["A", "B", "C"] {
            add(&log, name).await.unwrap();
        }
        let text = std::fs::read_to_string(&log.path).unwrap();
        std::fs::write(&log.path, text.replace("\"B\"", "\"X\"")).unwrap();
        assert!(!log.verify().await.unwrap().is_intact());
        // The newest record is gone.
        let lines: Vec<&str> = text.lines().collect();
        std::fs::write(&log.path, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
        assert!(!log.verify().await.unwrap().is_intact());
        let refused = add(&log, "D").await.unwrap_err().to_string();
        assert!(refused.contains("newest records were removed"), "{refused}");
        // A record that somebody without the key added.
        std::fs::write(&log.path, format!("{text}{}\n", lines[2])).unwrap();
        let refused = add(&log, "D").await.unwrap_err().to_string();
        assert!(refused.contains("nobody with its key"), "{refused}");
        // A file of something else is left as it is.
        std::fs::remove_file(log.beside("head")).unwrap();
        std::fs::write(&log.path, "precious\n").unwrap();
        add(&log, "D").await.unwrap_err();
        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "precious\n");
    }

    #[tokio::test]
    async fn writers_at_once_leave_one_whole_chain() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = (0..8).map(|number| {
            let log = log(folder.path());
            tokio::spawn(async move {
                for _ in 0..5 {
                    add(&log, &format!("S{number}")).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let report = log(folder.path()).verify().await.unwrap();
        assert_eq!((report.records, report.is_intact()), (40, true));
    }
}
