//! What commands tell the team server, and what they do while a person is waited for: `exec` and `run` for a program,
//! others for [values](super::reading) of their own.
//!
//! Ctrl-C takes the request back, so that nobody approves a run that no longer exists. A second one, or a server that
//! does not answer, ends fnox without that; the request then expires by itself.

#[cfg_attr(unix, path = "run/unix.rs")]
#[cfg_attr(windows, path = "run/windows.rs")]
mod system;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fnox_core::{ExitStatus, Lifetime, SecretName};
use fnox_providers::run::{ApprovalProgress, Asked, RunRequest, Wait};
use tokio::sync::watch;
use uuid::Uuid;

use self::system::Signals;
use crate::app::App;
use crate::args::team::ApprovalArgs;
use crate::error::CliError;
use crate::output::Printer;
use crate::team::error::TeamFailure;
use crate::terminal::harmless;

/// How long taking a request back may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// A command that may have to wait for a person.
#[derive(Debug)]
pub(crate) struct Asking {
    request: RunRequest,
    goal: Goal,
    cancel: watch::Sender<bool>,
    limit: Option<Duration>,
}

/// What a yes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// A program.
    Program,
    /// Values that fnox itself gives out.
    Values,
}

/// Why a run does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Signal(u8),
    TimedOut,
}

impl Asking {
    /// The run of a command line.
    pub(crate) fn new(
        app: &App,
        args: &ApprovalArgs,
        command: &[OsString],
    ) -> Result<Self, CliError> {
        let resume = args.approval.as_deref().map(parse_id).transpose()?;
        let limit = args.timeout.as_deref().map(time_limit).transpose()?;
        let (cancel, cancelled) = watch::channel(false);
        Ok(Self {
            request: RunRequest {
                argv: command.to_vec(),
                reason: args.reason.clone(),
                wait: if args.no_wait {
                    Wait::No
                } else {
                    Wait::UntilDecided
                },
                resume,
                progress: Arc::new(Progress::new(app.printer, Goal::Program)),
                cancelled: Some(cancelled),
            },
            goal: Goal::Program,
            cancel,
            limit,
        })
    }

    /// A command that reads these secrets itself. Of its command line no more is told: it may hold what nobody else is
    /// to see.
    pub(crate) fn to_read<'n>(app: &App, names: impl IntoIterator<Item = &'n SecretName>) -> Self {
        let names = names.into_iter().map(SecretName::as_str);
        let words = ["fnox", app.command].into_iter().chain(names);
        let (cancel, cancelled) = watch::channel(false);
        Self {
            request: RunRequest {
                argv: words.map(OsString::from).collect(),
                reason: None,
                wait: Wait::UntilDecided,
                resume: None,
                progress: Arc::new(Progress::new(app.printer, Goal::Values)),
                cancelled: Some(cancelled),
            },
            goal: Goal::Values,
            cancel,
            limit: None,
        }
    }

    /// What providers are told.
    pub(crate) fn request(&self) -> RunRequest {
        self.request.clone()
    }

    /// Does the work, and stops it when a signal or the end of `--timeout` says so.
    pub(crate) async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let mut signals = Signals::receive().map_err(CliError::Output)?;
        tokio::pin!(work);
        let stop = tokio::select! {
            outcome = &mut work => return outcome,
            stop = self.stopped(&mut signals) => stop,
        };
        // Nobody may be listening any more; then there is nothing to take back either.
        let _ = self.cancel.send(true);
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(FAREWELL, &mut work) => outcome.ok(),
            _ = signals.next() => None,
        };
        match (outcome, stop) {
            // Somebody said yes in the last moment.
            (Some(Ok(done)), Stop::TimedOut) => Ok(done),
            (_, stop) => Err(stop.into_error(self.limit, self.goal)),
        }
    }

    async fn stopped(&self, signals: &mut Signals) -> Stop {
        let time_is_up = async {
            match self.limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            number = signals.next() => Stop::Signal(number),
            () = time_is_up => Stop::TimedOut,
        }
    }
}

impl Stop {
    fn into_error(self, limit: Option<Duration>, goal: Goal) -> CliError {
        match self {
            Self::Signal(number) => CliError::NotStarted {
                message: match goal {
                    Goal::Program => {
                        "interrupted before the program was started; the request was taken back"
                    }
                    Goal::Values => {
                        "interrupted; a request that nobody had decided about was taken back"
                    }
                }
                .to_owned(),
                // As shells have it.
                status: ExitStatus::Child(128 + number),
                help: None,
            },
            Self::TimedOut => TeamFailure::NobodyDecided {
                seconds: limit.unwrap_or_default().as_secs(),
            }
            .into(),
        }
    }
}

