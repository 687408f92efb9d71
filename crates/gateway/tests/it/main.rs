//! The gateway's parts against real sockets.

#[cfg(test)]
mod dial;
