//! A vault as a process that can be killed, limited and watched, and clients of it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_core::{SecretBytes, SecretString};
use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Run, Running, Sandbox};
use fnox_vault_wire::methods::{
    AccessSecret, CreateToken, HealthReport, LeaseGrant, RequestLease, SecretKind, StoreSecret,
    TokenCreated,
};
use fnox_vault_wire::{Client, ClientError, ClientOptions, Connector, LeaseId, Role, SecretValue};
use rustix::process::Signal;

use crate::support;

/// The one secret, and the host it is for.
pub(crate) const SECRET: &str = "the-token";
pub(crate) const HOST: &str = "api.example.com";

/// How long anything here may take before it counts as never.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A rule for every agent of these tests.
const POLICY: &str = "\
[[rule]]
name = \"load\"
agent = \"agent-*\"
secret = \"the-token\"
hosts = [\"api.example.com\"]
ttl = \"6h\"
max_ttl = \"6h\"
renewable = true
";

/// A vault's place: settings, policy, key and store. Nothing runs yet.
#[derive(Debug)]
pub(crate) struct Home {
    pub sandbox: Sandbox,
}

impl Home {
    /// With a vault that is set up.
    pub(crate) fn new() -> Self {
        let home = Self::without_vault();
        home.settle(&[]);
        home
    }

    pub(crate) fn without_vault() -> Self {
        Self::within(support::sandbox())
    }

    pub(crate) fn within(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// `fnox vault …` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.sandbox.run([&["vault"], arguments].concat()).finish()
    }

    /// Sets the vault up, with more settings.
    pub(crate) fn settle(&self, settings: &[&str]) {
        self.settle_with(&[], settings);
    }

    /// The same, with arguments for `init`.
    pub(crate) fn settle_with(&self, arguments: &[&str], settings: &[&str]) {
        support::ok(&self.sandbox, &[&["vault", "init"], arguments].concat());
        let folder = self.sandbox.config_folder();
        self.sandbox
            .write_private(folder.join("policy.toml"), POLICY);
        let agents = self.agents_socket();
        let text = format!(
            "agent_socket = \"{}\"\n{}\n[leases]\nmax_per_agent = 1000000\n",
            agents.display(),
            settings.join("\n"),
        );
        self.sandbox.write_private(folder.join("vault.toml"), text);
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sandbox.runtime_folder().join("fnox/vault.sock")
    }

    pub(crate) fn agents_socket(&self) -> PathBuf {
        self.sandbox.runtime_folder().join("agents.sock")
    }

    /// The folder of the store.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.sandbox.home().join(".local/share/fnox")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.data_folder().join("vault.db")
    }

    /// Starts the vault.
    #[track_caller]
    pub(crate) fn serve(&self) -> Process {
        self.started(self.sandbox.run(["vault", "serve"]))
    }

    /// Starts it by another program, which gets the vault's command line as its last arguments.
    #[track_caller]
    pub(crate) fn serve_through(&self, wrapper: &[&str]) -> Process {
        self.started(self.wrapped(wrapper))
    }

    /// The command that [`Self::serve_through`] starts.
    pub(crate) fn wrapped(&self, wrapper: &[&str]) -> Invocation {
        let (program, arguments) = wrapper.split_first().unwrap();
        let vault = [env!("CARGO_BIN_EXE_fnox"), "vault", "serve"];
        self.sandbox
            .run_program(program, [arguments, &vault].concat())
    }

    /// Starts a command that becomes the vault, and waits until it serves.
    #[track_caller]
    pub(crate) fn started(&self, invocation: Invocation) -> Process {
        let mut running = invocation.start();
        // The second socket is opened last. A killed vault leaves its sockets, on which nobody listens.
        let agents = self.agents_socket();
        until("the vault's sockets", LIMIT, || {
            UnixStream::connect(&agents).is_ok() || !running.is_running()
        });
        let running = if running.is_running() {
            running
        } else {
            panic!("the vault did not start: {}", running.finish())
        };
        Process {
            running,
            socket: self.socket(),
            agents,
        }
    }
}

