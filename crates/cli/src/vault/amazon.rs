//! The parts of a vault that live in AWS: secrets in Secrets Manager, the key in KMS.

use std::sync::Arc;

use fnox_vault::key_source::KeySource;

use super::assemble::OpenStores;
use super::error::{StartProblem, VaultFailure};
use super::settings::Settings;
use crate::error::CliError;

/// Secrets in Secrets Manager; everything else in the SQLite file of `[audit] store`.
#[expect(clippy::unused_async, reason = "connecting will wait")]
pub(crate) async fn stores(
    _settings: &Settings,
    _prefix: &str,
    _create: bool,
) -> Result<OpenStores, CliError> {
    Err(not_built("the store aws-sm"))
}

/// A key of KMS.
#[expect(clippy::unused_async, reason = "connecting will wait")]
pub(crate) async fn key(_key: &str) -> Result<Arc<dyn KeySource>, CliError> {
    Err(not_built("the key source kms"))
}

fn not_built(what: &str) -> CliError {
    VaultFailure::Start {
        message: format!("this version cannot open {what}"),
        reason: StartProblem::Settings,
        help: None,
    }
    .into()
}
