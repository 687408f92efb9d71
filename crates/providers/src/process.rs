//! Running a provider's CLI: with a time limit, without a shell, without secrets on the argument list.
//!
//! The program gets its own process group, on Windows a job; when the time is up all of it is killed, so that a
//! CLI that started helpers leaves none behind. Its output is capped and kept as bytes that are overwritten
//! when dropped.

#[cfg_attr(unix, path = "process/unix.rs")]
#[cfg_attr(windows, path = "process/windows.rs")]
mod group;

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fnox_core::secret::{REDACTED, SHORTEST_HIDDEN};
use fnox_core::{Env, SecretBytes, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use self::group::Group;
use crate::error::ProviderError;

/// Largest output that is read from a program, in bytes.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// A program to run.
#[derive(Debug)]
pub struct Program<'a> {
    /// Its name on PATH.
    pub name: &'a str,
    /// Its arguments. Never a secret: everybody on the machine can read them.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub env: &'a Env,
    /// What it reads on stdin; nothing if `None`.
    pub input: Option<&'a SecretString>,
    /// When to give up.
    pub time_limit: Duration,
    /// What to do if it is not installed.
    pub install_hint: &'a str,
}

/// A program that a provider calls again and again: what all its calls have in common.
#[derive(Debug)]
pub struct Tool {
    /// Its name on PATH.
    pub name: &'static str,
    /// What to do if it is not installed.
    pub install_hint: &'static str,
    /// Its whole environment.
    pub env: Env,
    /// When to give up on one call.
    pub time_limit: Duration,
}

impl Tool {
    /// Calls it once. Arguments are never a secret; `input` is what it reads on stdin.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub async fn run(
        &self,
        arguments: &[&str],
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        self.call(arguments.iter().map(OsString::from).collect(), input)
            .await
    }

    /// The same with arguments that need not be text.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub async fn call(
        &self,
        arguments: Vec<OsString>,
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        Program {
            name: self.name,
            arguments,
            env: &self.env,
            input,
            time_limit: self.time_limit,
            install_hint: self.install_hint,
        }
        .run()
        .await
    }
}

/// What a program answered.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: SecretBytes,
    /// What it complained about, as text.
    pub stderr: String,
}

impl Program<'_> {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// `Unavailable` if it is not installed, cannot be started, prints more than 16 MiB or does not end
    /// within the time limit. A non-zero exit is not an error here: what it means is the backend's business.
    pub async fn run(self) -> Result<Output, ProviderError> {
        let mut command = Command::new(self.name);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.env.iter())
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let (mut child, group) =
            Group::start(&mut command).map_err(|error| self.not_started(&error))?;
        let conversation = self.converse(&mut child, &group);
        if let Ok(result) = tokio::time::timeout(self.time_limit, conversation).await {
            group.leave();
            return result;
        }
        drop(group);
        let _ = child.wait().await;
        let seconds = self.time_limit.as_secs();
        let message = format!(
            "`{}` did not answer within {seconds} s and was ended",
            self.name
        );
        let by_hand = match self.name {
            "sh" => "run the command by hand to see what it waits for".to_owned(),
            name => format!("run `{name}` by hand to see what it waits for"),
        };
        Err(ProviderError::unavailable(message).with_remedy(by_hand))
    }

    async fn converse(&self, child: &mut Child, group: &Group) -> Result<Output, ProviderError> {
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let write = async {
            if let (Some(mut stdin), Some(input)) = (stdin, self.input) {
                // A program that does not read its input to the end closes the pipe; its exit code tells.
                let _ = stdin.write_all(input.expose_secret().as_bytes()).await;
                let _ = stdin.shutdown().await;
            }
        };
        // Room for most answers, so that growing leaves few copies behind.
        let mut out = zeroize::Zeroizing::new(Vec::with_capacity(64 * 1024));
        let mut err = Vec::new();
        let read_out = async {
            if let Some(stdout) = stdout {
                let _ = stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut out).await;
            }
        };
        let read_err = async {
            if let Some(stderr) = stderr {
                let _ = stderr.take(64 * 1024).read_to_end(&mut err).await;
            }
        };
        let ((), (), ()) = tokio::join!(write, read_out, read_err);
        if out.len() as u64 > OUTPUT_LIMIT {
            group.kill();
            return Err(ProviderError::unavailable(format!(
                "`{}` printed more than 16 MiB",
                self.name
            )));
        }
        let status = child
            .wait()
            .await
            .map_err(|error| self.not_started(&error))?;
        Ok(Output {
            status,
            stdout: SecretBytes::new(std::mem::take(&mut *out)),
            stderr: String::from_utf8_lossy(&err).trim().to_owned(),
        })
    }

    fn not_started(&self, error: &std::io::Error) -> ProviderError {
        if error.kind() == std::io::ErrorKind::NotFound {
            return ProviderError::unavailable(format!(
                "the program `{}` is not on PATH",
                self.name
            ))
            .with_remedy(self.install_hint);
        }
        ProviderError::unavailable(format!(
            "the program `{}` could not be run: {error}",
            self.name
        ))
    }
}

/// What a command line tool said, made fit for an error message: the first lines of it, without control
/// characters and without the secrets that it was given (but see [`SHORTEST_HIDDEN`]).
#[must_use]
pub fn complaint(stderr: &str, secrets: &[&SecretString]) -> String {
    let mut text = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(4)
        .collect::<Vec<_>>()
        .join("; ");
    for secret in secrets {
        if secret.len() >= SHORTEST_HIDDEN {
            text = text.replace(secret.expose_secret(), REDACTED);
        }
    }
    let mut text: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    if let Some((end, _)) = text.char_indices().nth(400) {
        text.truncate(end);
        text.push('…');
    }
    if text.is_empty() {
        text.push_str("it gave no reason");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_program_was_given_are_left_out_of_what_it_says() {
        let secrets = ["hunter2", "123456"].map(SecretString::from);
        let secrets: Vec<&SecretString> = secrets.iter().collect();
        assert_eq!(
            complaint("no user has hunter2\n\nor 123456\n", &secrets),
            "no user has [redacted]; or [redacted]"
        );
    }

    #[test]
    fn short_values_do_not_blot_out_what_a_program_says() {
        // DEBUG=1, PORT=40, and what is set to nothing.
        let secrets = ["1", "40", "", "12345"].map(SecretString::from);
        let secrets: Vec<&SecretString> = secrets.iter().collect();
        let said = "error 401 at line 12345: no answer";
        assert_eq!(complaint(said, &secrets), said);
    }
}
