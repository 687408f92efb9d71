//! Questions on a terminal: `init`'s wizard, confirmations.
//!
//! The terminal is that of `script` (util-linux), which every Debian has.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_testkit::{Invocation, Sandbox, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{ok, sandbox, with_age, with_identity};

const LIMIT: Duration = Duration::from_secs(30);

/// fnox on a terminal of its own.
pub(crate) struct Session {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

/// fnox on a terminal of its own, where nobody types. All output is stdout.
pub(crate) fn invocation(sandbox: &Sandbox, arguments: &[&str]) -> Invocation {
    let quoted: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_fnox"))
        .chain(arguments.iter().copied())
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    sandbox.run_program("script", ["-qefc", &quoted.join(" "), "/dev/null"])
}

impl Session {
    pub(crate) fn start(sandbox: &Sandbox, arguments: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_fnox");
        Self::of(sandbox, &format!("{program} {arguments}"))
    }

    /// Any command line, on a terminal of its own.
    pub(crate) fn of(sandbox: &Sandbox, command: &str) -> Self {
        let mut invocation = sandbox.run_program("script", ["-qefc", command, "/dev/null"]);
        let command = invocation.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().expect("script of util-linux");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let mut output = child.stdout.take().unwrap();
        let copy = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                copy.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            keyboard: child.stdin.take().unwrap(),
            child,
            screen,
            seen: 0,
        }
    }

    /// Waits until a text is on the screen that was not there at the last answer, then types.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, keys: &str) {
        self.expect(question);
        self.types(keys);
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was on the screen.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let found = wait::within(LIMIT, || {
            let screen = self.screen.lock().unwrap();
            let new = String::from_utf8_lossy(&screen[self.seen..]).into_owned();
            new.contains(text).then_some(screen.len())
        });
        let shown = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        self.seen = found.unwrap_or_else(|| panic!("`{text}` did not come: {shown}"));
    }

    #[track_caller]
    pub(crate) fn ends_with(mut self, code: i32) -> String {
        let status = wait::within(LIMIT, || self.child.try_wait().unwrap());
        let shown = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        let status = status.unwrap_or_else(|| panic!("it did not end: {shown}"));
        assert_eq!(status.code(), Some(code), "{shown}");
        shown
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of a terminal is a hang-up. Some shells survive it, and ask what is gone for input without a pause.
        end_sessions_below(self.child.id());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ends all processes of the sessions that children of a process lead: the parent is the second field behind the name in
/// `proc_pid_stat(5)`, the session the fourth.
fn end_sessions_below(script: u32) {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(1);
        let parent: u32 = fields.next()?.parse().ok()?;
        let session: i32 = fields.nth(1)?.parse().ok()?;
        Some((id, parent, session))
    });
    let processes: Vec<(i32, u32, i32)> = processes.collect();
    let leads = |session: i32| {
        let mut leaders = processes.iter();
        leaders.any(|(id, parent, _)| *id == session && *parent == script)
    };
    for (id, _, session) in &processes {
        if let Some(process) = Pid::from_raw(*id).filter(|_| leads(*session)) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

#[test]
fn the_wizard_makes_an_identity_a_provider_and_a_first_secret() {
    let sandbox = sandbox();
    let mut session = Session::start(&sandbox, "init");
    session.answer("Set up a place", "y\r");
    session.answer("Where?", "\r");
    session.answer("Its name", "team\r");
    session.answer("Make a new age identity", "y\r");
    session.answer("Add a first secret?", "y\r");
    session.answer("Name of the secret", "API_KEY\r");
    session.answer("Value of API_KEY", "s3cret value\r");
    let shown = session.ends_with(0);
    assert!(
        shown.contains("The provider team works") && shown.contains("Next steps:"),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("default_provider = \"team\"")
            && text.starts_with("# Secrets of this project"),
        "{text}"
    );
    assert_eq!(ok(&sandbox, &["get", "API_KEY"]), "s3cret value\n");
    ok(&sandbox, &["reencrypt", "--check"]);
    ok(&sandbox, &["check", "--all"]);
}

#[test]
fn a_wizard_that_is_declined_leaves_the_commented_file() {
    let sandbox = sandbox();
    let mut session = Session::start(&sandbox, "init");
    session.answer("Set up a place", "n\r");
    session.ends_with(0);
    assert!(sandbox.read("fnox.toml").contains("# Where secrets live:"));
}

#[test]
fn a_declined_import_says_so_and_changes_nothing() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    let input: Vec<String> = (0..12)
        .map(|index| format!("NAME_{index}={index}"))
        .collect();
    sandbox.write("in.env", input.join("\n"));
    let mut session = Session::start(&sandbox, "import -i in.env -p age");
    session.answer("Import 12 secrets into profile default?", "n\r");
    let shown = session.ends_with(0);
    assert!(
        shown.contains("NAME_9") && !shown.contains("NAME_10") && shown.contains("and 2 more"),
        "{shown}"
    );
    assert!(shown.contains("Import cancelled."), "{shown}");
    assert_eq!(sandbox.read("fnox.toml"), before);

    let mut session = Session::start(&sandbox, "import -i in.env -p age");
    session.answer("Import 12 secrets into profile default?", "y\r");
    session.ends_with(0);
    assert_eq!(ok(&sandbox, &["get", "NAME_11"]), "11\n");

    let mut session = Session::start(&sandbox, "reencrypt NAME_1");
    session.answer("Encrypt 1 secret anew?", "n\r");
    let shown = session.ends_with(0);
    assert!(shown.contains("Cancelled."), "{shown}");
}

