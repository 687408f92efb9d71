//! From libproc (`proc_pidinfo`), by the crate sysinfo; groups and sessions by the system's calls.
//!
//! The start is known to the second. Numbers go up to 99998 before one comes again (XNU, `PID_MAX`), so that two
//! processes with one number within a second would take as many starts.

use rustix::process::{Pid, getpgid, getsid};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use super::Process;

/// The process with a number.
pub(crate) fn of(id: i32) -> Option<Process> {
    let number = sysinfo::Pid::from_u32(u32::try_from(id).ok()?);
    let system = look(ProcessesToUpdate::Some(&[number]));
    system.process(number).and_then(read)
}

/// This process.
pub(crate) fn of_this_process() -> Option<Process> {
    of(i32::try_from(std::process::id()).ok()?)
}

/// All processes.
pub(crate) fn all() -> Vec<Process> {
    let system = look(ProcessesToUpdate::All);
    system.processes().values().filter_map(read).collect()
}

fn look(which: ProcessesToUpdate<'_>) -> System {
    let mut system = System::new();
    system.refresh_processes_specifics(which, true, ProcessRefreshKind::nothing());
    system
}

fn read(process: &sysinfo::Process) -> Option<Process> {
    let number = |id: sysinfo::Pid| i32::try_from(id.as_u32()).ok();
    let id = number(process.pid())?;
    let pid = Pid::from_raw(id);
    Some(Process {
        id,
        parent: process.parent().and_then(number).unwrap_or_default(),
        group: getpgid(pid).map_or(0, |group| group.as_raw_nonzero().get()),
        session: getsid(pid).map_or(0, |session| session.as_raw_nonzero().get()),
        started: process.start_time(),
        has_ended: matches!(
            process.status(),
            ProcessStatus::Zombie | ProcessStatus::Dead
        ),
    })
}
