//! What was issued for one project folder, sealed.
//!
//! The file is TOML: a version, the id and source of the sealing key, and one envelope around all
//! records. The envelope is bound to the project folder, so that a ledger moved to another folder's
//! place does not open. Reading takes no lock and writes nothing; a change is a read-modify-write under a lock
//! that is never held while an issuer is called.

pub mod entry;
mod error;
pub mod file;
pub mod key;
pub mod keychain;
pub mod lock;
mod migrate;
pub mod prune;
pub mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::LedgerKey;
use fnox_core::seal::{Envelope, SealError, SealingKey};
use fnox_core::{Length, SecretBytes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::entry::Entry;
pub use self::error::LedgerError;
use self::key::{KeyStore, Keys};
use self::lock::{Lock, holder_of};

const VERSION: u8 = 1;

/// A ledger larger than this would not be read again.
const SIZE_LIMIT: usize = 12 * 1024 * 1024;

const PREAMBLE: &str =
    "# Leases of one project folder, sealed by fnox. `fnox lease list` shows them.\n";

/// The ledger of one project folder.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    path: PathBuf,
    stem: String,
    project: String,
    keys: Keys,
    holder: String,
    lock_limit: Duration,
}

/// A ledger's records as they were read.
#[derive(Debug)]
pub struct Opened {
    /// The records, oldest first.
    pub entries: Vec<Entry>,
    /// The key that sealed them. `None`: there is no ledger yet, or a plain one.
    pub key: Option<SealingKey>,
    source: Option<LedgerKey>,
}

/// Where things are and who is asking.
#[derive(Debug)]
pub struct LedgerOptions<'a> {
    /// fnox's state folder.
    pub state: &'a Path,
    /// The project folder whose ledger it is.
    pub project_dir: &'a Path,
    /// Where the key is to be kept.
    pub key: LedgerKey,
    /// The keychain.
    pub keychain: Box<dyn KeyStore>,
    /// How others are told who holds a lock.
    pub holder: String,
    /// How long to wait for the ledger's lock.
    pub lock_limit: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u8,
    key: KeyReference,
    records: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyReference {
    id: String,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct RecordsRef<'a> {
    entries: &'a [Entry],
}

impl Ledger {
    /// The ledger of a project folder. Nothing is read or made yet.
    #[must_use]
    pub fn new(options: LedgerOptions<'_>) -> Self {
        let folder = options.state.join("leases");
        let stem = short_hash(options.project_dir.as_os_str().as_encoded_bytes());
        Self {
            path: folder.join(format!("{stem}.toml")),
            keys: Keys::new(&folder, options.key, options.keychain),
            folder,
            stem,
            project: options.project_dir.to_string_lossy().into_owned(),
            holder: options.holder,
            lock_limit: options.lock_limit,
        }
    }

    /// The ledger's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the ledger without locking or writing anything.
    ///
    /// # Errors
    /// [`LedgerError`]; a ledger whose key cannot be opened is an error, not an empty ledger.
    pub async fn open(&self) -> Result<Opened, LedgerError> {
        let Some(text) = file::read(&self.path)? else {
            return Ok(Opened {
                entries: Vec::new(),
                key: None,
                source: None,
            });
        };
        let Ok(sealed) = toml_edit::de::from_str::<Sealed>(&text) else {
            let entries = migrate::parse(&text).ok_or_else(|| {
                self.malformed("it is neither sealed by this version nor a plain ledger")
            })?;
            return Ok(Opened {
                entries,
                key: None,
                source: None,
            });
        };
        if sealed.version != VERSION {
            return Err(self.malformed(&format!("it has version {}", sealed.version)));
        }
        let source = match sealed.key.source.as_str() {
            "file" => LedgerKey::File,
            "keychain" => LedgerKey::Keychain,
            _ => return Err(self.malformed("it names an unknown source of its key")),
        };
        let key = self.keys.open(source, &sealed.key.id, &self.path).await?;
        let plaintext = key
            .open(&self.place(), &sealed.records)
            .map_err(|source| LedgerError::seal(&self.path, source))?;
        // The parser's own words could repeat a part of a credential.
        let records: Records = serde_json::from_slice(plaintext.expose_secret())
            .map_err(|_| self.malformed("its records cannot be read"))?;
        Ok(Opened {
            entries: records.entries,
            key: Some(key),
            source: Some(source),
        })
    }

