//! A team server as a process that can be killed, limited and watched, an issuer in two files, and as little client as
//! HTTP/1.1 allows.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::clock::{Clock as _, SystemClock};
use fnox_server::oidc::OwnIssuer;
use fnox_testkit::wait::until_some;
use fnox_testkit::{Invocation, Run, Running, Sandbox};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support;
use crate::team_http::{Answer, Client};

/// How long anything here may take before it counts as never.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "https://fnox.example.com";

/// Jobs of one repository: some keys need a person's yes, others do not.
const POLICY: &str = r#"
[[rule]]
name = "release"
issuer = "github"
repository_id = "1296269"
refs = ["refs/heads/main"]
projects = ["my-app"]
keys = ["NPM_*"]

[[rule]]
name = "free"
issuer = "github"
repository_id = "1296269"
refs = ["refs/heads/main"]
projects = ["my-app"]
keys = ["FREE_*"]
require_approval = false
"#;

/// A server's place: settings, policy, keys and database. Nothing runs yet.
pub(crate) struct Home {
    pub sandbox: Sandbox,
    /// The bootstrap administrator's token.
    pub admin: String,
    issuer: OwnIssuer,
    runs: AtomicU64,
}

/// What differs from one test to the next.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    /// More lines for `[limits]`, in the place of generous ones.
    pub limits: Option<&'a str>,
    /// A database that is no file of this home.
    pub database: Option<&'a str>,
}

impl Home {
    /// With a server that is set up.
    pub(crate) fn new() -> Self {
        Self::with(support::sandbox(), &Options::default())
    }

    /// In a sandbox that is prepared already.
    pub(crate) fn with(sandbox: Sandbox, options: &Options<'_>) -> Self {
        let folder = folder(&sandbox);
        let own = data_folder(&sandbox).join("server.db");
        let database = options.database.unwrap_or(own.to_str().unwrap());
        let made = sandbox
            .run(["serve", "init", "--json", "--public-url", AUDIENCE, "--dir"])
            .env("FNOX_SERVER_DATABASE", database);
        let made = with_path(made, &folder).finish().succeeds();
        let made = support::json(&made.stdout);
        let issuer = OwnIssuer::generate().unwrap();
        sandbox.write_private(folder.join("jwks.json"), issuer.key_set());
        sandbox.write_private(folder.join("policy.toml"), POLICY);
        let generous = "principal_per_minute = 100000000\nanonymous_per_minute = 100000000";
        let text = format!(
            "public_url = \"{AUDIENCE}\"\ndatabase = \"{database}\"\nsigning_key = \"server.key\"\n\
             policy = \"policy.toml\"\n\n[[issuer]]\nname = \"github\"\nurl = \"{ISSUER}\"\n\
             algorithms = [\"EdDSA\"]\njwks_file = \"jwks.json\"\n\n\
             [approvals]\npending_limit = 100000000\ngrant_lifetime = \"10m\"\n\n[limits]\n{}\n",
            options.limits.unwrap_or(generous),
        );
        sandbox.write_private(folder.join("server.toml"), text);
        Self {
            admin: made["bootstrap_token"].as_str().unwrap().to_owned(),
            issuer,
            sandbox,
            runs: AtomicU64::new(0),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        folder(&self.sandbox)
    }

    /// The folder of the database, with nothing else in it.
    pub(crate) fn data_folder(&self) -> PathBuf {
        data_folder(&self.sandbox)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data_folder().join("server.db")
    }

    /// `fnox serve …` about this server.
    pub(crate) fn about(&self, arguments: &[&str]) -> Invocation {
        let run = self
            .sandbox
            .run([&["serve"], arguments, &["--config"]].concat());
        with_path(run, &self.folder().join("server.toml"))
    }

    /// The log must be as it was written.
    #[track_caller]
    pub(crate) fn verify_audit(&self) {
        self.about(&["audit", "verify"]).finish().succeeds();
    }

    /// Starts the server.
    #[track_caller]
    pub(crate) fn serve(&self) -> Process {
        self.started(self.about(&["--listen", "127.0.0.1:0"]))
    }

    /// Starts it by another program, which gets the server's command line as its last arguments.
    #[track_caller]
    pub(crate) fn serve_through(&self, wrapper: &[&str]) -> Process {
        let (program, arguments) = wrapper.split_first().unwrap();
        let serve = [
            env!("CARGO_BIN_EXE_fnox"),
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
        ];
        let run = self
            .sandbox
            .run_program(program, [arguments, &serve].concat());
        self.started(with_path(run, &self.folder().join("server.toml")))
    }

    /// Starts a command that becomes the server, and waits until it serves.
    #[track_caller]
    fn started(&self, invocation: Invocation) -> Process {
        let mut running = invocation.limit(LIMIT).start();
        let address = until_some("the server's address", LIMIT, || {
            let said = running.stderr_so_far();
            if let Some((_, rest)) = said.split_once("serving at http://") {
                return Some(rest.split_whitespace().next().map(str::to_owned));
            }
            (!running.is_running()).then_some(None)
        });
        let Some(address) = address else {
            panic!("the server did not start: {}", running.finish());
        };
        Process {
            running,
            address,
            admin: self.admin.clone(),
        }
    }

    /// A new token of the CI: each is another run.
    pub(crate) fn token(&self) -> String {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let claims = json!({
            "sub": "repo:octo-org/hello:ref:refs/heads/main", "repository": "octo-org/hello",
            "repository_id": "1296269", "ref": "refs/heads/main", "event_name": "push",
            "run_id": run.to_string(), "run_attempt": "1",
        });
        let life = Duration::from_mins(20);
        let claims = claims.as_object().unwrap();
        let now = SystemClock.now();
        self.issuer
            .sign(ISSUER, AUDIENCE, claims, life, now)
            .unwrap()
            .to_string()
    }

    /// A session of a new run.
    pub(crate) async fn session(&self, client: &mut Client) -> String {
        let answer = client.post("/v1/sessions", &self.token(), "").await.ok();
        answer.text("token")
    }
}

fn folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("server")
}

