//! `ssh` with real clients and servers.

mod agent;
mod certificate;
mod held;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_core::LeaseName;
use fnox_leases::Held;
use fnox_leases::delivery::{Current, Unavailable};

use crate::support::Project;

/// A certificate authority, made by `ssh-keygen`.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// Of a type, with more options.
    fn new(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "test authority"])
            .args(options)
            .arg("-f")
            .arg(folder.path().join("ca")));
        Self { folder }
    }

    fn ed25519() -> Self {
        Self::new(&["-t", "ed25519"])
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    fn public_key_file(&self) -> PathBuf {
        self.folder.path().join("ca.pub")
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.key_file()).unwrap()
    }

    /// A project whose lease signs with it.
    fn project(&self, keys: &str) -> Project {
        Project::with_env(&lease(keys), &[("FNOX_SSH_CA_KEY", &self.key())])
    }
}

fn lease(keys: &str) -> String {
    format!("[leases.x]\ntype = 'ssh'\nduration = '10m'\n{keys}\n")
}

/// What a program that must succeed prints.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn value<'a>(held: &'a Held, name: &str) -> &'a str {
    held.credential.variable(name).unwrap().expose_secret()
}

/// A credential that a test changes, in the place of whoever keeps it fresh.
#[derive(Debug)]
struct Fixed {
    lease: LeaseName,
    held: Mutex<Option<Held>>,
}

impl Fixed {
    fn new(held: Held) -> Arc<Self> {
        Arc::new(Self {
            lease: held.lease.clone(),
            held: Mutex::new(Some(held)),
        })
    }

    fn set(&self, held: Option<Held>) {
        *self.held.lock().unwrap() = held;
    }
}

#[async_trait]
impl Current for Fixed {
    fn lease(&self) -> &LeaseName {
        &self.lease
    }

    fn kind(&self) -> &'static str {
        "ssh"
    }

    async fn current(&self) -> Result<Held, Unavailable> {
        self.held
            .lock()
            .unwrap()
            .clone()
            .ok_or_else(|| Unavailable {
                lease: self.lease.clone(),
                ended_at: None,
                reason: "it ended".to_owned(),
            })
    }
}

/// What `ssh-add` prints, and whether it succeeds.
async fn ssh_add(socket: &Path, arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new("ssh-add")
        .args(arguments)
        .env("SSH_AUTH_SOCK", socket)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(text).unwrap().trim().to_owned(),
    )
}
