//! In which process group and session a process stands.
//!
//! Read from `/proc`, because the system calls answer 0 for a group whose leader is in an outer process
//! namespace (`unshare --pid`, some containers), which the safe wrappers take for impossible.

/// A process's group and session; 0 for those of an outer process namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
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
        let mut fields = fields.split_ascii_whitespace().skip(2);
        Some(Self {
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_confuse() {
        let standing = Standing::parse("12 (a) b (c) S 1 34 0 0 -1 4194560\n");
        assert_eq!(
            standing,
            Some(Standing {
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
}
