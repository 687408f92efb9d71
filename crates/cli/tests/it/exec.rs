//! What a program gets from `exec`, and what it does not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use fnox_testkit::{Sandbox, wait};
use rustix::process::Signal;

use crate::support::{fails, ok, sandbox};

const PLAIN: &str = "[providers]\nplain = { type = \"plain\" }\n[secrets]\n";

fn project(secrets: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", format!("{PLAIN}{secrets}"));
    sandbox
}

fn child_env(sandbox: &Sandbox, arguments: &[&str]) -> Vec<(String, String)> {
    let mut all = vec!["exec"];
    all.extend(arguments);
    all.extend(["--", "env", "-0"]);
    let out = ok(sandbox, &all);
    out.split('\0')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn value<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn a_program_gets_values_byte_for_byte() {
    let odd = "line one\nline two\t\"quoted\" 'single' $HOME `x` \\ ünï 🦀 trailing  \n";
    let sandbox = project("");
    sandbox.write("odd", odd);
    ok(&sandbox, &["set", "ODD", "--from-file", "odd"]);
    assert_eq!(value(&child_env(&sandbox, &[]), "ODD"), Some(odd));
    assert_eq!(ok(&sandbox, &["get", "ODD"]), format!("{odd}\n"));
}

#[test]
fn env_modes_decide_who_gets_a_secret() {
    let sandbox = project(
        "A = { value = \"a\" }\nB = { value = \"b\", env = \"exec\" }\nC = { value = \"c\", env = false }\n",
    )
    .with_env("C", "inherited");
    let env = child_env(&sandbox, &[]);
    assert_eq!((value(&env, "A"), value(&env, "B")), (Some("a"), Some("b")));
    assert_eq!(value(&env, "C"), None, "not even the inherited one");
    assert_eq!(ok(&sandbox, &["get", "C"]), "c\n");
}

#[test]
fn a_dependency_that_was_not_selected_does_not_reach_the_program() {
    let sandbox =
        project("URL = { default = \"pg://${PASSWORD}@h\" }\nPASSWORD = { value = \"hunter2\" }\n");
    let env = child_env(&sandbox, &["--only", "URL"]);
    assert_eq!(value(&env, "URL"), Some("pg://hunter2@h"));
    assert_eq!(value(&env, "PASSWORD"), None);
    let env = child_env(&sandbox, &["--except", "PASS*"]);
    assert_eq!(value(&env, "PASSWORD"), None);
}

#[test]
fn only_names_what_it_cannot_provide_before_anything_is_resolved() {
    let sandbox = project("A = { value = \"a\" }\nHIDDEN = { value = \"h\", env = false }\n");
    let stderr = fails(&sandbox, 2, &["exec", "--only", "A,B*", "--", "true"]);
    assert!(stderr.contains("B*"), "{stderr}");
    let stderr = fails(&sandbox, 2, &["exec", "--only", "HIDDEN", "--", "true"]);
    assert!(stderr.contains("env = false"), "{stderr}");
}

#[test]
fn keys_that_open_fnox_never_reach_the_program_unless_kept() {
    let sandbox = project("A = { value = \"a\" }\n[providers.op]\ntype = \"1password\"\n")
        .with_env("FNOX_AGE_KEY", "AGE-SECRET-KEY-1X")
        .with_env("FNOX_AGE_KEY_FILE", "/x");
    let env = child_env(&sandbox, &[]);
    assert_eq!(
        (
            value(&env, "FNOX_AGE_KEY"),
            value(&env, "FNOX_AGE_KEY_FILE")
        ),
        (None, None)
    );
    let env = child_env(&sandbox, &["--keep", "FNOX_AGE_KEY"]);
    assert_eq!(value(&env, "FNOX_AGE_KEY"), Some("AGE-SECRET-KEY-1X"));
}

#[test]
fn the_token_of_a_provider_that_was_opened_is_withheld_unless_it_is_kept() {
    let config = |keep: &str| {
        format!(
            "[providers.op]\ntype = \"1password\"\nvault = \"V\"\n{keep}\n[secrets]\nA = {{ provider = \"op\", value = \"item\" }}\n"
        )
    };
    let sandbox = sandbox().with_env("OP_SERVICE_ACCOUNT_TOKEN", "ops_token");
    sandbox.write_program("op", "#!/bin/sh\nprintf from-op");
    sandbox.write("fnox.toml", config(""));
    let env = child_env(&sandbox, &[]);
    assert_eq!(
        (value(&env, "A"), value(&env, "OP_SERVICE_ACCOUNT_TOKEN")),
        (Some("from-op"), None)
    );
    let env = child_env(&sandbox, &["--keep", "OP_SERVICE_ACCOUNT_TOKEN"]);
    assert_eq!(value(&env, "OP_SERVICE_ACCOUNT_TOKEN"), Some("ops_token"));
    sandbox.write("fnox.toml", config("keep_env = true"));
    let env = child_env(&sandbox, &[]);
    assert_eq!(value(&env, "OP_SERVICE_ACCOUNT_TOKEN"), Some("ops_token"));
}

#[test]
fn exit_codes_and_signals_of_the_program_are_fnoxs_own() {
    let sandbox = project("");
    for code in [0, 1, 2, 7, 42, 255] {
        sandbox
            .run(["exec", "--", "sh", "-c", &format!("exit {code}")])
            .finish()
            .exits_with(code);
    }
    sandbox
        .run(["exec", "--", "sh", "-c", "kill -TERM $$"])
        .finish()
        .exits_with(128 + 15);
    sandbox
        .run(["exec", "--", "sh", "-c", "kill -KILL $$"])
        .finish()
        .exits_with(128 + 9);
}

#[test]
fn a_program_that_does_not_exist_or_cannot_run_has_its_codes() {
    let sandbox = project("");
    let stderr = fails(&sandbox, 127, &["exec", "--", "no-such-program"]);
    assert!(stderr.contains("no-such-program"), "{stderr}");
    let file = sandbox.write("data", "no program");
    fails(&sandbox, 126, &["exec", "--", file.to_str().unwrap()]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let stderr = fails(&sandbox, 126, &["exec", "--", file.to_str().unwrap()]);
    assert!(stderr.contains("#!"), "{stderr}");
}

#[test]
fn programs_are_found_on_the_path_that_the_program_gets() {
    let sandbox = project("PATH = { value = \"/opt/nowhere\" }\n");
    fails(&sandbox, 127, &["exec", "--", "env"]);
}

#[test]
fn each_signal_that_a_process_sends_reaches_the_program() {
    let sandbox = project("");
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
    ] {
        let ready = sandbox.project().join(format!("ready-{name}"));
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; : > {}; while :; do sleep 0.05; done",
            ready.display()
        );
        let running = sandbox.run(["exec", "--", "sh", "-c", &script]).start();
        wait::until("the program set its trap", Duration::from_secs(20), || {
            ready.exists()
        });
        running.signal(signal);
        let run = running.finish().exits_with(9);
        assert_eq!(run.stdout, format!("got {name}\n"));
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored_in_the_program() {
    let sandbox = project("");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = format!("trap '' HUP; exec {fnox} exec -- sh -c 'kill -HUP $$; echo alive'");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "alive\n");
}

#[test]
fn file_secrets_are_private_and_gone_afterwards() {
    let sandbox = project("CERT = { value = \"pem\", as_file = true }\n");
    let script =
        "stat -c %a \"$CERT\" \"$(dirname \"$CERT\")\"; cat \"$CERT\"; echo; echo \"$CERT\"";
    let out = ok(&sandbox, &["exec", "--", "sh", "-c", script]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..3], ["600", "700", "pem"]);
    let path = PathBuf::from(lines[3]);
    assert!(
        path.starts_with(sandbox.runtime_folder()),
        "{}",
        path.display()
    );
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn file_secrets_are_removed_within_a_second_when_fnox_is_killed() {
    let sandbox = project("CERT = { value = \"pem\", as_file = true }\n");
    let told = sandbox.project().join("told");
    let script = format!(
        "echo \"$CERT\" > {0}.new; mv {0}.new {0}; exec sleep 31.25",
        told.display()
    );
    let running = sandbox.run(["exec", "--", "sh", "-c", &script]).start();
    wait::until("the program told its file", Duration::from_secs(20), || {
        told.exists()
    });
    let path = PathBuf::from(std::fs::read_to_string(&told).unwrap().trim());
    assert!(path.exists());
    running.signal(Signal::KILL);
    // The promise is one second; the wait is longer so that a busy machine does not fail the test.
    wait::until("the folder is gone", Duration::from_secs(10), || {
        !path.parent().unwrap().exists()
    });
    drop(running);
    let _ = sandbox.run_program("pkill", ["-f", "sleep 31.25"]).finish();
}

#[test]
fn folders_of_dead_runs_are_swept_at_the_next_start() {
    let sandbox = project("");
    let runs = sandbox.runtime_folder().join("fnox/exec");
    let stale = runs.join("left-over");
    std::fs::create_dir_all(&stale).unwrap();
    for folder in [runs.parent().unwrap(), &runs, &stale] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::write(stale.join("KEY"), "value").unwrap();
    std::fs::write(stale.join(".lock"), "").unwrap();
    ok(&sandbox, &["exec", "--", "true"]);
    assert!(!stale.exists());
}

#[test]
fn replace_becomes_the_program_and_refuses_what_needs_a_parent() {
    let sandbox = project("A = { value = \"a\" }\n");
    let out = ok(
        &sandbox,
        &[
            "exec",
            "--replace",
            "--",
            "sh",
            "-c",
            "echo $A; cat /proc/$$/comm",
        ],
    );
    assert_eq!(out, "a\nsh\n");
    let sandbox = project("CERT = { value = \"pem\", as_file = true }\n");
    let stderr = fails(&sandbox, 2, &["exec", "--replace", "--", "true"]);
    assert!(stderr.contains("CERT"), "{stderr}");
}

#[test]
fn redaction_is_asked_for_by_flag_variable_or_file_and_refused_by_flag() {
    let sandbox = project("A = { value = \"hunter2-and-more\" }\n");
    let shown = |sandbox: &Sandbox, flags: &[&str]| {
        let mut all = vec!["exec"];
        all.extend(flags);
        all.extend(["--", "sh", "-c", "echo out $A; echo err $A >&2"]);
        let run = sandbox.run(&all).finish().succeeds();
        (run.stdout, run.stderr)
    };
    let open = (
        "out hunter2-and-more\n".to_owned(),
        "err hunter2-and-more\n".to_owned(),
    );
    let closed = ("out [REDACTED]\n".to_owned(), "err [REDACTED]\n".to_owned());
    assert_eq!(shown(&sandbox, &[]), open);
    assert_eq!(shown(&sandbox, &["--redact"]), closed);
    sandbox.write(
        "fnox.toml",
        format!("redact_exec = true\n{PLAIN}A = {{ value = \"hunter2-and-more\" }}\n"),
    );
    assert_eq!(shown(&sandbox, &[]), closed);
    assert_eq!(shown(&sandbox, &["--no-redact"]), open);
    let sandbox = sandbox.with_env("FNOX_EXEC_REDACT", "0");
    assert_eq!(shown(&sandbox, &[]), open);
}

#[test]
fn a_background_process_that_keeps_the_pipe_does_not_keep_fnox() {
    let sandbox = project("A = { value = \"hunter2\" }\n");
    let run = sandbox
        .run([
            "exec",
            "--redact",
            "--",
            "sh",
            "-c",
            "echo $A; sleep 61.25 & exit 3",
        ])
        .limit(Duration::from_secs(30))
        .start();
    // The sandbox's own pipes are kept by the sleeper too, so only fnox's end is asked for.
    let mut run = run;
    wait::until("fnox ended", Duration::from_secs(20), || !run.is_running());
    let _ = sandbox.run_program("pkill", ["-f", "sleep 61.25"]).finish();
    assert_eq!(run.finish().exits_with(3).stdout, "[REDACTED]\n");
}

#[test]
fn values_that_no_program_can_be_given_are_named_without_being_shown() {
    let sandbox = project("");
    let big = "x1".repeat(512 * 1024);
    sandbox.write("big", &big);
    ok(&sandbox, &["set", "BIG", "--from-file", "big"]);
    let stderr = fails(&sandbox, 3, &["exec", "--", "true"]);
    assert!(
        stderr.contains("`BIG`") && stderr.contains("as_file") && !stderr.contains("x1x1"),
        "{stderr}"
    );
    sandbox.write("nul", b"a\0b");
    ok(&sandbox, &["set", "BIG", "--from-file", "nul"]);
    let stderr = fails(&sandbox, 3, &["exec", "--", "true"]);
    assert!(stderr.contains("NUL"), "{stderr}");
}

#[test]
fn a_large_value_goes_to_a_file_byte_for_byte() {
    let sandbox = project("BIG = { value = \"\", as_file = true }\n");
    let big = "0123456789abcdef".repeat(64 * 1024);
    sandbox.write("big", &big);
    ok(&sandbox, &["set", "BIG", "--from-file", "big"]);
    ok(&sandbox, &["exec", "--", "sh", "-c", "cmp big \"$BIG\""]);
}

#[test]
fn a_closed_stdin_and_no_terminal_are_no_obstacle() {
    let sandbox = project("A = { value = \"a\" }\n");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = format!("{fnox} exec -- sh -c 'echo $A' <&-");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "a\n");
    let script = format!("{fnox} set B <&-");
    let run = sandbox.run_program("sh", ["-c", &script]).finish();
    assert_ne!(run.code, Some(0), "there is no value");
}

