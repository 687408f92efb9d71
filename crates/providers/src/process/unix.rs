//! Process groups.

use std::io;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

/// A running program and what it started. Dropped before its end, for example because the run was
/// interrupted, it ends them all.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// Starts the program as the leader of a group.
    pub(super) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let child = command.process_group(0).spawn()?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Self(leader.and_then(Pid::from_raw));
        Ok((child, group))
    }

    /// Ends all of them at once.
    pub(super) fn kill(&self) {
        if let Some(leader) = self.0 {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }

    /// Lets those go on that the program leaves behind.
    pub(super) fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
