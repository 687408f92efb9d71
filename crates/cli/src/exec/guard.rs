//! The helper that removes a run's files when fnox cannot.
//!
//! It is this same binary, started as `fnox __guard FOLDER` with a pipe to fnox on stdin. fnox never
//! writes to the pipe; the kernel closes it when fnox ends, even by SIGKILL, and the helper then removes the
//! folder. It has a session of its own and ignores the signals by which people end programs, so that
//! whatever ends fnox does not end it first; on Windows it has no console.

#[cfg_attr(unix, path = "guard/unix.rs")]
#[cfg_attr(windows, path = "guard/windows.rs")]
mod system;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use fnox_core::ExitStatus;
use fnox_leases::delivery::file::remove_left_behind;

use super::files::{LOCK, RUNS, is_private_folder};
use super::orphans;

const SUBCOMMAND: &str = "__guard";

/// The helper of one folder. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut child = system::own_program()?
            .arg(SUBCOMMAND)
            .arg(folder)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        orphans::is_waited_for(child.id());
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
    system::stand_apart();
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
    let Ok(over) = File::open(folder.join(LOCK)).and_then(|lock| lock.lock().map(|()| lock)) else {
        return ExitStatus::Failure;
    };
    // Not every Windows removes a folder with an open file in it.
    let mut over = Some(over);
    drop(over.take_if(|_| cfg!(windows)));
    remove_left_behind(folder);
    match std::fs::remove_dir_all(folder) {
        Ok(()) => ExitStatus::Success,
        Err(error) if error.kind() == io::ErrorKind::NotFound => ExitStatus::Success,
        Err(_) => ExitStatus::Failure,
    }
}
