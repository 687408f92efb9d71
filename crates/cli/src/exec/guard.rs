//! The helper that removes a run's files when fnox cannot.
//!
//! It is this same binary, started as `fnox __guard FOLDER` with a pipe to fnox on stdin. fnox never
//! writes to the pipe; the kernel closes it when fnox ends, even by SIGKILL, and the helper then removes the
//! folder. It has a session of its own and ignores the signals by which people end programs, so that
//! whatever ends fnox does not end it first.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fnox_core::ExitStatus;
use fnox_leases::delivery::file::remove_left_behind;
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::files::{LOCK, RUNS, is_private_folder};
use super::processes;

const SUBCOMMAND: &str = "__guard";

/// The helper of one folder. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        // The link of the kernel is this binary even if its file has been replaced by an update.
        let own = Path::new("/proc/self/exe");
        let program = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe()?
        };
        let mut child = Command::new(program)
            .arg0("fnox")
            .arg(SUBCOMMAND)
            .arg(folder)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The folder is gone. It is our child that nobody has waited for, so the number is its own; waiting
        // for it to end by itself could take for ever if somebody has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Acts as the helper if the arguments say so.
pub(crate) fn run_if_requested(arguments: &[OsString]) -> Option<ExitStatus> {
    match arguments {
        [_, subcommand, folder] if subcommand == SUBCOMMAND => Some(guard(Path::new(folder))),
        _ => None,
    }
}

fn guard(folder: &Path) -> ExitStatus {
    stand_apart();
    // Only a folder that fnox itself made, whoever calls this.
    let parent_is_ours = folder
        .parent()
        .is_some_and(|parent| parent.ends_with(RUNS) && is_private_folder(parent));
    if !parent_is_ours || !is_private_folder(folder) || !folder.join(LOCK).is_file() {
        return ExitStatus::Usage;
    }
    // Nothing is ever sent: the read ends when the last writer is gone.
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
    // A run that lives holds the lock: whoever started this by hand cannot take its files away. The system
    // may close the pipe of a dying process a moment before it frees the lock, hence the wait.
    let Ok(_over) = File::open(folder.join(LOCK)).and_then(|lock| lock.lock().map(|()| lock))
    else {
        return ExitStatus::Failure;
    };
    remove_left_behind(folder);
    match std::fs::remove_dir_all(folder) {
        Ok(()) => ExitStatus::Success,
        Err(error) if error.kind() == io::ErrorKind::NotFound => ExitStatus::Success,
        Err(_) => ExitStatus::Failure,
    }
}

/// Leaves fnox's session and stops listening to the signals by which people end programs.
fn stand_apart() {
    let unheeded = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&unheeded));
    }
    // It was started as the leader of a group, so that Ctrl-C did not reach it before this point. A leader
    // cannot start a session (setsid(2)), so it goes back to fnox's group for a moment.
    let group = rustix::process::getppid()
        .and_then(|parent| processes::of(parent.as_raw_nonzero().get()))
        .and_then(|parent| Pid::from_raw(parent.group));
    if group.is_some() {
        let _ = rustix::process::setpgid(None, group);
    }
    let _ = rustix::process::setsid();
}
