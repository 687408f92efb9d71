//! Unix sockets as files: mode, what stands in the way, what is left behind.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};

use fnox_vault_wire::transport::{
    Connector, ListenError, Peer, SOCKET_PATH_LIMIT, UnixListener, UnixOptions,
};

use crate::script::in_time;

fn usual(path: &Path) -> Result<UnixListener, ListenError> {
    UnixListener::bind(path, &UnixOptions::default())
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

async fn answers(listener: &UnixListener) {
    let connector = Connector::Unix(listener.path().to_owned());
    let (connected, accepted) =
        in_time(async { tokio::join!(connector.connect(), listener.accept()) }).await;
    connected.unwrap();
    let (_, peer) = accepted.unwrap();
    let own = rustix_ids();
    assert!(matches!(peer, Peer::Unix { uid, gid, pid: Some(_) } if (uid, gid) == own));
}

fn rustix_ids() -> (u32, u32) {
    let process = rustix::process::geteuid().as_raw();
    (process, rustix::process::getegid().as_raw())
}

#[tokio::test]
async fn only_the_own_user_may_connect_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/vault.sock");
    let listener = usual(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    answers(&listener).await;
    assert_eq!(names(path.parent().unwrap()), [path]);
}

#[tokio::test]
async fn mode_and_group_are_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let group = rustix_ids().1;
    let options = UnixOptions {
        mode: 0o660,
        group: Some(group),
    };
    let listener = UnixListener::bind(&path, &options).unwrap();
    assert_eq!(mode(&path), 0o660);
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), group);
    answers(&listener).await;
}

#[tokio::test]
async fn a_path_that_is_too_long_is_refused_with_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let room = SOCKET_PATH_LIMIT - folder.path().as_os_str().len() - 1;
    let longest = folder.path().join("s".repeat(room));
    answers(&usual(&longest).unwrap()).await;

    let refused = usual(&folder.path().join("s".repeat(room + 1))).unwrap_err();
    assert!(matches!(
        refused,
        ListenError::PathTooLong { length: 108, .. }
    ));
    assert!(
        refused.to_string().contains("the limit is 107"),
        "{refused}"
    );
    let connector = Connector::Unix(folder.path().join("s".repeat(room + 1)));
    let refused = connector.connect().await.unwrap_err();
    assert!(
        refused.to_string().contains("the limit is 107"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_socket_on_which_nobody_listens_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    // A vault that was killed leaves its file; so does the standard library's listener.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = usual(&path).unwrap();
    answers(&listener).await;
    assert_eq!(names(folder.path()), [path]);
}

#[tokio::test]
async fn a_vault_that_answers_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let first = usual(&path).unwrap();
    let refused = usual(&path).unwrap_err();
    assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().starts_with("another vault listens on"));
    // The look at it was a connection.
    first.accept().await.unwrap();
    answers(&first).await;
    assert_eq!(names(folder.path()), [path]);
}

#[tokio::test]
async fn of_two_that_start_at_once_over_a_stale_socket_one_wins() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let start_line = Arc::new(Barrier::new(4));
        let path = folder.path().join("vault.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let (path, start_line) = (path.clone(), start_line.clone());
                tokio::task::spawn_blocking(move || {
                    start_line.wait();
                    usual(&path)
                })
            })
            .collect();
        let mut listeners = Vec::new();
        for start in starts {
            match start.await.unwrap() {
                Ok(listener) => listeners.push(listener),
                Err(ListenError::InUse { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(
            listeners.len(),
            1,
            "each would think that it has the socket"
        );
        drop(listeners);
        assert!(names(folder.path()).is_empty(), "something is left behind");
    }
}

#[tokio::test]
async fn what_is_not_a_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(usual(&path), Err(ListenError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let link = folder.path().join("link.sock");
    symlink(&path, &link).unwrap();
    assert!(matches!(usual(&link), Err(ListenError::NotASocket { .. })));
    assert!(matches!(
        usual(&folder.path().join("..")),
        Err(ListenError::PathInvalid { .. })
    ));
}

#[tokio::test]
async fn a_socket_of_another_user_stays() {
    if rustix_ids().0 != 0 {
        crate::transports::left_out("a socket of another user (needs root to make one)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    std::os::unix::fs::chown(&path, Some(1), None).unwrap();
    let refused = usual(&path).unwrap_err();
    assert!(matches!(refused, ListenError::ForeignOwner { uid: 1, .. }));
    assert!(path.exists());
}

#[tokio::test]
async fn a_folder_in_which_everybody_may_replace_the_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = open.join("vault.sock");
    assert!(matches!(
        usual(&path),
        Err(ListenError::FolderOpenToAll { .. })
    ));
    // As in /tmp: everybody may write, but not replace.
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    usual(&path).unwrap();
}

#[tokio::test]
async fn the_file_goes_with_the_listener_if_it_is_still_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let listener = usual(&path).unwrap();
    drop(listener);
    assert!(!path.exists());

    let listener = usual(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let successor = usual(&path).unwrap();
    drop(listener);
    answers(&successor).await;
}

#[tokio::test]
async fn a_socket_from_the_service_manager_keeps_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let passed = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let listener = UnixListener::from_std(passed).unwrap();
    assert_eq!(listener.path(), path);
    answers(&listener).await;
    drop(listener);
    assert!(path.exists());
}
