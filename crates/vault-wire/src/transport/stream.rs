//! One connection, whatever it runs over.
//!
//! An enum instead of a boxed trait object: every read and write of the vault passes here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
#[cfg(target_os = "linux")]
use tokio_vsock::VsockStream;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// A Unix socket, a monitor's among them.
    #[cfg(unix)]
    Unix(UnixStream),
    /// TCP, with `TCP_NODELAY` set.
    Tcp(TcpStream),
    /// `AF_VSOCK`.
    #[cfg(target_os = "linux")]
    Vsock(VsockStream),
}

impl Stream {
    /// Two halves for two tasks. They share no lock.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            #[cfg(target_os = "linux")]
            Self::Vsock(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Vsock(read), WriteHalf::Vsock(write))
            }
        }
    }
}

/// The half that reads.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of a Unix socket.
    #[cfg(unix)]
    Unix(tokio::net::unix::OwnedReadHalf),
    /// Of TCP.
    Tcp(tokio::net::tcp::OwnedReadHalf),
    /// Of vsock.
    #[cfg(target_os = "linux")]
    Vsock(tokio_vsock::OwnedReadHalf),
}

/// The half that writes. Dropping it tells the other side that nothing more comes.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of a Unix socket.
    #[cfg(unix)]
    Unix(tokio::net::unix::OwnedWriteHalf),
    /// Of TCP.
    Tcp(tokio::net::tcp::OwnedWriteHalf),
    /// Of vsock.
    #[cfg(target_os = "linux")]
    Vsock(tokio_vsock::OwnedWriteHalf),
}

/// Passes a call on to the variant's own type.
macro_rules! each {
    ($this:expr, $inner:ident => $call:expr) => {
        match $this.get_mut() {
            #[cfg(unix)]
            Self::Unix($inner) => $call,
            Self::Tcp($inner) => $call,
            #[cfg(target_os = "linux")]
            Self::Vsock($inner) => $call,
        }
    };
}

macro_rules! reads {
    ($type:ident) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                each!(self, inner => Pin::new(inner).poll_read(context, buffer))
            }
        }
    };
}

macro_rules! writes {
    ($type:ident) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                each!(self, inner => Pin::new(inner).poll_write(context, bytes))
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                each!(self, inner => Pin::new(inner).poll_flush(context))
            }

            fn poll_shutdown(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                each!(self, inner => Pin::new(inner).poll_shutdown(context))
            }
        }
    };
}

reads!(Stream);
writes!(Stream);
reads!(ReadHalf);
writes!(WriteHalf);
