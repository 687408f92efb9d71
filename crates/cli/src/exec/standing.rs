//! In which process group and session a process stands, and below which others.
//!
//! Read from `/proc`, because the system calls answer 0 for a group whose leader is in an outer process
//! namespace (`unshare --pid`, some containers), which the safe wrappers take for impossible.

/// A process's parent, group and session; 0 for those of an outer process namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// The process that started it, or took it over.
    parent: i32,
    /// The process group.
    pub(super) group: i32,
    /// The session.
    pub(super) session: i32,
}

impl Standing {
    /// Of a process with a number. `None` if there is none, or no `/proc`.
    #[must_use]
    pub(super) fn of(process: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// Of this process.
    #[must_use]
    pub(super) fn of_this_process() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// `PID (NAME) STATE PARENT GROUP SESSION …`, see `proc_pid_stat(5)`. The name may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(1);
        Some(Self {
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
        })
    }
}

/// Whether a process was started by this one, or by one that was. Where there is no `/proc`, nobody was.
pub(crate) fn is_below_this(process: i32) -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut process = process;
    // A chain has no circle, but it changes while it is read.
    for _ in 0..1024 {
        if process == own {
            return true;
        }
        match Standing::of(process) {
            Some(Standing { parent, .. }) if parent > 1 => process = parent,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_confuse() {
        let standing = Standing::parse("12 (a) b (c) S 1 34 0 0 -1 4194560\n");
        assert_eq!(
            standing,
            Some(Standing {
                parent: 1,
                group: 34,
                session: 0
            })
        );
        assert_eq!(Standing::parse("12 (a"), None);
    }

    #[test]
    fn this_process_and_its_number_tell_the_same() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Standing::of(own), Standing::of_this_process());
        assert!(Standing::of(own).is_some());
    }

    #[test]
    fn children_are_below_and_parents_are_not() {
        assert!(is_below_this(i32::try_from(std::process::id()).unwrap()));
        let own = rustix::process::getppid().unwrap();
        assert!(!is_below_this(own.as_raw_nonzero().get()));
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        assert!(is_below_this(grandchild));
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(grandchild).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        child.wait().unwrap();
    }
}
