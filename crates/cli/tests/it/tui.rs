//! The whole screen, on a terminal.

use std::time::Duration;

use fnox_testkit::wait;

use crate::support::{fails, ok, sandbox, with_age};
use crate::terminal::Session;

/// On a terminal of the usual size.
fn start(sandbox: &fnox_testkit::Sandbox) -> Session {
    let program = env!("CARGO_BIN_EXE_fnox");
    let command = format!("stty rows 24 cols 80; echo $$ > pid; exec {program} tui");
    Session::of(sandbox, &command)
}

/// Enters and leaves the terminal's second screen.
const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

#[test]
fn a_value_is_shown_changed_and_nowhere_afterwards() {
    let sandbox = with_age();
    let set = sandbox.run(["set", "TOKEN", "-d", "Payments"]);
    set.stdin("before-it-changed").finish().succeeds();
    let before = sandbox.read("fnox.toml");

    let mut session = start(&sandbox);
    // What is drawn comes without the blanks between its words, so words are waited for.
    session.answer("Payments", "\r");
    session.answer("Show", "y");
    session.expect("before-it-changed");
    session.types(" ");
    session.types("e");
    session.answer("encrypted", "after-it-changed\r");
    session.answer("Set", "q");
    let shown = session.ends_with(0);
    assert!(!shown.contains("after-it-changed"), "{shown}");
    // What was shown was on the second screen, which is gone.
    let (entered, left) = (shown.find(ENTERED).unwrap(), shown.rfind(LEFT).unwrap());
    let value = shown.find("before-it-changed").unwrap();
    assert!(entered < value && value < left, "{shown}");
    assert!(!shown[left..].contains("TOKEN"), "{shown}");

    let after = sandbox.read("fnox.toml");
    assert_ne!(before, after);
    assert!(
        after.contains("# kept too") && after.contains("Payments"),
        "{after}"
    );
    assert_eq!(ok(&sandbox, &["get", "TOKEN"]), "after-it-changed\n");
}

#[test]
fn what_fails_is_told_and_nothing_ends() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[providers]\npass = { type = \"password-store\" }\n[secrets]\nTOKEN = { provider = \"pass\", value = \"x\" }\n",
    );
    sandbox.write_program(
        "pass",
        "#!/bin/sh\necho 'Error: x is not in the password store.' >&2\nexit 1\n",
    );
    let mut session = start(&sandbox);
    session.answer("TOKEN", "\r");
    session.answer("Show", "y");
    session.expect("failed");
    session.types(" ");
    // It goes on; why it failed can be seen once more.
    session.types("i");
    session.expect("TOKEN");
    session.types("\u{3}");
    session.ends_with(0);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let sandbox = with_age();
    let mut session = start(&sandbox);
    session.expect("Secrets");
    let pid = sandbox.read("pid");
    let killed = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(killed.unwrap().success());
    let shown = session.ends_with(143);
    assert!(shown.contains(LEFT), "{shown}");
}

#[test]
fn it_ends_with_its_terminal() {
    let sandbox = with_age();
    let mut session = start(&sandbox);
    session.expect("Secrets");
    let stat = format!("/proc/{}/stat", sandbox.read("pid").trim());
    drop(session);
    wait::until("its end", Duration::from_secs(30), || {
        // Nobody may be there to take note of the end of an orphan.
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn without_a_terminal_or_a_configuration_it_says_what_to_do() {
    let sandbox = with_age();
    let error = fails(&sandbox, 2, &["tui"]);
    assert!(error.contains("fnox list"), "{error}");
    std::fs::remove_file(sandbox.project().join("fnox.toml")).unwrap();
    let shown = start(&sandbox).ends_with(3);
    assert!(
        shown.contains("fnox init") && !shown.contains(ENTERED),
        "{shown}"
    );
}
