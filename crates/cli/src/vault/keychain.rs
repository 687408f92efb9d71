//! The key source `keychain:SERVICE/ACCOUNT`: one entry of the desktop's keychain, with a key in each line.

use async_trait::async_trait;
use fnox_core::Env;
use fnox_core::seal::SealingKey;
use fnox_providers::keychain::{Keychain, TIME_LIMIT};
use fnox_providers::{ErrorKind, ProviderError};
use fnox_vault::key_source::{
    KeySource, KeySourceError, NewKey, StoredKey, format_keys, generate_key, parse_keys,
};

/// Keys in an entry of the keychain.
#[derive(Debug)]
pub(crate) struct KeychainKey {
    keychain: Keychain,
    service: String,
    account: String,
}

impl KeychainKey {
    /// The entry on the session bus of `env`. Nothing is contacted yet; nobody is ever asked, because a server
    /// has nobody to ask.
    pub(crate) fn new(env: &Env, service: &str, account: &str) -> Self {
        Self {
            keychain: Keychain::new(env, false, TIME_LIMIT),
            service: service.to_owned(),
            account: account.to_owned(),
        }
    }

    async fn keys(&self) -> Result<Vec<SealingKey>, KeySourceError> {
        match self.keychain.get(&self.service, &self.account).await {
            Ok(text) => parse_keys(text.expose_secret()).map_err(|problem| self.error(problem)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn store(&self, keys: &[SealingKey]) -> Result<(), KeySourceError> {
        self.keychain
            .set(&self.service, &self.account, &format_keys(keys))
            .await
            .map_err(|error| self.failed(error))
    }

    fn error(&self, problem: impl Into<String>) -> KeySourceError {
        KeySourceError::new(&self.describe(), problem)
    }

    fn failed(&self, error: ProviderError) -> KeySourceError {
        let failed = self.error(format!("cannot be used: {error}"));
        match error.remedy {
            Some(remedy) => failed.with_remedy(remedy),
            None => failed,
        }
    }
}

#[async_trait]
impl KeySource for KeychainKey {
    fn describe(&self) -> String {
        format!("keychain:{}/{}", self.service, self.account)
    }

    fn can_rotate(&self) -> bool {
        true
    }

    async fn load(&self, _: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        self.keys().await
    }

    async fn add(&self, _: &str) -> Result<NewKey, KeySourceError> {
        let mut keys = self.keys().await?;
        let key = generate_key().map_err(|problem| self.error(problem))?;
        keys.push(key.clone());
        self.store(&keys).await?;
        Ok(NewKey { key, stored: None })
    }

    async fn retain(&self, keep: &str) -> Result<(), KeySourceError> {
        let mut keys = self.keys().await?;
        let count = keys.len();
        keys.retain(|key| key.id() == keep);
        if keys.len() == count {
            return Ok(());
        }
        if keys.is_empty() {
            return Err(self.error("does not hold the key that should be kept"));
        }
        self.store(&keys).await
    }
}
