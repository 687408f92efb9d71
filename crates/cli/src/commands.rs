//! One file per command.

#[cfg(not(unix))]
mod absent;
pub(crate) mod age;
#[cfg(unix)]
pub(crate) mod agent;
mod approve;
mod audit;
mod chain;
mod check;
mod ci_redact;
mod completion;
mod config_files;
mod copy;
mod credential;
#[cfg(unix)]
mod daemon;
pub(crate) mod definition;
mod diff;
mod difference;
mod doctor;
mod edit;
pub(crate) mod env;
mod exec;
mod export;
mod files;
#[cfg(unix)]
mod gateway;
pub(crate) mod get;
mod import;
mod init;
pub(crate) mod lease;
mod lifecycle;
mod list;
mod login;
pub(crate) mod masters;
#[cfg(unix)]
mod mcp;
mod partial;
mod plugin;
pub(crate) mod profiles;
pub(crate) mod provider;
mod push;
pub(crate) mod reencrypt;
pub(crate) mod remove;
mod scan;
mod secret;
mod selection;
#[cfg(unix)]
mod serve;
pub(crate) mod set;
mod shell;
mod sync;
mod trust;
mod tui;
#[cfg(unix)]
pub(crate) mod vault;
pub(crate) mod version;

use fnox_core::{Env, ExitStatus};

#[cfg(not(unix))]
use self::absent::{agent, daemon, gateway, mcp, serve, vault};
use crate::app::App;
use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::log;
use crate::output::{Printer, colours_unwanted, report};

/// Runs the command and prints its error, if it has one.
pub(crate) fn run(cli: Cli, env: Env) -> ExitStatus {
    log::init(&cli, &env);
    let printer = Printer::new(
        cli.global.quiet,
        cli.global.no_color || colours_unwanted(&env),
    );
    let app = App::new(&cli.global, env).map(|app| app.running(cli.command.word()));
    match app.and_then(|app| dispatch(&app, cli.command)) {
        Ok(status) => status,
        Err(error) => {
            if !matches!(error, CliError::OutputClosed) {
                report(&error, printer);
            }
            error.status()
        }
    }
}

fn dispatch(app: &App, command: Command) -> Result<ExitStatus, CliError> {
    let done = |result: Result<(), CliError>| result.map(|()| ExitStatus::Success);
    match command {
        Command::Exec(args) => exec::exec(app, &args.common, args.require_leases),
        Command::Run(args) => exec::run(app, &args),
        Command::Watch(args) => exec::watch::run(app, &args),
        Command::Env(args) => env::run(app, &args),
        Command::Get(args) => done(get::run(app, &args)),
        Command::Set(args) => done(forgetting(
            app,
            Some(args.key.as_deref().as_slice()),
            set::run(app, &args),
        )),
        Command::List(args) => done(list::run(app, &args)),
        Command::Remove(args) => done(forgetting(
            app,
            Some(args.key.as_deref().as_slice()),
            remove::run(app, &args),
        )),
        Command::Export(args) => done(export::run(app, &args)),
        Command::Import(args) => done(forgetting(
            app,
            None,
            import::run(&app.with_one_touch(), &args),
        )),
        Command::Files(args) => done(files::run(app, args)),
        Command::Plugin(args) => done(plugin::run(app, &args)),
        Command::Copy(args) => done(forgetting(
            app,
            None,
            copy::copy(&app.with_one_touch(), &args),
        )),
        Command::Rename(args) => done(forgetting(
            app,
            None,
            copy::rename(&app.with_one_touch(), &args),
        )),
        Command::Edit(args) => done(forgetting(
            app,
            None,
            edit::run(&app.with_one_touch(), &args),
        )),
        Command::CiRedact => done(ci_redact::run(app)),
        Command::Diff(args) => done(diff::run(&app.with_one_touch(), &args)),
        Command::Init(args) => done(init::run(app, &args)),
        Command::Check(args) => done(check::run(app, &args)),
        Command::Doctor(args) => done(doctor::run(app, &args)),
        Command::Audit(args) => done(audit::run(app, &args)),
        Command::Scan(args) => done(scan::run(app, &args)),
        Command::Reencrypt(args) => done(reencrypt::run(&app.with_one_touch(), &args)),
        Command::Push(args) => done(push::run(app, &args)),
        Command::Sync(args) => done(sync::run(&app.with_one_touch(), &args)),
        Command::Activate(args) => done(shell::activate(app, &args)),
        Command::Deactivate(args) => done(shell::deactivate(app, &args.shell)),
        Command::HookEnv(args) => done(shell::hook(app, &args)),
        Command::Trust(args) => done(trust::trust(app, &args)),
        Command::Untrust(args) => done(trust::untrust(app, &args)),
        Command::Provider(args) => done(provider::run(app, args)),
        Command::Profiles(args) => done(profiles::run(app, &args)),
        Command::Tui => tui::run(app),
        Command::Lease(args) => done(lease::run(app, args)),
        Command::Credential(args) => credential::run(app, &args),
        Command::Daemon(args) => done(daemon::run(app, &args)),
        Command::Vault(args) => vault::run(app, args),
        Command::Agent(args) => agent::run(app, &args),
        Command::Mcp(args) => mcp::run(app, &args),
        Command::Gateway(args) => gateway::run(app, &args),
        Command::Serve(args) => serve::run(app, *args),
        Command::Login(args) => done(login::run(app, &args)),
        Command::Logout(args) => done(login::logout(app, &args)),
        Command::Secret(args) => done(secret::run(app, &args)),
        Command::Approve(args) => done(approve::run(app, &args)),
        Command::Lifecycle(args) => done(lifecycle::run(&app.with_one_touch(), &args)),
        Command::Age(command) => done(age::run(app, command)),
        Command::ConfigFiles(args) => done(config_files::run(app, &args)),
        Command::Completion(args) => done(completion::run(app, &args)),
        Command::Schema => done(app.printer.json(&fnox_config::schema::json_schema())),
        Command::Version(args) => done(version::run(app, &args)),
    }
}

/// Has the daemon forget what a command wrote, also if it failed half-way.
pub(crate) fn forgetting(
    app: &App,
    names: Option<&[&str]>,
    outcome: Result<(), CliError>,
) -> Result<(), CliError> {
    crate::daemon::forget(app, names);
    outcome
}
