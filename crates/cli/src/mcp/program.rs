//! `exec`: a program behind the gateway, and its output as text.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::ExitStatus;
use tokio::sync::Semaphore;

use crate::error::CliError;
use crate::exec::captured::{self, Captured, End, Kept, Limits};
use crate::exec::child::Environment;
use crate::exec::redact::Redaction;

/// What is kept of stdout, and of stderr: together one MiB.
const KEPT_BYTES: usize = 512 * 1024;

/// Programs at a time; further ones wait.
const AT_A_TIME: u32 = 8;

/// How long to wait at the end for programs that were killed.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Runs programs for an agent.
#[derive(Debug)]
pub(crate) struct Launcher {
    environment: Environment,
    /// The sandbox's command line, if there is one.
    before: Vec<OsString>,
    redaction: Option<Arc<Redaction>>,
    limits: Limits,
    places: Semaphore,
}

impl Launcher {
    pub(crate) fn new(
        environment: Environment,
        before: Vec<OsString>,
        redaction: Option<Arc<Redaction>>,
        time: Duration,
    ) -> Self {
        let limits = Limits {
            time,
            bytes: KEPT_BYTES,
        };
        Self {
            environment,
            before,
            redaction,
            limits,
            places: Semaphore::new(AT_A_TIME as usize),
        }
    }

    /// What programs find in a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.environment.get(OsStr::new(name));
        value.map(OsString::as_os_str)
    }

    /// Runs a program to its end, with more variables than all have, and answers what it printed; whether it ran to its end
    /// is in the other half.
    pub(crate) async fn run(
        &self,
        command: Vec<String>,
        more: Vec<(String, String)>,
        abandoned: impl Future<Output = ()>,
    ) -> Result<(String, bool), CliError> {
        let mut abandoned = pin!(abandoned);
        let _place = tokio::select! {
            place = self.places.acquire() => place,
            () = &mut abandoned => return Ok(("[cancelled: the program did not run]".to_owned(), false)),
        };
        let mut line = self.before.clone();
        line.extend(command.into_iter().map(OsString::from));
        let mut environment = self.environment.clone();
        let more = more.into_iter();
        environment.extend(more.map(|(name, value)| (name.into(), value.into())));
        let captured = captured::run(
            &line,
            &environment,
            self.redaction.as_ref(),
            &self.limits,
            abandoned,
        );
        let captured = captured.await?;
        let is_whole = matches!(captured.end, End::Ended(_));
        Ok((self.text(&captured), is_whole))
    }

    /// Returns when no program runs any more.
    pub(crate) async fn wait(&self) {
        let _ = tokio::time::timeout(LAST_WAIT, self.places.acquire_many(AT_A_TIME)).await;
    }

    /// stdout, then stderr, then how it ended.
    fn text(&self, captured: &Captured) -> String {
        let mut out = String::new();
        add(&mut out, &captured.stdout);
        if !captured.stderr.text.is_empty() {
            out.push_str("[stderr]\n");
            add(&mut out, &captured.stderr);
        }
        let _ = match captured.end {
            End::Ended(ExitStatus::Child(code)) => write!(out, "[exit code: {code}]"),
            End::Ended(status) => write!(out, "[exit code: {}]", status.code()),
            End::TimedOut => write!(
                out,
                "[timed out after {} s: the program and its process group were killed]",
                self.limits.time.as_secs()
            ),
            End::Abandoned => write!(out, "[cancelled: the program was killed]"),
        };
        out
    }
}

/// Adds a stream, and ends its last line.
fn add(out: &mut String, stream: &Kept) {
    out.push_str(&stream.text);
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    if stream.is_cut {
        let _ = writeln!(out, "[output truncated after {} KiB]", KEPT_BYTES / 1024);
    }
}
