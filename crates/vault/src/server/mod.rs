//! The vault on sockets.
//!
//! One task for each connection: it reads frames, polls the requests that are under way, and writes what is
//! done, several answers in one write where they are ready together. A request that is answered at once costs
//! no further task and no channel. Requests go on when their connection is gone: what was begun is finished,
//! and a value that nobody received does not count as used.

mod authentication;
mod connection;
mod dispatch;
mod ending;
mod limits;
mod spent;
mod tokens;

use std::sync::Arc;

use fnox_vault_wire::Peer;
use fnox_vault_wire::transport::Listener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::authentication::{Administrators, Admission};
pub use self::limits::Limits;
use self::limits::Slots;
use crate::engine::Engine;

/// Something that writes a copy of the vault's store to a path: a store that is one file can, others cannot.
pub type BackupHook = Arc<
    dyn Fn(
            std::path::PathBuf,
        )
            -> futures_util::future::BoxFuture<'static, Result<u64, crate::store::StoreError>>
        + Send
        + Sync,
>;

/// A vault's server, before it serves.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(Listener, Admission)>,
}

struct Shared {
    engine: Engine,
    limits: Limits,
    slots: Slots,
    tokens: tokens::OpenTokens,
    backup: Option<BackupHook>,
    stopping: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server without listeners.
    #[must_use]
    pub fn new(engine: Engine, limits: Limits) -> Self {
        let (stop, stopping) = watch::channel(false);
        let slots = Slots::new(&limits);
        Self {
            shared: Arc::new(Shared {
                engine,
                limits,
                slots,
                tokens: tokens::OpenTokens::default(),
                backup: None,
                stopping,
                stop,
            }),
            listeners: Vec::new(),
        }
    }

    /// Says how the store is copied.
    #[must_use]
    pub fn with_backup(mut self, backup: BackupHook) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.backup = Some(backup);
        }
        self
    }

    /// Adds a listener, and who may come in through it.
    #[must_use]
    pub fn listen(mut self, listener: Listener, admission: Admission) -> Self {
        self.listeners.push((listener, admission));
        self
    }

    /// Serves until `until` is done, then lets requests that are under way finish, for as long as the limits say.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        let shared = self.shared;
        let mut accepting = JoinSet::new();
        for (listener, admission) in self.listeners {
            let shared = Arc::clone(&shared);
            accepting.spawn(async move { accept_for_ever(&shared, &listener, &admission).await });
        }
        let engine = shared.engine.clone();
        tokio::select! {
            () = until => {}
            () = engine.run() => {}
        }
        shared.stop.send_replace(true);
        accepting.shutdown().await;
        let patience = shared.limits.shutdown;
        if tokio::time::timeout(patience, shared.slots.all_free())
            .await
            .is_err()
        {
            tracing::warn!(
                "some connections did not end within {} s",
                patience.as_secs()
            );
        }
    }
}

impl Shared {
    /// How many connections of this server a token has opened.
    fn connections_of(&self, token: fnox_vault_wire::TokenId) -> u64 {
        self.tokens.count(token)
    }
}

/// Accepts connections. An error such as EMFILE passes: others end, and their descriptors come free.
async fn accept_for_ever(shared: &Arc<Shared>, listener: &Listener, admission: &Admission) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = shared.slots.take(&peer) else {
                    tracing::warn!(
                        "a connection of {} was closed: there are too many",
                        origin(&peer)
                    );
                    continue;
                };
                let (shared, admission) = (Arc::clone(shared), admission.clone());
                tokio::spawn(async move {
                    connection::serve(&shared, stream, peer, &admission).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// The other end in one word, for the audit log.
fn origin(peer: &Peer) -> String {
    match peer {
        Peer::Unix {
            uid,
            pid: Some(pid),
            ..
        } => format!("unix(uid={uid}, pid={pid})"),
        Peer::Unix { uid, pid: None, .. } => format!("unix(uid={uid})"),
        Peer::Tcp { address } => format!("tcp({address})"),
        Peer::Vsock { cid } => format!("vsock(cid={cid})"),
        Peer::HostSocket { path } => format!("host-socket({})", path.display()),
    }
}
