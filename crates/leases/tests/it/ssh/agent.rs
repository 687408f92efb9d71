//! The agent, asked by `ssh-add` and by nobody in particular.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use fnox_leases::Held;
use fnox_leases::delivery::Current;
use fnox_leases::delivery::agent::Agent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{Authority, Fixed, ssh_add, value};
use crate::support::minted;

async fn held() -> Held {
    let project = Authority::ed25519().project("principals = ['a']\nkey_id = 'a name'");
    minted(project.exec("x").await.unwrap())
}

fn start(current: &Arc<Fixed>) -> (tempfile::TempDir, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let current = Arc::clone(current) as Arc<dyn Current>;
    let agent = Agent::start(current, &folder.path().join("own")).unwrap();
    (folder, agent)
}

#[tokio::test]
#[ignore = "needs ssh-add"]
async fn it_lists_one_certificate_and_refuses_to_change() {
    let current = Fixed::new(held().await);
    let (folder, agent) = start(&current);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(agent.socket().parent().unwrap()), 0o700);
    let (listed, text) = ssh_add(agent.socket(), &["-l"]).await;
    assert!(listed, "{text}");
    assert!(text.ends_with("a name (ED25519-CERT)"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let (_, text) = ssh_add(agent.socket(), &["-L"]).await;
    let own = value(&current.current().await.unwrap(), "FNOX_SSH_CERTIFICATE").to_owned();
    assert_eq!(text, own.trim());

    let other = folder.path().join("other");
    super::run(
        Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", "ed25519", "-f"])
            .arg(&other),
    );
    for arguments in [
        vec![other.to_str().unwrap()],
        vec!["-D"],
        vec!["-d", other.to_str().unwrap()],
    ] {
        let (changed, text) = ssh_add(agent.socket(), &arguments).await;
        assert!(!changed, "{arguments:?}: {text}");
    }
    assert!(ssh_add(agent.socket(), &["-l"]).await.0);
}

#[tokio::test]
#[ignore = "needs ssh-add"]
async fn a_renewal_is_seen_by_the_next_request() {
    let current = Fixed::new(held().await);
    let (_folder, agent) = start(&current);
    let (_, before) = ssh_add(agent.socket(), &["-l"]).await;
    current.set(Some(held().await));
    let (_, after) = ssh_add(agent.socket(), &["-l"]).await;
    assert_ne!(before, after);
    assert!(after.ends_with("(ED25519-CERT)"), "{after}");
    current.set(None);
    let (listed, text) = ssh_add(agent.socket(), &["-l"]).await;
    assert!(!listed && text.contains("refused"), "{text}");
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn it_ends_with_its_value_and_so_do_its_connections() {
    let current = Fixed::new(held().await);
    let (_folder, agent) = start(&current);
    let socket = agent.socket().to_owned();
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream.write_all(&[0, 0, 0, 1, 11]).await.unwrap();
    let length = stream.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..5], [12, 0, 0, 0, 1]);
    drop(agent);
    assert!(!socket.exists());
    assert!(matches!(stream.read(&mut answer).await, Ok(0) | Err(_)));
    assert!(UnixStream::connect(&socket).await.is_err());
}

/// What the agent answers to bytes, until it has nothing more to say.
async fn says(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // It may have hung up before everything was said.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn nonsense_is_refused_or_not_answered() {
    const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
    let current = Fixed::new(held().await);
    let (_folder, agent) = start(&current);
    let socket = agent.socket();
    // A lock, an extension, a key that is not there, and a message that is too short for what it says.
    for body in [
        vec![22, 0, 0, 0, 1, b'x'],
        vec![27, 0, 0, 0, 5, b'q', b'u', b'e', b'r', b'y'],
        vec![13, 0, 0, 0, 1, 7, 0, 0, 0, 1, 8, 0, 0, 0, 0],
        vec![13, 0, 0, 0, 200],
    ] {
        let mut message = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        message.extend(&body);
        assert_eq!(says(socket, &message).await, FAILURE, "{body:?}");
    }
    // Lengths that nobody needs, none at all, and half a message.
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff, 11][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 9, 11],
    ] {
        assert_eq!(says(socket, bytes).await, Vec::<u8>::new(), "{bytes:?}");
    }
    // The next one is served all the same.
    assert_eq!(says(socket, &[0, 0, 0, 1, 11]).await[4], 12);
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn a_folder_that_others_can_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let set = |mode| {
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let current: Arc<dyn Current> = Fixed::new(held().await);
    set(0o750);
    let error = Agent::start(Arc::clone(&current), &shared).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    set(0o700);
    assert!(Agent::start(Arc::clone(&current), &shared).is_ok());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&shared, &link).unwrap();
    assert!(Agent::start(current, &link).is_err());
}

#[tokio::test]
#[ignore = "needs root and ssh-add"]
async fn another_user_is_not_answered_even_if_the_folder_is_opened() {
    assert!(rustix::process::geteuid().is_root());
    let current = Fixed::new(held().await);
    let (folder, agent) = start(&current);
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    open(folder.path());
    open(agent.socket().parent().unwrap());
    open(agent.socket());
    let output = tokio::process::Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .args(["ssh-add", "-l"])
        .env("SSH_AUTH_SOCK", agent.socket())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && text.is_empty(), "{text}");
    let error = String::from_utf8(output.stderr).unwrap();
    // It got as far as the socket.
    assert!(!error.contains("Permission denied"), "{error}");
    assert!(ssh_add(agent.socket(), &["-l"]).await.0);
}
