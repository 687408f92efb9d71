//! Signals for fnox reach the program, each exactly once.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::exec_harness::{Harness, finish, process, read_until, signal, until};
use rustix::process::Signal;

/// A shell that tells each signal it gets and ends with the code 9 after TERM.
const TELLING: &str = r#"
for s in INT HUP QUIT USR1 USR2 WINCH; do trap "echo got-$s" $s; done
trap "echo got-TERM; exit 9" TERM
echo ready
while :; do sleep 60 >/dev/null 2>&1 & wait; done
"#;

#[test]
fn each_signal_reaches_the_program_and_does_not_end_fnox() {
    let harness = Harness::new();
    let mut child = harness.start(TELLING);
    read_until(&mut child, "ready");
    let signals = [
        (Signal::INT, "got-INT"),
        (Signal::HUP, "got-HUP"),
        (Signal::QUIT, "got-QUIT"),
        (Signal::USR1, "got-USR1"),
        (Signal::USR2, "got-USR2"),
        (Signal::WINCH, "got-WINCH"),
    ];
    for (number, word) in signals {
        signal(child.id(), number);
        let seen = read_until(&mut child, word);
        assert_eq!(seen.matches("got-").count(), 1, "{seen}");
    }
    signal(child.id(), Signal::TERM);
    let ended = finish(child);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(9), "\ngot-TERM\n")
    );
}

#[test]
fn a_program_that_dies_of_a_forwarded_signal_gives_128_plus_its_number() {
    for (number, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let harness = Harness::new();
        let mut child = harness.start("echo ready; exec sleep 60");
        read_until(&mut child, "ready");
        signal(child.id(), number);
        assert_eq!(finish(child).code, Some(code));
    }
}

#[test]
fn a_signal_that_comes_right_at_the_start_is_not_lost() {
    // Whenever it comes, before the program or after, fnox ends with it and the program does not stay.
    for _ in 0..20 {
        let harness = Harness::new().file("CERT", "pem");
        let child = harness.start("exec sleep 60");
        // The run's folder is the first sign that the handlers are there.
        until("the run's folder", || !harness.run_folders().is_empty());
        signal(child.id(), Signal::TERM);
        assert_eq!(finish(child).code, Some(143));
        assert!(harness.run_folders().is_empty());
    }
}

#[test]
fn signals_that_were_ignored_stay_ignored_for_the_program() {
    let harness = Harness::new();
    let mut command = harness.command_after("trap '' HUP", "grep SigIgn /proc/self/status");
    let ended = finish(command.spawn().unwrap());
    let ignored = ended.stdout.trim().strip_prefix("SigIgn:\t").unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    // Only SIGHUP; what stands above 31 are real-time signals that the machine may ignore.
    assert_eq!(ignored & 0x7fff_ffff, 1, "{ignored:x}");
}

#[test]
fn a_program_that_signals_its_own_group_gets_it_once() {
    let script =
        "trap 'echo got-USR1' USR1; kill -USR1 0; sleep 1 >/dev/null 2>&1 & wait; echo end";
    let harness = Harness::new();
    let mut command = harness.command(script);
    let ended = finish(command.process_group(0).spawn().unwrap());
    assert_eq!(ended.stdout, "got-USR1\nend\n");
}

#[test]
fn stopping_and_continuing_the_group_stops_and_continues_both() {
    let harness = Harness::new();
    let mut command = harness.command("echo ready; kill -TSTP 0; echo on; exit 5");
    let mut child = command.process_group(0).spawn().unwrap();
    read_until(&mut child, "ready");
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    };
    until("fnox to stop", || state(child.id()) == 'T');
    rustix::process::kill_process_group(process(child.id()), Signal::CONT).unwrap();
    let ended = finish(child);
    assert_eq!((ended.code, ended.stdout.trim()), (Some(5), "on"));
}

/// Runs in a terminal of its own: `script` passes what it reads to the terminal as if it were typed.
fn in_a_terminal(harness: &Harness, script: &str) -> std::process::Child {
    std::fs::write(harness.project().join("program.sh"), script).unwrap();
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let command = harness.command_after("true", "");
    let terminal = format!("exec '{fnox}' exec -- sh ./program.sh");
    Command::new("script")
        .args(["-qec", &terminal, "/dev/null"])
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SHELL", "/bin/sh")
        .current_dir(harness.project())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn ctrl_c_at_the_terminal_reaches_the_program_exactly_once() {
    let script = r#"n=0; trap 'n=$((n+1)); echo "got-INT $n"' INT; echo ready
        while [ $n = 0 ]; do sleep 60 >/dev/null 2>&1 & wait; done; kill $!; sleep 1 >/dev/null 2>&1 & wait; echo "in all $n"; exit 4"#;
    let harness = Harness::new();
    let mut child = in_a_terminal(&harness, script);
    read_until(&mut child, "ready");
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let seen = read_until(&mut child, "in all 1");
    assert!(!seen.contains("got-INT 2"), "{seen}");
    // The shell's background children ended by the same Ctrl-C; the code is the program's.
    assert_eq!(finish(child).code, Some(4));
}

#[test]
fn a_terminal_that_goes_away_ends_the_program_where_fnox_leads_the_session() {
    let harness = Harness::new();
    let script = "trap 'echo got-HUP > told; exit 1' HUP; echo ready; while :; do sleep 60 >/dev/null 2>&1 & wait; done";
    let mut child = in_a_terminal(&harness, script);
    read_until(&mut child, "ready");
    child.kill().unwrap();
    drop(child.wait());
    let told = harness.project().join("told");
    until("the program to be told", || told.exists());
}