/// An approval's id on a command line.
pub(crate) fn parse_id(text: &str) -> Result<Uuid, CliError> {
    text.trim().parse().map_err(|_| {
        TeamFailure::ApprovalId {
            text: text.to_owned(),
        }
        .into()
    })
}

fn time_limit(text: &str) -> Result<Duration, CliError> {
    let limit = Lifetime::parse(text)
        .map_err(|error| CliError::usage(format!("--timeout: {error}")))?
        .as_duration();
    if limit.is_zero() {
        return Err(CliError::usage(
            "--timeout: must be at least 1s; --no-wait does not wait at all",
        ));
    }
    Ok(limit)
}

/// Tells whoever watches the run. The code has to stand in the log, so it is printed with `--quiet` too.
#[derive(Debug)]
struct Progress {
    printer: Printer,
    goal: Goal,
    /// Whether it was told that the server is away, which it is once until it answers.
    is_away: AtomicBool,
}

impl Progress {
    fn new(printer: Printer, goal: Goal) -> Self {
        Self {
            printer,
            goal,
            is_away: AtomicBool::new(false),
        }
    }
}

impl ApprovalProgress for Progress {
    fn asked(&self, asked: &Asked) {
        self.printer.say(&described(asked, self.goal));
    }

    fn waiting(&self, asked: &Asked, elapsed: Duration) {
        self.is_away.store(false, Ordering::Relaxed);
        self.printer.note(&format!(
            "Still waiting after {} (match code {})",
            shown(elapsed),
            harmless(&asked.code)
        ));
    }

    fn away(&self, asked: &Asked, problem: &str) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            self.printer.warn(&format!(
                "the team server cannot be asked whether somebody has decided: {}; it is tried again until the request ends at {}",
                one_line(problem),
                asked.expires_at.strftime("%H:%M:%S UTC")
            ));
        }
    }

    fn approved(&self, _: Uuid) {
        self.printer.done("Approved");
    }

    fn pending_left(&self, id: Uuid) {
        self.printer
            .say(&format!("Go on later with: fnox run --approval {id} -- …"));
    }
}

fn described(asked: &Asked, goal: Goal) -> String {
    let who = if asked.asked.is_empty() {
        "whoever may decide: `fnox approve`".to_owned()
    } else {
        asked.asked.join(", ")
    };
    let lines = [
        ("match code", asked.code.clone()),
        ("asked", who),
        ("for", asked.keys.join(", ")),
        ("server", asked.server.clone()),
        ("approval", asked.id.to_string()),
        (
            "ends at",
            asked.expires_at.strftime("%H:%M:%S UTC").to_string(),
        ),
    ];
    let mut text = match goal {
        Goal::Program => "A person has to say yes before the program starts.",
        Goal::Values => "A person has to say yes before a value is given out.",
    }
    .to_owned();
    for (name, value) in lines {
        let _ = write!(text, "\n  {name:11} {}", one_line(&value));
    }
    text
}

/// What a server sends begins no line of its own.
fn one_line(text: &str) -> String {
    harmless(&text.replace('\n', " "))
}

fn shown(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_log_shows_the_code_and_nothing_that_a_server_made_up() {
        let asked = Asked {
            id: Uuid::nil(),
            code: "ABC123".to_owned(),
            asked: vec!["ntfy\n  match code  EVIL00".to_owned()],
            expires_at: Timestamp::UNIX_EPOCH,
            server: "https://fnox.example.com\u{1b}[2J".to_owned(),
            keys: vec!["NPM_TOKEN".to_owned()],
        };
        let text = described(&asked, Goal::Program);
        let codes: Vec<&str> = text
            .lines()
            .filter(|line| line.trim_start().starts_with("match code"))
            .collect();
        assert_eq!(codes, ["  match code  ABC123"]);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("ends at     00:00:00 UTC"), "{text}");
    }

    #[test]
    fn a_wait_is_told_in_minutes_once_there_are_two() {
        assert_eq!(shown(Duration::from_secs(119)), "119 s");
        assert_eq!(shown(Duration::from_secs(150)), "2 min 30 s");
    }
}
