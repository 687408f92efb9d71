//! The ledger's key in the keychain, under service `fnox-ledger`.

use async_trait::async_trait;
use fnox_core::Env;
use zeroize::Zeroizing;

use super::error::LedgerError;
use super::key::KeyStore;

/// The Secret Service of this session.
#[derive(Debug)]
pub struct Keychain {
    #[expect(dead_code, reason = "to come")]
    env: Env,
}

impl Keychain {
    /// The keychain that the environment leads to.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

#[async_trait]
impl KeyStore for Keychain {
    fn origin(&self) -> String {
        "the keychain (service fnox-ledger)".to_owned()
    }

    async fn load(&self) -> Result<Option<Zeroizing<String>>, LedgerError> {
        Err(LedgerError::KeyUnavailable {
            origin: self.origin(),
            reason: "to come".to_owned(),
            ledger: None,
        })
    }

    async fn create(&self, _: &str) -> Result<(), LedgerError> {
        Ok(())
    }
}
