//! Native vsock (`AF_VSOCK`): between a guest and its host without a network.
//!
//! The kernel tells the guest's context id, which names the guest and not a process or user in it: any
//! process there has it.

use std::fmt;
use std::io;

use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockStream};

use super::{ListenError, Peer, Stream};

/// Listens on a vsock port.
#[derive(Debug)]
pub struct VsockListener {
    inner: tokio_vsock::VsockListener,
    cid: u32,
    port: u32,
}

impl VsockListener {
    /// Listens on a port for every context id that this machine has.
    ///
    /// # Errors
    /// If the machine has no vsock, or the port is taken.
    pub fn bind(port: u32) -> Result<Self, ListenError> {
        Self::bind_at(VMADDR_CID_ANY, port)
    }

    /// Listens for one of this machine's context ids only; 1 is the machine's own loopback.
    ///
    /// # Errors
    /// If the machine has no vsock or no such id, or the port is taken.
    pub fn bind_at(cid: u32, port: u32) -> Result<Self, ListenError> {
        let inner = tokio_vsock::VsockListener::bind(VsockAddr::new(cid, port))
            .map_err(|source| ListenError::io(format_args!("vsock port {port}"), source))?;
        Ok(Self { inner, cid, port })
    }

    /// The port.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        let (stream, address) = self.inner.accept().await?;
        let cid = address.cid();
        Ok((Stream::Vsock(stream), Peer::Vsock { cid }))
    }
}

impl fmt::Display for VsockListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cid == VMADDR_CID_ANY {
            write!(formatter, "vsock:*:{}", self.port)
        } else {
            write!(formatter, "vsock:{}:{}", self.cid, self.port)
        }
    }
}

pub(super) async fn connect(cid: u32, port: u32) -> io::Result<Stream> {
    let stream = VsockStream::connect(VsockAddr::new(cid, port)).await?;
    Ok(Stream::Vsock(stream))
}
