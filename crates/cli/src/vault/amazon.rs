//! The parts of a vault that live in AWS: secrets in Secrets Manager, the key in KMS.
//!
//! Region, credentials and endpoints come from the environment and from the AWS configuration files, as for
//! every program that speaks with AWS.

use std::sync::Arc;

use fnox_aws::{AwsClient, AwsError, AwsErrorKind, AwsOptions};
use fnox_store_aws_sm::{AwsSmOptions, AwsSmStore, KmsKeySource};
use fnox_vault::key_source::KeySource;

use super::assemble::{OpenStores, one_file, store_failed};
use super::error::{StartProblem, VaultFailure};
use super::settings::Settings;
use crate::app::App;
use crate::error::CliError;

/// Secrets in Secrets Manager; everything else in the SQLite file of `[audit] store`.
pub(crate) async fn stores(
    app: &App,
    settings: &Settings,
    prefix: &str,
    create: bool,
) -> Result<OpenStores, CliError> {
    let options = AwsSmOptions::new(prefix).map_err(|error| VaultFailure::Start {
        message: error.to_string(),
        reason: StartProblem::Settings,
        help: None,
    })?;
    let client = client(app, StartProblem::Store).await?;
    let secrets = AwsSmStore::new(client, options);
    // Before the file beside it is made.
    secrets.check().await.map_err(store_failed)?;
    let mut open = one_file(&settings.audit.store, create)?;
    open.stores.secrets = Arc::new(secrets);
    Ok(open)
}

/// A key of KMS.
pub(crate) async fn key(app: &App, key: &str) -> Result<Arc<dyn KeySource>, CliError> {
    let client = client(app, StartProblem::Key).await?;
    Ok(Arc::new(KmsKeySource::new(client, key)))
}

async fn client(app: &App, part: StartProblem) -> Result<Arc<AwsClient>, CliError> {
    let connected = AwsClient::connect(&app.env, AwsOptions::default()).await;
    Ok(Arc::new(connected.map_err(|error| failed(error, part))?))
}

fn failed(error: AwsError, part: StartProblem) -> VaultFailure {
    VaultFailure::Start {
        message: error.to_string(),
        reason: match error.kind {
            AwsErrorKind::Configuration => StartProblem::Settings,
            _ => part,
        },
        help: error.remedy,
    }
}
