//! Telling the service manager that everything is in place (`sd_notify(3)`).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use fnox_core::Env;

/// Says a state, for example `READY=1`, if a service manager wants to hear it. That it does not listen is its own
/// matter.
pub(crate) fn tell(env: &Env, state: &str) {
    let Some(path) = env.var("NOTIFY_SOCKET") else {
        return;
    };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let _told = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
}
