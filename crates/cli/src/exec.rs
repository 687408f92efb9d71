//! Running the program: its environment, its files, its signals, its output and its end.
//!
//! The program gets exactly the planned environment. Everything that fnox makes for it (files, a helper
//! process, pump threads) is gone when it has ended, however it or fnox ended.

pub(crate) mod child;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod hardening;
pub mod plan;
pub mod redact;
mod signals;

use std::ffi::OsString;

use fnox_config::Folders;
use fnox_core::{Env, ExitStatus};

use self::files::PrivateFolder;
use self::plan::EnvironmentPlan;
use crate::error::CliError;

/// A program to run.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    pub folders: &'a Folders,
    /// The environment that fnox was started with.
    pub env: &'a Env,
    /// How the program's environment differs from it.
    pub plan: EnvironmentPlan,
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// Whether to replace secret values in its output, where that is not a terminal.
    pub redact: bool,
    /// Whether to become the program.
    pub replace: bool,
}

/// Runs the program to its end and answers how it ended.
///
/// # Errors
/// [`CliError`] if it was not started.
pub(crate) fn run(invocation: Invocation<'_>) -> Result<ExitStatus, CliError> {
    let Invocation {
        folders,
        env,
        plan,
        command,
        redact,
        replace,
    } = invocation;
    plan.check()?;
    files::sweep(folders);
    let mut folder = None;
    let mut paths = Vec::new();
    if !plan.files.is_empty() {
        let failed = |source| CliError::File {
            action: "write a private file below",
            path: folders.runtime.clone(),
            source,
        };
        let mut private = PrivateFolder::guarded(folders).map_err(failed)?;
        for (name, value) in &plan.files {
            paths.push((name.clone(), private.write(name, value).map_err(failed)?));
        }
        folder = Some(private);
    }
    let environment = plan.apply(env, &paths);
    if replace {
        return Err(child::replace(command, &environment));
    }
    let secrets = if redact { plan.values() } else { Vec::new() };
    let status = child::run(command, &environment, &secrets);
    drop(folder);
    status
}
