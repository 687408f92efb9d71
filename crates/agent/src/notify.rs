//! Telling the service manager that everything is in place (`sd_notify(3)`).

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use fnox_core::Env;

/// Says a state, for example `READY=1`, if a service manager wants to hear it. That it does not listen is its own
/// matter.
pub(crate) fn tell(env: &Env, state: &str) {
    let Some(path) = env.var("NOTIFY_SOCKET") else {
        return;
    };
    let address = match path.strip_prefix('@') {
        Some(name) => without_a_file(name),
        None => SocketAddr::from_pathname(path),
    };
    let _told = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
}

/// A socket with a name and no file (unix(7)).
#[cfg(target_os = "linux")]
fn without_a_file(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

/// Only Linux has such sockets, and such service managers.
#[cfg(not(target_os = "linux"))]
fn without_a_file(_: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
