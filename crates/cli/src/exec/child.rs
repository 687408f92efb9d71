//! Starting the program: found on the PATH that it will get, with exactly the planned environment.
//!
//! A bare name is looked for as execvp(3) does, but on the program's own PATH and not on fnox's; on Windows with the
//! endings that programs have. A script without a `#!` line is not run through a shell: which shell would be a guess.

#[cfg_attr(unix, path = "child/unix.rs")]
#[cfg_attr(windows, path = "child/windows.rs")]
mod system;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Child, Stdio};

use fnox_core::ExitStatus;

pub(super) use self::system::exit_status;
use super::orphans;
use crate::error::CliError;

pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// A program with its arguments and its whole environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'a> {
    name: &'a OsStr,
    arguments: &'a [OsString],
    environment: &'a Environment,
}

impl<'a> Program<'a> {
    pub(super) fn new(
        command: &'a [OsString],
        environment: &'a Environment,
    ) -> Result<Self, CliError> {
        let (name, arguments) = command
            .split_first()
            .ok_or_else(|| CliError::usage("there is no command to run"))?;
        Ok(Self {
            name,
            arguments,
            environment,
        })
    }

    /// Starts the program; it inherits stdin.
    pub(super) fn start(&self, stdout: Stdio, stderr: Stdio) -> Result<Child, CliError> {
        let path = self.find()?;
        self.command(&path)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .inspect(|child| orphans::is_waited_for(child.id()))
            .map_err(|error| self.explain(&path, &error))
    }

    fn not_found(&self) -> CliError {
        let help = if self.name.as_encoded_bytes().contains(&b' ') {
            "write the program and its arguments without quotes around them, or use `sh -c '…'`"
        } else {
            "check its name and PATH; shell built-ins and aliases need `sh -c '…'`"
        };
        not_started(
            self.name,
            ExitStatus::CommandNotFound,
            "it was not found",
            Some(help.to_owned()),
        )
    }

    fn too_large(&self) -> CliError {
        let size = |(name, value): (&OsString, &OsString)| name.len() + value.len() + 2;
        let variables: usize = self.environment.iter().map(size).sum();
        let arguments: usize = self.arguments.iter().map(|word| word.len() + 1).sum();
        let total = (variables + arguments + self.name.len() + 1) / 1024;
        let largest = self.environment.iter().max_by_key(|pair| size(*pair));
        let largest = largest.map(|(name, _)| shown(name)).unwrap_or_default();
        not_started(
            self.name,
            ExitStatus::CommandNotRunnable,
            &format!("its arguments and environment are too large ({total} KiB)"),
            Some(format!(
                "give large secrets as files with `as_file = true`, or fewer of them with `--only`; \
                 the largest variable is `{largest}`"
            )),
        )
    }
}

fn not_runnable(path: &Path, reason: &str) -> CliError {
    let status = ExitStatus::CommandNotRunnable;
    not_started(path.as_os_str(), status, reason, None)
}

fn not_started(
    program: &OsStr,
    status: ExitStatus,
    reason: &str,
    help: Option<String>,
) -> CliError {
    CliError::NotStarted {
        message: format!("cannot run `{}`: {reason}", shown(program)),
        status,
        help,
    }
}

fn shown(text: &OsStr) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn start(name: &str, environment: &Environment) -> Result<ExitStatus, CliError> {
        start_with(&[name], environment)
    }

    fn start_with(words: &[&str], environment: &Environment) -> Result<ExitStatus, CliError> {
        let command: Vec<OsString> = words.iter().map(OsString::from).collect();
        let program = Program::new(&command, environment)?;
        let mut child = program.start(Stdio::null(), Stdio::null())?;
        Ok(exit_status(child.wait().unwrap()))
    }

    fn path(folders: &str) -> Environment {
        [("PATH".into(), folders.into())].into()
    }

    fn usual() -> Environment {
        path("/usr/bin:/bin")
    }

    fn script(folder: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_status_is_the_programs_own_or_128_plus_the_signal() {
        let run = |script: &str| start_with(&["sh", "-c", script], &usual()).unwrap();
        assert_eq!(run("exit 0"), ExitStatus::Child(0));
        assert_eq!(run("exit 37"), ExitStatus::Child(37));
        assert_eq!(run("exit 255"), ExitStatus::Child(255));
        assert_eq!(run("kill -TERM $$"), ExitStatus::Child(143));
        assert_eq!(run("kill -KILL $$"), ExitStatus::Child(137));
    }

    #[test]
    fn a_bare_name_is_looked_for_on_the_programs_own_path() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "only-here", "#!/bin/sh\nexit 7\n", 0o755);
        let own = path(folder.path().to_str().unwrap());
        assert_eq!(start("only-here", &own).unwrap(), ExitStatus::Child(7));
        let code = |name, environment| start(name, environment).unwrap_err().status().code();
        assert_eq!(code("true", &own), 127);
        assert_eq!(code("only-here", &usual()), 127);
        // Without PATH, where the system keeps its own programs.
        assert_eq!(
            start("true", &Environment::new()).unwrap(),
            ExitStatus::Child(0)
        );
    }

    #[test]
    fn what_is_not_there_gives_127() {
        for name in ["no-such-program", "", "/no/such/path", "/etc/passwd/x"] {
            let error = start(name, &usual()).unwrap_err();
            assert_eq!(error.status().code(), 127, "{name}");
            assert_eq!(
                error.to_string(),
                format!("cannot run `{name}`: it was not found")
            );
        }
        let help = start("echo hello", &usual()).unwrap_err().help().unwrap();
        assert!(help.contains("without quotes"), "{help}");
        assert_eq!(start_with(&[], &usual()).unwrap_err().status().code(), 2);
    }

    #[test]
    fn what_is_there_and_cannot_run_gives_126_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let cases = [
            (script(at, "plain", "echo hi\n", 0o755), "`#!` line"),
            (script(at, "lost", "#!/no/such/sh\n", 0o755), "interpreter"),
            (script(at, "data", "x", 0o644), "is not executable"),
            (at.to_str().unwrap().to_owned(), "is a folder"),
        ];
        for (name, reason) in cases {
            let error = start(&name, &usual()).unwrap_err();
            assert_eq!(error.status().code(), 126, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        let error = start("data", &path(at.to_str().unwrap())).unwrap_err();
        assert_eq!(error.status().code(), 126, "{error}");
    }

    #[test]
    fn an_environment_that_is_too_large_is_told_with_its_size() {
        let mut environment = usual();
        environment.insert("HUGE".into(), "x".repeat(1 << 20).into());
        let error = start("true", &environment).unwrap_err();
        assert_eq!(error.status().code(), 126);
        assert!(error.to_string().contains("(1024 KiB)"), "{error}");
        assert!(error.help().unwrap().contains("`HUGE`"));
    }
}
