//! Unix sockets: who connects is known by the kernel, who may connect is the file's mode.
//!
//! The socket is made under a name of its own, gets its mode and group, begins to listen, and only then moves
//! to its place: nobody can connect while its mode is wider than asked for. What stands in that place is
//! replaced only if it is a socket of the same user on which nobody listens; of vaults that start at once, one
//! wins. On drop the file is removed if it is still this one.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::{ListenError, Peer, SOCKET_PATH_LIMIT, Stream};

/// Connections that wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 1024;

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixOptions {
    /// The file's mode.
    pub mode: u32,
    /// The file's group, if not the process's.
    pub group: Option<u32>,
}

impl Default for UnixOptions {
    fn default() -> Self {
        Self {
            mode: 0o600,
            group: None,
        }
    }
}

/// Listens on a Unix socket.
#[derive(Debug)]
pub struct UnixListener {
    inner: tokio::net::UnixListener,
    path: PathBuf,
    /// Device and inode of the file that is removed on drop; none if it is somebody else's to remove.
    owned: Option<(u64, u64)>,
}

impl UnixListener {
    /// Listens on a path. A missing folder is made for the own user only (0700).
    ///
    /// # Errors
    /// If the path is too long, or what stands there must not be replaced.
    pub fn bind(path: &Path, options: &UnixOptions) -> Result<Self, ListenError> {
        check_path(path)?;
        let failed = |source: io::Error| ListenError::io(path.display(), source);
        prepare_folder(path)?;
        let _lock = StartLock::take(path).map_err(failed)?;
        let stale = look_at(path)?;

        let (socket, temporary) = bind_beside(path).map_err(failed)?;
        let made = equip(&socket, &temporary, options)
            .map_err(failed)
            .and_then(|identity| {
                put_in_place(&temporary, path, stale)?;
                Ok(identity)
            });
        let identity = match made {
            Ok(identity) => identity,
            Err(error) => {
                let _gone_already = std::fs::remove_file(&temporary);
                return Err(error);
            }
        };
        let mut listener = Self::from_std(socket.into()).map_err(failed)?;
        path.clone_into(&mut listener.path);
        listener.owned = Some(identity);
        Ok(listener)
    }

    /// Takes over a socket that is listening already, such as one from the service manager. Its file is not
    /// removed.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let inner = tokio::net::UnixListener::from_std(listener)?;
        let path = inner
            .local_addr()?
            .as_pathname()
            .map(Path::to_owned)
            .unwrap_or_default();
        Ok(Self {
            inner,
            path,
            owned: None,
        })
    }

    /// The socket's path; empty for a socket without a name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next connection. One whose user the kernel does not tell is closed and passed over.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        loop {
            let (stream, _) = self.inner.accept().await?;
            match stream.peer_cred() {
                Ok(credentials) => {
                    let peer = Peer::Unix {
                        uid: credentials.uid(),
                        gid: credentials.gid(),
                        pid: credentials.pid(),
                    };
                    return Ok((Stream::Unix(stream), peer));
                }
                Err(error) => {
                    tracing::warn!(%error, socket = %self.path.display(), "refused a connection: the kernel does not tell whose it is");
                }
            }
        }
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        let Some(owned) = self.owned else { return };
        if identity(&self.path).is_ok_and(|found| found == owned) {
            let _nobody_to_tell = std::fs::remove_file(&self.path);
        }
    }
}

impl fmt::Display for UnixListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unix:{}", self.path.display())
    }
}

pub(super) async fn connect(path: &Path) -> io::Result<Stream> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("socket path has {length} bytes, the limit is {SOCKET_PATH_LIMIT}"),
        ));
    }
    Ok(Stream::Unix(tokio::net::UnixStream::connect(path).await?))
}

fn check_path(path: &Path) -> Result<(), ListenError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > SOCKET_PATH_LIMIT {
        return Err(ListenError::PathTooLong {
            path: path.to_owned(),
            length: bytes.len(),
        });
    }
    if path.file_name().is_none() || bytes.contains(&0) || bytes.ends_with(b"/") {
        return Err(ListenError::PathInvalid {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the folder if it is missing, and refuses one in which anybody could replace the socket by another.
fn prepare_folder(path: &Path) -> Result<(), ListenError> {
    let folder = folder_of(path);
    let failed = |source: io::Error| ListenError::io(path.display(), source);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let mode = std::fs::metadata(folder).map_err(failed)?.mode();
    let (others_write, sticky) = (mode & 0o002 != 0, mode & 0o1000 != 0);
    if others_write && !sticky {
        return Err(ListenError::FolderOpenToAll {
            path: folder.to_owned(),
        });
    }
    Ok(())
}

/// What stands at the path: nothing, a socket that may be replaced, or a reason not to go on.
fn look_at(path: &Path) -> Result<Option<(u64, u64)>, ListenError> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ListenError::io(path.display(), error)),
    };
    let path_buf = || path.to_owned();
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path_buf() });
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(ListenError::ForeignOwner {
            path: path_buf(),
            uid: found.uid(),
        });
    }
    match probe(path) {
        Err(Errno::CONNREFUSED) => Ok(Some((found.dev(), found.ino()))),
        Err(Errno::NOENT) => Ok(None),
        Ok(()) | Err(Errno::AGAIN) => Err(ListenError::InUse { path: path_buf() }),
        Err(error) => Err(ListenError::io(path.display(), error)),
    }
}

