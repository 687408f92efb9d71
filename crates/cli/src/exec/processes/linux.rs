//! From `/proc`.
//!
//! Groups and sessions too, because the system calls answer 0 for a group whose leader is in an outer process
//! namespace (`unshare --pid`, some containers), which the safe wrappers take for impossible. Where there is no
//! `/proc`, no process is known.

use super::Process;

/// The process with a number.
pub(crate) fn of(id: i32) -> Option<Process> {
    parse(
        id,
        &std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?,
    )
}

/// This process.
pub(crate) fn of_this_process() -> Option<Process> {
    let id = i32::try_from(std::process::id()).ok()?;
    parse(id, &std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// All processes.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    ids.filter_map(of).collect()
}

/// `PID (NAME) STATE PARENT GROUP SESSION …`, see `proc_pid_stat(5)`. The name may hold anything.
fn parse(id: i32, stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    Some(Process {
        id,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        has_ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_confuse() {
        let stat = "12 (a) b (c) S 1 34 0 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 9\n";
        let expected = Process {
            id: 12,
            parent: 1,
            group: 34,
            session: 0,
            started: 777,
            has_ended: false,
        };
        assert_eq!(parse(12, stat), Some(expected));
        assert_eq!(parse(12, "12 (a"), None);
    }
}
