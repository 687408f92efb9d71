//! Runs `fnox exec` with secrets of the provider `plain`, in a home folder of its own, and gives tests the
//! process itself: to signal, to kill, to read from while it runs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A run that is about to start.
#[derive(Debug)]
pub(crate) struct Harness {
    folder: tempfile::TempDir,
    secrets: Vec<(String, String)>,
    flags: Vec<&'static str>,
    program: Option<Vec<&'static str>>,
    environment: Vec<(OsString, OsString)>,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700);
        for name in ["home", "run", "project"] {
            private.create(folder.path().join(name)).unwrap();
        }
        let environment = [
            ("HOME", folder.path().join("home").into_os_string()),
            (
                "XDG_RUNTIME_DIR",
                folder.path().join("run").into_os_string(),
            ),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ];
        Self {
            environment: environment.map(|(name, value)| (name.into(), value)).into(),
            folder,
            secrets: Vec::new(),
            flags: Vec::new(),
            program: None,
        }
    }

    /// A secret of the environment.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.secret(name, value, "")
    }

    /// A secret that the program gets as a file.
    pub(crate) fn file(self, name: &str, value: &str) -> Self {
        self.secret(name, value, ", as_file = true")
    }

    /// A secret that never reaches the program.
    pub(crate) fn withheld(self, name: &str, value: &str) -> Self {
        self.secret(name, value, ", env = false")
    }

    fn secret(mut self, name: &str, value: &str, more: &str) -> Self {
        // A JSON string is a TOML string.
        let value = serde_json::to_string(value).unwrap();
        let entry = format!("{{ provider = \"plain\", value = {value}{more} }}");
        self.secrets.push((name.to_owned(), entry));
        self
    }

    /// A flag of `fnox exec`.
    pub(crate) fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    /// A program in the place of a shell script.
    pub(crate) fn program(mut self, words: &[&'static str]) -> Self {
        self.program = Some(words.to_vec());
        self
    }

    /// A variable for fnox.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Where fnox runs.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// fnox's run-time folder.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.folder.path().join("run/fnox")
    }

    /// The folders of all runs.
    pub(crate) fn run_folders(&self) -> Vec<PathBuf> {
        match std::fs::read_dir(self.runtime().join("exec")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// `fnox exec` of a shell script.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut text =
            "root = true\n[providers]\nplain = { type = \"plain\" }\n[secrets]\n".to_owned();
        for (name, entry) in &self.secrets {
            writeln!(text, "{name} = {entry}").unwrap();
        }
        std::fs::write(self.project().join("fnox.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fnox"));
        command.arg("exec").args(&self.flags).arg("--");
        match &self.program {
            Some(words) => command.args(words),
            None => command.args(["sh", "-c", script]),
        };
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.project())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same, started by a shell that does something else before; it ends in `exec "$@"`.
    pub(crate) fn command_after(&self, preparation: &str, script: &str) -> Command {
        let fnox = self.command(script);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{preparation}; exec \"$@\""), "sh"])
            .arg(fnox.get_program())
            .args(fnox.get_args())
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.project())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, script: &str) -> Child {
        self.command(script).spawn().unwrap()
    }

    pub(crate) fn run(&self, script: &str) -> Ended {
        finish(self.start(script))
    }
}

/// How a run ended and what was printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn finish(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        signal: output.status.signal(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Reads from a child's stdout until a text shows up.
pub(crate) fn read_until(child: &mut Child, text: &str) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut byte = [0];
        let count = stdout.read(&mut byte).unwrap();
        let so_far = String::from_utf8_lossy(&seen);
        assert_eq!(count, 1, "{text} did not come: {so_far}");
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

pub(crate) fn until(what: &str, question: impl FnMut() -> bool) {
    fnox_testkit::wait::until(what, Duration::from_secs(30), question);
}

pub(crate) fn process(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

pub(crate) fn signal(id: u32, signal: rustix::process::Signal) {
    rustix::process::kill_process(process(id), signal).unwrap();
}

/// The processes whose arguments contain a text.
pub(crate) fn processes_with(text: &Path) -> Vec<u32> {
    let text = text.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&arguments)
                .contains(text)
                .then_some(id)
        })
        .collect()
}
