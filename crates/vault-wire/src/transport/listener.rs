//! Any of the listeners, and why one could not be opened.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
use super::VsockListener;
#[cfg(unix)]
use super::{HostSocketListener, UnixListener};
use super::{Peer, SOCKET_PATH_LIMIT, Stream, TcpListener};

/// Something that accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// On a Unix socket.
    #[cfg(unix)]
    Unix(UnixListener),
    /// On a loopback port.
    Tcp(TcpListener),
    /// On a vsock port.
    #[cfg(target_os = "linux")]
    Vsock(VsockListener),
    /// On a Unix socket to which a monitor passes a guest's connections.
    #[cfg(unix)]
    HostSocket(HostSocketListener),
}

impl Listener {
    /// Waits for the next connection. Dropping the future loses none.
    ///
    /// An error such as "too many open files" says nothing about the listener itself: whoever serves goes on
    /// after a pause.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await,
            Self::Tcp(listener) => listener.accept().await,
            #[cfg(target_os = "linux")]
            Self::Vsock(listener) => listener.accept().await,
            #[cfg(unix)]
            Self::HostSocket(listener) => listener.accept().await,
        }
    }
}

impl fmt::Display for Listener {
    /// As a [`Connector`](super::Connector) is written, where it can be.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(unix)]
            Self::Unix(listener) => listener.fmt(formatter),
            Self::Tcp(listener) => listener.fmt(formatter),
            #[cfg(target_os = "linux")]
            Self::Vsock(listener) => listener.fmt(formatter),
            #[cfg(unix)]
            Self::HostSocket(listener) => listener.fmt(formatter),
        }
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

#[cfg(target_os = "linux")]
impl From<VsockListener> for Listener {
    fn from(listener: VsockListener) -> Self {
        Self::Vsock(listener)
    }
}

#[cfg(unix)]
impl From<HostSocketListener> for Listener {
    fn from(listener: HostSocketListener) -> Self {
        Self::HostSocket(listener)
    }
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The operating system has no room for such a long path.
    #[error("socket path has {length} bytes, the limit is {SOCKET_PATH_LIMIT}: {}", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The path has no file name, or a zero byte.
    #[error("not a path for a socket: {}", path.display())]
    PathInvalid {
        /// The path.
        path: PathBuf,
    },
    /// Somebody answers there.
    #[error("another vault listens on {}", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// There is a file that is not a socket.
    #[error("not a socket, and not touched: {}", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// What is there is somebody else's.
    #[error("belongs to another user (uid {uid}): {}", path.display())]
    ForeignOwner {
        /// The path.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Everybody could put another socket in this one's place.
    #[error("everybody may write to the socket's folder: {}", path.display())]
    FolderOpenToAll {
        /// The folder.
        path: PathBuf,
    },
    /// A TCP address that other machines can reach.
    #[error("only loopback addresses such as 127.0.0.1 are allowed without TLS: {address}")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {on}: {source}")]
    Io {
        /// On what.
        on: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    pub(super) fn io(on: impl fmt::Display, source: impl Into<io::Error>) -> Self {
        Self::Io {
            on: on.to_string(),
            source: source.into(),
        }
    }
}
