//! `fnox watch`: the program is started again when what it was given has changed.
//!
//! Each start of the program appends a line to `log`; what is waited for are lines, never times.

use fnox_testkit::{Running, Sandbox, wait};
use rustix::process::Signal;
use std::time::Duration;

use crate::support::{fails, sandbox};

/// Tells its secret and stays.
const SCRIPT: &str = r#"trap 'echo "end $A" >> log; exit 0' TERM
trap 'echo "interrupted" >> log; exit 5' INT
echo "start $A" >> log
while :; do sleep 1 & wait $!; done"#;

fn config(value: &str) -> String {
    format!(
        "root = true\n[providers]\nplain = {{ type = 'plain' }}\n[secrets]\nA = {{ provider = 'plain', value = '{value}' }}\n"
    )
}

fn start(sandbox: &Sandbox, script: &str) -> Running {
    let arguments = ["watch", "--interval", "1s", "--", "sh", "-c", script];
    sandbox.run(arguments).start()
}

fn lines(sandbox: &Sandbox) -> Vec<String> {
    let log = std::fs::read_to_string(sandbox.project().join("log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

#[track_caller]
fn until_line(sandbox: &Sandbox, line: &str) {
    wait::until(line, Duration::from_secs(90), || {
        lines(sandbox).iter().any(|one| one == line)
    });
}

/// Replaces the configuration in one step.
fn change(sandbox: &Sandbox, text: &str) {
    let draft = sandbox.write("draft", text);
    std::fs::rename(draft, sandbox.project().join("fnox.toml")).unwrap();
}

#[test]
fn a_changed_configuration_starts_the_program_again_and_its_end_is_fnoxs() {
    let sandbox = sandbox();
    change(&sandbox, &config("one"));
    let running = start(&sandbox, SCRIPT);
    until_line(&sandbox, "start one");
    change(&sandbox, &config("two"));
    until_line(&sandbox, "start two");
    running.signal(Signal::INT);
    let run = running.finish().exits_with(5);
    assert_eq!(
        lines(&sandbox),
        ["start one", "end one", "start two", "interrupted"]
    );
    assert!(
        run.stderr.contains("the configuration changed"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_value_that_changed_where_it_is_kept_is_noticed_too() {
    let sandbox = sandbox();
    let entry = sandbox.home().join(".password-store/a.gpg");
    sandbox.write_program("pass", "#!/bin/sh\ncat \"$HOME/.password-store/a.gpg\"\n");
    sandbox.write(&entry, "first\n");
    change(
        &sandbox,
        "root = true\n[providers]\np = { type = 'password-store' }\n[secrets]\nA = { provider = 'p', value = 'a' }\n",
    );
    let running = start(&sandbox, SCRIPT);
    until_line(&sandbox, "start first");
    let draft = sandbox.write("draft", "second\n");
    std::fs::rename(draft, &entry).unwrap();
    until_line(&sandbox, "start second");
    running.signal(Signal::TERM);
    let run = running.finish().exits_with(0);
    assert!(run.stderr.contains("A changed"), "{}", run.stderr);
    assert!(!run.stderr.contains("second"), "{}", run.stderr);
}

#[test]
fn an_outage_is_no_change() {
    let sandbox = sandbox();
    let entry = sandbox.home().join(".password-store/a.gpg");
    sandbox.write_program(
        "pass",
        "#!/bin/sh\n[ -e down ] && exit 1\ncat \"$HOME/.password-store/a.gpg\"\n",
    );
    sandbox.write(&entry, "first\n");
    change(
        &sandbox,
        "root = true\nif_missing = 'warn'\n[providers]\np = { type = 'password-store' }\n\
         [secrets]\nA = { provider = 'p', value = 'a' }\n",
    );
    let running = start(&sandbox, SCRIPT);
    until_line(&sandbox, "start first");
    sandbox.write("down", "");
    wait::until("the line", Duration::from_secs(90), || {
        running.stderr_so_far().contains("goes on with what it has")
    });
    let draft = sandbox.write("draft", "second\n");
    std::fs::rename(draft, &entry).unwrap();
    std::fs::remove_file(sandbox.project().join("down")).unwrap();
    until_line(&sandbox, "start second");
    running.signal(Signal::TERM);
    running.finish().exits_with(0);
    assert_eq!(
        lines(&sandbox),
        ["start first", "end first", "start second", "end second"]
    );
}

#[test]
fn an_import_and_a_file_of_identities_count() {
    let (sandbox, recipient) = crate::support::with_identity();
    let provider = format!("[providers]\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n");
    sandbox.write("shared.toml", &provider);
    change(
        &sandbox,
        "root = true\nimport = ['shared.toml']\n[secrets]\n",
    );
    crate::support::ok(&sandbox, &["set", "A", "one", "-p", "age"]);
    let running = start(&sandbox, SCRIPT);
    until_line(&sandbox, "start one");
    sandbox.write(
        "shared.toml",
        format!("{provider}[secrets]\nB = {{ default = 'b' }}\n"),
    );
    wait::until("the second start", Duration::from_secs(90), || {
        lines(&sandbox).len() >= 3
    });
    let identities = sandbox.config_folder().join("age.txt");
    let mut text = std::fs::read_to_string(&identities).unwrap();
    text.push_str("# another line\n");
    sandbox.write(&identities, text);
    wait::until("the third start", Duration::from_secs(90), || {
        lines(&sandbox).len() >= 5
    });
    running.signal(Signal::TERM);
    running.finish().exits_with(0);
    assert_eq!(
        lines(&sandbox)[..5],
        ["start one", "end one", "start one", "end one", "start one"]
    );
}

#[test]
fn a_broken_configuration_keeps_the_program_and_says_so_in_one_line() {
    let sandbox = sandbox();
    change(&sandbox, &config("one"));
    let mut running = start(&sandbox, SCRIPT);
    until_line(&sandbox, "start one");
    change(&sandbox, "[secrets]\nA = { valeu = 'hunter2-y' }\n");
    wait::until("the line", Duration::from_secs(90), || {
        running.stderr_so_far().contains("goes on with what it has")
    });
    // A file that is the same again is no change.
    change(&sandbox, &config("one"));
    change(&sandbox, &config("three"));
    until_line(&sandbox, "start three");
    assert!(running.is_running());
    running.signal(Signal::TERM);
    let run = running.finish().exits_with(0);
    let told = run.stderr.lines().filter(|line| line.contains("goes on"));
    assert_eq!(told.count(), 1, "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2-y"), "{}", run.stderr);
    assert_eq!(
        lines(&sandbox),
        ["start one", "end one", "start three", "end three"]
    );
}

#[test]
fn what_the_program_started_ends_with_it() {
    let sandbox = sandbox();
    change(&sandbox, &config("one"));
    // The shell waits for a child that does the work and tells its own end.
    let script = "sh -c 'trap \"echo end-child >> log; exit 0\" TERM; echo \"child $A\" >> log; \
                  while kill -0 $PPID 2>/dev/null; do sleep 1 & wait $!; done' & wait";
    let running = start(&sandbox, script);
    until_line(&sandbox, "child one");
    change(&sandbox, &config("two"));
    until_line(&sandbox, "child two");
    let seen = lines(&sandbox);
    assert_eq!(seen, ["child one", "end-child", "child two"]);
    running.signal(Signal::TERM);
    running.finish().exits_with(143);
}

#[test]
fn the_first_start_fails_as_exec_would() {
    let sandbox = sandbox();
    change(
        &sandbox,
        "root = true\n[secrets]\nA = { if_missing = 'error' }\n",
    );
    fails(&sandbox, 5, &["watch", "--", "true"]);
    change(&sandbox, &config("one"));
    fails(&sandbox, 127, &["watch", "--", "no-such-program"]);
    fails(&sandbox, 2, &["watch", "--replace", "--", "true"]);
    fails(&sandbox, 2, &["watch", "--interval", "soon", "--", "true"]);
    // A program that ends by itself ends the watch.
    fails(&sandbox, 7, &["watch", "--", "sh", "-c", "exit 7"]);
}
