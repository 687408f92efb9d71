//! Running the program: its environment, its files, its signals, its output and its end.
//!
//! The program gets exactly the planned environment. Everything that fnox makes for it (files, a helper
//! process, pump threads) is gone when it has ended, however it or fnox ended.

#[cfg(unix)]
pub(crate) mod captured;
pub(crate) mod child;
#[cfg(unix)]
pub(crate) mod descriptors;
mod end;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod hardening;
pub(crate) mod orders;
pub(crate) mod orphans;
pub mod plan;
pub(crate) mod processes;
#[cfg_attr(windows, path = "exec/pump/windows.rs")]
mod pump;
pub(crate) mod redact;
#[cfg_attr(windows, path = "exec/signals/windows.rs")]
pub(crate) mod signals;
#[cfg(unix)]
pub(crate) mod standing;
#[cfg(unix)]
mod tree;
mod variants;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use fnox_config::Folders;
use fnox_core::{Env, ExitStatus};

use self::child::Program;
use self::end::Then;
use self::files::PrivateFolder;
use self::orders::SharedOrders;
use self::plan::EnvironmentPlan;
use self::pump::Pumps;
use self::redact::Redaction;
use self::signals::Signals;
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
    /// What the renewal of its credentials wants done while it runs.
    pub orders: SharedOrders,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    /// With which status.
    pub(crate) status: ExitStatus,
    /// Whether it was ended because there is to be another run in its place.
    pub(crate) again: bool,
}

impl Finished {
    fn with(status: ExitStatus) -> Self {
        Self {
            status,
            again: false,
        }
    }
}

/// Runs the program to its end and answers how it ended.
///
/// # Errors
/// [`CliError`] if it was not started.
pub(crate) fn run(invocation: Invocation<'_>) -> Result<ExitStatus, CliError> {
    run_once(invocation, &mut None).map(|finished| finished.status)
}

/// The same for one of several runs. Receives signals with what an earlier run left in `signals`,
/// and leaves it there.
///
/// # Errors
/// [`CliError`] if it was not started.
pub(crate) fn run_once(
    invocation: Invocation<'_>,
    signals: &mut Option<Signals>,
) -> Result<Finished, CliError> {
    let Invocation {
        folders,
        env,
        mut plan,
        command,
        redact,
        replace,
        orders,
    } = invocation;
    plan.check()?;
    files::sweep(folders);
    if replace {
        let environment = plan.apply(env, &[]);
        return Err(Program::new(command, &environment)?.replace_fnox());
    }
    // From here on no signal ends fnox before the program has ended and the files are gone.
    let signals = match signals {
        Some(signals) => signals,
        None => signals.insert(Signals::receive().map_err(system("receive signals"))?),
    };
    let (folder, paths) = write_files(folders, &plan)?;
    if let Some(signal) = signals.asked_to_end() {
        return Ok(Finished::with(signals::status_of(signal)));
    }
    let redaction = redact
        .then(|| Redaction::new(plan.values()))
        .flatten()
        .map(Arc::new);
    let finished = loop {
        let environment = plan.apply(env, &paths);
        // The program has its own copy once it runs.
        drop(std::mem::take(&mut plan));
        let (mut child, pumps) = start(command, &environment, redaction.as_ref())?;
        drop(environment);
        let mut redact = |values| {
            if let Some(redaction) = &redaction {
                redaction.add(values);
            }
        };
        let ended = signals.wait_for(&mut child, &orders, &mut redact);
        pumps.finish();
        let ended = ended.map_err(system("wait for the program"))?;
        match ended.then {
            Then::Nothing => break Finished::with(child::exit_status(ended.status)),
            Then::FailAsUnavailable => break Finished::with(ExitStatus::Unavailable),
            Then::AnotherRun => {
                break Finished {
                    status: child::exit_status(ended.status),
                    again: true,
                };
            }
            Then::StartAgain(next) => {
                next.check()?;
                plan = *next;
            }
        }
    };
    drop(folder);
    Ok(finished)
}

fn start(
    command: &[OsString],
    environment: &child::Environment,
    redaction: Option<&Arc<Redaction>>,
) -> Result<(Child, Pumps), CliError> {
    let program = Program::new(command, environment)?;
    let (streams, pumps) = match redaction {
        Some(redaction) => Pumps::redacting(redaction).map_err(system("redirect the output"))?,
        None => Pumps::none(),
    };
    match program.start(streams.stdout, streams.stderr) {
        Ok(child) => Ok((child, pumps)),
        Err(error) => {
            pumps.finish();
            Err(error)
        }
    }
}

type WrittenFiles = (Option<PrivateFolder>, Vec<(String, PathBuf)>);

fn write_files(folders: &Folders, plan: &EnvironmentPlan) -> Result<WrittenFiles, CliError> {
    if plan.files.is_empty() {
        return Ok((None, Vec::new()));
    }
    let failed = |source| CliError::File {
        action: "write a private file below",
        path: folders.runtime.clone(),
        source,
    };
    let mut folder = PrivateFolder::guarded(folders).map_err(failed)?;
    let mut paths = Vec::with_capacity(plan.files.len());
    for (name, value) in &plan.files {
        paths.push((name.clone(), folder.write(name, value).map_err(failed)?));
    }
    Ok((Some(folder), paths))
}

fn system(action: &'static str) -> impl Fn(io::Error) -> CliError {
    move |source| CliError::NotStarted {
        message: format!("cannot {action}: {source}"),
        status: ExitStatus::Failure,
        help: None,
    }
}
