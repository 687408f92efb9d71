//! Vsock as a monitor shows it on the host: Firecracker and cloud-hypervisor have no `AF_VSOCK` on the host's
//! side, but a Unix socket per guest.
//!
//! A guest's connection to port 9100 of its host arrives at the Unix socket `PATH_9100`, as it is. The other
//! way round the host connects to `PATH`, writes `CONNECT 9100\n` and reads `OK 49152\n` before the first byte
//! of the guest's program (Firecracker, `docs/vsock.md`).

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{ListenError, Peer, Stream, UnixListener, UnixOptions, uds};

/// `OK ` and a port of 10 digits, with room to spare.
const ANSWER_LIMIT: usize = 32;

/// Listens for the connections of one guest.
#[derive(Debug)]
pub struct HostSocketListener {
    inner: UnixListener,
    path: PathBuf,
    port: u32,
}

impl HostSocketListener {
    /// Listens on `<path>_<port>`, where the monitor of the socket `path` passes the guest's connections to
    /// that port. The monitor must be allowed to write to it: `options` say who is.
    ///
    /// # Errors
    /// As for any Unix socket.
    pub fn bind(path: &Path, port: u32, options: &UnixOptions) -> Result<Self, ListenError> {
        let mut name = OsString::from(path);
        name.push(format!("_{port}"));
        Ok(Self {
            inner: UnixListener::bind(Path::new(&name), options)?,
            path: path.to_owned(),
            port,
        })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        let (stream, _monitor) = self.inner.accept().await?;
        let path = self.path.clone();
        Ok((stream, Peer::HostSocket { path }))
    }
}

impl fmt::Display for HostSocketListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "host-socket:{}:{}",
            self.path.display(),
            self.port
        )
    }
}

/// Asks the monitor for a port of its guest.
pub(super) async fn connect(path: &Path, port: u32) -> io::Result<Stream> {
    let mut stream = uds::connect(path).await?;
    stream
        .write_all(format!("CONNECT {port}\n").as_bytes())
        .await?;
    let mut answer = Vec::with_capacity(ANSWER_LIMIT);
    // One byte at a time: what follows the line belongs to the guest's program.
    while answer.last() != Some(&b'\n') {
        if answer.len() == ANSWER_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the monitor's answer to CONNECT is not `OK PORT`",
            ));
        }
        answer.push(stream.read_u8().await.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("the monitor closed the connection: nobody listens on port {port} of its guest"),
            ),
            _ => source,
        })?);
    }
    let port_given = answer
        .strip_prefix(b"OK ")
        .and_then(|rest| rest.strip_suffix(b"\n"))
        .is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
    if port_given {
        Ok(stream)
    } else {
        Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "the monitor's answer to CONNECT is not `OK PORT`",
        ))
    }
}
