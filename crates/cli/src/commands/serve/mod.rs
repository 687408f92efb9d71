//! `fnox serve`

mod data;
mod emergency;
mod init;
mod issuer;
mod notify;
mod policy;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use fnox_core::{ExitStatus, SystemClock};
use fnox_server::{Opening, Server, Settings};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use crate::app::App;
use crate::args::serve::{ServeArgs, ServeCommand, SettingsArgs};
use crate::error::CliError;
use crate::exec::hardening;
use crate::server::assemble::{self, OpenDatabase, open_failed, store_failed};
use crate::server::error::{ServerFailure, StartProblem};
use crate::server::file::ServerFile;
use crate::server::running::until_the_end;
use crate::server::settings::{self, Overrides, Places};
use crate::telemetry::Collector;
use crate::vault::running::Signals;

pub(crate) fn run(app: &App, args: ServeArgs) -> Result<ExitStatus, CliError> {
    let Some(command) = args.command else {
        return serve(app, &args.settings);
    };
    match command {
        ServeCommand::Init(args) => init::run(app, &args),
        ServeCommand::Policy(group) => policy::run(app, &group),
        ServeCommand::Freeze(args) => emergency::set_frozen(app, &args, true),
        ServeCommand::Unfreeze(args) => emergency::set_frozen(app, &args, false),
        ServeCommand::RevokeAll(args) => emergency::revoke_all(app, &args),
        ServeCommand::Backup(args) => data::backup(app, &args),
        ServeCommand::Restore(args) => data::restore(app, &args),
        ServeCommand::Restored(args) => data::restored(app, &args),
        ServeCommand::Audit(group) => data::audit(app, &group),
        ServeCommand::Token(args) => token::run(app, &args),
        ServeCommand::Notify(group) => notify::run(app, &group),
        ServeCommand::Issuer(group) => issuer::run(app, &group),
    }
    .map(|()| ExitStatus::Success)
}

fn serve(app: &App, args: &SettingsArgs) -> Result<ExitStatus, CliError> {
    let file = ServerFile::read(app, args.file.file.as_deref())?;
    let flags = overrides(args);
    let places = Places::of(app, &file, &flags)?;
    places.must_be_private()?;
    let settings = settings::server(app, &file, &flags, &places)?;
    let collector = Collector::read(
        "telemetry",
        file.top().table("telemetry").fields(),
        app.folders.home(),
    )?;
    hardening::prepare_server();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let outcome = runtime.block_on(run_server(&places, settings, collector));
    // A disk that hangs must not keep the server from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.map(|()| ExitStatus::Success)
}

async fn run_server(
    places: &Places,
    settings: Settings,
    collector: Option<Collector>,
) -> Result<(), CliError> {
    // First, so that none ends the server half-way through its start.
    let signals = Signals::receive()?;
    let keys = assemble::keys(places)?;
    let certificate = assemble::certificate(places)?;
    let tls = certificate
        .as_ref()
        .map(|certificate| certificate.acceptor().map_err(assemble::tls_failed))
        .transpose()?;
    let database = OpenDatabase::open(&places.database, false).await?;
    look_at_the_log(&database).await?;
    let restored_at = restored_at(&database).await?;
    let server = Server::open(Opening {
        settings,
        database: database.shared(),
        keys,
        clock: Arc::new(SystemClock),
        metrics: Some(metrics()?),
        restored_at,
    })
    .await
    .map_err(open_failed)?;
    let listener = listen(places.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = listener.local_addr().map_err(CliError::Output)?;
    let service = server.service().clone();
    let telemetry = collector.map(Collector::start).transpose()?;
    tracing::info!("serving at {scheme}://{address}");
    tracing::info!(
        public_url = places.public_url, database = %places.database, rules = service.policy().current().rules(),
        channels = service.settings().notify.len(), "ready"
    );
    server
        .serve(listener, tls, until_the_end(signals, service, certificate))
        .await;
    if let Some(telemetry) = telemetry {
        telemetry.end().await;
    }
    tracing::info!("the server has ended");
    Ok(())
}

/// Says in the log how far the audit log has come: who keeps that elsewhere sees it if the audit log is cut. One without
/// any record was emptied: `serve init` has written the first one.
async fn look_at_the_log(database: &OpenDatabase) -> Result<(), CliError> {
    let database = database.shared();
    if let Some(head) = database.audit_head().await.map_err(store_failed)? {
        tracing::info!(
            records = head.sequence, mac = %hex::encode(head.mac), "the audit log's head"
        );
    } else if database
        .audit_scan(0, 1)
        .await
        .map_err(store_failed)?
        .is_empty()
    {
        tracing::warn!(
            "the audit log is empty, although the set-up of a server is its first record: all records were removed"
        );
    }
    Ok(())
}

/// When the database was put back to an older state, if it was; the log says so, and when that cannot be known.
async fn restored_at(database: &OpenDatabase) -> Result<Option<Timestamp>, CliError> {
    let restored_at = database.restored_at().await?;
    if let Some(moment) = restored_at {
        tracing::warn!(
            %moment,
            "the database was put back to an older state: all sessions, approvals and grants in it have ended"
        );
    } else if database.may_be_a_copy().await? {
        tracing::warn!(
            "PostgreSQL was started after fnox wrote to it last. If its files were put back from a copy meanwhile, run \
             `fnox serve restored` now: else sessions and grants that were used or ended are good again"
        );
    }
    Ok(restored_at)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there: end it, or choose another port with --listen"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a right of their own: choose a higher one with --listen"
            }
            _ => "--listen names an address of this machine",
        };
        ServerFailure::start(
            StartProblem::Address,
            format!("cannot listen at {address}: {error}"),
        )
        .with_help(help)
        .into()
    })
}

/// Collects the counters of this process.
fn metrics() -> Result<PrometheusHandle, CliError> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| {
            ServerFailure::start(
                StartProblem::Settings,
                format!("metrics cannot be collected: {error}"),
            )
            .into()
        })
}

fn overrides(args: &SettingsArgs) -> Overrides {
    Overrides {
        public_url: args.public_url.clone(),
        listen: args.listen,
        database: args.database.clone(),
        signing_key: args.signing_key.clone(),
        policy: args.policy.clone(),
        tls_cert: args.tls_cert.clone(),
        tls_key: args.tls_key.clone(),
        behind_proxy: args.behind_proxy.clone(),
        ntfy_url: args.ntfy_url.clone(),
        ntfy_topic: args.ntfy_topic.clone(),
        ntfy_token_file: args.ntfy_token_file.clone(),
        oidc_issuer: args.oidc_issuer.clone(),
        oidc_audience: args.oidc_audience.clone(),
    }
}

/// Where things are, for commands that take no flags about it.
fn places(
    app: &App,
    file: &crate::args::serve::FileArgs,
) -> Result<(ServerFile, Places), CliError> {
    let file = ServerFile::read(app, file.file.as_deref())?;
    let places = Places::of(app, &file, &Overrides::default())?;
    Ok((file, places))
}