#[test]
fn a_reader_that_goes_away_ends_fnox_quietly() {
    let sandbox = project("A = { value = \"a\" }\n");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = format!("{fnox} schema | head -c 1 > /dev/null; echo $?");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("0\n", ""));
}

#[test]
fn a_killed_fnox_leaves_no_core_file() {
    let sandbox = project("A = { value = \"hunter2\" }\n");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let pid_file = sandbox.project().join("pid");
    let script = format!(
        "ulimit -c unlimited; exec {fnox} exec -- sh -c 'echo $PPID > {0}.new; mv {0}.new {0}; exec sleep 32.25'",
        pid_file.display()
    );
    let running = sandbox.run_program("sh", ["-c", &script]).start();
    wait::until("fnox runs its program", Duration::from_secs(20), || {
        pid_file.exists()
    });
    let pid = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .to_owned();
    // SIGABRT dumps core by default, and fnox does not catch it.
    let _ = sandbox
        .run_program("kill", ["-ABRT", &pid])
        .finish()
        .succeeds();
    let _ = sandbox.run_program("pkill", ["-f", "sleep 32.25"]).finish();
    let run = running.finish();
    assert_eq!(run.signal, Some(6), "{run:?}");
    assert_eq!(cores(&sandbox), Vec::<String>::new());
    // The same death of another program shows whether this machine would have left one here at all.
    let script = "ulimit -c unlimited; exec sh -c 'kill -ABRT $$'";
    assert_eq!(
        sandbox.run_program("sh", ["-c", script]).finish().signal,
        Some(6)
    );
    if cores(&sandbox).is_empty() {
        eprintln!("left out: this machine writes core files elsewhere or not at all");
    }
}

fn cores(sandbox: &Sandbox) -> Vec<String> {
    std::fs::read_dir(sandbox.project())
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("core"))
        .collect()
}

#[test]
fn run_is_exec_with_nothing_missing() {
    let sandbox = project("A = { value = \"a\" }\nGONE = {}\n");
    ok(&sandbox, &["exec", "--", "true"]);
    let stderr = fails(&sandbox, 5, &["run", "--", "true"]);
    assert!(stderr.contains("`GONE`"), "{stderr}");
}
