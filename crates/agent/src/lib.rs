//! The small program in a guest that gets credentials from a vault.
//!
//! A virtual machine for an agent starts without any credential. What it may have is named in a [`manifest`]; this
//! program leases it from the vault on the host, over vsock, and brings it to its places: [`provision`] writes files,
//! [`git`] answers git, [`exec`] runs one program, and [`proxy`] is the way to a gateway that uses what the guest never gets. Whatever ends it, a failure included, it leaves neither files nor
//! leases behind, and a killed one leaves a [`journal`] by which the next cleans up.
//!
//! It holds no policy. What a guest may have is the vault's to say, whatever its manifest asks for.

pub mod args;
mod commands;
pub mod error;
pub mod exec;
pub mod files;
pub mod git;
pub mod journal;
pub mod lease;
pub mod manifest;
mod notify;
pub mod owner;
pub mod provision;
pub mod proxy;
mod report;
pub mod stop;
pub mod template;
pub mod token;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;
use fnox_core::{Env, ExitStatus};

pub use error::AgentError;

/// Runs the agent with the process's own arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    refuse_core_dumps();
    let cli = match args::Cli::try_parse() {
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
    match commands::run(&cli.command, &Env::of_process()) {
        Ok(status) => status.into(),
        Err(error) => {
            report::failure(&error);
            error.status().into()
        }
    }
}

/// No core files, and no other process of this user reads the agent's memory (prctl(2), `PR_SET_DUMPABLE`; on macOS
/// ptrace(2), `PT_DENY_ATTACH`, which is about debuggers alone). Programs that it starts are not affected.
fn refuse_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    #[cfg(target_os = "macos")]
    {
        let _ = secmem_proc::components::disable_tracing_prctl();
    }
}
