//! What a program in a sandbox may ask of the kernel, besides what its namespaces leave.
//!
//! The sandbox's helper puts it on itself before it starts the program, so everything in the sandbox has it. Two layers,
//! each where the kernel has it: Landlock lets nothing be written outside of the project and of what is the sandbox's own,
//! should a mount be other than it was meant; a filter of system calls refuses those that look into other processes, load
//! code into the kernel, or lead to its less tried parts, and sockets that no network namespace holds.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};
use rustix::fs::FileType;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Everything that writes, as far as a kernel of today knows.
const RIGHTS: ABI = ABI::V5;

/// Where the sandbox has file systems of its own.
const OWN: [&str; 6] = ["/tmp", "/var/tmp", "/run", "/dev", "/dev/shm", "/proc"];

/// Calls that are refused.
const REFUSED: [libc::c_long; 39] = [
    // Other processes' memory and files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Keys of the user, which belong to no namespace.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Code and probes in the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    // Calls that go around this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Mounts and other namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    // The machine as a whole.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];

/// What types into a terminal that others share (`TIOCSTI`, `TIOCLINUX`).
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// The families of sockets that programs need. Of the others, `AF_VSOCK` leads to the virtual machine's host and to listeners of
/// this one, whatever the network namespace: it belongs to none (vsock(7)).
const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The bit of the x32 ABI, by which the same calls have other numbers.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Confines this process and everything that it starts. What this kernel cannot do is in the answer, in words.
///
/// # Errors
/// What went wrong, where the kernel can and something else keeps it from doing so.
pub(crate) fn confine(writable: &[PathBuf]) -> Result<Vec<&'static str>, String> {
    let mut missing = Vec::new();
    let written = restrict_writing(writable).map_err(|error| format!("Landlock: {error}"))?;
    if written == RulesetStatus::NotEnforced {
        missing.push("Landlock");
    }
    for filter in [of_calls(), of_sockets()] {
        let filter = filter.map_err(|error| format!("seccomp: {error}"))?;
        match seccompiler::apply_filter(&filter) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error)) if is_absent(&error) => {
                missing.push("seccomp");
                break;
            }
            Err(error) => return Err(format!("seccomp: {error}")),
        }
    }
    Ok(missing)
}

fn is_absent(error: &std::io::Error) -> bool {
    [libc::ENOSYS, libc::EINVAL].contains(&error.raw_os_error().unwrap_or(0))
}

fn restrict_writing(writable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let rights = AccessFs::from_write(RIGHTS);
    let folders = OWN.map(Path::new).into_iter();
    let folders = folders.chain(writable.iter().map(PathBuf::as_path));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(rights)?
        .create()?
        .add_rules(path_beneath_rules(folders, rights))?;
    // What it was started with: a terminal or a file that it may open once more as `/dev/stdout`.
    let of_file = rights & AccessFs::from_file(RIGHTS);
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [input.as_fd(), output.as_fd(), errors.as_fd()] {
        let kind = rustix::fs::fstat(stream).map(|file| FileType::from_raw_mode(file.st_mode));
        if matches!(kind, Ok(FileType::RegularFile | FileType::CharacterDevice)) {
            ruleset = ruleset.add_rule(PathBeneath::new(stream, of_file))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn of_calls() -> Result<BpfProgram, seccompiler::BackendError> {
    let typing = |request: u64| {
        // The kernel looks at 32 bits of it.
        let is_it = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?;
        SeccompRule::new(vec![is_it])
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    let typing = TYPING.into_iter().map(typing).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, typing);
    #[cfg(target_arch = "x86_64")]
    {
        for call in [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load] {
            rules.insert(call, Vec::new());
        }
    }
    refusing(rules, libc::EPERM)
}

/// A filter of its own, since the answer is what a kernel without the family gives: programs know it.
fn of_sockets() -> Result<BpfProgram, seccompiler::BackendError> {
    let others = FAMILIES.map(|family| {
        let family = family.unsigned_abs().into();
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    });
    let others: Vec<_> = others.into_iter().collect::<Result<_, _>>()?;
    let rule = vec![SeccompRule::new(others)?];
    let calls = [libc::SYS_socket, libc::SYS_socketpair];
    let rules = calls.map(|call| (call, rule.clone()));
    refusing(rules.into(), libc::EAFNOSUPPORT)
}

/// The program that answers these calls with this error and lets all others be.
fn refusing(
    mut rules: BTreeMap<i64, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    {
        let same: Vec<_> = rules
            .iter()
            .map(|(call, rule)| (call | X32, rule.clone()))
            .collect();
        rules.extend(same);
    }
    let refused = SeccompAction::Errno(error.unsigned_abs());
    let machine: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refused, machine)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_made() {
        assert!(of_calls().unwrap().len() > REFUSED.len());
        assert!(of_sockets().unwrap().len() > FAMILIES.len());
    }
}
