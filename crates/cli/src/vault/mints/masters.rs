//! The vault's own secrets as the masters of its mints.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::credential::{IssueError, IssueErrorKind, Masters};
use fnox_core::{ExitStatus, SecretName, SecretString};
use fnox_leases::{MasterError, MasterSource};
use indexmap::IndexMap;

/// The variables that a mint takes its masters from, and the vault's secrets that they are.
pub(super) type MasterNames = IndexMap<SecretName, Option<String>>;

/// Reads masters from a vault, by the names that a mint's `masters` table gives them.
#[derive(Debug)]
pub(super) struct VaultMasters<'a> {
    pub(super) vault: Arc<dyn Masters>,
    /// Variables, and the vault's secrets that `masters` says they are. One without has the value of the secret of its
    /// own name, if there is one.
    pub(super) names: &'a MasterNames,
}

#[async_trait]
impl MasterSource for VaultMasters<'_> {
    async fn resolve(
        &self,
        names: &[SecretName],
        _: bool,
    ) -> Result<Vec<(SecretName, SecretString)>, MasterError> {
        let mut found = Vec::new();
        for name in names {
            let given = self.names.get(name.as_str()).and_then(Option::as_ref);
            let secret = given.map_or(name.as_str(), String::as_str);
            match self.vault.master(secret).await {
                Ok(Some(value)) => found.push((name.clone(), value)),
                Ok(None) if given.is_some() => return Err(missing(name, secret)),
                // What a mint can take from elsewhere, such as a machine's own identity, need not be here.
                Ok(None) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(found)
    }
}

fn missing(name: &SecretName, secret: &str) -> MasterError {
    MasterError {
        exit_status: ExitStatus::SecretMissing,
        help: Some(format!(
            "store it: `fnox vault secret set {secret}`, or correct `masters` in vault.toml"
        )),
        source: format!(
            "`masters` says that {name} is the vault's secret `{secret}`, and there is none"
        )
        .into(),
    }
}

fn failed(error: IssueError) -> MasterError {
    MasterError {
        exit_status: match error.kind {
            IssueErrorKind::Refused => ExitStatus::Configuration,
            IssueErrorKind::Unavailable => ExitStatus::Unavailable,
        },
        help: None,
        source: error.into(),
    }
}
