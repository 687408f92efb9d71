//! A real `sshd` that trusts the authority, and the real `ssh` with the agent.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fnox_core::Clock as _;
use fnox_leases::delivery::Current;
use fnox_leases::delivery::agent::Agent;
use fnox_testkit::wait;
use jiff::SignedDuration;

use super::{Authority, Fixed, run};
use crate::support::{Project, minted};

/// A server. It ends with this value.
pub(super) struct Server {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
    pub(super) user: String,
}

impl Server {
    fn start(authority: &Authority) -> Self {
        Self::trusting(&authority.public_key_file())
    }

    /// One that trusts the authority with this public key.
    pub(super) fn trusting(authority: &Path) -> Self {
        let user = run(Command::new("id").arg("-un")).trim().to_owned();
        for _ in 0..5 {
            // Between this question and the server's start somebody else may take the port: then another one.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|listener| listener.local_addr())
                .unwrap()
                .port();
            let folder = tempfile::tempdir().unwrap();
            let mut server = Self {
                process: process(folder.path(), authority, port),
                folder,
                port,
                user: user.clone(),
            };
            if server.comes_up() {
                return server;
            }
        }
        panic!("sshd does not start");
    }

    fn comes_up(&mut self) -> bool {
        let limit = Duration::from_secs(30);
        wait::until_some("sshd", limit, || {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Some(true);
            }
            self.process.try_wait().unwrap().map(|_| false)
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What a command says at the server, or what `ssh` says instead.
    pub(super) async fn says(&self, socket: &Path, command: &str) -> Result<String, String> {
        let host_key = std::fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        let known = self.folder.path().join("known_hosts");
        std::fs::write(&known, format!("[127.0.0.1]:{} {host_key}", self.port)).unwrap();
        let output = tokio::process::Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentityFile=none",
            ])
            .args(["-o", "PreferredAuthentications=publickey"])
            .args([
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=none",
            ])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .args(["-p", &self.port.to_string(), "-l", &self.user, "127.0.0.1"])
            .arg(command)
            .env("SSH_AUTH_SOCK", socket)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn process(folder: &Path, authority: &Path, port: u16) -> Child {
    run(Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", "ed25519", "-f"])
        .arg(folder.join("host")));
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    let configuration = [
        "ListenAddress 127.0.0.1".to_owned(),
        format!("Port {port}"),
        format!("HostKey {}", path(folder.join("host"))),
        format!("TrustedUserCAKeys {}", authority.display()),
        "AuthorizedKeysFile none".to_owned(),
        "AuthenticationMethods publickey".to_owned(),
        "PermitRootLogin prohibit-password".to_owned(),
        "PidFile none".to_owned(),
        "UsePAM no".to_owned(),
        "LogLevel VERBOSE".to_owned(),
    ];
    std::fs::write(folder.join("sshd_config"), configuration.join("\n")).unwrap();
    let sshd = format!(
        "exec /usr/sbin/sshd -D -f {} -E {}",
        path(folder.join("sshd_config")),
        path(folder.join("log"))
    );
    // Started as root it wants a folder in /run, which a machine without a running sshd does not have.
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]).arg(format!(
            "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -m 755 /run/sshd; {sshd}"
        ));
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-ec", &sshd]);
        command
    };
    command.stdin(Stdio::null()).spawn().unwrap()
}

/// The agent of a project's lease.
async fn agent_of(project: &Project, folder: &Path) -> Agent {
    let held = minted(project.exec("x").await.unwrap());
    let current: Arc<dyn Current> = Fixed::new(held);
    Agent::start(current, &folder.join("own")).unwrap()
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn a_certificate_lets_in_as_its_principal_until_its_end() {
    let authority = Authority::ed25519();
    let server = Server::start(&authority);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let own = format!("principals = ['{}']\nkey_id = 'the run'", server.user);

    let project = authority.project(&own);
    let agent = agent_of(&project, folder).await;
    let said = server.says(agent.socket(), "id -un").await;
    assert_eq!(said, Ok(server.user.clone()));
    assert!(
        server.log().contains("ID the run (serial "),
        "{}",
        server.log()
    );

    let other = authority.project("principals = ['somebody_else']");
    let agent = agent_of(&other, folder).await;
    let refused = server.says(agent.socket(), "id -un").await.unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}");
    assert!(server.log().contains("name is not a listed principal"));

    // Signed an hour ago for ten minutes.
    let ended = authority.project(&own);
    let before = ended.clock.now() - SignedDuration::from_hours(1);
    ended.clock.set_wall(before);
    let agent = agent_of(&ended, folder).await;
    let refused = server.says(agent.socket(), "id -un").await.unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}");
    assert!(server.log().contains("expired"), "{}", server.log());

    let stranger = Authority::ed25519().project(&own);
    let agent = agent_of(&stranger, folder).await;
    let refused = server.says(agent.socket(), "id -un").await.unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}");
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn what_the_certificate_restricts_the_server_restricts() {
    for authority in [
        Authority::new(&["-t", "rsa", "-b", "3072"]),
        Authority::new(&["-t", "ecdsa", "-b", "384"]),
    ] {
        let server = Server::start(&authority);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let own = format!("principals = ['{}']", server.user);

        let forced =
            format!("{own}\nforce_command = 'echo only this'\nsource_addresses = ['127.0.0.0/8']");
        let agent = agent_of(&authority.project(&forced), folder).await;
        let said = server.says(agent.socket(), "id -un").await;
        assert_eq!(said, Ok("only this".to_owned()));

        let elsewhere = format!("{own}\nsource_addresses = ['10.0.0.0/8', '2001:db8::1']");
        let agent = agent_of(&authority.project(&elsewhere), folder).await;
        let refused = server.says(agent.socket(), "id -un").await.unwrap_err();
        assert!(refused.contains("Permission denied"), "{refused}");
    }
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn a_renewed_certificate_lets_in_where_the_old_one_does_not() {
    let authority = Authority::ed25519();
    let server = Server::start(&authority);
    let folder = tempfile::tempdir().unwrap();
    let project = authority.project(&format!("principals = ['{}']", server.user));
    let now = project.clock.now();
    project.clock.set_wall(now - SignedDuration::from_hours(1));
    let old = minted(project.exec("x").await.unwrap());
    let current = Fixed::new(old);
    let agent = Agent::start(
        Arc::clone(&current) as Arc<dyn Current>,
        &folder.path().join("own"),
    )
    .unwrap();
    assert!(server.says(agent.socket(), "id -un").await.is_err());
    project.clock.set_wall(now);
    current.set(Some(minted(project.exec("x").await.unwrap())));
    let said = server.says(agent.socket(), "id -un").await;
    assert_eq!(said, Ok(server.user.clone()));
}
