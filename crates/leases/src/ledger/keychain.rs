//! The ledger's key in the keychain, under service `fnox-ledger` and account `sealing-key`.

use async_trait::async_trait;
use fnox_core::{Env, SecretString};
use fnox_providers::keychain::{Keychain, TIME_LIMIT};
use fnox_providers::{ErrorKind, ProviderError};

use super::error::LedgerError;
use super::key::KeyStore;

const SERVICE: &str = "fnox-ledger";
const ACCOUNT: &str = "sealing-key";

/// The keychain of this session.
#[derive(Debug)]
pub struct KeychainKey {
    keychain: Keychain,
}

impl KeychainKey {
    /// The keychain that the environment leads to. `interactive` says whether a locked one may ask for its
    /// password.
    #[must_use]
    pub fn new(env: &Env, interactive: bool) -> Self {
        Self {
            keychain: Keychain::new(env, interactive, TIME_LIMIT),
        }
    }

    fn unavailable(&self, error: &ProviderError) -> LedgerError {
        LedgerError::KeyUnavailable {
            origin: self.origin(),
            reason: error.to_string(),
            ledger: None,
        }
    }
}

#[async_trait]
impl KeyStore for KeychainKey {
    fn origin(&self) -> String {
        format!("keychain entry {SERVICE}/{ACCOUNT}")
    }

    async fn load(&self) -> Result<Option<SecretString>, LedgerError> {
        match self.keychain.get(SERVICE, ACCOUNT).await {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    async fn create(&self, text: &SecretString) -> Result<(), LedgerError> {
        self.keychain
            .set(SERVICE, ACCOUNT, text)
            .await
            .map_err(|error| self.unavailable(&error))
    }
}
