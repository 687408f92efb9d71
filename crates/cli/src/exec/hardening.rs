//! What the process changes about itself at its start.
//!
//! No core files: a killed fnox must leave no copy of its memory.
//! The process is marked as not dumpable (prctl(2), `PR_SET_DUMPABLE`), which also keeps other processes
//! of the user from reading its memory. The mark ends at execve(2), so the program that fnox runs is not
//! affected, as it would be by a resource limit. macOS has no such mark; there debuggers are refused (ptrace(2),
//! `PT_DENY_ATTACH`), and core files are off unless somebody turned them on (`ulimit -c`). Windows has neither: what
//! programs of the same user may read there, nothing here changes.

/// Marks this process as not dumpable, where the system can.
pub(crate) fn refuse_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    #[cfg(target_os = "macos")]
    {
        let _ = secmem_proc::components::disable_tracing_prctl();
    }
}

/// Makes writing beyond a file-size limit (`ulimit -f`) an error that can be told, as a full disk is, in the
/// place of `SIGXFSZ`, which ends the process without a word. Handlers end at execve(2), so the program
/// that fnox runs gets the limit as it was.
pub(crate) fn tell_file_size_limit() {
    #[cfg(unix)]
    {
        use std::sync::Arc;
        use std::sync::atomic::AtomicBool;

        use signal_hook::consts::signal::SIGXFSZ;
        if !super::signals::is_ignored(SIGXFSZ) {
            let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
        }
    }
}

/// What a server does besides: no core files whatever the system thinks of the mark above, no files for
/// others, and as many open connections as the system lets it have.
#[cfg(unix)]
pub(crate) fn prepare_server() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    let _ = setrlimit(Resource::Nofile, all);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}
