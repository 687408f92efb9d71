//! What a program has started, for ending all of it.
//!
//! A program stays in fnox's process group, because a terminal's keys go to that group and only its members may read
//! the terminal. So the group cannot be signalled without fnox and its neighbours in a pipeline; instead the processes
//! below the program are looked up. Whoever left on purpose (a daemon, which is nobody's child any more) is not among
//! them. A number is used only while the same process has it, told by its start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::processes::{self, Process};

/// Pause between two looks at processes that are ending.
const PAUSE: Duration = Duration::from_millis(20);

/// The processes below a program. Where the system does not tell, none are known.
#[derive(Debug, Default)]
pub(super) struct Tree {
    members: BTreeSet<Member>,
}

/// A process, told apart from a later one with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    id: i32,
    started: u64,
}

impl Tree {
    /// What is below a process now.
    pub(super) fn below(root: i32) -> Self {
        let mut children: BTreeMap<i32, Vec<Member>> = BTreeMap::new();
        for process in processes::all() {
            let member = Member::from(process);
            children.entry(process.parent).or_default().push(member);
        }
        let mut members = BTreeSet::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for member in children.remove(&parent).unwrap_or_default() {
                parents.push(member.id);
                members.insert(member);
            }
        }
        Self { members }
    }

    /// Adds those of another look.
    pub(super) fn and(&mut self, other: Self) {
        self.members.extend(other.members);
    }

    /// Sends each of them a signal.
    pub(super) fn send(&self, signal: Signal) {
        for member in self.members.iter().filter(|member| member.is_running()) {
            if let Some(process) = Pid::from_raw(member.id) {
                let _ = kill_process(process, signal);
            }
        }
    }

    /// Waits until all of them have ended, and ends those that have not by then.
    pub(super) fn end_by(&self, time: Instant) {
        // Nobody sends: receiving is how a thread waits for a while.
        let (_sender, pause) = mpsc::channel::<()>();
        while self.members.iter().any(Member::is_running) {
            if Instant::now() >= time {
                self.send(Signal::KILL);
                return;
            }
            let _ = pause.recv_timeout(PAUSE);
        }
    }
}

impl Member {
    fn is_running(&self) -> bool {
        processes::of(self.id)
            .is_some_and(|process| Self::from(process) == *self && !process.has_ended)
    }
}

impl From<Process> for Member {
    fn from(process: Process) -> Self {
        Self {
            id: process.id,
            started: process.started,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn everything_below_a_program_is_found_and_ends_at_last() {
        // The grandchild ignores what asks it to end.
        let script = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 60; done' & wait";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut word).unwrap();
        let tree = Tree::below(i32::try_from(child.id()).unwrap());
        assert!(!tree.members.is_empty());
        tree.send(Signal::TERM);
        tree.end_by(Instant::now());
        child.wait().unwrap();
        tree.end_by(Instant::now() + Duration::from_mins(1));
        assert!(tree.members.iter().all(|member| !member.is_running()));
    }

    #[test]
    fn a_later_process_with_the_same_number_is_another_one() {
        let own = Member::from(processes::of_this_process().unwrap());
        assert!(own.is_running());
        let later = Member {
            started: own.started + 1,
            ..own
        };
        assert!(!later.is_running());
    }
}
