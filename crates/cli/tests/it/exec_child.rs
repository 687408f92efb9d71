//! The program gets its environment and stdio, and its end is fnox's end.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::exec_harness::{Harness, finish, read_until, until};

#[test]
fn the_programs_exit_code_is_fnoxs() {
    assert_eq!(Harness::new().run("exit 0").code, Some(0));
    assert_eq!(Harness::new().run("exit 41").code, Some(41));
}

#[test]
fn a_program_that_a_signal_ended_gives_128_plus_its_number() {
    assert_eq!(Harness::new().run("kill -KILL $$").code, Some(137));
    assert_eq!(Harness::new().run("kill -SEGV $$").code, Some(139));
}

#[test]
fn the_program_gets_exactly_the_planned_environment() {
    let harness = Harness::new()
        .env("KEPT", "1")
        .env("MASTER", "inherited")
        .withheld("MASTER", "m")
        .set("TOKEN", "a\nb")
        .program(&["env", "-0"]);
    let ended = harness.run("");
    let mut names: Vec<&str> = ended
        .stdout
        .split_terminator('\0')
        .filter(|variable| !variable.starts_with("HOME=") && !variable.starts_with("XDG_"))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["KEPT=1", "PATH=/usr/local/bin:/usr/bin:/bin", "TOKEN=a\nb"]
    );
}

#[test]
fn the_programs_own_path_says_where_it_is() {
    let harness = Harness::new();
    let folder = harness.project().join("tools");
    std::fs::create_dir(&folder).unwrap();
    let tool = folder.join("only-here");
    std::fs::write(&tool, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let harness = harness
        .set("PATH", folder.to_str().unwrap())
        .program(&["only-here"]);
    assert_eq!(harness.run("").code, Some(7));
}

#[test]
fn the_program_reads_fnoxs_stdin() {
    let harness = Harness::new();
    let mut command = harness.command("cat");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    assert_eq!(finish(child).stdout, "line\n");
}

#[test]
fn what_cannot_run_gives_126_or_127_and_says_what() {
    let missing = Harness::new().program(&["no-such-program"]).run("");
    assert_eq!(missing.code, Some(127));
    assert!(
        missing.stderr.contains("no-such-program"),
        "{}",
        missing.stderr
    );
    assert_eq!(Harness::new().program(&["/"]).run("").code, Some(126));
    let scripts = [
        ("./lost", "#!/no/such/shell\n", 0o755, "interpreter"),
        ("./data", "#!/bin/sh\n", 0o644, "not executable"),
    ];
    for (name, text, mode, reason) in scripts {
        let harness = Harness::new().program(&[name]);
        let path = harness.project().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let ended = harness.run("");
        assert_eq!(ended.code, Some(126), "{name}");
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}

#[test]
fn a_program_that_does_not_start_leaves_no_file() {
    let harness = Harness::new()
        .file("CERT", "pem")
        .program(&["no-such-program"]);
    assert_eq!(harness.run("").code, Some(127));
    assert!(harness.run_folders().is_empty());
}

#[test]
fn replace_becomes_the_program() {
    let harness = Harness::new().flag("--replace").set("TOKEN", "value");
    let mut child = harness.start("echo $$ $TOKEN; kill -TERM $$");
    let expected = format!("{} value", child.id());
    read_until(&mut child, &expected);
    assert_eq!(finish(child).signal, Some(15));
}

#[test]
fn replace_is_refused_where_fnox_must_stay() {
    let replacing = || Harness::new().flag("--replace");
    let files = replacing().file("CERT", "pem").run("true");
    assert_eq!(files.code, Some(2));
    assert!(files.stderr.contains("CERT"), "{}", files.stderr);
    assert_eq!(
        replacing()
            .flag("--redact")
            .set("A", "value")
            .run("true")
            .code,
        Some(2)
    );
}

#[test]
fn a_killed_fnox_leaves_no_core_file_and_the_program_still_does() {
    let harness = Harness::new().set("TOKEN", "hunter2");
    let script = "mkdir child && kill -ABRT $PPID; cd child && kill -ABRT $$";
    let mut command = harness.command_after("ulimit -c unlimited || exit 99", script);
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(6));
    let core_files = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("core"))
            .count()
    };
    // Only where the machine writes core files next to the program is there something to compare with.
    if std::fs::read_to_string("/proc/sys/kernel/core_pattern").is_ok_and(|it| it.trim() == "core")
    {
        let child = harness.project().join("child");
        until("the program's core file", || core_files(&child) == 1);
    }
    assert_eq!(core_files(&harness.project()), 0);
}