fn data_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("data")
}

fn with_path(mut invocation: Invocation, path: &Path) -> Invocation {
    invocation.command().arg(path);
    invocation
}

/// A server that runs. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Process {
    running: Running,
    pub address: String,
    admin: String,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// The bootstrap administrator's token.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    pub(crate) fn said(&self) -> String {
        self.running.stderr_so_far()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.running.is_running()
    }

    /// SIGKILL, as the out-of-memory killer sends it.
    pub(crate) fn kill(self) -> Run {
        self.running.signal(Signal::KILL);
        self.running.finish()
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub(crate) fn end(self) -> Run {
        self.running.signal(Signal::TERM);
        let ended = self.running.finish().exits_with(0);
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        ended
    }

    /// A line of `/proc/PID/status`, such as `VmRSS`, without unit.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        let number = line.trim_start_matches(':').split_whitespace().next();
        number.unwrap().parse().unwrap()
    }

    /// Stores a value; the server only sees that it looks like an age file.
    pub(crate) async fn put(&self, client: &mut Client, key: &str, number: u64) -> Answer {
        let path = format!("/v1/projects/my-app/secrets/{key}");
        let body = json!({"ciphertext": looks_like_age(number), "recipients": [RECIPIENT]});
        client
            .send("PUT", &path, &self.admin, &body.to_string())
            .await
            .unwrap()
    }

    /// Says yes or no in the name of the administrator.
    pub(crate) async fn decide(
        &self,
        client: &mut Client,
        asked: &Value,
        decision: &str,
    ) -> Answer {
        let path = decision_path(asked["id"].as_str().unwrap());
        let body = json!({"decision": decision, "code": asked["code"]}).to_string();
        client.post(&path, &self.admin, &body).await
    }

    /// A status word of `/healthz`, and the status code of `/readyz`.
    pub(crate) async fn health(&self) -> (String, u16) {
        let mut client = self.client();
        let live = client.get("/healthz", "").await.ok();
        let ready = client.get("/readyz", "").await;
        (live.text("status"), ready.status)
    }
}

pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

pub(crate) fn decision_path(id: &str) -> String {
    format!("/v1/approvals/{id}/decision")
}

/// Bytes that have the form of an age file, and a number in them.
pub(crate) fn looks_like_age(number: u64) -> String {
    let mac = "x".repeat(43);
    let header = format!("age-encryption.org/v1\n-> X25519 abc\n{number:020}\n--- {mac}\n");
    STANDARD.encode([header.as_bytes(), &[7; 64]].concat())
}

/// The body of a request for one key.
pub(crate) fn wanted(key: &str, command: u64) -> String {
    json!({
        "project": "my-app",
        "keys": [key],
        "command_hash": format!("{command:064x}"),
        "command_display": "npm publish",
    })
    .to_string()
}

/// The body that exchanges an approval.
pub(crate) fn exchange(asked: &Value) -> String {
    json!({"approval_id": asked["id"]}).to_string()
}
