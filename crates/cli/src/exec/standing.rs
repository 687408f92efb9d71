//! Which processes were started by this one.

use super::processes;

/// Whether a process was started by this one, or by one that was. Where the system does not tell, nobody was.
pub(crate) fn is_below_this(process: i32) -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut process = process;
    // A chain has no circle, but it changes while it is read.
    for _ in 0..1024 {
        if process == own {
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
