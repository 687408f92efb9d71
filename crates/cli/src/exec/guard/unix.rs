//! A helper in a session of its own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::exec::processes;

/// This binary, as the leader of a process group.
pub(super) fn own_program() -> io::Result<Command> {
    // The link of the kernel is this binary even if its file has been replaced by an update.
    let own = Path::new("/proc/self/exe");
    let mut command = Command::new(if own.exists() {
        own.to_owned()
    } else {
        std::env::current_exe()?
    });
    command.arg0("fnox").process_group(0);
    Ok(command)
}

/// Leaves fnox's session and stops listening to the signals by which people end programs.
pub(super) fn stand_apart() {
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
