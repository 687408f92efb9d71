//! An authority whose key an SSH agent holds: that of a PKCS#11 token, in the real `ssh-agent`; and agents that lie.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fnox_core::ExitStatus;
use fnox_leases::delivery::Current;
use fnox_leases::delivery::agent::Agent;
use fnox_testkit::wait;

use super::certificate::{has, shown};
use super::server::Server;
use super::{Authority, Fixed, lease, run};
use crate::support::{Project, cached, minted, skipped};

/// Where Debian has `SoftHSM`.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "token-pin-4711";

/// A token in software with one key that cannot be read, and an agent that has it. Both end with this value.
struct Token {
    folder: tempfile::TempDir,
    agent: Option<Child>,
    /// The key, as a line of a `.pub` file.
    key: String,
}

impl Token {
    /// With a key of this type, as `pkcs11-tool` calls it.
    fn new(kind: &str) -> Self {
        let mut token = Self {
            folder: tempfile::tempdir().unwrap(),
            agent: None,
            key: String::new(),
        };
        std::fs::create_dir(token.path("tokens")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            token.path("tokens").display()
        );
        std::fs::write(token.path("softhsm2.conf"), configuration).unwrap();
        let askpass = format!("#!/bin/sh\necho {PIN}\n");
        std::fs::write(token.path("askpass"), askpass).unwrap();
        let executable = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(token.path("askpass"), executable).unwrap();
        run(token.command("softhsm2-util").args([
            "--init-token",
            "--free",
            "--label",
            "authority",
            "--pin",
            PIN,
            "--so-pin",
            "87654321",
        ]));
        run(token
            .command("pkcs11-tool")
            .args(["--module", MODULE, "--token-label", "authority", "--login"])
            .args(["--pin", PIN, "--keypairgen", "--key-type", kind])
            .args(["--id", "01", "--label", "ca"]));
        let agent = token
            .command("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(token.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        token.agent = Some(agent);
        let socket = token.socket();
        wait::until("ssh-agent", Duration::from_secs(30), || socket.exists());
        token.plug_in();
        token.key = run(token.command("ssh-add").arg("-L")).trim().to_owned();
        assert_eq!(token.key.lines().count(), 1, "{}", token.key);
        std::fs::write(token.public_key_file(), &token.key).unwrap();
        token
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("agent")
    }

    fn public_key_file(&self) -> PathBuf {
        self.path("ca.pub")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_ASKPASS", self.path("askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force");
        command
    }

    fn plug_in(&self) {
        run(self.command("ssh-add").args(["-q", "-s", MODULE]));
    }

    fn take_out(&self) {
        run(self.command("ssh-add").args(["-q", "-e", MODULE]));
    }

    fn project(&self, keys: &str) -> Project {
        project(&self.key, &self.socket(), keys)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

fn project(key: &str, socket: &Path, keys: &str) -> Project {
    Project::with_env(
        &lease(&format!("ca_agent_key = '{key}'\n{keys}")),
        &[("SSH_AUTH_SOCK", socket.to_str().unwrap())],
    )
}

/// How it fails, with what to do.
async fn failure(project: &Project) -> (ExitStatus, String) {
    let error = match project.exec("x").await {
        Err(error) => error,
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
    let told = format!("{error} {error:?} {:?}", error.help());
    (error.exit_status(), told)
}

#[tokio::test]
#[ignore = "needs softhsm2"]
async fn a_key_that_never_leaves_its_token_signs_certificates_that_a_server_takes() {
    for (kind, algorithm) in [
        ("EC:prime256v1", "ecdsa-sha2-nistp256"),
        ("EC:secp384r1", "ecdsa-sha2-nistp384"),
        ("rsa:2048", "rsa-sha2-512"),
    ] {
        let token = Token::new(kind);
        let server = Server::trusting(&token.public_key_file());
        let project = token.project(&format!("principals = ['{}']", server.user));
        let held = minted(project.exec("x").await.unwrap());
        let lines = shown(&held);
        let fingerprint = run(Command::new("ssh-keygen")
            .arg("-lf")
            .arg(token.public_key_file()));
        let fingerprint = fingerprint.split(' ').nth(1).unwrap();
        let signed = lines.iter().find(|line| line.starts_with("Signing CA:"));
        let signed = signed.unwrap();
        assert!(signed.contains(fingerprint), "{signed}");
        assert!(
            signed.ends_with(&format!("(using {algorithm})")),
            "{signed}"
        );
        has(&lines, "Key ID: \"fnox-exec-x\"");
        // The agent with the authority's key is not the program's.
        assert!(held.withhold.iter().any(|name| name == "SSH_AUTH_SOCK"));

        let current: Arc<dyn Current> = Fixed::new(held.clone());
        let own = tempfile::tempdir().unwrap();
        let agent = Agent::start(current, &own.path().join("own")).unwrap();
        let said = server.says(agent.socket(), "id -un").await;
        assert_eq!(said, Ok(server.user.clone()));

        // While it lives, nobody needs the token.
        token.take_out();
        let again = cached(project.exec("x").await.unwrap());
        assert_eq!(again.credential.id, held.credential.id);
    }
}

#[tokio::test]
#[ignore = "needs softhsm2"]
async fn without_the_token_no_certificate_is_made_and_it_is_said_why() {
    let token = Token::new("EC:prime256v1");
    let keys = "principals = ['a']";
    token.take_out();
    let (status, told) = failure(&token.project(keys)).await;
    assert_eq!(status, ExitStatus::AuthenticationNeeded, "{told}");
    for wanted in ["does not have the key", "SHA256:", "ssh-add -s MODULE"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    token.plug_in();
    minted(token.project(keys).exec("x").await.unwrap());
    // The token is there, and its key is not the one that is configured.
    let other = Authority::ed25519();
    let other = std::fs::read_to_string(other.public_key_file()).unwrap();
    let (status, told) = failure(&project(other.trim(), &token.socket(), keys)).await;
    assert_eq!(status, ExitStatus::AuthenticationNeeded, "{told}");
    // Nobody is there.
    let (status, told) = failure(&project(&token.key, &token.path("gone"), keys)).await;
    assert_eq!(status, ExitStatus::Unavailable, "{told}");
    let without = Project::new(&lease(&format!("ca_agent_key = '{}'\n{keys}", token.key)));
    let skip = skipped(without.exec("x").await.unwrap());
    assert!(skip.message.contains("SSH_AUTH_SOCK"), "{}", skip.message);
}

/// An agent that answers every message so.
fn answering(folder: &Path, answer: Option<Vec<u8>>) -> PathBuf {
    let socket = folder.join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut message).unwrap();
            match &answer {
                Some(answer) => drop(stream.write_all(answer)),
                None => waiting.push(stream),
            }
        }
    });
    socket
}

/// A text, or a message, with its length before it.
fn string(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], text].concat()
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn what_another_key_signed_or_nobody_is_no_certificate() {
    let authority = Authority::ed25519();
    let key = std::fs::read_to_string(authority.public_key_file()).unwrap();
    let forged = [string(b"ssh-ed25519"), string(&[7; 64])].concat();
    for (answer, status, wanted) in [
        (
            Some(string(&[&[14][..], &string(&forged)].concat())),
            ExitStatus::Unavailable,
            "not a signature by this key",
        ),
        (
            Some(string(&[&[14][..], &string(b"x")].concat())),
            ExitStatus::Unavailable,
            "no signature",
        ),
        (Some(string(&[14])), ExitStatus::Unavailable, "no signature"),
        (
            Some(string(&[5])),
            ExitStatus::AuthenticationNeeded,
            "does not have the key",
        ),
        (
            Some(string(&[])),
            ExitStatus::AuthenticationNeeded,
            "does not have the key",
        ),
        (Some(vec![0xff; 4]), ExitStatus::Unavailable, "too long"),
        (
            Some(vec![0, 0]),
            ExitStatus::Unavailable,
            "signed no certificate",
        ),
        (None, ExitStatus::Unavailable, "did not answer in time"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let socket = answering(folder.path(), answer);
        let mut project = project(key.trim(), &socket, "principals = ['a']");
        project.limits.call = Duration::from_secs(1);
        let (is, told) = failure(&project).await;
        assert_eq!(is, status, "{wanted}: {told}");
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}
