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
                    (stream, Peer::Vsock { cid }) if cid == *guest => return Ok(Box::new(stream)),
                    (_, peer) => tracing::debug!("{peer:?} is not the guest {guest}"),
                }
            },
        }
    }
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

    /// A guest is known by what the kernel says of a vsock connection, and by nothing that comes another way.
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
