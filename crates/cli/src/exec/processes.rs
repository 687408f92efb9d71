//! What the system tells of processes: who started them, when, and where they stand.

#[cfg_attr(target_os = "linux", path = "processes/linux.rs")]
#[cfg_attr(target_os = "macos", path = "processes/macos.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos")),
    path = "processes/absent.rs"
)]
mod system;

pub(crate) use system::{all, of, of_this_process};

/// A process, as it was a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: i32,
    /// The process that started it, or took it over.
    pub(crate) parent: i32,
    /// The process group; 0 for one of an outer process namespace.
    pub(crate) group: i32,
    /// The session; 0 for one of an outer process namespace.
    pub(crate) session: i32,
    /// When it started, as the system counts: tells it apart from a later one with the same number.
    pub(crate) started: u64,
    /// Whether it has ended and nobody has waited for it yet.
    pub(crate) has_ended: bool,
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_and_its_number_tell_the_same() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = of(own).unwrap();
        assert_eq!(Some(found), of_this_process());
        assert_eq!(found.id, own);
        assert!(!found.has_ended);
        assert!(all().contains(&found));
    }

    #[test]
    fn a_child_names_its_parent_and_shares_its_group() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let found = of(i32::try_from(child.id()).unwrap()).unwrap();
        let own = of_this_process().unwrap();
        assert_eq!(found.parent, own.id);
        assert_eq!((found.group, found.session), (own.group, own.session));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(of(found.id).is_none_or(|later| later.parent != own.id));
    }
}
