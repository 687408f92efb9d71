//! One file per command.

mod age;
mod check;
mod completion;
mod config_files;
mod definition;
mod doctor;
mod exec;
mod export;
mod get;
mod import;
mod init;
mod lease;
mod list;
mod masters;
mod profiles;
mod provider;
mod reencrypt;
mod remove;
mod selection;
mod set;
mod trust;
mod version;

use fnox_core::{Env, ExitStatus};

use crate::app::App;
use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::output::{Printer, report};

/// Runs the command and prints its error, if it has one.
pub(crate) fn run(cli: Cli, env: Env) -> ExitStatus {
    init_tracing(&cli, &env);
    let printer = Printer::new(
        cli.global.quiet,
        cli.global.no_color || env.var("NO_COLOR").is_some(),
    );
    match App::new(&cli.global, env).and_then(|app| dispatch(&app, cli.command)) {
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
        Command::Get(args) => done(get::run(app, &args)),
        Command::Set(args) => done(set::run(app, &args)),
        Command::List(args) => done(list::run(app, &args)),
        Command::Remove(args) => done(remove::run(app, &args)),
        Command::Export(args) => done(export::run(app, &args)),
        Command::Import(args) => done(import::run(app, &args)),
        Command::Init(args) => done(init::run(app, &args)),
        Command::Check(args) => done(check::run(app, &args)),
        Command::Doctor(args) => done(doctor::run(app, &args)),
        Command::Reencrypt(args) => done(reencrypt::run(app, &args)),
        Command::Trust(args) => done(trust::run(app, &args)),
        Command::Provider(args) => done(provider::run(app, args)),
        Command::Profiles(args) => done(profiles::run(app, &args)),
        Command::Lease(command) => done(lease::run(app, command)),
        Command::Age(command) => done(age::run(app, command)),
        Command::ConfigFiles(args) => done(config_files::run(app, &args)),
        Command::Completion(args) => done(completion::run(app, &args)),
        Command::Schema => done(app.printer.json(&fnox_config::schema::json_schema())),
        Command::Version(args) => done(version::run(app, &args)),
    }
}

/// Debug messages go to stderr, and only when asked for.
fn init_tracing(cli: &Cli, env: &Env) {
    let filter = match (env.var("RUST_LOG"), cli.global.verbose) {
        (Some(filter), _) => filter.to_owned(),
        (None, true) => {
            "fnox_cli=debug,fnox_config=debug,fnox_providers=debug,fnox_leases=debug".to_owned()
        }
        (None, false) => return,
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
