//! The vault's own secrets as the masters of its mints.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::credential::{IssueError, IssueErrorKind, Masters};
use fnox_core::{ExitStatus, LeaseName, SecretName, SecretString};
use fnox_leases::{MasterError, MasterSource};
use indexmap::IndexMap;

/// For each mint the `masters` table: variables, and the vault's secrets that they are.
pub(super) type MasterNames = IndexMap<LeaseName, IndexMap<SecretName, String>>;

/// Reads masters from a vault, by the names that each mint's `masters` table gives them.
#[derive(Debug)]
pub(super) struct VaultMasters<'a> {
    pub(super) vault: Arc<dyn Masters>,
    /// A variable that is not in a mint's table has the value of the secret of its own name, if there is one.
    pub(super) names: &'a MasterNames,
}

#[async_trait]
impl MasterSource for VaultMasters<'_> {
    async fn resolve(
        &self,
        lease: &LeaseName,
        names: &[SecretName],
        all_named: bool,
    ) -> Result<Vec<(SecretName, SecretString)>, MasterError> {
        let mut found = Vec::new();
        for name in names {
            let given = self.names.get(lease).and_then(|given| given.get(name));
            // A mint that takes everything gets what its table gives it, and not what is for other mints.
            let secret = match given {
                Some(secret) => secret.as_str(),
                None if all_named => name.as_str(),
                None => continue,
            };
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
