//! No core files: a killed fnox must leave no copy of its memory.
//!
//! The process is marked as not dumpable (prctl(2), `PR_SET_DUMPABLE`), which also keeps other processes
//! of the user from reading its memory. The mark ends at execve(2), so the program that fnox runs is not
//! affected, as it would be by a resource limit.

/// Marks this process as not dumpable, where the system can.
pub(crate) fn refuse_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}
