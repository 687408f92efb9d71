//! Putting a team server together from its settings: database, keys, certificate.

use std::sync::Arc;

use fnox_core::SystemClock;
use fnox_server::store::Database;
use fnox_server::tls::{Certificate, TlsError};
use fnox_server::{OpenError, ServerKeys, Store, StoreError};
use fnox_store_postgres::{PostgresDatabase, PostgresOptions};
use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};
use jiff::Timestamp;

use super::database::DatabasePlace;
use super::error::{ServerFailure, StartProblem};
use super::private;
use super::settings::Places;
use crate::error::CliError;

/// A database that is open.
#[derive(Debug, Clone)]
pub(crate) enum OpenDatabase {
    /// One file.
    Sqlite(SqliteDatabase),
    /// One that several servers share.
    Postgres(Arc<PostgresDatabase>),
}

impl OpenDatabase {
    /// Opens what the settings name. `create`: it need not be there yet.
    pub(crate) async fn open(place: &DatabasePlace, create: bool) -> Result<Self, CliError> {
        let clock = Arc::new(SystemClock);
        match place {
            DatabasePlace::Sqlite(path) => {
                if !create && !path.exists() {
                    let message = format!("there is no database in {} yet", path.display());
                    return Err(ServerFailure::start(StartProblem::Settings, message)
                        .with_help("set the server up: fnox serve init")
                        .into());
                }
                let options = SqliteDatabaseOptions {
                    create,
                    clock,
                    ..SqliteDatabaseOptions::default()
                };
                let opened = SqliteDatabase::open(path, options);
                Ok(Self::Sqlite(opened.map_err(store_failed)?))
            }
            DatabasePlace::Postgres(url) => {
                let mut options = PostgresOptions::new(clock);
                options.migrate = create;
                let opened = PostgresDatabase::open(url.expose_secret(), options).await;
                Ok(Self::Postgres(Arc::new(opened.map_err(store_failed)?)))
            }
        }
    }

    /// The database as the server sees it.
    pub(crate) fn shared(&self) -> Arc<dyn Database> {
        match self {
            Self::Sqlite(database) => Arc::new(database.clone()),
            Self::Postgres(database) => Arc::clone(database) as Arc<dyn Database>,
        }
    }

    /// When it was put back to an older state, if nobody was told yet.
    pub(crate) async fn restored_at(&self) -> Result<Option<Timestamp>, CliError> {
        match self {
            Self::Sqlite(database) => database.take_restored_flag().await,
            Self::Postgres(database) => database.take_restored_flag().await,
        }
        .map_err(store_failed)
    }

    /// Whether it may have been put back to an older state without anybody being able to see that.
    pub(crate) async fn may_be_a_copy(&self) -> Result<bool, CliError> {
        match self {
            // A file is known by the mark beside it.
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(database) => database.may_be_a_copy().await.map_err(store_failed),
        }
    }

    /// What is in it, for changes that are on record.
    pub(crate) async fn unlocked(&self, keys: &ServerKeys) -> Result<Store, CliError> {
        let database = self.shared();
        let chain = keys.chain().ok_or_else(|| open_failed(OpenError::Keys))?;
        database.unlock(chain).await.map_err(store_failed)?;
        Ok(Store::new(database))
    }
}

/// Database and keys of a server that is not running, or that shares its database.
pub(crate) async fn store(places: &Places) -> Result<Store, CliError> {
    let keys = keys(places)?;
    let database = OpenDatabase::open(&places.database, false).await?;
    database.unlocked(&keys).await
}

/// The signing key.
pub(crate) fn keys(places: &Places) -> Result<ServerKeys, CliError> {
    let path = &places.signing_key;
    if path.symlink_metadata().is_err() {
        let message = format!("there is no signing key in {}", path.display());
        return Err(ServerFailure::start(StartProblem::Key, message)
            .with_help(
                "`fnox serve init` makes one for a new server; that of an old one has to be restored",
            )
            .into());
    }
    let text = private::read(path, "the signing key")?;
    ServerKeys::parse(text.expose_secret()).map_err(|error| {
        let message = format!("the signing key in {} is not one: {error}", path.display());
        ServerFailure::start(StartProblem::Key, message).into()
    })
}

/// The certificate, if there is TLS.
pub(crate) fn certificate(places: &Places) -> Result<Option<Certificate>, CliError> {
    places
        .tls
        .as_ref()
        .map(|(certificate, key)| Certificate::open(certificate, key).map_err(tls_failed))
        .transpose()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn tls_failed(error: TlsError) -> CliError {
    ServerFailure::start(StartProblem::Tls, error.to_string())
        .with_help(error.help())
        .into()
}

/// A database's error.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn store_failed(error: StoreError) -> CliError {
    let (reason, help) = match &error {
        StoreError::Foreign { .. } => (
            StartProblem::Settings,
            "name another place as `database`; what is there was left as it is",
        ),
        StoreError::Newer { .. } => (StartProblem::Settings, "use a newer fnox"),
        StoreError::Locked { .. } => (
            StartProblem::Locked,
            "stop the server that has it open; several servers can share PostgreSQL",
        ),
        StoreError::Corrupt { .. } => (
            StartProblem::Database,
            "`signing_key` must name the key with which it was written; else restore a backup: fnox serve restore",
        ),
        StoreError::Unavailable { .. } => (
            StartProblem::Database,
            "look at its place, its owner and the free space, or at the PostgreSQL server",
        ),
        _ => {
            return ServerFailure::start(StartProblem::Database, error.to_string()).into();
        }
    };
    ServerFailure::start(reason, error.to_string())
        .with_help(help)
        .into()
}

/// A server's error at the start.
pub(crate) fn open_failed(error: OpenError) -> CliError {
    let settings = |message: String| ServerFailure::start(StartProblem::Settings, message);
    match error {
        OpenError::Store(error) => store_failed(error),
        OpenError::Policy(error) => ServerFailure::Policy {
            message: error.to_string(),
        }
        .into(),
        OpenError::Notify(error) => {
            let failure = settings(error.to_string());
            match error.help() {
                Some(help) => failure.with_help(help).into(),
                None => failure.into(),
            }
        }
        OpenError::Oidc(error) => settings(error.to_string()).into(),
        OpenError::NoLogin => settings(error.to_string())
            .with_help("name an OpenID provider in `[login]`, or let a link decide: `approve = \"link\"`, `approvals_needed = 1`")
            .into(),
        error => ServerFailure::start(StartProblem::Key, error.to_string()).into(),
    }
}
