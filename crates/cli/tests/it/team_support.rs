//! A team server that runs, an issuer that another program is, an ntfy that is strict, and the people and jobs around
//! them.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fnox_testkit::stand_in::ntfy::Ntfy;
use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Running, Sandbox};
use rustix::process::Signal;
use serde_json::Value;

use crate::support;

/// What the job of the tests may ask for.
pub(crate) const POLICY: &str = r#"
[[rule]]
name = "release"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]
events = ["push"]
projects = ["my-app"]
keys = ["NPM_*"]

[[rule]]
name = "free"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]
events = ["push"]
projects = ["my-app"]
keys = ["FREE_*"]
require_approval = false
"#;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `scripts/test` sets.
pub(crate) fn variable(name: &str) -> Option<String> {
    fnox_core::Env::of_process().var(name).map(str::to_owned)
}

/// tests/team/issuer.py; ends with the test.
pub(crate) struct Issuer {
    child: Child,
    pub url: String,
    pub request_token: String,
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let python = variable("FNOX_TEST_JOSE_PYTHON").expect("FNOX_TEST_JOSE_PYTHON");
        let mut child = Command::new(python)
            .arg(root().join("tests/team/issuer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the issuer");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).expect("the issuer's line");
        Self {
            child,
            url: told["url"].as_str().unwrap().to_owned(),
            request_token: told["request_token"].as_str().unwrap().to_owned(),
        }
    }

    /// What GitHub gives a job that may log in.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("CI", "true".to_owned()),
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("{}/idtoken?api-version=2.0", self.url),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.request_token.clone()),
        ]
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server in a sandbox of its own. It ends with the test.
pub(crate) struct Team {
    pub admin: Sandbox,
    pub job: Sandbox,
    pub issuer: Issuer,
    pub ntfy: Ntfy,
    pub url: String,
    pub recipient: String,
    pub writer: String,
    folder: PathBuf,
    replicas: Vec<(u16, Option<Running>)>,
}

impl Team {
    /// On SQLite.
    pub(crate) fn start() -> Self {
        Self::with_database("server.db", 1)
    }

    /// `replicas` servers on one database.
    pub(crate) fn with_database(database: &str, replicas: usize) -> Self {
        let admin = support::sandbox();
        let folder = admin.root().join("server");
        let issuer = Issuer::start();
        let ntfy = Ntfy::start();
        let ports: Vec<u16> = (0..replicas).map(|_| support::free_port()).collect();
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let mut init = admin
            .run(["serve", "init", "--json", "--public-url", &url, "--dir"])
            .command_arg(&folder);
        if database.contains("://") {
            // It may hold a password, which is nothing for an argument.
            init = init.env("FNOX_SERVER_DATABASE", database);
        }
        let made = init.finish().succeeds();
        let made: Value = serde_json::from_str(&made.stdout).expect("JSON of init");
        let token = made["bootstrap_token"].as_str().expect("a token");
        let config = format!(
            "public_url = \"{url}\"\ndatabase = \"{database}\"\nsigning_key = \"server.key\"\n\
             policy = \"policy.toml\"\n\n[[issuer]]\nname = \"github\"\nurl = \"{issuer}\"\n\
             allow_origins = [\"{issuer}\"]\n\n[notify.ntfy]\nurl = \"{ntfy}\"\ntopic = \"{topic}\"\n",
            issuer = issuer.url,
            ntfy = ntfy.url(),
            topic = "fnox".repeat(6),
        );
        admin.write_private(folder.join("server.toml"), config);
        admin.write_private(folder.join("policy.toml"), POLICY);
        admin.write_private("admin.token", token);
        let mut team = Self {
            job: support::sandbox(),
            issuer,
            ntfy,
            url,
            recipient: String::new(),
            writer: String::new(),
            folder,
            replicas: ports.into_iter().map(|port| (port, None)).collect(),
            admin,
        };
        for replica in 0..replicas {
            team.start_replica(replica);
        }
        team.give_keys();
        team
    }

    /// The job has the identity; the administrator has the writer key.
    fn give_keys(&mut self) {
        let made = self.job.run(["age", "keygen"]).finish().succeeds();
        self.recipient = made.stdout.trim().to_owned();
        let made = self.admin.run(["age", "keygen"]).finish().succeeds();
        let writer = made
            .stderr
            .split_whitespace()
            .find(|word| word.starts_with("fxwp_"))
            .expect("a writer key");
        self.writer = writer.to_owned();
        let project = format!(
            "[project]\nname = \"my-app\"\nwriters = [\"{}\"]\n\n[profiles.default]\n\
             NPM_TOKEN = {{ description = \"NPM publish token\", require_approval = true }}\n",
            self.writer
        );
        self.job.write("fnox.toml", &project);
        self.admin.write("fnox.toml", &project);
    }

    #[track_caller]
    pub(crate) fn start_replica(&mut self, replica: usize) {
        let port = self.replicas[replica].0;
        let mut running = self
            .admin
            .run([
                "serve",
                "--log",
                "json",
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--config",
            ])
            .command_arg(self.folder.join("server.toml"))
            .start();
        until("the server's port", Duration::from_mins(1), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok() || !running.is_running()
        });
        let runs = running.is_running();
        assert!(runs, "the server did not start: {}", running.finish());
        self.replicas[replica].1 = Some(running);
    }

    /// Ends a server at once.
    pub(crate) fn kill_replica(&mut self, replica: usize) {
        let running = self.replicas[replica].1.take().expect("a server that runs");
        running.signal(Signal::KILL);
        drop(running);
    }

    /// Ends a server as a service manager does, and gives its log.
    pub(crate) fn stop_replica(&mut self, replica: usize) -> String {
        let running = self.replicas[replica].1.take().expect("a server that runs");
        running.signal(Signal::TERM);
        running.finish().exits_with(0).stderr
    }

    pub(crate) fn replica_url(&self, replica: usize) -> String {
        format!("http://127.0.0.1:{}", self.replicas[replica].0)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command of the administrator.
    pub(crate) fn administer(&self, arguments: &[&str]) -> Invocation {
        self.admin
            .run(arguments)
            .env("FNOX_SERVER_URL", &self.url)
            .env(
                "FNOX_SERVER_TOKEN_FILE",
                self.admin.project().join("admin.token"),
            )
    }

    /// Stores a secret.
    #[track_caller]
    pub(crate) fn store(&self, key: &str, value: &str) {
        self.administer(&[
            "secret",
            "set",
            key,
            "--from-stdin",
            "--recipients",
            &self.recipient,
        ])
        .stdin(value)
        .finish()
        .succeeds();
    }

    /// A command of the CI job, which may log in by its CI.
    pub(crate) fn as_job(&self, arguments: &[&str]) -> Invocation {
        self.job
            .run(arguments)
            .env("FNOX_SERVER_URL", &self.url)
            .envs(self.issuer.variables())
    }

    /// Drives a real browser: tests/team/browser.py.
    pub(crate) fn browse(url: &str, steps: &[&str]) -> Vec<Value> {
        let output = Command::new("/usr/bin/python3")
            .arg(root().join("tests/team/browser.py"))
            .arg(url)
            .args(steps)
            .output()
            .expect("the browser");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// The match code in what a run has said so far.
pub(crate) fn match_code(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("match code")?;
    let code: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    (code.len() == 6).then_some(code)
}

/// An argument that may be a path.
trait WithArgument {
    fn command_arg(self, argument: impl AsRef<std::ffi::OsStr>) -> Self;
}

impl WithArgument for Invocation {
    fn command_arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command().arg(argument);
        self
    }
}
