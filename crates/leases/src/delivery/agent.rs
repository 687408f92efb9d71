//! An SSH agent of the program's own.
//!
//! It holds one key, which is that of a lease as it is now: each request asks for the lease's credential anew, so a
//! renewal is seen by the next `ssh` without anything that the program has to do. It lists that key with its
//! certificate, signs with it, and refuses everything else: no key can be added to it, taken from it or read out of it.
//!
//! Attacks defended: other users of the machine (the socket is in a folder that only its owner can enter, and each
//! peer's user is asked of the kernel), a program that outlives the run (the agent ends with it), requests that make
//! it hold much memory (a limit of size and of connections).
//!
//! Source: draft-ietf-sshm-ssh-agent-05 (formerly draft-miller-ssh-agent), sections 3 and 5.

mod protocol;

use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use self::protocol::Request;
use super::Current;

/// How many programs may be connected at a time; `ssh` stays connected while it forwards the agent.
const CONNECTIONS: usize = 64;

/// Pause after an error of `accept`, such as "too many open files".
const PAUSE: Duration = Duration::from_millis(50);

/// A running agent. It ends, and its socket is removed, with this value.
pub struct Agent {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts one on the current runtime, with a socket in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If others may enter the folder, it belongs to somebody else, or the socket cannot be made.
    pub fn start(current: Arc<dyn Current>, folder: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        check_folder(folder)?;
        let name = format!("agent.{:08x}", rand::rng().random::<u32>());
        let socket = folder.join(name);
        let listener = UnixListener::bind(&socket)?;
        Ok(Self {
            task: runtime.spawn(serve(listener, current)),
            socket,
        })
    }

    /// What `SSH_AUTH_SOCK` must say.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
        // Nobody can use it any more, removed or not.
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Agent")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

fn check_folder(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = std::fs::symlink_metadata(folder)?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !is_own || metadata.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} must be a folder that only its owner can enter",
                folder.display()
            ),
        ));
    }
    Ok(())
}

async fn serve(listener: UnixListener, current: Arc<dyn Current>) {
    // Ended with this function, so no connection outlives the agent.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    if is_own(&stream) {
                        connections.spawn(answer_all(stream, Arc::clone(&current)));
                    }
                }
                Err(error) => {
                    tracing::debug!("the SSH agent cannot take a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Whether a program of the same user is at the other end.
fn is_own(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

async fn answer_all(mut stream: UnixStream, current: Arc<dyn Current>) {
    // A peer that breaks the protocol or goes away gets no more answers.
    while let Ok(Some(body)) = read(&mut stream).await {
        let answer = answer(&body, current.as_ref()).await;
        if stream.write_all(&answer).await.is_err() {
            break;
        }
    }
}

/// One message without its length. `None`: the peer has gone, or says more than anybody needs to.
async fn read(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let length = stream.read_u32().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length == 0 || length > protocol::LIMIT {
        return Ok(None);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

async fn answer(body: &[u8], current: &dyn Current) -> Vec<u8> {
    let request = protocol::parse(body);
    if request == Request::Other {
        return protocol::failure();
    }
    let held = match current.current().await {
        Ok(held) => held,
        Err(unavailable) => {
            tracing::debug!("the SSH agent has no key: {unavailable}");
            return protocol::failure();
        }
    };
    protocol::answer(&request, &held.credential).unwrap_or_else(|| {
        tracing::debug!("the SSH agent refused a request");
        protocol::failure()
    })
}
