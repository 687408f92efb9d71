//! Which processes were started by this one.

use super::processes;

/// Whether a process was started by this one, or by one that was. Where the system does not tell, nobody was.
pub(crate) fn is_below_this(process: i32) -> bool {
    i32::try_from(std::process::id()).is_ok_and(|own| is_below(process, own))
}

/// Whether a process is the one that started this one, or was started by it, or by one that was. If that has ended, nobody was.
pub(crate) fn is_below_parent(process: i32) -> bool {
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get());
    parent.is_some_and(|parent| parent > 1 && is_below(process, parent))
}

fn is_below(process: i32, above: i32) -> bool {
    let mut process = process;
    // A chain has no circle, but it changes while it is read.
    for _ in 0..1024 {
        if process == above {
            return true;
        }
        match processes::of(process) {
            Some(found) if found.parent > 1 => process = found.parent,
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
    fn children_are_below_and_parents_are_not() {
        assert!(is_below_this(i32::try_from(std::process::id()).unwrap()));
        let own = rustix::process::getppid().unwrap();
        assert!(!is_below_this(own.as_raw_nonzero().get()));
        assert!(is_below_parent(own.as_raw_nonzero().get()));
        assert!(is_below_parent(i32::try_from(std::process::id()).unwrap()));
        assert!(!is_below_parent(1));
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