#[test]
fn it_is_asked_about_secrets_and_about_whole_files_apart() {
    let (sandbox, recipient) = with_identity();
    let config = sandbox.config_folder().join("config.toml");
    let text = format!("[providers]\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n");
    sandbox.write(&config, text);
    for arguments in [&["set", "A", "-g"][..], &["set", "--file", "~/f"]] {
        sandbox.run(arguments).stdin("x").finish().succeeds();
    }
    let entries = || {
        let text = std::fs::read_to_string(&config).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start));
        ["A ", "\"~/f\""].map(|start| line(start).unwrap().to_owned())
    };
    let before = entries();
    let mut session = Session::start(&sandbox, "reencrypt");
    session.answer("Encrypt 1 secret anew?", "n\r");
    session.answer("Encrypt 1 file anew?", "y\r");
    let shown = session.ends_with(0);
    assert!(shown.contains("Encrypted 1 file anew (global)"), "{shown}");
    let after = entries();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
}

#[test]
fn what_a_provider_needs_is_asked_for() {
    let sandbox = sandbox();
    let mut session = Session::start(&sandbox, "provider add kp keepass");
    session.answer("database: The database file", "shop.kdbx\r");
    session.ends_with(0);
    assert_eq!(
        sandbox.read("fnox.toml"),
        "[providers]\nkp = { type = \"keepass\", database = \"shop.kdbx\" }\n"
    );
    let mut session = Session::start(&sandbox, "provider add other keepass");
    session.answer("database: The database file", "\r");
    session.ends_with(2);
}

/// A project whose `op` answers only once its login command has run.
fn with_locked_op() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write_program(
        "op",
        "#!/bin/sh\n[ -e logged-in ] && { printf opened; exit 0; }\necho '[ERROR] you are not currently signed in' >&2\nexit 1\n",
    );
    sandbox.write(
        "fnox.toml",
        "[providers.op]\ntype = \"1password\"\nvault = \"V\"\nauth_command = \"touch logged-in\"\n\
         [secrets]\nA = { provider = \"op\", value = \"item\" }\n",
    );
    sandbox
}

#[test]
fn a_locked_provider_offers_its_login_command_and_is_asked_once_more() {
    let sandbox = with_locked_op();
    let mut session = Session::start(&sandbox, "get A");
    session.answer("Run `touch logged-in` now?", "y\r");
    assert!(session.ends_with(0).contains("opened"));
}

#[test]
fn a_declined_login_and_no_terminal_are_authentication_needed() {
    let sandbox = with_locked_op();
    let mut session = Session::start(&sandbox, "get A");
    session.answer("Run `touch logged-in` now?", "n\r");
    session.ends_with(4);
    sandbox.run(["get", "A"]).finish().exits_with(4);
    let asked = Session::start(&sandbox, "--non-interactive get A").ends_with(4);
    assert!(!asked.contains("logged-in` now?"), "{asked}");
}
