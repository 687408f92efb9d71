//! Starting the daemon's process.
//!
//! It is this same binary, as `fnox daemon serve --detached`, in a session of its own, in `/`, with nothing of the
//! environment but what it, and the fnox that it starts, need to find their files and the buses: none of the variables that open a provider stay
//! with a process that lives for hours. It says `ready` on its stdout when it listens, and only then lets go of it.
//!
//! A command that needs it runs `fnox daemon start`, which starts it and ends, so that the daemon is nobody's child for
//! long: neither a program that replaces fnox nor a long run has to wait for it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fnox_core::Env;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::error::DaemonFailure;
use crate::environment;

/// How long the daemon may take until it listens.
const READY_LIMIT: Duration = Duration::from_secs(5);

/// What the daemon says when it listens.
pub(crate) const READY: &str = "ready\n";

/// The variables that it gets.
const VARIABLES: &[&str] = &[
    "HOME",
    "PATH",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "FNOX_CONFIG_DIR",
    "FNOX_STATE_DIR",
    environment::DAEMON_SOCKET_DIR,
];

/// Starts daemons.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    variables: Vec<(&'static str, OsString)>,
    idle_timeout: Duration,
}

impl Launcher {
    pub(crate) fn new(env: &Env, idle_timeout: Duration) -> Self {
        let variables = VARIABLES.iter();
        Self {
            variables: variables
                .filter_map(|name| Some((*name, env.var_os(name)?.to_owned())))
                .collect(),
            idle_timeout,
        }
    }

    /// Has another fnox start it, and waits until it listens.
    pub(crate) async fn start(&self) -> Result<(), DaemonFailure> {
        tracing::debug!("starting the daemon");
        let mut command = tokio::process::Command::from(self.command(&["daemon", "start"])?);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match timeout(READY_LIMIT, command.status()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(not_started(&format!("`fnox daemon start`: {status}"))),
            Ok(Err(error)) => Err(not_started(&error)),
            Err(_) => Err(late()),
        }
    }

    /// Starts it as a child that outlives this process, and waits until it listens.
    pub(crate) async fn detach(&self) -> Result<(), DaemonFailure> {
        // A lock file or a pipe of the script that happens to need a value first must not stay open for hours.
        close_fds::set_fds_cloexec(3, &[]);
        let command = self.command(&["daemon", "serve", "--detached"])?;
        let mut child = tokio::process::Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(&error))?;
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
        else {
            return Err(not_started(&"it has no output"));
        };
        let (mut said, mut complaint) = (String::new(), String::new());
        let reading = async {
            tokio::try_join!(
                stdout.read_to_string(&mut said),
                stderr.read_to_string(&mut complaint)
            )
        };
        let outcome = timeout(READY_LIMIT, reading).await;
        match outcome {
            Ok(Ok(_)) if said == READY => Ok(()),
            Ok(Ok(_)) => Err(not_started(&complaint.trim())),
            Ok(Err(error)) => Err(not_started(&error)),
            Err(_) => {
                let _gone = child.start_kill();
                Err(late())
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, DaemonFailure> {
        let mut command = Command::new(own_binary()?);
        command
            .arg0("fnox")
            .args(arguments)
            .arg("--idle-timeout")
            .arg(format!("{}s", self.idle_timeout.as_secs()))
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null());
        Ok(command)
    }
}

/// Lets go of the terminal, and of whoever waits for [`READY`].
pub(crate) fn let_go() -> std::io::Result<()> {
    use std::io::Write as _;
    // Fails only for the leader of a group, which this process is not when it was started as it should be.
    let _ = rustix::process::setsid();
    let nothing = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(READY.as_bytes())?;
    stdout.flush()?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// The link of the kernel is this binary even if its file has been replaced by an update.
pub(super) fn own_binary() -> Result<PathBuf, DaemonFailure> {
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        return Ok(own.to_owned());
    }
    std::env::current_exe().map_err(|error| not_started(&error))
}

fn not_started(reason: &dyn ToString) -> DaemonFailure {
    DaemonFailure::NotStarted {
        reason: reason.to_string(),
    }
}

fn late() -> DaemonFailure {
    not_started(&format!(
        "it was not ready after {} seconds",
        READY_LIMIT.as_secs()
    ))
}