    /// The key with which the next change will be sealed: the ledger's own, or, if it has none or the
    /// configuration names another source by now, that source's. Made if there is none.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn writing_key(&self, opened: &Opened) -> Result<SealingKey, LedgerError> {
        match (&opened.key, opened.source) {
            (Some(key), Some(source)) if source == self.keys.configured() => Ok(key.clone()),
            _ => {
                file::private_folder(&self.folder)?;
                self.keys.obtain().await
            }
        }
    }

    /// Changes the records: read, change, prune, seal, replace, all under the ledger's lock.
    ///
    /// # Errors
    /// [`LedgerError`]; the file is then as it was before.
    pub async fn update<T, F>(&self, now: Timestamp, change: F) -> Result<T, LedgerError>
    where
        F: FnOnce(&mut Vec<Entry>) -> T,
    {
        file::private_folder(&self.folder)?;
        let lock = self.folder.join(format!("{}.lock", self.stem));
        let _lock = Lock::acquire(&lock, self.lock_limit, &self.holder).await?;
        let mut opened = self.open().await?;
        let key = self.writing_key(&opened).await?;
        file::sweep(&self.path);
        let result = change(&mut opened.entries);
        prune::prune(&mut opened.entries, now);
        self.write(&key, &opened.entries)?;
        Ok(result)
    }

    /// Forgets what has been dead for long and removes what killed writers left behind. A folder without
    /// a ledger stays as it is.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn tidy(&self, now: Timestamp) -> Result<(), LedgerError> {
        if self.path.exists() {
            self.keys.tidy().await?;
            self.forget_runs();
            self.update(now, |_| ()).await?;
        }
        Ok(())
    }

    /// Takes the lock under which one lease is minted. Other leases are not held up.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] names the holder.
    pub async fn lock_lease(&self, lease: &str, limit: Duration) -> Result<Lock, LedgerError> {
        file::private_folder(&self.folder)?;
        Lock::acquire(&self.lease_lock(lease), limit, &self.holder).await
    }

    /// The same for who wants a new credential in any case, and so need not wait for others who mint.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] names who waits for a credential that can be reused, or settles what was left behind.
    pub async fn share_lease(&self, lease: &str, limit: Duration) -> Result<Lock, LedgerError> {
        file::private_folder(&self.folder)?;
        Lock::share(&self.lease_lock(lease), limit, &self.holder).await
    }

    /// The same without waiting: `Err` in the inner result names who is minting it.
    ///
    /// # Errors
    /// [`LedgerError`] if the lock cannot be tried.
    pub fn try_lock_lease(&self, lease: &str) -> Result<Result<Lock, String>, LedgerError> {
        file::private_folder(&self.folder)?;
        let path = self.lease_lock(lease);
        Ok(Lock::try_acquire(&path, &self.holder)?.ok_or_else(|| holder_of(&path)))
    }

    /// Claims the ledger for one vault, which then may take what other vaults left in it for left behind. `Err` in the
    /// inner result names the vault that has it.
    ///
    /// # Errors
    /// [`LedgerError`] if the lock cannot be tried.
    pub fn try_claim(&self) -> Result<Result<Lock, String>, LedgerError> {
        file::private_folder(&self.folder)?;
        let path = self.folder.join(format!("{}.vault.lock", self.stem));
        Ok(Lock::try_acquire(&path, &self.holder)?.ok_or_else(|| holder_of(&path)))
    }

    fn lease_lock(&self, lease: &str) -> PathBuf {
        let name = short_hash(lease.as_bytes());
        self.folder.join(format!("{}.{name}.lock", self.stem))
    }

    fn write(&self, key: &SealingKey, entries: &[Entry]) -> Result<(), LedgerError> {
        let seal = |source| LedgerError::seal(&self.path, source);
        let sealed = Sealed {
            version: VERSION,
            key: KeyReference {
                id: key.id().to_owned(),
                source: match self.keys.configured() {
                    LedgerKey::File => "file".to_owned(),
                    LedgerKey::Keychain => "keychain".to_owned(),
                },
            },
            records: key
                .seal(&self.place(), &plaintext(entries).map_err(seal)?)
                .map_err(seal)?,
        };
        let body = toml_edit::ser::to_string_pretty(&sealed)
            .map_err(|_| self.malformed("its records cannot be written as TOML"))?;
        if body.len() > SIZE_LIMIT {
            return Err(self.malformed("it would become larger than 12 MiB"));
        }
        file::replace(&self.path, &format!("{PREAMBLE}{body}"))
    }

    fn place(&self) -> [&str; 2] {
        ["fnox lease ledger", &self.project]
    }

    fn malformed(&self, reason: &str) -> LedgerError {
        LedgerError::Malformed {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// The records as bytes, in a buffer that never grows: growing would leave copies behind.
fn plaintext(entries: &[Entry]) -> Result<SecretBytes, SealError> {
    let records = RecordsRef { entries };
    let mut size = Length::default();
    serde_json::to_writer(&mut size, &records).map_err(|_| SealError::Opaque)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.bytes()));
    serde_json::to_writer(&mut *bytes, &records).map_err(|_| SealError::Opaque)?;
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// The first 16 hex digits of a BLAKE3 hash, as the established CLI names its ledgers.
fn short_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().chars().take(16).collect()
}

/// 16 random hex digits.
pub(crate) fn random_hex() -> String {
    short_hash(uuid::Uuid::now_v7().as_bytes())
}
