//! A vault that runs, for tests of `fnox vault`.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Run, Running, Sandbox};
use rustix::process::Signal;

use crate::support;

/// A rule that lets `coder-1` use `github-token` at GitHub.
pub(crate) const GITHUB: &str = "\
[[rule]]
name = \"github\"
agent = \"coder-1\"
secret = \"github-token\"
hosts = [\"api.github.com\", \"github.com\"]
ttl = \"5m\"
max_uses = 20
renewable = true
";

/// A vault in a sandbox. It ends with the test.
#[derive(Debug)]
pub(crate) struct Vault {
    pub sandbox: Sandbox,
    serving: Option<Running>,
    options: Vec<String>,
}

impl Vault {
    /// A vault with this policy, set up and running.
    #[track_caller]
    pub(crate) fn with_policy(policy: &str) -> Self {
        Self::serving(policy, &[])
    }

    /// The same, with more arguments for `serve`.
    #[track_caller]
    pub(crate) fn serving(policy: &str, options: &[&str]) -> Self {
        Self::serving_in(support::sandbox(), policy, options)
    }

    /// The same, in a sandbox that is prepared already.
    #[track_caller]
    pub(crate) fn serving_in(sandbox: Sandbox, policy: &str, options: &[&str]) -> Self {
        support::ok(&sandbox, &["vault", "init"]);
        sandbox.write_private(sandbox.config_folder().join("policy.toml"), policy);
        let mut vault = Self {
            sandbox,
            serving: None,
            options: options.iter().map(|&option| option.to_owned()).collect(),
        };
        vault.start();
        vault
    }

    #[track_caller]
    pub(crate) fn start(&mut self) {
        let mut arguments = vec!["vault".to_owned(), "serve".to_owned()];
        arguments.extend(self.options.iter().cloned());
        let mut running = self
            .sandbox
            .run(&arguments)
            .env("RUST_LOG", "debug")
            .start();
        let socket = self.socket();
        until("the vault's socket", Duration::from_secs(30), || {
            UnixStream::connect(&socket).is_ok() || !running.is_running()
        });
        let runs = running.is_running();
        assert!(runs, "the vault did not start: {}", running.finish());
        self.serving = Some(running);
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Run {
        let running = self.serving.take().expect("a vault that runs");
        running.signal(Signal::TERM);
        running.finish().exits_with(0)
    }

    /// Ends it as a crash does.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let running = self.serving.take().expect("a vault that runs");
        running.signal(Signal::KILL);
        running.finish();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.serving
            .as_ref()
            .expect("a vault that runs")
            .signal(signal);
    }

    /// What it has said so far.
    pub(crate) fn stderr_so_far(&self) -> String {
        self.serving
            .as_ref()
            .map(Running::stderr_so_far)
            .unwrap_or_default()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sandbox.runtime_folder().join("fnox/vault.sock")
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.sandbox.home().join(".local/share/fnox")
    }

    pub(crate) fn policy_file(&self) -> PathBuf {
        self.sandbox.config_folder().join("policy.toml")
    }

    /// `fnox vault …`
    pub(crate) fn run(&self, arguments: &[&str]) -> Invocation {
        self.sandbox.run([&["vault"], arguments].concat())
    }

    /// It must succeed; its stdout.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).finish().succeeds().stdout
    }

    /// The JSON document that it prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        support::json(&self.ok(&[arguments, &["--json"]].concat()))
    }

    /// It must end with this code; its stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.run(arguments).finish().exits_with(code).stderr
    }

    /// Stores a secret.
    #[track_caller]
    pub(crate) fn store(&self, name: &str, value: impl Into<Vec<u8>>) {
        let run = self.run(&["secret", "set", name]).stdin(value);
        run.finish().succeeds();
    }

    /// The file of a new token for an agent.
    #[track_caller]
    pub(crate) fn token_for(&self, agent: &str) -> String {
        let path = self.sandbox.root().join(format!("{agent}.token"));
        let path = path.to_str().unwrap().to_owned();
        self.ok(&["token", "create", "--agent", agent, "--output", &path]);
        path
    }
}
