//! The command line of fnox: arguments become settings, settings an operation, its outcome output and an
//! exit code. The rules live in the other crates; this one wires them.
//!
//! On Windows there are no daemon, vault, team server, gateway and MCP server: `absent.rs` of each says what the rest of
//! the command line sees instead, and their commands say what to use.
//!
//! It is a library only so that its parts can be tested and `cargo xtask gen` can read the command line's
//! definition; it promises no stable interface.

#![cfg_attr(
    windows,
    expect(
        dead_code,
        unused_imports,
        reason = "what the commands use that are not there"
    )
)]

mod app;
pub mod args;
mod audit;
pub mod codes;
mod commands;
pub mod completion;
#[cfg_attr(not(unix), path = "daemon/absent.rs")]
pub mod daemon;
mod durations;
pub mod environment;
mod error;
pub mod exec;
#[cfg(unix)]
pub mod gateway;
pub mod lifecycle;
mod log;
#[cfg(unix)]
mod mcp;
pub mod output;
mod push;
#[cfg_attr(not(unix), path = "server/absent.rs")]
pub mod server;
mod shell;
pub mod team;
mod telemetry;
mod terminal;
mod tui;
#[cfg_attr(not(unix), path = "vault/absent.rs")]
pub mod vault;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use fnox_core::{Env, ExitStatus};

/// Runs fnox with the process's own arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    let env = Env::of_process();
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(status) = exec::guard::run_if_requested(&arguments) {
        return status.into();
    }
    exec::hardening::refuse_core_dumps();
    exec::hardening::tell_file_size_limit();
    if completion::answer(&env, &arguments) {
        return ExitStatus::Success.into();
    }
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, everything else to stderr with 2.
            let _ = error.print();
            let status = if error.use_stderr() {
                ExitStatus::Usage
            } else {
                ExitStatus::Success
            };
            return status.into();
        }
    };
    commands::run(cli, env).into()
}

fn parse(arguments: &[std::ffi::OsString]) -> Result<args::Cli, clap::Error> {
    if let Some(cli) = args::frequent::parse(arguments) {
        return Ok(cli);
    }
    let arguments = asking_for_help(arguments);
    let mut command = args::Cli::command();
    let outcome = command
        .try_get_matches_from_mut(arguments)
        .and_then(|mut matches| args::Cli::from_arg_matches_mut(&mut matches))
        .map_err(|error| error.format(&mut command));
    // Taking the definition apart again costs a tenth of a millisecond, and the process is about to end
    // or to wait.
    std::mem::forget(command);
    outcome
}

/// `fnox help COMMAND…` as `fnox COMMAND… --help`.
fn asking_for_help(arguments: &[std::ffi::OsString]) -> Vec<std::ffi::OsString> {
    match arguments {
        [program, help, names @ ..] if help == "help" => std::iter::once(program)
            .chain(names)
            .cloned()
            .chain(["--help".into()])
            .collect(),
        _ => arguments.to_vec(),
    }
}

/// The definition of the command line, for generated pages.
#[must_use]
pub fn command() -> clap::Command {
    args::Cli::command()
}
