//! One run of a program: how it is started, watched and what came of it.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{wait, watched};

/// How long a run may take unless it is told otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// A program that is about to run.
#[derive(Debug)]
#[must_use = "nothing runs before `finish` or `start`"]
pub struct Invocation {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Invocation {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            stdin: None,
            limit: LIMIT,
        }
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets several variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// Removes a variable.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs in another folder.
    pub fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Writes to the program's stdin and closes it.
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Changes the time limit.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The command itself, for what has no method here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts the program.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut self) -> Running {
        let stdin = match self.stdin {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        };
        self.command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        watched::watch_invocation(&self.command, self.stdin.as_deref());
        let program = self.command.get_program().to_owned();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        if let (Some(text), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // A program that does not read its stdin may close it: that is no failure of the test.
            std::thread::spawn(move || drop(pipe.write_all(&text)));
        }
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Running {
            child,
            stdout,
            stderr,
            limit: self.limit,
        }
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// If it cannot be started or does not end within the time limit.
    pub fn finish(self) -> Run {
        self.start().finish()
    }
}

/// What a pipe gave, while it still gives.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    fn so_far(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn all(self) -> String {
        self.thread.join().expect("the collecting thread");
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bytes);
    let thread = std::thread::spawn(move || {
        let mut part = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut part) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend_from_slice(&part[..read]);
        }
    });
    Collected { bytes, thread }
}

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
    limit: Duration,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If that cannot be asked.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child's status").is_none()
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr
            .as_ref()
            .map(Collected::so_far)
            .unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has already ended.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, signal).expect("a process to signal");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within the time limit.
    pub fn finish(mut self) -> Run {
        let status = wait::within(self.limit, || {
            self.child.try_wait().expect("the child's status")
        });
        let Some(status) = status else {
            drop(self.child.kill());
            panic!("process {} did not end within {:?}", self.id(), self.limit);
        };
        let text = |pipe: Option<Collected>| pipe.map(Collected::all).unwrap_or_default();
        Run {
            code: status.code(),
            signal: status.signal(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a run ended and what it printed. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// # Panics
    /// If the exit code is another; the message shows all output.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}: {self}");
        self
    }

    /// # Panics
    /// If the exit code is not 0; the message shows all output.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits_with(0)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            signal,
            stdout,
            stderr,
        } = self;
        write!(
            formatter,
            "exit code {code:?}, signal {signal:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}\n--"
        )
    }
}