/// Connects without waiting, to learn whether anybody listens.
fn probe(path: &Path) -> Result<(), Errno> {
    let socket = new_socket()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

/// A socket that nobody waits on, and that no program inherits.
#[cfg(target_os = "linux")]
fn new_socket() -> Result<OwnedFd, Errno> {
    use rustix::net::SocketFlags;
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

/// A socket that nobody waits on, and that no program inherits. Only Linux and the BSDs can make it so in one step.
#[cfg(not(target_os = "linux"))]
fn new_socket() -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// A bound socket under a new name in the same folder, not longer than the final name where that can be.
fn bind_beside(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let length = path.file_name().map_or(1, OsStr::len).min(8);
    let socket = new_socket()?;
    // On Linux the file gets the socket's own mode, so that not even its first moment is a wide one. Elsewhere a
    // socket has none, and fchmod(2) says EINVAL; nobody can connect before it listens, and by then it has its mode.
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    let mut attempts = 0;
    loop {
        let temporary = path.with_file_name(random_name(length));
        if temporary == path {
            continue;
        }
        match rustix::net::bind(&socket, &SocketAddrUnix::new(&temporary)?) {
            Ok(()) => return Ok((socket, temporary)),
            Err(Errno::ADDRINUSE) if attempts < 64 => attempts += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn random_name(length: usize) -> OsString {
    let mut rng = rand::rng();
    let mut name: Vec<u8> = (0..length)
        .map(|_| rng.sample(rand::distr::Alphanumeric))
        .collect();
    if length > 1 {
        name[0] = b'.';
    }
    OsString::from_vec(name)
}

/// Gives the socket group and mode, and lets it listen.
fn equip(socket: &OwnedFd, file: &Path, options: &UnixOptions) -> io::Result<(u64, u64)> {
    if options.group.is_some() {
        std::os::unix::fs::lchown(file, None, options.group)?;
    }
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(options.mode & 0o777))?;
    rustix::net::listen(socket, BACKLOG)?;
    identity(file)
}

/// Moves the socket to its place. Another one that came there in the meantime stays.
fn put_in_place(
    temporary: &Path,
    path: &Path,
    stale: Option<(u64, u64)>,
) -> Result<(), ListenError> {
    let in_use = || ListenError::InUse {
        path: path.to_owned(),
    };
    let moved = match stale {
        None => move_to_free(temporary, path),
        Some(stale) if identity(path).is_ok_and(|found| found == stale) => {
            rustix::fs::rename(temporary, path)
        }
        Some(_) => return Err(in_use()),
    };
    match moved {
        Err(Errno::EXIST) => Err(in_use()),
        moved => moved.map_err(|source| ListenError::io(path.display(), source)),
    }
}

/// Renames if nothing is there, or plainly where system or file system know no such condition.
fn move_to_free(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(from, to),
        moved => moved,
    }
}

/// Held between the look at the path and the move to it, so that of vaults that start at once over the same
/// stale socket one wins and the others see it. A file of its own, because everybody who can read a folder can
/// lock the folder. It is removed again.
struct StartLock {
    path: PathBuf,
    _file: std::fs::File,
}

impl StartLock {
    fn take(socket: &Path) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(socket.file_name().unwrap_or_default());
        name.push(".lock");
        let path = socket.with_file_name(name);
        loop {
            let file = rustix::fs::open(
                &path,
                OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o600),
            )?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            // Whoever held it before removed it: then a newer file is the lock.
            let file = std::fs::File::from(file);
            let found = file.metadata()?;
            if identity(&path).is_ok_and(|current| current == (found.dev(), found.ino())) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for StartLock {
    fn drop(&mut self) {
        let _nobody_to_tell = std::fs::remove_file(&self.path);
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_came_in_the_meantime_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.sock");
        let (_stale, stale_file) = bind_beside(&path).unwrap();
        let stale = identity(&stale_file).unwrap();
        // Between the look and the move, somebody else put theirs there.
        let (_other, other_file) = bind_beside(&path).unwrap();
        std::fs::rename(&other_file, &path).unwrap();
        let other = identity(&path).unwrap();

        let (_ours, ours_file) = bind_beside(&path).unwrap();
        for found_before in [None, Some(stale)] {
            let refused = put_in_place(&ours_file, &path, found_before).unwrap_err();
            assert!(matches!(refused, ListenError::InUse { .. }), "{refused:?}");
            assert_eq!(identity(&path).unwrap(), other);
        }
        put_in_place(&ours_file, &path, Some(other)).unwrap();
        assert_ne!(identity(&path).unwrap(), other);
        assert!(!ours_file.exists());
    }

    #[test]
    fn the_name_before_the_last_is_never_longer_than_the_last() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["s", "so", "vault.sock"] {
            let (_socket, file) = bind_beside(&folder.path().join(name)).unwrap();
            assert!(file.file_name().unwrap().len() <= name.len());
            let mode = std::fs::symlink_metadata(&file).unwrap().mode();
            assert_eq!(mode & 0o077, 0, "wide before it listens: {mode:o}");
        }
    }
}
