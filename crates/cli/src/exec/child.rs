//! The program as a child process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use fnox_core::{ExitStatus, SecretString};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::redact::{Pumps, Redactor};
use super::signals::Catcher;
use crate::error::CliError;

type Environment = BTreeMap<OsString, OsString>;

/// Runs the program to its end. With `secrets`, their values are replaced in those of its output streams
/// that are not terminals.
pub(super) fn run(
    command: &[OsString],
    environment: &Environment,
    secrets: &[SecretString],
) -> Result<ExitStatus, CliError> {
    let redactor = Redactor::new(secrets);
    let mut prepared = prepare(command, environment)?;
    let redacts = !redactor.is_empty();
    let pumps_stdout = redacts && !io::stdout().is_terminal();
    let pumps_stderr = redacts && !io::stderr().is_terminal();
    if pumps_stdout {
        prepared.stdout(Stdio::piped());
    }
    if pumps_stderr {
        prepared.stderr(Stdio::piped());
    }
    let catcher = Catcher::install().map_err(|error| not_started(command, environment, &error))?;
    let mut child = prepared
        .spawn()
        .map_err(|error| not_started(command, environment, &error))?;
    let pumps = Pumps::start(&redactor, child.stdout.take(), child.stderr.take());
    let status = wait(&mut child, catcher).map_err(CliError::Output)?;
    pumps.finish();
    Ok(exit_status(status))
}

/// Becomes the program. Comes back only if that failed.
pub(super) fn replace(command: &[OsString], environment: &Environment) -> CliError {
    match prepare(command, environment) {
        Ok(mut prepared) => {
            let error = prepared.exec();
            not_started(command, environment, &error)
        }
        Err(error) => error,
    }
}

fn prepare(command: &[OsString], environment: &Environment) -> Result<Command, CliError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CliError::usage("there is no command to run"));
    };
    let mut prepared = Command::new(program);
    prepared.args(arguments).env_clear().envs(environment);
    Ok(prepared)
}

/// Waits without reaping, so that no signal can reach a stranger who got the number of the dead child.
fn wait(child: &mut Child, catcher: Catcher) -> io::Result<std::process::ExitStatus> {
    let pid = Pid::from_child(child);
    let mut forwarder = catcher.forward_to(pid)?;
    loop {
        match waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    forwarder.stop();
    child.wait()
}

fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitStatus::Child(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX),
    )
}

fn not_started(command: &[OsString], environment: &Environment, error: &io::Error) -> CliError {
    let program = command
        .first()
        .map(|program| program.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (status, reason, help) = match error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error)
    {
        Some(rustix::io::Errno::NOENT) => (
            ExitStatus::CommandNotFound,
            "it was not found".to_owned(),
            Some(
                "check its name and PATH; shell built-ins and aliases need `sh -c '…'`".to_owned(),
            ),
        ),
        Some(rustix::io::Errno::NOEXEC) => (
            ExitStatus::CommandNotRunnable,
            "it is neither a program nor a script with a `#!` line".to_owned(),
            None,
        ),
        Some(rustix::io::Errno::TOOBIG) => (
            ExitStatus::CommandNotRunnable,
            format!(
                "its arguments and environment are too large ({} KiB)",
                size(command, environment) / 1024
            ),
            Some(
                "give large secrets as files with `as_file = true`, or fewer of them with `--only`"
                    .to_owned(),
            ),
        ),
        _ => (ExitStatus::CommandNotRunnable, error.to_string(), None),
    };
    CliError::NotStarted {
        message: format!("cannot run `{}`: {reason}", program.escape_debug()),
        status,
        help,
    }
}

fn size(command: &[OsString], environment: &Environment) -> usize {
    let arguments: usize = command.iter().map(|argument| argument.len() + 1).sum();
    let variables: usize = environment
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    arguments + variables
}
