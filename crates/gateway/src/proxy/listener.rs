//! Where clients come in.

use std::io;

use fnox_vault_wire::transport::{self, Peer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// A place where clients connect.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
    /// Any of the vault's transports: vsock too.
    Transport(transport::Listener),
    /// A vsock port, for the guest of this context id alone.
    Guest(transport::Listener, u32),
}

/// A client's connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small requests and answers must not wait for each other's acknowledgements.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Transport(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Guest(listener, guest) => loop {
                match listener.accept().await? {
                    (stream, peer) if is_guest(&peer, *guest) => return Ok(Box::new(stream)),
                    (_, peer) => tracing::debug!("{peer:?} is not the guest {guest}"),
                }
            },
        }
    }
}

/// A guest is known by what the kernel says of a vsock connection, and by nothing that comes another way.
fn is_guest(peer: &Peer, guest: u32) -> bool {
    matches!(peer, Peer::Vsock { cid } if *cid == guest)
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl From<transport::Listener> for Listener {
    fn from(listener: transport::Listener) -> Self {
        Self::Transport(listener)
    }
}

#[cfg(test)]
mod tests {
    use fnox_vault_wire::transport::{UnixListener, UnixOptions};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;

    #[test]
    fn a_guest_is_its_context_id_and_nothing_else() {
        let unix = Peer::Unix {
            uid: 42,
            gid: 42,
            pid: Some(42),
        };
        let tcp = Peer::Tcp {
            address: ([127, 0, 0, 1], 42).into(),
        };
        let monitor = Peer::HostSocket { path: "42".into() };
        assert!(is_guest(&Peer::Vsock { cid: 42 }, 42));
        for stranger in [
            Peer::Vsock { cid: 43 },
            Peer::Vsock { cid: 2 },
            unix,
            tcp,
            monitor,
        ] {
            assert!(!is_guest(&stranger, 42), "{stranger:?}");
        }
    }

    #[tokio::test]
    async fn nobody_else_comes_in_by_the_door_of_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.sock");
        let listener = UnixListener::bind(&path, &UnixOptions::default()).unwrap();
        let door = Listener::Guest(listener.into(), 42);
        let stranger = async {
            let mut stranger = UnixStream::connect(&path).await.unwrap();
            stranger.read(&mut [0]).await
        };
        tokio::select! {
            _ = door.accept() => panic!("a stranger came in"),
            // It is closed without a word.
            read = stranger => assert!(matches!(read, Ok(0) | Err(_)), "{read:?}"),
        }
    }
}
