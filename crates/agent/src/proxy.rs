//! The way from a guest's programs to the gateway on the host.
//!
//! Programs talk HTTP to a port of this guest; each connection becomes one to the gateway, over vsock or TCP, and
//! each request on the way gets the agent's token as the proxy's password. So the programs hold neither the token
//! nor any value, and what they may do the gateway decides. The tunnels end when the gateway ends them, and also when
//! the vault says that a lease for their host was withdrawn: a gateway that hangs keeps nothing open.

mod client;
mod head;
mod session;
mod tunnels;
mod withdrawals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::SecretString;
use fnox_vault_wire::{Connector, Stream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use self::session::SessionFiles;
use self::tunnels::Tunnels;
use crate::error::AgentError;
use crate::lease::Borrower;
use crate::report::note;
use crate::stop::Stop;

/// Connections of programs at a time.
const CONNECTIONS: usize = 1024;

/// How long the gateway may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the gateway is, and what it must be told.
#[derive(Debug)]
pub struct Gateway {
    connector: Connector,
    /// The value of `Proxy-Authorization`. None where the gateway knows the guest by the door that it comes through.
    authorization: Option<SecretString>,
}

impl Gateway {
    /// The gateway there, for the agent of this token, or for whom the gateway takes this guest without one.
    #[must_use]
    pub fn new(connector: Connector, token: Option<&SecretString>) -> Self {
        let authorization = token.map(|token| {
            let pair = Zeroizing::new(format!("agent:{}", token.expose_secret()));
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            SecretString::from(format!("Basic {}", encoded.as_str()))
        });
        Self {
            connector,
            authorization,
        }
    }

    fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(SecretString::expose_secret)
    }

    async fn connect(&self) -> Result<Stream, AgentError> {
        let connecting = self.connector.connect();
        let connected = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer in time".to_owned()),
        };
        connected.map_err(|reason| AgentError::Gateway {
            to: self.connector.to_string(),
            reason,
        })
    }
}

/// What a proxy is made of.
#[derive(Debug)]
pub struct Proxy {
    /// The gateway.
    pub gateway: Gateway,
    /// The vault, if it is to be heard.
    pub vault: Option<Borrower>,
    /// Where programs connect.
    pub listen: SocketAddr,
    /// A file for what programs need in their environment.
    pub env_file: Option<PathBuf>,
    /// A file for the certificate that programs must trust.
    pub certificate_file: Option<PathBuf>,
}

/// A proxy that listens.
#[derive(Debug)]
pub struct Listening {
    gateway: Arc<Gateway>,
    listener: TcpListener,
    vault: Option<Borrower>,
    files: SessionFiles,
    tunnels: Tunnels,
}

impl Proxy {
    /// Asks the gateway who this agent is, writes the files, and opens the port.
    ///
    /// # Errors
    /// `Gateway` if it does not answer or does not know the token; `File`; `Usage` for a port that others could
    /// reach.
    pub async fn open(self) -> Result<Listening, AgentError> {
        if !self.listen.ip().is_loopback() {
            return Err(AgentError::Usage {
                message: format!("--listen: {} is no loopback address", self.listen),
                help: "whoever can connect acts as this agent: listen on 127.0.0.1 or [::1]",
            });
        }
        let listener =
            TcpListener::bind(self.listen)
                .await
                .map_err(|source| AgentError::System {
                    what: "listen on the proxy's port",
                    source,
                })?;
        let address = listener.local_addr().unwrap_or(self.listen);
        let mut files = SessionFiles::new(address, self.env_file, self.certificate_file)?;
        files.write(&self.gateway).await?;
        Ok(Listening {
            gateway: Arc::new(self.gateway),
            listener,
            vault: self.vault,
            files,
            tunnels: Tunnels::default(),
        })
    }
}

impl Listening {
    /// The port that was opened.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.files.address()
    }

    /// Serves programs until it is told to end. Then the files go, and what is open is broken off.
    ///
    /// # Errors
    /// `Vault` if the vault does not tell of withdrawals from the start.
    pub async fn serve(mut self, stop: &Stop) -> Result<(), AgentError> {
        let events = match &self.vault {
            Some(vault) => Some(
                vault
                    .client()
                    .subscribe()
                    .await
                    .map_err(AgentError::Vault)?,
            ),
            None => None,
        };
        let hearing = withdrawals::hear(self.vault.clone(), events, self.tunnels.clone());
        let accepting = accept(self.listener, self.gateway.clone(), self.tunnels.clone());
        let writing = self.files.keep_current(&self.gateway);
        tokio::select! {
            () = stop.requested() => {}
            () = accepting => {}
            () = hearing => {}
            () = writing => {}
        }
        self.tunnels.end_all();
        self.files.remove();
        Ok(())
    }
}

async fn accept(listener: TcpListener, gateway: Arc<Gateway>, tunnels: Tunnels) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Nobody closes the semaphore. Programs that find no room wait in the system's queue.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                note(&format!("a connection could not be accepted: {error}"));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (gateway, tunnels) = (Arc::clone(&gateway), tunnels.clone());
        tokio::spawn(async move {
            client::serve(stream, &gateway, &tunnels).await;
            drop(place);
        });
    }
}
