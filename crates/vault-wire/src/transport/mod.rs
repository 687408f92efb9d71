//! How bytes travel between vault and client: Unix sockets, TCP on loopback, vsock, and the Unix sockets
//! by which Firecracker and cloud-hypervisor show a guest's vsock to the host.
//!
//! All give the same [`Stream`] and tell with each connection who the [`Peer`] is, as far as the operating
//! system knows. A connection whose peer cannot be told where it should be is refused: nobody is anonymous.
//! What a peer may do is not decided here.
//!
//! Windows has TCP alone: its Unix sockets do not tell who is at the other end.

mod connector;
#[cfg(unix)]
mod host_socket;
mod listener;
mod stream;
mod tcp;
#[cfg(unix)]
mod uds;
#[cfg(target_os = "linux")]
mod vsock;

pub use self::connector::{Connector, ConnectorError};
#[cfg(unix)]
pub use self::host_socket::HostSocketListener;
pub use self::listener::{ListenError, Listener};
pub use self::stream::{ReadHalf, Stream, WriteHalf};
pub use self::tcp::TcpListener;
#[cfg(unix)]
pub use self::uds::{UnixListener, UnixOptions};
#[cfg(target_os = "linux")]
pub use self::vsock::VsockListener;

/// Longest path of a Unix socket: `sun_path` has 108 bytes on Linux and 104 on the BSDs and macOS, one of which ends
/// it (unix(7), unix(4)).
pub const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The other end of a connection, as the operating system tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A process of this machine (`SO_PEERCRED`).
    Unix {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its process, if the system tells.
        pid: Option<i32>,
    },
    /// Somebody on a loopback port: any process of the machine.
    Tcp {
        /// Address and port.
        address: std::net::SocketAddr,
    },
    /// Any process of a guest.
    Vsock {
        /// The guest's context id.
        cid: u32,
    },
    /// Any process of the guest behind a monitor's Unix socket (Firecracker, cloud-hypervisor).
    HostSocket {
        /// The monitor's socket.
        path: std::path::PathBuf,
    },
}
