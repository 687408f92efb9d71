//! A vault on sockets, and the agent's binary in a sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_core::{SecretBytes, SecretString, SystemClock};
use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Running, Sandbox};
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::server::{Admission, Limits, Server};
use fnox_vault::store::MemoryStore;
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity};
use fnox_vault_wire::methods::{
    CreateToken, LeaseInfo, LeaseStatus, ListLeases, RequestLease, RevocationReason, RevokeLease,
    Role, SecretKind, StoreSecret,
};
use fnox_vault_wire::transport::{Connector, Listener, UnixListener, UnixOptions};
use fnox_vault_wire::{Client, ClientOptions, LeaseId, SecretValue};
use tokio::runtime::Runtime;

/// What must happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What `coder-1` may have.
pub(crate) const POLICY: &str = r#"
[[rule]]
agent = "coder-1"
secret = "github-token"
hosts = ["api.github.com", "github.com"]
ttl = "10m"
renewable = true

[[rule]]
agent = "coder-1"
secret = "pair"
hosts = ["s3.example"]
ttl = "10m"

[[rule]]
agent = "coder-1"
secret = "short"
hosts = ["short.example"]
ttl = "10s"
renewable = true

[[rule]]
agent = "coder-*"
secret = "api-token"
hosts = ["localhost"]
ttl = "10m"
delivery = "inject"
"#;

pub(crate) const GITHUB: &str = "ghp_value-of-the-test";
pub(crate) const API: &str = "the-vaults-own-value";

/// A vault, and where the agent runs.
pub(crate) struct World {
    pub runtime: Runtime,
    pub sandbox: Sandbox,
    pub engine: Engine,
    pub socket: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_fnox-agent"));
        let socket = sandbox.runtime_folder().join("agents.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let engine = runtime.block_on(serve(&socket));
        let world = Self {
            runtime,
            sandbox,
            engine,
            socket,
        };
        for (name, value) in [
            ("github-token", GITHUB),
            ("pair", r#"{"ID":"AKIAEXAMPLE","KEY":"k/e+y\"s"}"#),
            ("short", "short-lived"),
            ("api-token", API),
        ] {
            world.store(name, value);
        }
        world
    }

    fn store(&self, name: &str, value: &str) {
        let params = StoreSecret {
            name: name.to_owned(),
            plaintext: SecretValue(SecretBytes::new(value.as_bytes().to_vec())),
            kind: SecretKind::Opaque,
            description: None,
            tags: BTreeMap::new(),
            algorithm: None,
        };
        let admin = Identity::local();
        let stored = self.engine.store_secret(&admin, params);
        self.runtime.block_on(stored).unwrap();
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::Unix(self.socket.clone())
    }

    pub(crate) fn token(&self, agent: &str, role: Role) -> SecretString {
        let params = CreateToken {
            agent: agent.to_owned(),
            role,
            ttl_secs: 600,
            max_uses: None,
            peer: None,
        };
        let admin = Identity::local();
        let created = self.engine.create_token(&admin, &params);
        self.runtime.block_on(created).unwrap().token
    }

    /// A file with a token of `coder-1`: the same each time, because leases are their token's.
    pub(crate) fn token_file(&self) -> PathBuf {
        let path = self.sandbox.root().join("token");
        if path.exists() {
            return path;
        }
        let token = self.token("coder-1", Role::Agent);
        self.sandbox.write_private(path, token.expose_secret())
    }

    /// `fnox-agent COMMAND --vault … --token-file … ARGUMENTS`
    pub(crate) fn agent(&self, command: &str, arguments: &[&str]) -> Invocation {
        let vault = self.connector().to_string();
        let token = self.token_file();
        let connection = [
            command,
            "--vault",
            &vault,
            "--token-file",
            token.to_str().unwrap(),
        ];
        self.sandbox.run([&connection, arguments].concat())
    }

    /// A manifest with these credentials (JSON, without the brackets around them).
    pub(crate) fn manifest(&self, credentials: &str) -> String {
        let text = format!("{{\"credentials\":[{credentials}]}}");
        let path = self.sandbox.write_private("manifest.json", text);
        path.to_str().unwrap().to_owned()
    }

    /// A file of the guest that does not exist yet.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        self.sandbox.home().join(name)
    }

    pub(crate) fn leases(&self) -> Vec<LeaseInfo> {
        let params = ListLeases {
            all: true,
            ..ListLeases::default()
        };
        let admin = Identity::local();
        let listed = self.engine.list_leases(&admin, &params);
        self.runtime.block_on(listed).unwrap().leases
    }

    pub(crate) fn active(&self) -> Vec<LeaseInfo> {
        let mut leases = self.leases();
        leases.retain(|lease| lease.status == LeaseStatus::Active);
        leases
    }

    /// A lease that a gateway could have asked for with the agent's token.
    pub(crate) fn lease(&self, secret: &str, host: &str) -> LeaseId {
        let token = std::fs::read_to_string(self.token_file()).unwrap();
        let token = SecretString::from(token);
        let options = ClientOptions::new(self.connector()).with_token(token);
        let granted = self.runtime.block_on(async {
            let client = Client::connect(options).await.unwrap();
            client
                .call(&RequestLease::new("coder-1", secret, host))
                .await
        });
        granted.unwrap().lease_id
    }

    pub(crate) fn revoke(&self, lease_id: LeaseId) {
        let params = RevokeLease {
            lease_id,
            reason: RevocationReason::AdminRevoked,
        };
        let admin = Identity::local();
        let revoked = self.engine.revoke_lease(&admin, &params);
        self.runtime.block_on(revoked).unwrap();
    }
}

/// Waits until the agent has written a file.
pub(crate) fn until_written(path: &Path, running: &mut Running) {
    until("the agent's file", SOON, || {
        path.exists() || !running.is_running()
    });
    assert!(running.is_running(), "{}", running.stderr_so_far());
}

async fn serve(socket: &Path) -> Engine {
    let key = SecretString::from("a5".repeat(32).as_str());
    let engine = Engine::create(EngineParts {
        stores: Arc::new(MemoryStore::new()).stores(),
        live: None,
        source: Arc::new(EnvKey::new("FNOX_VAULT_KEY", Some(key)).unwrap()),
        policy: Policy::load(POLICY, "policy.toml").unwrap().policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions::default(),
    })
    .await
    .unwrap();
    let listener = UnixListener::bind(socket, &UnixOptions::default()).unwrap();
    let server = Server::new(engine.clone(), Limits::default())
        .listen(Listener::Unix(listener), Admission::AnyToken);
    tokio::spawn(server.serve(std::future::pending::<()>()));
    let looking = engine.clone();
    tokio::spawn(async move { looking.run().await });
    engine
}
