//! Finding and starting programs as POSIX has it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fnox_core::ExitStatus;
use rustix::fs::Access;
use rustix::io::Errno;

use super::{Program, not_runnable};
use crate::error::CliError;
use crate::exec::orphans;

impl Program<'_> {
    /// Starts the program in a process group of its own, without stdin, for somebody who reads what it prints.
    pub(in crate::exec) fn start_apart(&self) -> Result<tokio::process::Child, CliError> {
        let path = self.find()?;
        tokio::process::Command::from(self.command(&path))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .inspect(|child| {
                if let Some(id) = child.id() {
                    orphans::is_waited_for(id);
                }
            })
            .map_err(|error| self.explain(&path, &error))
    }

    /// Becomes the program. Comes back only if that failed.
    pub(in crate::exec) fn replace_fnox(&self) -> CliError {
        match self.find() {
            Ok(path) => {
                let error = self.command(&path).exec();
                self.explain(&path, &error)
            }
            Err(error) => error,
        }
    }

    pub(super) fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command
            .arg0(self.name)
            .args(self.arguments)
            .env_clear()
            .envs(self.environment);
        command
    }

    /// The path of the program. A name with a slash is a path already.
    pub(super) fn find(&self) -> Result<PathBuf, CliError> {
        if self.name.as_bytes().contains(&b'/') {
            return Ok(PathBuf::from(self.name));
        }
        let path = self.environment.get(OsStr::new("PATH"));
        let path = path.map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let folders = path.as_bytes().split(|byte| *byte == b':');
        let mut forbidden = None;
        for folder in folders.filter(|_| !self.name.is_empty()) {
            // An empty element means the working folder (POSIX.1-2024, 8.3).
            let folder = if folder.is_empty() { b"." } else { folder };
            let candidate = Path::new(OsStr::from_bytes(folder)).join(self.name);
            if !candidate.is_file() {
                continue;
            }
            if rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
                return Ok(candidate);
            }
            forbidden.get_or_insert(candidate);
        }
        Err(match forbidden {
            Some(path) => not_runnable(&path, "it is not executable"),
            None => self.not_found(),
        })
    }

    pub(super) fn explain(&self, path: &Path, error: &io::Error) -> CliError {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR) if !path.exists() => self.not_found(),
            Some(Errno::NOENT) => not_runnable(
                path,
                "it names an interpreter or a loader that does not exist",
            ),
            Some(Errno::ACCESS) if path.is_dir() => not_runnable(path, "it is a folder"),
            Some(Errno::ACCESS | Errno::PERM) => not_runnable(path, "it is not executable"),
            Some(Errno::NOEXEC) => not_runnable(
                path,
                "it is neither a program for this machine nor a script with a `#!` line",
            ),
            Some(Errno::TXTBSY) => not_runnable(path, "another process is writing to it"),
            Some(Errno::TOOBIG) => self.too_large(),
            _ => not_runnable(path, &error.to_string()),
        }
    }
}

/// The exit code that a shell would report: the program's own, or 128 plus the signal that ended it.
pub(in crate::exec) fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    ExitStatus::Child(code.unwrap_or(u8::MAX))
}

/// Where execvp(3) looks when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