/// The command must not become a vault; what it says.
#[track_caller]
pub(crate) fn refuses(invocation: Invocation, code: i32) -> String {
    let run = invocation.limit(LIMIT).finish().exits_with(code);
    assert!(!run.stderr.contains("panicked"), "{run}");
    run.stderr
}

/// A vault that runs. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Process {
    running: Running,
    socket: PathBuf,
    agents: PathBuf,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
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
        self.running.finish().exits_with(0)
    }

    pub(crate) async fn administrator(&self) -> Client {
        let options = ClientOptions::new(Connector::Unix(self.socket.clone()));
        Client::connect(options).await.unwrap()
    }

    pub(crate) async fn agent(&self, token: &SecretString) -> Result<Client, ClientError> {
        connect(&self.agents, token).await
    }

    /// A line of `/proc/PID/status`, such as `VmRSS`, without unit.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        let number = line.trim_start_matches(':').split_whitespace().next();
        number.unwrap().parse().unwrap()
    }
}

/// Comes in by the agents' socket.
pub(crate) async fn connect(agents: &Path, token: &SecretString) -> Result<Client, ClientError> {
    let options = ClientOptions::new(Connector::Unix(agents.to_owned()));
    Client::connect(options.with_token(token.clone())).await
}

/// Stores the secret with a value.
pub(crate) async fn store(administrator: &Client, value: &str) {
    let params = StoreSecret {
        name: SECRET.to_owned(),
        plaintext: secret_value(value),
        kind: SecretKind::Opaque,
        description: None,
        tags: std::collections::BTreeMap::default(),
        algorithm: None,
    };
    administrator.call(&params).await.unwrap();
}

pub(crate) fn secret_value(text: &str) -> SecretValue {
    SecretValue(SecretBytes::new(text.as_bytes().to_vec()))
}

/// A token for an agent.
pub(crate) async fn token(
    administrator: &Client,
    agent: &str,
) -> Result<TokenCreated, ClientError> {
    let params = CreateToken {
        agent: agent.to_owned(),
        role: Role::Agent,
        ttl_secs: 86_400,
        max_uses: None,
        peer: None,
    };
    administrator.call(&params).await
}

/// A lease on the secret.
pub(crate) async fn request(
    client: &Client,
    agent: &str,
    max_uses: Option<u32>,
) -> Result<LeaseGrant, ClientError> {
    let params = RequestLease {
        max_uses,
        ttl_secs: Some(3600),
        ..RequestLease::new(agent, SECRET, HOST)
    };
    client.call(&params).await
}

/// One use of a lease.
pub(crate) async fn access(client: &Client, lease: LeaseId) -> Result<String, ClientError> {
    let params = AccessSecret::new(lease, HOST);
    let accessed = client.call(&params).await?;
    Ok(String::from_utf8(accessed.secret.0.expose_secret().to_vec()).unwrap())
}

pub(crate) async fn health(client: &Client) -> HealthReport {
    client
        .call(&fnox_vault_wire::methods::Health {})
        .await
        .unwrap()
}

/// The audit log must be as it was written.
pub(crate) async fn verify_audit(administrator: &Client) {
    let params = fnox_vault_wire::methods::AuditVerify::default();
    let report = administrator.call_with_limit(&params, LIMIT).await.unwrap();
    assert!(report.intact, "{:?}", report.flaws);
}

/// A number from the environment, as `./scripts/test` sets them.
pub(crate) fn number_from_environment(name: &str) -> Option<u64> {
    fnox_core::Env::of_process().var(name)?.parse().ok()
}

/// Whether a file system in memory is mounted there until this is dropped: only root can.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = std::process::Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=700"),
                "tmpfs",
            ])
            .arg(folder)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(folder.to_owned()))
    }

    pub(crate) fn make_read_only(&self) {
        let remounted = std::process::Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .output()
            .unwrap();
        assert!(remounted.status.success(), "{remounted:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is about to be killed.
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .output();
    }
}
