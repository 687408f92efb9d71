//! A sandbox for a program behind the gateway, made by bubblewrap.
//!
//! Its own user, mount, process, IPC and network namespaces. The file system is read-only but for the project's folder
//! and what the configuration adds; folders where credentials usually lie are empty; nothing of the network is there
//! but a bridge to the gateway's socket. It is made or the program does not run. Inside, the bridge gives up more of what
//! it could ask of the kernel (`confinement`) before it starts the program.

mod view;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fnox_config::discover::place;
use fnox_config::fields::resolve_path;
use fnox_config::{Config, FileKind};
use fnox_core::{Env, ExitStatus};

use self::view::{Ground, View};
use crate::app::App;
use crate::error::CliError;
use crate::gateway::out_of_reach::{self, without_links};

/// Folders that every sandbox has empty ones of.
const EMPTY: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// What of `/proc` is no process.
const OF_THE_MACHINE: [&str; 7] = [
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/scsi",
];

/// What of the outside the program sees and may change.
#[derive(Debug)]
pub(crate) struct Sandbox {
    project: PathBuf,
    working_folder: PathBuf,
    read_only: Vec<PathBuf>,
    view: View,
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
    /// If none can, or something in it could not be hidden; nothing secret was read yet.
    pub(crate) fn new(app: &App, config: &Config) -> Result<Self, CliError> {
        let home = app.folders.home();
        let project = config
            .files
            .iter()
            .rev()
            .find(|file| !matches!(file.kind, FileKind::Global))
            .map_or(app.cwd.as_path(), |file| place(&file.path));
        let project = without_links(project);
        if Some(&project) == home.map(without_links).as_ref() || project == Path::new("/") {
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
        keep_descriptors_out()?;
        probe(&app.env)?;
        let writable = list("sandbox_allow_write");
        let writable = writable.iter().map(|path| writable_path(path, home));
        let writable = writable.collect::<Result<Vec<_>, _>>()?;
        let found = out_of_reach::collect(app, config, &list("sandbox_deny_read"))?;
        let ground = Ground {
            project: &project,
            writable: &writable,
            read_only: &found.read_only,
            empty: &EMPTY,
            printer: app.printer,
        };
        let view = View::of(&found.hidden, ground)?;
        let mut read_only = found.read_only;
        // Some systems have their programs in `/run`.
        let path = app.env.var_os("PATH").unwrap_or_default();
        read_only.extend(
            std::env::split_paths(&path)
                .filter(|folder| EMPTY.iter().any(|empty| folder.starts_with(empty))),
        );
        Ok(Self {
            working_folder: app.cwd.clone(),
            read_only,
            view,
            writable,
            readable: list("sandbox_allow_read"),
            program: std::env::current_exe().map_err(CliError::Output)?,
            project,
        })
    }

    /// The command line that runs `command` in it.
    pub(crate) fn command_line(&self, way: Way<'_>, command: &[OsString]) -> Vec<OsString> {
        let mut line = Line(vec!["bwrap".into()]);
        line.words(&NAMESPACES);
        if !terminal_refuses_input() {
            line.words(&["--new-session"]);
        }
        // Root in a namespace is not less than root to a file of the system's root, and those of `/proc/sys` act on all.
        line.words(&["--cap-drop", "ALL"]);
        line.words(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for place in OF_THE_MACHINE {
            line.bind("--ro-bind-try", Path::new(place));
        }
        for folder in EMPTY {
            line.words(&["--tmpfs", folder]);
        }
        self.view.before(&mut line);
        line.bind("--bind", &self.project);
        for path in &self.writable {
            line.bind("--bind", path);
        }
        self.view.pin(&mut line);
        for path in &self.read_only {
            line.bind("--ro-bind-try", path);
        }
        self.view.after(&mut line);
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

/// What whoever started fnox had open is not for the program: by a folder's descriptor it would read what is hidden from it.
fn keep_descriptors_out() -> Result<(), CliError> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        for stream in [input.as_fd(), output.as_fd(), errors.as_fd()] {
            let kind = rustix::fs::fstat(stream)
                .map(|file| rustix::fs::FileType::from_raw_mode(file.st_mode));
            if kind == Ok(rustix::fs::FileType::Directory) {
                return Err(refused(
                    "a standard stream is a folder, by which it could read everything in it",
                    "start it with `</dev/null`, or with files and pipes",
                ));
            }
        }
        close_fds::set_fds_cloexec(3, &[]);
    }
    Ok(())
}

/// A folder that the program may write to, which is made if it is not there: otherwise the program would find nothing that it
/// could write to, and nobody would know why.
fn writable_path(path: &Path, home: Option<&Path>) -> Result<PathBuf, CliError> {
    let shown = path.display();
    let real = without_links(path);
    if home.is_some_and(|home| without_links(home).starts_with(&real)) || real == Path::new("/") {
        return Err(refused(
            &format!(
                "`sandbox_allow_write` names `{shown}`, which is the whole home folder or system"
            ),
            "name the folders in it that the program needs",
        ));
    }
    if !path.exists() {
        view::make_folder(path).map_err(|error| {
            refused(
                &format!(
                    "`{shown}` of `sandbox_allow_write` is not there and cannot be made: {error}"
                ),
                "make it, or take it out of `[proxy]`",
            )
        })?;
    }
    Ok(without_links(path))
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
