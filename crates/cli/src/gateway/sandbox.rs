//! A sandbox for a program behind the gateway, made by bubblewrap.
//!
//! Its own user, mount, process, IPC and network namespaces. The file system is read-only but for the project's folder
//! and what the configuration adds; folders where credentials usually lie are empty; nothing of the network is there
//! but a bridge to the gateway's socket. It is made or the program does not run. Inside, the bridge gives up more of what
//! it could ask of the kernel (`confinement`) before it starts the program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fnox_config::{Config, FileKind, Folders, fields::resolve_path};
use fnox_core::{Env, ExitStatus};

use crate::error::CliError;

/// Where programs keep credentials, below the home folder.
const SECRET_PLACES: [&str; 34] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".oci",
    ".config/gcloud",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/op",
    ".config/fnox",
    ".config/sops",
    ".config/age",
    ".config/doctl",
    ".config/rclone",
    ".config/containers",
    ".local/state/fnox",
    ".local/share/fnox",
    ".local/share/keyrings",
    ".password-store",
    ".age",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".pypirc",
    ".npmrc",
    ".vault-token",
    ".terraform.d/credentials.tfrc.json",
    ".cargo/credentials.toml",
    ".cargo/credentials",
    ".pgpass",
    ".my.cnf",
];

/// Folders that every sandbox has empty ones of.
const EMPTY: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// What of the outside the program sees and may change.
#[derive(Debug)]
pub(crate) struct Sandbox {
    project: PathBuf,
    working_folder: PathBuf,
    read_only: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    readable: Vec<PathBuf>,
    program: PathBuf,
}

/// Where the gateway is, inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// The folder of its socket and of what programs must read in order to believe it.
    pub(crate) folder: &'a Path,
    /// Its socket.
    pub(crate) socket: &'a Path,
    /// The port of loopback at which programs look for it.
    pub(crate) port: u16,
}

impl Sandbox {
    /// The sandbox for a project, and whether one can be made here at all.
    ///
    /// # Errors
    /// If none can; nothing secret was read yet.
    pub(crate) fn new(
        config: &Config,
        folders: &Folders,
        env: &Env,
        working_folder: &Path,
    ) -> Result<Self, CliError> {
        let home = folders.home();
        let project = config
            .files
            .iter()
            .rev()
            .find(|file| !matches!(file.kind, FileKind::Global))
            .and_then(|file| file.path.parent())
            .unwrap_or(working_folder)
            .to_owned();
        if Some(project.as_path()) == home || project == Path::new("/") {
            return Err(refused(
                "the project would be the whole home folder or system",
                "move fnox.toml into a folder of its own: the sandbox lets the program write there",
            ));
        }
        let list = |key: &str| -> Vec<PathBuf> {
            let proxy = config.settings.sections.get("proxy");
            let texts = proxy.map(|proxy| proxy.list(key)).unwrap_or_default();
            let paths = texts.iter().map(|text| resolve_path(text, &project, home));
            paths.collect()
        };
        let mut hidden: Vec<PathBuf> = Vec::new();
        let mut read_only = Vec::new();
        for file in &config.files {
            match file.kind {
                FileKind::Global | FileKind::Local => hidden.push(file.path.clone()),
                _ => read_only.push(file.path.clone()),
            }
        }
        if let Some(home) = home {
            hidden.extend(SECRET_PLACES.map(|place| home.join(place)));
        }
        hidden.extend([folders.config.clone(), folders.state.clone()]);
        hidden.extend(list("sandbox_deny_read"));
        hidden.extend(of_approvals(config, home));
        // Some systems have their programs in `/run`.
        let path = env.var_os("PATH").unwrap_or_default();
        read_only.extend(
            std::env::split_paths(&path)
                .filter(|folder| EMPTY.iter().any(|empty| folder.starts_with(empty))),
        );
        let sandbox = Self {
            working_folder: working_folder.to_owned(),
            read_only,
            hidden,
            writable: list("sandbox_allow_write"),
            readable: list("sandbox_allow_read"),
            program: std::env::current_exe().map_err(CliError::Output)?,
            project,
        };
        probe(env)?;
        Ok(sandbox)
    }

