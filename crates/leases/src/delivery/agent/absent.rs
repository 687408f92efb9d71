//! On systems without Unix sockets there is no SSH agent of fnox's own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Current;

/// A running agent: there is none.
#[derive(Debug)]
pub struct Agent(std::convert::Infallible);

impl Agent {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`io::ErrorKind::Unsupported`].
    pub fn start(_: Arc<dyn Current>, _: &Path) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "an SSH agent needs Linux or macOS; use the Windows Subsystem for Linux",
        ))
    }

    /// What `SSH_AUTH_SOCK` must say.
    #[must_use]
    pub fn socket(&self) -> &Path {
        match self.0 {}
    }
}
