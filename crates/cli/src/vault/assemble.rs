//! Putting a vault together from its settings: stores, key source, policy, engine.

use std::path::Path;
use std::sync::Arc;

use fnox_core::SystemClock;
use fnox_store_postgres::{PostgresOptions, PostgresStore};
use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::engine::{EngineOptions, EngineParts};
use fnox_vault::key_source::{EnvKey, FileKey, KeySource, KeySourceError, KeySourceSpec};
use fnox_vault::policy::Policy;
use fnox_vault::store::{LiveSecrets, MemoryStore, StoreError, Stores};
use fnox_vault::{Engine, VaultError};

use super::error::{StartProblem, VaultFailure};
use super::keychain::KeychainKey;
use super::place::StorePlace;
use super::policy_file::PolicyFile;
use super::settings::Settings;
use crate::app::App;
use crate::error::CliError;

/// A vault's stores, and the one that can be copied.
#[derive(Debug)]
pub(crate) struct OpenStores {
    pub stores: Stores,
    /// The one file with everything in it, if there is one.
    pub sqlite: Option<SqliteStore>,
}

/// Opens what the settings name. `create`: it need not be there yet.
pub(crate) async fn stores(
    app: &App,
    settings: &Settings,
    create: bool,
) -> Result<OpenStores, CliError> {
    let mut open = match &settings.store {
        StorePlace::Sqlite(path) => one_file(path, create)?,
        StorePlace::Postgres(url) => {
            let mut options = PostgresOptions::new(Arc::new(SystemClock));
            options.migrate = create;
            let store = PostgresStore::open(url.expose_secret(), options)
                .await
                .map_err(store_failed)?;
            OpenStores {
                stores: Arc::new(store).stores(),
                sqlite: None,
            }
        }
        StorePlace::AwsSm(prefix) => super::amazon::stores(app, settings, prefix, create).await?,
    };
    if !settings.audit.on {
        open.stores.audit = None;
    }
    if !settings.durable_leases {
        let memory = match &open.stores.audit {
            Some(log) => MemoryStore::with_audit(Arc::clone(log)),
            None => MemoryStore::new(),
        };
        open.stores.leases = Arc::new(memory);
    }
    Ok(open)
}

/// What to do where there is no vault.
const SET_UP: &str = "set a vault up: fnox vault init";

/// Whether nothing is there. What is there and cannot be looked at is for whoever opens it to tell.
fn is_missing(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// All four stores in one SQLite file.
pub(crate) fn one_file(path: &Path, create: bool) -> Result<OpenStores, CliError> {
    if !create && is_missing(path) {
        return Err(VaultFailure::Start {
            message: format!("there is no store in {}", path.display()),
            reason: StartProblem::Store,
            help: Some(format!(
                "{SET_UP}, or `store` must name that of a vault that is there"
            )),
        }
        .into());
    }
    let options = SqliteOptions {
        create,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(path, options).map_err(store_failed)?;
    Ok(OpenStores {
        stores: store.stores(),
        sqlite: Some(store),
    })
}

/// The source of the key that wraps the others. A new source needs a line here.
pub(crate) async fn key_source(
    app: &App,
    settings: &Settings,
) -> Result<Arc<dyn KeySource>, CliError> {
    Ok(match &settings.key {
        KeySourceSpec::File(path) => Arc::new(FileKey::new(path.clone())),
        KeySourceSpec::Env(variable) => {
            let value = app.env.secret(variable);
            Arc::new(EnvKey::new(variable, value).map_err(key_failed)?)
        }
        KeySourceSpec::Keychain { service, account } => {
            Arc::new(KeychainKey::new(&app.env, service, account))
        }
        KeySourceSpec::Kms(key) => super::amazon::key(app, key).await?,
    })
}

/// Everything that an engine is made of. Its policy is read again only if it is given a source.
pub(crate) fn parts(
    settings: &Settings,
    stores: Stores,
    source: Arc<dyn KeySource>,
    policy: Policy,
    live: Option<Arc<dyn LiveSecrets>>,
) -> EngineParts {
    EngineParts {
        stores,
        live,
        source,
        policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions {
            max_leases_per_agent: settings.max_leases_per_agent,
            algorithm: settings.algorithm,
            keep_versions: settings.keep_versions,
            ..EngineOptions::default()
        },
    }
}

/// Reads the policy, which nobody else may have written, and tells what is odd about it.
pub(crate) fn policy(app: &App, settings: &Settings) -> Result<Policy, CliError> {
    let origin = settings.policy.display().to_string();
    if is_missing(&settings.policy) {
        return Err(VaultFailure::Start {
            message: format!("there is no policy in {origin}"),
            reason: StartProblem::Settings,
            help: Some(format!(
                "{SET_UP}, or `policy` must name the file of a vault that is there"
            )),
        }
        .into());
    }
    let text = PolicyFile::new(app, &settings.policy).text()?;
    match Policy::load(&text, &origin) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                app.printer.warn(&warning.to_string());
            }
            Ok(loaded.policy)
        }
        Err(error) => Err(VaultFailure::Policy {
            message: format!("{origin} is not a policy:\n{error}"),
        }
        .into()),
    }
}

/// Opens the vault that `vault init` made.
pub(crate) async fn open(parts: EngineParts) -> Result<Engine, CliError> {
    if parts
        .stores
        .ring
        .load()
        .await
        .map_err(store_failed)?
        .is_none()
    {
        return Err(VaultFailure::Start {
            message: format!(
                "there is no vault in {} yet",
                parts.stores.secrets.describe()
            ),
            reason: StartProblem::Settings,
            help: Some(SET_UP.to_owned()),
        }
        .into());
    }
    Engine::open(parts).await.map_err(engine_failed)
}

/// A store's error at the start.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn store_failed(error: StoreError) -> CliError {
    let (reason, help) = match &error {
        StoreError::Foreign { .. } => (
            StartProblem::Settings,
            Some("name another place as `store`; what is there was left as it is"),
        ),
        StoreError::Newer { .. } => (StartProblem::Settings, Some("use a newer fnox")),
        StoreError::Unsupported { .. } => (StartProblem::Settings, None),
        StoreError::Locked { .. } => (
            StartProblem::Store,
            Some("one vault at a time has a file open; several can share PostgreSQL"),
        ),
        _ => (StartProblem::Store, None),
    };
    VaultFailure::Start {
        message: error.to_string(),
        reason,
        help: help.map(str::to_owned),
    }
    .into()
}

fn key_failed(error: KeySourceError) -> CliError {
    VaultFailure::Start {
        message: error.to_string(),
        reason: StartProblem::Key,
        help: error.remedy,
    }
    .into()
}

/// An engine's error at the start.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn engine_failed(error: VaultError) -> CliError {
    let (reason, help) = match &error {
        VaultError::Keys { remedy, .. } => {
            let usual = "`key` must name the key with which the vault was made";
            let help = remedy.clone().unwrap_or_else(|| usual.to_owned());
            (StartProblem::Key, Some(help))
        }
        _ => (StartProblem::Store, None),
    };
    VaultFailure::Start {
        message: error.to_string(),
        reason,
        help,
    }
    .into()
}
