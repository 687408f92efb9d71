//! Jobs.

use std::io;

use fnox_system::Job;
use tokio::process::{Child, Command};

/// A running program and what it started. Dropped before its end, for example because the run was
/// interrupted, it ends them all.
#[derive(Debug)]
pub(super) struct Group(Option<Job>);

impl Group {
    /// Starts the program in a job of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let job = Job::new()?;
        let child = command.spawn()?;
        if let Some(process) = child.id() {
            // A program that has ended already is in no job and needs none.
            let _ = job.take(process);
        }
        Ok((child, Self(Some(job))))
    }

    /// Ends all of them at once.
    pub(super) fn kill(&self) {
        if let Some(job) = &self.0 {
            let _ = job.end();
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
