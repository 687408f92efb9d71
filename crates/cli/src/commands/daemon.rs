//! `fnox daemon`

use fnox_core::{Lifetime, SecretName};

use crate::app::{App, block_on};
use crate::args::daemon::{
    DaemonArgs, DaemonClearArgs, DaemonCommand, DaemonServeArgs, DaemonStatusArgs,
};
use crate::commands::export::plural;
use crate::daemon::documents::DaemonStatus;
use crate::daemon::error::DaemonFailure;
use crate::daemon::launch::{self, Launcher};
use crate::daemon::place::Place;
use crate::daemon::protocol::Status;
use crate::daemon::server::Daemon;
use crate::daemon::{Settings, client};
use crate::error::CliError;
use crate::exec::hardening;

pub(crate) fn run(app: &App, args: &DaemonArgs) -> Result<(), CliError> {
    let place = Place::of(&app.env, &app.folders)?;
    match &args.command {
        DaemonCommand::Start(args) => start(app, &place, args.idle_timeout),
        DaemonCommand::Status(args) => status(app, &place, args),
        DaemonCommand::Stop => stop(app, &place),
        DaemonCommand::Clear(args) => clear(app, &place, args),
        DaemonCommand::Serve(args) => serve(&place, args),
    }
}

fn start(app: &App, place: &Place, idle_timeout: Option<Lifetime>) -> Result<(), CliError> {
    // The configuration only says how long it stays; without one there is a default.
    let idle_timeout = idle_timeout.map_or_else(
        || Settings::of(&app.env, app.load().ok().as_ref()).idle_timeout,
        Lifetime::as_duration,
    );
    let launcher = Launcher::new(&app.env, idle_timeout);
    let (status, is_new) = block_on(async {
        match client::status(place).await {
            Err(DaemonFailure::NotRunning) => {}
            Err(DaemonFailure::Version { .. }) => client::stop(place).await?,
            status => return Ok::<_, DaemonFailure>((status?, false)),
        }
        let started = launcher.detach().await;
        // Of several that start at once, one wins, and the others have what they want.
        let status = client::status(place).await;
        match (started, status) {
            (started, Ok(status)) => Ok((status, started.is_ok())),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    })??;
    let pid = status.pid;
    if is_new {
        app.printer
            .done(&format!("The daemon is started (pid {pid})"));
    } else {
        app.printer
            .note(&format!("The daemon is already running (pid {pid})."));
    }
    Ok(())
}

fn status(app: &App, place: &Place, args: &DaemonStatusArgs) -> Result<(), CliError> {
    let status = match block_on(client::status(place))? {
        Ok(status) => Some(status),
        Err(DaemonFailure::NotRunning) => None,
        Err(error) => return Err(error.into()),
    };
    if args.json {
        let socket = place.socket().display().to_string();
        return app.printer.json(&DaemonStatus::new(socket, status));
    }
    app.printer.line(&match status {
        Some(status) => described(&status),
        None => "not running".to_owned(),
    })
}

fn described(status: &Status) -> String {
    let word = |is: bool| if is { "yes" } else { "no" };
    format!(
        "running\n  pid: {}\n  version: {}\n  cached_entries: {}\n  ends when unused for: {}\n  memory locked: {}\n  \
         forgets on sleep and screen lock: {}",
        status.pid,
        status.fnox_version,
        status.values,
        whole(status.idle_timeout_seconds),
        word(status.memory_locked),
        word(status.watches_session),
    )
}

/// `8h`, not `8h0m`.
fn whole(seconds: u64) -> String {
    let text = Lifetime::from_secs(seconds).to_string();
    let short = text.strip_suffix("h0m").map(|hours| format!("{hours}h"));
    short.unwrap_or(text)
}

fn stop(app: &App, place: &Place) -> Result<(), CliError> {
    match block_on(client::stop(place))? {
        Ok(()) => app.printer.done("The daemon is stopped"),
        Err(DaemonFailure::NotRunning) => app.printer.note("The daemon is not running."),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn clear(app: &App, place: &Place, args: &DaemonClearArgs) -> Result<(), CliError> {
    let names = args
        .keys
        .iter()
        .map(|name| SecretName::parse(name).map_err(|error| CliError::usage(error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let names = (!names.is_empty()).then_some(names);
    match block_on(client::clear(place, names))? {
        Ok(0) => app.printer.note("The daemon had none of it."),
        Ok(count) => app
            .printer
            .done(&format!("The daemon forgot {count} value{}", plural(count))),
        Err(DaemonFailure::NotRunning) => app.printer.note("The daemon is not running."),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn serve(place: &Place, args: &DaemonServeArgs) -> Result<(), CliError> {
    hardening::prepare_server();
    let idle_timeout = args
        .idle_timeout
        .map_or(crate::daemon::IDLE_TIMEOUT, Lifetime::as_duration);
    block_on(async {
        let daemon = Daemon::start(place, idle_timeout)?;
        if args.detached {
            launch::let_go()?;
        }
        daemon.run().await
    })?
}
