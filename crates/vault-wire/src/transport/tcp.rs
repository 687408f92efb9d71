//! TCP on a loopback address.
//!
//! Any process of the machine can connect, so a token must say who it is. Addresses that other machines can
//! reach are refused, because nothing is encrypted. `TCP_NODELAY` is set on both sides: with it off, the
//! delayed acknowledgement of the other side holds small frames back for 40 ms (RFC 896, RFC 1122 4.2.3.4).

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::{ListenError, Peer, Stream};

/// Listens on a loopback port.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
    address: SocketAddr,
}

impl TcpListener {
    /// Listens on an address. Port 0 takes a free one.
    ///
    /// # Errors
    /// If the address is not a loopback address, or taken.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        require_loopback(address)?;
        let inner = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::io(format_args!("tcp:{address}"), source))?;
        Self::of(inner)
    }

    /// Takes over a socket that is listening already, such as one from the service manager.
    ///
    /// # Errors
    /// If it listens on an address that is not a loopback address.
    pub fn from_std(listener: std::net::TcpListener) -> Result<Self, ListenError> {
        let failed = |source| ListenError::io("the TCP socket that was passed", source);
        listener.set_nonblocking(true).map_err(failed)?;
        Self::of(tokio::net::TcpListener::from_std(listener).map_err(failed)?)
    }

    fn of(inner: tokio::net::TcpListener) -> Result<Self, ListenError> {
        let address = inner
            .local_addr()
            .map_err(|source| ListenError::io("a TCP socket", source))?;
        require_loopback(address)?;
        Ok(Self { inner, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        let (stream, address) = self.inner.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Stream::Tcp(stream), Peer::Tcp { address }))
    }
}

impl fmt::Display for TcpListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tcp:{}", self.address)
    }
}

pub(super) async fn connect(address: SocketAddr) -> io::Result<Stream> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

fn require_loopback(address: SocketAddr) -> Result<(), ListenError> {
    if address.ip().is_loopback() {
        Ok(())
    } else {
        Err(ListenError::NotLoopback { address })
    }
}
