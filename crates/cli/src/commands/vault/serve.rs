//! `fnox vault serve`

use std::sync::Arc;

use fnox_core::ExitStatus;
use fnox_store_sqlite::SqliteStore;
use fnox_vault::key_source::KeySourceSpec;
use fnox_vault::server::{BackupHook, Limits, Server};
use fnox_vault::store::LiveSecrets;
use fnox_vault::{Engine, Identity};

use crate::app::App;
use crate::args::vault::VaultServeArgs;
use crate::error::CliError;
use crate::exec::hardening;
use crate::vault::assemble::{self, store_failed};
use crate::vault::mints::VaultMints;
use crate::vault::policy_file::PolicyFile;
use crate::vault::project::ProjectSecrets;
use crate::vault::running::{Signals, sign_checkpoint, sign_checkpoints};
use crate::vault::settings::{LimitSettings, Overrides, Settings};
use crate::vault::{audit_stream, doors};

pub(super) fn run(app: &App, args: &VaultServeArgs) -> Result<ExitStatus, CliError> {
    let settings = Settings::load(app, args.vault_config.as_deref(), &overrides(args))?;
    let hidden: Vec<&str> = match &settings.key {
        KeySourceSpec::Env(variable) => vec![variable],
        _ => Vec::new(),
    };
    let mints = VaultMints::new(&app.for_server(&hidden), &settings, args.from_project)?;
    let live: Option<Arc<dyn LiveSecrets>> = if args.from_project {
        Some(Arc::new(ProjectSecrets::new(app, &settings.key)?))
    } else {
        None
    };
    hardening::prepare_server();
    if settings.audit.stdout {
        audit_stream::turn_on();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let outcome = runtime.block_on(serve(app, &settings, live, mints));
    // A provider or a disk that hangs must not keep the vault from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.map(|()| ExitStatus::Success)
}

fn overrides(args: &VaultServeArgs) -> Overrides {
    Overrides {
        store: args.store.clone(),
        key: args.key.clone(),
        policy: args.policy.clone(),
        socket: args.socket.clone(),
        agent_socket: args.agent_socket.clone(),
        listen: args.listen.clone(),
        vsock: args.vsock,
        vsock_host: args.vsock_host.clone(),
        audit_stdout: args.audit_stdout,
    }
}

async fn serve(
    app: &App,
    settings: &Settings,
    live: Option<Arc<dyn LiveSecrets>>,
    mints: VaultMints,
) -> Result<(), CliError> {
    // First, so that none ends the vault half-way through its start.
    let mut signals = Signals::receive()?;
    let policy = assemble::policy(app, settings)?;
    let open = assemble::stores(app, settings, false).await?;
    let restored = match &open.sqlite {
        Some(sqlite) => sqlite.take_restored_flag().await.map_err(store_failed)?,
        None => None,
    };
    let source = assemble::key_source(app, settings).await?;
    let mut parts = assemble::parts(settings, open.stores, source, policy, live);
    parts.options.policy_source = Some(Arc::new(PolicyFile::new(app, &settings.policy)));
    let engine = assemble::open(parts).await?;
    if let Some(when) = restored {
        app.printer.warn(&format!(
            "the store was restored from a copy ({when}): all leases and tokens in it have ended"
        ));
        engine
            .record_restored(when)
            .await
            .map_err(assemble::engine_failed)?;
    }
    if !mints.is_empty() {
        let lent = engine.lend_mints(Arc::new(mints)).await;
        lent.map_err(assemble::engine_failed)?;
    }
    let doors = doors::open(app, settings).await?;
    let mut server = Server::new(engine.clone(), limits(&settings.limits));
    if let Some(sqlite) = open.sqlite {
        server = server.with_backup(backup(sqlite));
    }
    for door in doors {
        app.printer.note(&format!("serving at {door}"));
        server = server.listen(door.listener, door.admission);
    }
    tell_of_weaknesses(app, &engine).await;
    let checkpoints = tokio::spawn(sign_checkpoints(engine.clone(), settings.audit.clone()));
    server.serve(signals.end(&engine, &settings.policy)).await;
    engine.close_minted().await;
    checkpoints.abort();
    if let Some(path) = settings
        .audit
        .checkpoints
        .clone()
        .filter(|_| settings.audit.on)
    {
        sign_checkpoint(&engine, path).await;
    }
    app.printer.note("the vault has ended");
    Ok(())
}

/// What could not be made as safe as it should be.
async fn tell_of_weaknesses(app: &App, engine: &Engine) {
    let Some(details) = engine.health(&Identity::local()).await.details else {
        return;
    };
    if !details.memory_locked {
        app.printer.warn(
            "keys could not be locked in memory, so they may be written to swap: raise `ulimit -l`",
        );
    }
    if details.audit_records.is_none() {
        app.printer
            .warn("the audit log is off: nothing is recorded");
    }
}

fn backup(sqlite: SqliteStore) -> BackupHook {
    Arc::new(move |path| {
        let sqlite = sqlite.clone();
        Box::pin(async move { sqlite.backup(&path).await })
    })
}

fn limits(settings: &LimitSettings) -> Limits {
    let usual = Limits::default();
    Limits {
        connections: settings.connections.unwrap_or(usual.connections),
        per_peer: settings.per_peer.unwrap_or(usual.per_peer),
        in_flight: settings.in_flight.unwrap_or(usual.in_flight),
        request: settings.request.unwrap_or(usual.request),
        idle: settings.idle.unwrap_or(usual.idle),
        ..usual
    }
}
