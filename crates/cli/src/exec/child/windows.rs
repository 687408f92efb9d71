//! Finding and starting programs on Windows.
//!
//! A program is a file with one of a few endings. The working folder is not looked into, as the system itself would:
//! what lies there would run in the place of what is meant. Scripts of `cmd` get their arguments as the standard library
//! writes them, which refuses what cannot be written safely.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use fnox_core::ExitStatus;

use super::{Program, not_runnable};
use crate::error::CliError;

/// The endings of what is run, in the order in which they are looked for.
const ENDINGS: [&str; 4] = [".exe", ".com", ".cmd", ".bat"];

/// `ERROR_FILENAME_EXCED_RANGE`: arguments or environment are too long.
const TOO_LONG: i32 = 206;
/// `ERROR_BAD_EXE_FORMAT`
const NO_PROGRAM: i32 = 193;
/// `STATUS_CONTROL_C_EXIT`, and what shells elsewhere report for the same.
const CONTROL_C: u32 = 0xC000_013A;
const INTERRUPTED: u8 = 130;

impl Program<'_> {
    /// Refuses: Windows has no way to become another program.
    pub(in crate::exec) fn replace_fnox(&self) -> CliError {
        CliError::Usage {
            message: "`--replace` needs Linux or macOS".to_owned(),
            help: Some("leave it away: exit codes are passed on without it too".to_owned()),
        }
    }

    pub(super) fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command
            .args(self.arguments)
            .env_clear()
            .envs(self.environment);
        command
    }

    /// The path of the program. A name with a folder is a path already.
    pub(super) fn find(&self) -> Result<PathBuf, CliError> {
        let name = Path::new(self.name);
        if name.components().count() > 1 || name.is_absolute() {
            return with_ending(name).ok_or_else(|| self.not_found());
        }
        let path = self.environment.get(OsStr::new("PATH"));
        path.into_iter()
            .flat_map(std::env::split_paths)
            .filter(|folder| !folder.as_os_str().is_empty())
            .find_map(|folder| with_ending(&folder.join(name)))
            .ok_or_else(|| self.not_found())
    }

    pub(super) fn explain(&self, path: &Path, error: &io::Error) -> CliError {
        match error.raw_os_error() {
            _ if error.kind() == io::ErrorKind::NotFound => self.not_found(),
            Some(TOO_LONG) => self.too_large(),
            Some(NO_PROGRAM) => not_runnable(path, "it is no program for this machine"),
            _ => not_runnable(path, &error.to_string()),
        }
    }
}

/// The file that a name means: this one, or the same with an ending.
fn with_ending(path: &Path) -> Option<PathBuf> {
    let has_ending = path.extension().is_some_and(|extension| {
        ENDINGS
            .iter()
            .any(|ending| extension.eq_ignore_ascii_case(&ending[1..]))
    });
    if has_ending && path.is_file() {
        return Some(path.to_owned());
    }
    ENDINGS
        .iter()
        .map(|ending| {
            let mut name = OsString::from(path);
            name.push(ending);
            PathBuf::from(name)
        })
        .find(|path| path.is_file())
}

/// The program's own exit code, as far as a byte can hold it.
pub(in crate::exec) fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    let code = status.code().unwrap_or(i32::MAX);
    if code.cast_unsigned() == CONTROL_C {
        return ExitStatus::Child(INTERRUPTED);
    }
    ExitStatus::Child(u8::try_from(code).unwrap_or(u8::MAX))
}
