//! `as_file` secrets are private while the program runs and gone afterwards, whatever happens to fnox.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::exec_harness::{Harness, finish, process, processes_with, read_until, signal, until};
use rustix::process::Signal;

fn with_file() -> Harness {
    Harness::new().file("CERT", "pem\n")
}

/// Starts a program that tells the file's path and then waits.
fn start_waiting(harness: &Harness) -> (Child, PathBuf) {
    let mut child = harness
        .command("echo \"<$CERT>\"; exec sleep 60")
        .spawn()
        .unwrap();
    let seen = read_until(&mut child, ">");
    let path = seen.split(['<', '>']).nth(1).unwrap();
    (child, PathBuf::from(path))
}

/// The guard has the folder among its arguments.
fn guard_of(file: &Path) -> u32 {
    let found = processes_with(file.parent().unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// The sixth field of `/proc/PID/stat`.
fn session_of(process: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn a_file_is_0600_in_an_unpredictable_0700_folder_and_gone_after_exit() {
    let harness = with_file();
    let script = r#"stat -c '%a %n' "$CERT" "$(dirname "$CERT")"; cat "$CERT"; exit 3"#;
    let ended = harness.run(script);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let file = lines[0].strip_prefix("600 ").unwrap();
    let folder = lines[1].strip_prefix("700 ").unwrap();
    assert_eq!(lines[2], "pem");
    let random = Path::new(folder).file_name().unwrap().to_str().unwrap();
    assert!(random.len() >= 22, "{random}");
    assert_eq!(file, format!("{folder}/CERT"));
    assert!(harness.run_folders().is_empty());
    assert!(
        processes_with(Path::new(folder)).is_empty(),
        "the guard has ended"
    );
}

#[test]
fn fnox_killed_by_sigkill_leaves_no_file_for_longer_than_a_second() {
    let harness = with_file();
    let (mut child, file) = start_waiting(&harness);
    assert!(file.exists());
    let killed = Instant::now();
    child.kill().unwrap();
    until("the file to be removed", || !file.exists());
    // The promise is one second; the machine may be busy with other tests.
    assert!(
        killed.elapsed() < Duration::from_secs(5),
        "{:?}",
        killed.elapsed()
    );
    until("the folder to be removed", || {
        harness.run_folders().is_empty()
    });
    drop(child.wait());
}

#[test]
fn the_guard_outlives_signals_and_the_death_of_the_whole_group() {
    let harness = with_file();
    let mut command = harness.command("echo \"<$CERT>\"; exec sleep 60");
    let mut child = command.process_group(0).spawn().unwrap();
    let seen = read_until(&mut child, ">");
    let file = PathBuf::from(seen.split(['<', '>']).nth(1).unwrap());
    let guard = guard_of(&file);
    until("the guard's own session", || session_of(guard) == guard);
    for name in [Signal::INT, Signal::TERM, Signal::HUP] {
        signal(guard, name);
    }
    rustix::process::kill_process_group(process(child.id()), Signal::KILL).unwrap();
    until("the file to be removed", || !file.exists());
    drop(child.wait());
}

#[test]
fn what_a_killed_run_and_a_killed_guard_left_is_swept_by_the_next_run() {
    let harness = with_file();
    let (mut child, file) = start_waiting(&harness);
    signal(guard_of(&file), Signal::KILL);
    child.kill().unwrap();
    drop(child.wait());
    assert!(file.exists());
    let (living, living_file) = start_waiting(&harness);
    assert!(!file.exists());
    // Another start leaves the living one alone.
    assert_eq!(harness.run("true").code, Some(0));
    assert!(living_file.exists());
    signal(living.id(), Signal::TERM);
    assert_eq!(finish(living).code, Some(143));
    assert!(harness.run_folders().is_empty());
}

#[test]
fn a_run_without_files_sweeps_too() {
    let harness = with_file();
    let (mut child, file) = start_waiting(&harness);
    signal(guard_of(&file), Signal::KILL);
    child.kill().unwrap();
    drop(child.wait());
    // The next run leaves the file out.
    let harness = harness.flag("--except").flag("CERT");
    assert_eq!(harness.run("true").code, Some(0));
    assert!(!file.exists());
}

#[test]
fn a_run_time_folder_that_is_a_link_or_open_to_others_is_not_used() {
    let harness = with_file();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), harness.runtime()).unwrap();
    harness.run("true");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    let harness = with_file();
    std::fs::create_dir(harness.runtime()).unwrap();
    std::fs::set_permissions(harness.runtime(), PermissionsExt::from_mode(0o755)).unwrap();
    harness.run("true");
    assert_eq!(std::fs::read_dir(harness.runtime()).unwrap().count(), 0);
}

#[test]
fn a_run_without_files_makes_no_folder() {
    let harness = Harness::new();
    assert_eq!(harness.run("true").code, Some(0));
    assert!(!harness.runtime().exists());
}
