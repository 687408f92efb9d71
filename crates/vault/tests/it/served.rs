//! A vault on sockets, for one test.

use std::path::PathBuf;
use std::time::Duration;

use fnox_core::SecretString;
use fnox_vault::server::{Administrators, Admission, Limits, Server};
use fnox_vault_wire::methods::{CreateToken, Role, TokenCreated};
use fnox_vault_wire::transport::{Connector, Listener, TcpListener, UnixListener, UnixOptions};
use fnox_vault_wire::{Client, ClientError, ClientOptions};
use tokio::sync::oneshot;

use crate::support::{World, admin};

pub(crate) struct Served {
    pub world: World,
    pub admin_socket: PathBuf,
    pub agent_socket: PathBuf,
    pub tcp: Connector,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) async fn new(policy: &str) -> Self {
        Self::with_limits(policy, Limits::default()).await
    }

    pub(crate) async fn with_limits(policy: &str, limits: Limits) -> Self {
        let world = World::new(policy).await;
        let folder = tempfile::tempdir().unwrap();
        let bind = |name: &str| {
            let path = folder.path().join(name);
            (
                Listener::Unix(UnixListener::bind(&path, &UnixOptions::default()).unwrap()),
                path,
            )
        };
        let (admins, admin_socket) = bind("vault.sock");
        let (agents, agent_socket) = bind("agents.sock");
        let tcp = TcpListener::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = Connector::Tcp(tcp.local_addr());
        let people = Administrators {
            uids: vec![rustix::process::getuid().as_raw()],
            gids: Vec::new(),
        };
        let server = Server::new(world.engine.clone(), limits)
            .listen(admins, Admission::Administrators(people))
            .listen(agents, Admission::AgentTokens)
            .listen(Listener::Tcp(tcp), Admission::AnyToken);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
        Self {
            world,
            admin_socket,
            agent_socket,
            tcp: address,
            stop: Some(stop),
            serving,
            _folder: folder,
        }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.serving.await.unwrap();
    }

    pub(crate) async fn administrator(&self) -> Client {
        Client::connect(ClientOptions::new(Connector::Unix(
            self.admin_socket.clone(),
        )))
        .await
        .unwrap()
    }

    pub(crate) async fn token(&self, agent: &str, role: Role) -> TokenCreated {
        let params = CreateToken {
            agent: agent.to_owned(),
            role,
            ttl_secs: 600,
            max_uses: None,
            peer: None,
        };
        self.world
            .engine
            .create_token(&admin(), &params)
            .await
            .unwrap()
    }

    pub(crate) async fn connect(
        &self,
        connector: Connector,
        token: &SecretString,
    ) -> Result<Client, ClientError> {
        Client::connect(ClientOptions::new(connector).with_token(token.clone())).await
    }

    pub(crate) async fn agent(&self, name: &str) -> Client {
        let token = self.token(name, Role::Agent).await;
        self.connect(Connector::Unix(self.agent_socket.clone()), &token.token)
            .await
            .unwrap()
    }
}

/// Waits for what must come soon, and fails if it does not.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it comes in time")
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> String {
    outcome.expect_err("a refusal").code().to_owned()
}