    /// The command line that runs `command` in it.
    pub(crate) fn command_line(&self, way: Way<'_>, command: &[OsString]) -> Vec<OsString> {
        let mut line = Line(vec!["bwrap".into()]);
        line.words(&NAMESPACES);
        if !terminal_refuses_input() {
            line.words(&["--new-session"]);
        }
        line.words(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for folder in EMPTY {
            line.words(&["--tmpfs", folder]);
        }
        line.bind("--bind", &self.project);
        for path in &self.writable {
            line.bind("--bind-try", path);
        }
        for path in &self.read_only {
            line.bind("--ro-bind-try", path);
        }
        for path in &self.hidden {
            line.hide(path);
        }
        for path in &self.readable {
            line.bind("--ro-bind-try", path);
        }
        line.bind("--ro-bind", way.folder);
        line.bind("--ro-bind", &self.program);
        line.path("--chdir", &self.working_folder);
        line.words(&["--"]);
        line.0.push(self.program.clone().into());
        line.words(&["agent", "bridge", "--port", &way.port.to_string()]);
        line.path("--socket", way.socket);
        for path in [&self.project].into_iter().chain(&self.writable) {
            line.path("--writable", path);
        }
        line.words(&["--"]);
        line.0.extend(command.iter().cloned());
        line.0
    }
}

/// By what a run's questions are asked at a vault: with the token a program could ask in the gateway's name, and at the socket it
/// could be the person who answers.
fn of_approvals(config: &Config, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(proxy) = config.settings.sections.get("proxy") else {
        return Vec::new();
    };
    let keys = ["approval_token_file", "approval_vault"];
    let mut paths: Vec<PathBuf> = keys
        .into_iter()
        .filter_map(|key| proxy.path(key, home))
        .collect();
    let socket = proxy.text("approval_vault").unwrap_or_default();
    paths.extend(socket.strip_prefix("unix:").map(PathBuf::from));
    paths
}

/// Makes one for `true`.
fn probe(env: &Env) -> Result<(), CliError> {
    if !cfg!(target_os = "linux") {
        return Err(absent());
    }
    let mut command = Command::new("bwrap");
    command
        .args(NAMESPACES)
        .args(["--ro-bind", "/", "/", "--", "true"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(path) = env.var_os("PATH") {
        command.env("PATH", path);
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(refused(
                &format!("bubblewrap cannot make one here: {said}"),
                "the system must allow user namespaces: docs/guide/agents.md says how; `--no-sandbox` runs without",
            ))
        }
        Err(_) => Err(refused(
            "`bwrap` is not there",
            "install bubblewrap (Debian, Fedora, Arch: the package `bubblewrap`); `--no-sandbox` runs without",
        )),
    }
}

/// What a sandbox has of its own, and that it ends with fnox.
const NAMESPACES: [&str; 6] = [
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-net",
    "--unshare-uts",
    "--die-with-parent",
];

struct Line(Vec<OsString>);

impl Line {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn path(&mut self, flag: &str, path: &Path) {
        self.0.push(flag.into());
        self.0.push(path.into());
    }

    fn bind(&mut self, flag: &str, path: &Path) {
        self.path(flag, path);
        self.0.push(path.into());
    }

    /// An empty folder in the place of a folder, an empty file in the place of a file. Behind a link it hides what the
    /// link leads to.
    fn hide(&mut self, path: &Path) {
        let Ok(real) = path.canonicalize() else {
            return;
        };
        if real.is_dir() {
            self.path("--tmpfs", &real);
        } else {
            self.path("--ro-bind", Path::new("/dev/null"));
            self.0.push(real.into());
        }
    }
}

/// Whether programs cannot type into the terminal that they share with the person (`TIOCSTI`): since Linux
/// 6.2 an administrator can say so. Otherwise the sandbox needs a session of its own.
fn terminal_refuses_input() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|text| text.trim() == "0")
}

/// What is said where there are no namespaces to make one of.
pub(crate) fn absent() -> CliError {
    refused(
        "fnox makes sandboxes on Linux only",
        "run it in a Linux container or virtual machine (docs/guide/vm.md), or with `--no-sandbox`: then nothing \
         but the environment leads the program to the gateway",
    )
}

fn refused(problem: &str, help: &str) -> CliError {
    CliError::NotStarted {
        message: format!("the program does not run without its sandbox: {problem}"),
        status: ExitStatus::Failure,
        help: Some(help.to_owned()),
    }
}

/// Whether a run is to be in a sandbox.
pub(crate) fn is_wanted(config: &Config, sandbox: bool, no_sandbox: bool) -> bool {
    let proxy = config.settings.sections.get("proxy");
    let configured = proxy.and_then(|proxy| proxy.flag("sandbox"));
    sandbox || (!no_sandbox && configured.unwrap_or(false))
}
