//! Why the daemon did not do what a command asked.

use std::path::PathBuf;

use fnox_core::ExitStatus;
use fnox_vault_wire::frame::FrameError;
use fnox_vault_wire::transport::ListenError;

/// The daemon cannot be used or started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonFailure {
    /// Nobody listens.
    #[error("no daemon is running")]
    NotRunning,
    /// The socket is there, and nobody sensible behind it.
    #[error("the daemon at {} cannot be reached", socket.display())]
    Unreachable {
        socket: PathBuf,
        source: std::io::Error,
    },
    /// It did not answer in time.
    #[error("the daemon at {} did not answer within {seconds} seconds", socket.display())]
    Silent { socket: PathBuf, seconds: u64 },
    /// What came is not the protocol.
    #[error("the daemon at {} answered something else than was asked: {reason}", socket.display())]
    Protocol { socket: PathBuf, reason: String },
    /// It is of another version.
    #[error(
        "the daemon that runs speaks another version of the protocol ({})",
        list(versions)
    )]
    Version { versions: Vec<u32> },
    /// Another user is behind the socket.
    #[error("the socket {} belongs to another user (uid {uid}), so nothing was sent", socket.display())]
    ForeignPeer { socket: PathBuf, uid: u32 },
    /// The socket's folder is not private.
    #[error("the folder {} cannot hold the daemon's socket: {reason}", folder.display())]
    Folder { folder: PathBuf, reason: String },
    /// The socket could not be made.
    #[error("the daemon cannot listen: {0}")]
    Listen(#[from] ListenError),
    /// The process did not become ready.
    #[error("the daemon did not start: {reason}")]
    NotStarted { reason: String },
}

impl DaemonFailure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotRunning => "daemon::not_running",
            Self::Unreachable { .. } | Self::Silent { .. } => "daemon::unreachable",
            Self::Protocol { .. } | Self::Version { .. } => "daemon::protocol",
            Self::ForeignPeer { .. } => "daemon::foreign_peer",
            Self::Folder { .. } => "daemon::folder",
            Self::Listen(_) => "daemon::socket",
            Self::NotStarted { .. } => "daemon::not_started",
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::ForeignPeer { .. } => ExitStatus::Denied,
            Self::Folder { .. } => ExitStatus::Configuration,
            _ => ExitStatus::Unavailable,
        }
    }

    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::NotRunning => "start it: fnox daemon start",
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Protocol { .. } => {
                "end it and start it anew: fnox daemon stop; fnox daemon start"
            }
            Self::Version { .. } => "replace it: fnox daemon stop; fnox daemon start",
            Self::ForeignPeer { .. } => {
                "name a folder of your own with FNOX_DAEMON_SOCKET_DIR, or remove the socket"
            }
            Self::Folder { .. } | Self::Listen(ListenError::PathTooLong { .. }) => {
                "name another folder with FNOX_DAEMON_SOCKET_DIR: absolute, short, and open to nobody else (mode 0700)"
            }
            Self::Listen(_) => "`fnox daemon status` tells whether one is running",
            Self::NotStarted { .. } => {
                "`fnox daemon serve` runs it in the foreground and shows what it says"
            }
        }
    }

    /// What came over a connection is not what should.
    pub(super) fn frame(socket: PathBuf, error: FrameError) -> Self {
        match error {
            FrameError::Io(source) => Self::Unreachable { socket, source },
            error => Self::Protocol {
                socket,
                reason: error.to_string(),
            },
        }
    }
}

fn list(versions: &[u32]) -> String {
    let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
    words.join(", ")
}
