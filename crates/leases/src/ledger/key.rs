//! The key that seals the ledgers, and the two places where it can be kept.
//!
//! One key seals the ledgers of all project folders. It is a line `ID BASE64`, either in a 0600 file of
//! the state folder or in the keychain. It is made once, by whoever comes first; everybody else uses
//! that one. A ledger names the key's id and source, so that a key that is gone is a clear error and
//! never a reason to begin a new ledger over the old one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::LedgerKey;
use fnox_core::SecretString;
use fnox_core::seal::SealingKey;

use super::error::LedgerError;
use super::file;
use super::lock::{Lock, introduction};

/// How long one process waits for another one that is making the key.
const CREATION_LIMIT: Duration = Duration::from_secs(20);

/// A place that keeps the key's text.
#[async_trait]
pub trait KeyStore: Send + Sync + std::fmt::Debug {
    /// The place in words, for messages.
    fn origin(&self) -> String;

    /// The text. `None`: the place can be read, and there is none.
    ///
    /// # Errors
    /// [`LedgerError::KeyUnavailable`] or [`LedgerError::Unsafe`].
    async fn load(&self) -> Result<Option<SecretString>, LedgerError>;

    /// Keeps the text, unless there is one already.
    ///
    /// # Errors
    /// [`LedgerError::KeyUnavailable`] or [`LedgerError::Io`].
    async fn create(&self, text: &SecretString) -> Result<(), LedgerError>;
}

/// The key in `ledger.key` of the ledger folder.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("ledger.key"),
        }
    }
}

#[async_trait]
impl KeyStore for KeyFile {
    fn origin(&self) -> String {
        self.path.display().to_string()
    }

    async fn load(&self) -> Result<Option<SecretString>, LedgerError> {
        let text = file::read(&self.path)?;
        if text.is_some() {
            file::require_private(&self.path)?;
        }
        Ok(text.map(|text| SecretString::from(text.as_str())))
    }

    async fn create(&self, text: &SecretString) -> Result<(), LedgerError> {
        file::create(&self.path, text.expose_secret()).map(|_| ())
    }
}

/// Both places, and which one the configuration wants.
#[derive(Debug)]
pub(super) struct Keys {
    folder: PathBuf,
    configured: LedgerKey,
    file: KeyFile,
    keychain: Box<dyn KeyStore>,
}

impl Keys {
    pub(super) fn new(folder: &Path, configured: LedgerKey, keychain: Box<dyn KeyStore>) -> Self {
        Self {
            folder: folder.to_owned(),
            configured,
            file: KeyFile::new(folder),
            keychain,
        }
    }

    pub(super) fn configured(&self) -> LedgerKey {
        self.configured
    }

    /// The key that an existing ledger names.
    pub(super) async fn open(
        &self,
        source: LedgerKey,
        id: &str,
        ledger: &Path,
    ) -> Result<SealingKey, LedgerError> {
        let store = self.store(source);
        let unavailable = |reason: String| LedgerError::KeyUnavailable {
            origin: store.origin(),
            reason,
            ledger: Some(ledger.to_owned()),
        };
        let text = store
            .load()
            .await?
            .ok_or_else(|| unavailable("there is no key".to_owned()))?;
        let key = parse(&text).ok_or_else(|| unavailable("it holds no key".to_owned()))?;
        if key.id() != id {
            return Err(unavailable(format!(
                "it holds the key {}, and the ledger was sealed with {}",
                key.id().escape_debug(),
                id.escape_debug()
            )));
        }
        Ok(key)
    }

    /// The key of the configured source, made if there is none.
    pub(super) async fn obtain(&self) -> Result<SealingKey, LedgerError> {
        let store = self.store(self.configured);
        if let Some(text) = store.load().await? {
            return self.parse(&text);
        }
        let _lock = self.lock("making the key").await?;
        // Somebody else may have made it while this process waited.
        if store.load().await?.is_none() {
            store.create(&generate()?).await?;
        }
        let text = store
            .load()
            .await?
            .ok_or_else(|| self.unavailable("the key that was just written cannot be read back"))?;
        self.parse(&text)
    }

    /// Removes what makers of the key file left behind when they were killed.
    pub(super) async fn tidy(&self) -> Result<(), LedgerError> {
        let _lock = self.lock("tidying").await?;
        file::sweep(&self.file.path);
        Ok(())
    }

    async fn lock(&self, purpose: &str) -> Result<Lock, LedgerError> {
        let path = self.folder.join("ledger.key.lock");
        Lock::acquire(&path, CREATION_LIMIT, &introduction(purpose)).await
    }

    fn store(&self, source: LedgerKey) -> &dyn KeyStore {
        match source {
            LedgerKey::File => &self.file,
            LedgerKey::Keychain => self.keychain.as_ref(),
        }
    }

    fn parse(&self, text: &SecretString) -> Result<SealingKey, LedgerError> {
        parse(text).ok_or_else(|| self.unavailable("it holds no key"))
    }

    fn unavailable(&self, reason: &str) -> LedgerError {
        LedgerError::KeyUnavailable {
            origin: self.store(self.configured).origin(),
            reason: reason.to_owned(),
            ledger: None,
        }
    }
}

fn generate() -> Result<SecretString, LedgerError> {
    let id = crate::ledger::random_hex();
    let key =
        SealingKey::generate(id).map_err(|source| LedgerError::seal(Path::new(""), source))?;
    let text = key.to_base64();
    let mut line = String::with_capacity(key.id().len() + text.len() + 2);
    line.push_str(key.id());
    line.push(' ');
    line.push_str(&text);
    line.push('\n');
    Ok(SecretString::from(line))
}

fn parse(text: &SecretString) -> Option<SealingKey> {
    let (id, key) = text.expose_secret().trim().split_once(' ')?;
    SealingKey::from_base64(id.to_owned(), key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_back() {
        let line = generate().unwrap();
        let key = parse(&line).unwrap();
        assert_eq!(key.id().len(), 16);
        assert!(parse(&"no key".into()).is_none() && parse(&"".into()).is_none());
    }
}
