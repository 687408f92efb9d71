//! Systems where fnox knows of nobody who tells when the machine sleeps or the screen is locked.

use std::io;

/// Fails at once.
pub(super) async fn watch(_: impl Fn(&str), _: impl Fn(bool)) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "there is no systemd-logind on this system",
    ))
}
