//! Where the daemon's socket is.
//!
//! `FNOX_DAEMON_SOCKET_DIR`, else fnox's folder for what lives as long as a login: `$XDG_RUNTIME_DIR/fnox`, or `run` of the
//! state folder. The folder must be the user's own and open to nobody else, so that nobody else can put a socket
//! there; whoever is behind it is asked for anyway before anything is sent.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fnox_config::Folders;
use fnox_core::Env;
use fnox_vault_wire::transport::{UnixListener, UnixOptions};
use tokio::net::UnixStream;

use super::error::DaemonFailure;
use crate::environment;

const SOCKET: &str = "daemon.sock";

/// The place of one user's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    folder: PathBuf,
    socket: PathBuf,
}

impl Place {
    /// The place that the environment means.
    pub(crate) fn of(env: &Env, folders: &Folders) -> Result<Self, DaemonFailure> {
        let folder = match env.var(environment::DAEMON_SOCKET_DIR) {
            Some(text) if Path::new(text).is_absolute() => PathBuf::from(text),
            Some(text) => {
                return Err(DaemonFailure::Folder {
                    folder: PathBuf::from(text),
                    reason: "FNOX_DAEMON_SOCKET_DIR must be an absolute path".to_owned(),
                });
            }
            None => folders.runtime.clone(),
        };
        Ok(Self {
            socket: folder.join(SOCKET),
            folder,
        })
    }

    /// The socket's path.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether there is a socket, alive or not.
    pub(crate) fn has_socket(&self) -> bool {
        self.socket.symlink_metadata().is_ok()
    }

    /// Connects, and makes sure that the same user is at the other end.
    pub(super) async fn connect(&self) -> Result<UnixStream, DaemonFailure> {
        let unreachable = |source| DaemonFailure::Unreachable {
            socket: self.socket.clone(),
            source,
        };
        let stream = match UnixStream::connect(&self.socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Err(DaemonFailure::NotRunning);
            }
            Err(error) => return Err(unreachable(error)),
        };
        let uid = stream.peer_cred().map_err(unreachable)?.uid();
        if uid != own_uid() {
            return Err(DaemonFailure::ForeignPeer {
                socket: self.socket.clone(),
                uid,
            });
        }
        Ok(stream)
    }

    /// Listens, in a private folder that is made if it is missing. A socket on which nobody listens any more is
    /// replaced, under a lock.
    pub(super) fn listen(&self) -> Result<UnixListener, DaemonFailure> {
        self.prepare_folder()?;
        Ok(UnixListener::bind(&self.socket, &UnixOptions::default())?)
    }

    fn prepare_folder(&self) -> Result<(), DaemonFailure> {
        let refused = |reason: String| DaemonFailure::Folder {
            folder: self.folder.clone(),
            reason,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|error| refused(error.to_string()))?;
        let found =
            std::fs::symlink_metadata(&self.folder).map_err(|error| refused(error.to_string()))?;
        if !found.is_dir() {
            return Err(refused("it is not a folder".to_owned()));
        }
        if found.uid() != own_uid() {
            return Err(refused(format!("it belongs to user {}", found.uid())));
        }
        match found.mode() & 0o777 {
            mode if mode & 0o077 != 0 => {
                Err(refused(format!("others can enter it (mode {mode:04o})")))
            }
            _ => Ok(()),
        }
    }
}

/// The user whose daemon it is.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place(folder: &Path) -> Place {
        let folder = folder.to_string_lossy();
        let env: Env = [("FNOX_DAEMON_SOCKET_DIR", folder.as_ref())]
            .into_iter()
            .collect();
        Place::of(&env, &Folders::from_env(&env)).unwrap()
    }

    #[tokio::test]
    async fn the_folder_is_made_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder.path().join("new"));
        let _listener = place.listen().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(&place.folder), 0o700);
        assert_eq!(mode(place.socket()), 0o600);
    }

    #[tokio::test]
    async fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o710);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let refused = place(folder.path()).listen().unwrap_err();
        assert!(refused.to_string().contains("0710"), "{refused}");
    }

    #[test]
    fn a_relative_folder_is_refused_with_the_variables_name() {
        let env: Env = [("FNOX_DAEMON_SOCKET_DIR", "run")].into_iter().collect();
        let refused = Place::of(&env, &Folders::from_env(&env)).unwrap_err();
        assert!(refused.to_string().contains("FNOX_DAEMON_SOCKET_DIR"));
    }
}
