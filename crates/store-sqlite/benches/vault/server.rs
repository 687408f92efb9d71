//! Servers on runtimes of their own: a vault in some arrangement, or an echo.

use std::path::Path;
use std::sync::Arc;

use fnox_core::{SecretBytes, SecretString, SystemClock};
use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::server::{Administrators, Admission, Limits, Server};
use fnox_vault::store::{MemoryStore, Stores};
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity};
use fnox_vault_wire::SecretValue;
use fnox_vault_wire::methods::{CreateToken, Role, SecretKind, StoreSecret};
use fnox_vault_wire::transport::{Connector, Listener, TcpListener, UnixListener, UnixOptions};

use crate::echo;

/// What is kept where.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keeping {
    /// Secrets in SQLite; leases in memory; no audit log.
    Nothing,
    /// Secrets and audit log in SQLite; leases in memory.
    Log,
    /// Everything in SQLite, each answer after its fsync.
    Everything,
}

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Unix,
    Tcp,
}

/// A server that ends with this.
pub(crate) struct Running {
    pub connector: Connector,
    pub token: Option<String>,
    pub engine: Option<Engine>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn listener(transport: Transport, folder: &Path) -> (Listener, Connector) {
    match transport {
        Transport::Unix => {
            let path = folder.join("s");
            let listener = UnixListener::bind(&path, &UnixOptions::default()).unwrap();
            (Listener::Unix(listener), Connector::Unix(path))
        }
        Transport::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())
                .await
                .unwrap();
            let address = listener.local_addr();
            (Listener::Tcp(listener), Connector::Tcp(address))
        }
    }
}

pub(crate) fn echo(transport: Transport) -> Running {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let (listener, connector) = runtime.block_on(listener(transport, folder.path()));
    runtime.spawn(echo::serve(listener));
    Running {
        connector,
        token: None,
        engine: None,
        runtime,
        _folder: folder,
    }
}

pub(crate) fn vault(transport: Transport, keeping: Keeping) -> Running {
    let (runtime, folder) = (
        runtime(),
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
    );
    let (connector, token, engine) = runtime.block_on(async {
        let engine = engine(folder.path(), keeping).await;
        let (listener, connector) = listener(transport, folder.path()).await;
        let (admission, token) = match transport {
            Transport::Unix => {
                let uids = vec![rustix::process::getuid().as_raw()];
                (
                    Admission::Administrators(Administrators {
                        uids,
                        gids: Vec::new(),
                    }),
                    None,
                )
            }
            Transport::Tcp => (Admission::AnyToken, Some(token(&engine).await)),
        };
        let server = Server::new(engine.clone(), Limits::default()).listen(listener, admission);
        tokio::spawn(server.serve(std::future::pending()));
        (connector, token, engine)
    });
    Running {
        connector,
        token,
        engine: Some(engine),
        runtime,
        _folder: folder,
    }
}

async fn engine(folder: &Path, keeping: Keeping) -> Engine {
    let options = SqliteOptions {
        create: true,
        ..SqliteOptions::default()
    };
    let sqlite = SqliteStore::open(&folder.join("vault.db"), options).unwrap();
    let stores = match keeping {
        Keeping::Everything => sqlite.stores(),
        Keeping::Log => Stores {
            leases: Arc::new(MemoryStore::with_audit(Arc::new(sqlite.clone()))),
            ..sqlite.stores()
        },
        Keeping::Nothing => Stores {
            leases: Arc::new(MemoryStore::new()),
            audit: None,
            ..sqlite.stores()
        },
    };
    let key = SecretString::from("5a".repeat(32).as_str());
    let policy = "[[rule]]\nagent = \"bench*\"\nsecret = \"token\"\nhosts = [\"api.example.com\"]\nttl = \"1h\"\n";
    let engine = Engine::create(EngineParts {
        stores,
        live: None,
        source: Arc::new(EnvKey::new("FNOX_BENCH_KEY", Some(key)).unwrap()),
        policy: Policy::load(policy, "policy.toml").unwrap().policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions {
            max_leases_per_agent: u32::MAX,
            ..EngineOptions::default()
        },
    })
    .await
    .unwrap();
    let params = StoreSecret {
        name: "token".to_owned(),
        plaintext: SecretValue(SecretBytes::new(
            b"0123456789012345678901234567890123456789".to_vec(),
        )),
        kind: SecretKind::Pat,
        description: None,
        tags: std::collections::BTreeMap::new(),
        algorithm: None,
    };
    engine
        .store_secret(&Identity::local(), params)
        .await
        .unwrap();
    engine
}

async fn token(engine: &Engine) -> String {
    let params = CreateToken {
        agent: "bench".to_owned(),
        role: Role::Agent,
        ttl_secs: 86_400,
        max_uses: None,
        peer: None,
    };
    engine
        .create_token(&Identity::local(), &params)
        .await
        .unwrap()
        .token
        .expose_secret()
        .to_owned()
}
