//! The vault's own secrets as masters of its mints.
//!
//! A mint reads a master when it issues, renews or withdraws something, never before, and each reading is on record.
//! No lease is needed for it: who may configure the vault's mints may use its secrets. It reads secrets and never
//! mints, so that no mint can wait for itself.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::credential::{IssueError, IssueErrorKind, Masters};
use fnox_core::{SecretString, VaultName};

use crate::engine::Engine;
use crate::engine::audit::system_entry;
use crate::error::VaultError;

/// A vault that reads its own secrets.
#[derive(Debug)]
pub(super) struct EngineMasters(Engine);

impl EngineMasters {
    pub(super) fn of(engine: &Engine) -> Arc<dyn Masters> {
        Arc::new(Self(engine.clone()))
    }
}

#[async_trait]
impl Masters for EngineMasters {
    async fn master(&self, name: &str) -> Result<Option<SecretString>, IssueError> {
        // A variable's name may be longer than any name of a vault: then there is none of that name.
        let Ok(name) = VaultName::parse(name) else {
            return Ok(None);
        };
        let value = match self.0.value_of(&name).await {
            Ok(value) => value,
            Err(VaultError::SecretNotFound(_)) => return Ok(None),
            Err(error) => return Err(unavailable(&name, &error)),
        };
        let mut entry = system_entry("master_read");
        entry.secret = Some(name.to_string());
        if let Err(error) = self.0.record(vec![entry]).await {
            return Err(unavailable(&name, &error));
        }
        match value.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(IssueError {
                kind: IssueErrorKind::Refused,
                message: format!("the secret `{name}` is no text, so it is no master"),
            }),
        }
    }
}

fn unavailable(name: &VaultName, error: &VaultError) -> IssueError {
    IssueError {
        kind: IssueErrorKind::Unavailable,
        message: format!("the secret `{name}` could not be read: {error}"),
    }
}
