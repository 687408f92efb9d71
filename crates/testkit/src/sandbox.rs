//! Runs the real binary in a home folder and an environment of its own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use fnox_core::Env;
use tempfile::TempDir;

use crate::Canary;
use crate::filters::Filters;
use crate::run::{Invocation, Run};

/// A folder of its own for each test: `home/`, `run/`, `tmp/`, `bin/` (first on PATH) and `project/`
/// (the working folder). It is gone afterwards.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    root: PathBuf,
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Sandbox {
    /// A sandbox for a program: `Sandbox::new(env!("CARGO_BIN_EXE_fnox"))`.
    ///
    /// # Panics
    /// If the folders cannot be made.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("fnox-test-")
            .tempdir()
            .expect("a temporary folder");
        let root = folder.path().canonicalize().expect("a path without links");
        for name in ["home", "run", "tmp", "bin", "project"] {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(root.join(name))
                .expect("a folder in the sandbox");
        }
        Self {
            variables: variables(&root),
            program: program.as_ref().to_owned(),
            folder,
            root,
        }
    }

    /// Sets a variable for all runs.
    #[must_use]
    pub fn with_env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The working folder.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    /// fnox's folder for global configuration.
    #[must_use]
    pub fn config_folder(&self) -> PathBuf {
        self.root.join("home/.config/fnox")
    }

    /// fnox's folder for state: the ledger and its key.
    #[must_use]
    pub fn state_folder(&self) -> PathBuf {
        self.root.join("home/.local/state/fnox")
    }

    /// `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime_folder(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Writes a file; a relative path starts at the working folder. Returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(path);
        let folder = path.parent().expect("a file stands in a folder");
        fs::create_dir_all(folder).expect("the file's folder");
        fs::write(&path, content).expect("a file in the sandbox");
        path
    }

    /// Writes a file that only its owner may read.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_private(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(path, content);
        set_mode(&path, 0o600);
        path
    }

    /// Puts a program on PATH, before all others: a script that starts with `#!`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_program(&self, name: &str, script: &str) -> PathBuf {
        // The file appears under its name only once it is whole and closed for writing: exec of a file
        // that some process still has open for writing fails with ETXTBSY (execve(2)).
        let draft = self.write(self.root.join("bin").join(format!(".{name}")), script);
        set_mode(&draft, 0o755);
        let program = self.root.join("bin").join(name);
        fs::rename(&draft, &program).expect("a program in the sandbox");
        program
    }

    /// Reads a file of the working folder.
    ///
    /// # Panics
    /// If it cannot be read as text.
    #[must_use]
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.project().join(path);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    /// The program with arguments, in the working folder, with the sandbox's environment and nothing on stdin.
    pub fn run<I>(&self, arguments: I) -> Invocation
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.run_program(&self.program, arguments)
    }

    /// Another program, in the same surroundings.
    pub fn run_program<I>(&self, program: impl AsRef<OsStr>, arguments: I) -> Invocation
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        Invocation::new(command)
    }

    /// The replacements that make this sandbox's output comparable.
    #[must_use]
    pub fn filters(&self) -> Filters {
        Filters::default()
            .and_path(&self.project(), "[project]")
            .and_path(&self.home(), "[home]")
            .and_path(&self.root, "[sandbox]")
            .extended(Filters::common())
    }

    /// Fails if the value stands in a run's output or in any file that the runs left behind, but for those in
    /// the working folder, which the test wrote itself.
    ///
    /// # Panics
    /// If it does.
    pub fn assert_no_leak(&self, value: impl AsRef<[u8]>, runs: &[&Run]) {
        let outputs: Vec<(&str, &[u8])> = runs
            .iter()
            .flat_map(|run| {
                [
                    ("stdout", run.stdout.as_bytes()),
                    ("stderr", run.stderr.as_bytes()),
                ]
            })
            .collect();
        let [home, run, tmp] = ["home", "run", "tmp"].map(|name| self.root.join(name));
        Canary::new(value).assert_absent(&outputs, &[&home, &run, &tmp]);
    }

    /// Leaves the folder on disk and says where it is: for looking at a failure.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// The environment of a login without anything of the surrounding one but PATH.
fn variables(root: &Path) -> Vec<(OsString, OsString)> {
    let mut path = root.join("bin").into_os_string();
    if let Some(inherited) = Env::of_process().var_os("PATH") {
        path.push(":");
        path.push(inherited);
    }
    let home = root.join("home");
    let pairs: [(&str, OsString); 12] = [
        ("HOME", home.clone().into()),
        ("XDG_CONFIG_HOME", home.join(".config").into()),
        ("XDG_STATE_HOME", home.join(".local/state").into()),
        ("XDG_DATA_HOME", home.join(".local/share").into()),
        ("XDG_CACHE_HOME", home.join(".cache").into()),
        ("XDG_RUNTIME_DIR", root.join("run").into()),
        ("TMPDIR", root.join("tmp").into()),
        ("PATH", path),
        ("LANG", "C.UTF-8".into()),
        ("TERM", "dumb".into()),
        // Proxies of the machine must not stand between a test and loopback.
        ("no_proxy", "*".into()),
        // Otherwise AWS SDKs look for an instance's credentials on 169.254.169.254.
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode for the file");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_of_the_surrounding_environment_but_path_reaches_the_program() {
        let sandbox = Sandbox::new("env").with_env("EXTRA", "1");
        let run = sandbox.run([] as [&str; 0]).finish().succeeds();
        let mut names: Vec<&str> = run
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        names.sort_unstable();
        assert_eq!(
            names.join(" "),
            "AWS_EC2_METADATA_DISABLED EXTRA HOME LANG PATH TERM TMPDIR XDG_CACHE_HOME \
             XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME no_proxy"
        );
    }

    #[test]
    fn shows_how_a_program_ended_and_what_it_printed() {
        let sandbox = Sandbox::new("sh");
        let run = sandbox
            .run(["-c", "cat; pwd; echo oh >&2; exit 7"])
            .stdin("in ")
            .finish()
            .exits_with(7);
        assert_eq!(sandbox.filters().apply(&run.stdout), "in [project]\n");
        assert_eq!(run.stderr, "oh\n");

        let running = sandbox.run(["-c", "exec sleep 600"]).start();
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.finish().signal, Some(15));
    }

    #[test]
    fn programs_of_the_sandbox_come_first_on_path() {
        let sandbox = Sandbox::new("sh");
        sandbox.write_program("age", "#!/bin/sh\necho not the real one\n");
        let run = sandbox.run(["-c", "age --version"]).finish().succeeds();
        assert_eq!(run.stdout, "not the real one\n");
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_run_that_hangs_fails_the_test() {
        let sandbox = Sandbox::new("sleep");
        let hanging = sandbox.run(["600"]);
        hanging.limit(Duration::from_millis(50)).finish();
    }

    #[test]
    #[should_panic(expected = "a secret leaked to: stderr")]
    fn a_leak_fails_the_test_without_showing_the_value() {
        let sandbox = Sandbox::new("sh");
        let run = sandbox.run(["-c", "echo canary-123 >&2"]).finish();
        sandbox.assert_no_leak("canary-123", &[&run]);
    }
}
