//! Placeholder.

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
/// How to reach a vault.
#[derive(Debug)]
pub struct Connector;
