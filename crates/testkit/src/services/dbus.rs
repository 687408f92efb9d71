//! A private D-Bus session, with or without a keyring.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::program;
use crate::wait;

const LIMIT: Duration = Duration::from_secs(20);

/// A session bus of its own; it and everything on it end when this is dropped.
#[derive(Debug)]
pub struct Session {
    folder: TempDir,
    children: Vec<Child>,
    // Held open so that connections to a silent session are neither refused nor answered.
    _silent: Option<UnixListener>,
}

impl Session {
    /// A session without a Secret Service, as on a headless machine.
    ///
    /// # Panics
    /// If `dbus-daemon` does not start.
    #[must_use]
    pub fn bare() -> Self {
        let mut session = Self::empty();
        let mut daemon = Command::new(program("dbus-daemon"));
        daemon
            .args(["--nofork", "--nopidfile", "--config-file"])
            .arg(session.write_configuration());
        session.spawn(&mut daemon);
        let socket = session.socket();
        wait::until("the session bus", LIMIT, || socket.exists());
        session
    }

    /// A session with an unlocked, empty gnome-keyring.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_keyring() -> Self {
        let mut session = Self::bare();
        let mut keyring = Command::new(program("gnome-keyring-daemon"));
        keyring
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped());
        let child = session.spawn(&mut keyring);
        let mut stdin = child.stdin.take().expect("the keyring's stdin");
        stdin
            .write_all(b"password")
            .expect("the keyring's password");
        drop(stdin);
        // The default collection appears later than the name on the bus.
        wait::until("the unlocked keyring", LIMIT, || session.keyring_is_ready());
        session
    }

    /// A bus address that accepts connections and never says a word.
    ///
    /// # Panics
    /// If the socket cannot be made.
    #[must_use]
    pub fn silent() -> Self {
        let mut session = Self::empty();
        session._silent = Some(UnixListener::bind(session.socket()).expect("a socket"));
        session
    }

    /// The variables with which a program finds this session. They win over a sandbox's own.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 1] {
        let address = format!("unix:path={}", self.socket().display());
        [("DBUS_SESSION_BUS_ADDRESS", address)]
    }

    fn empty() -> Self {
        Self {
            // Short, because a socket's path may have no more than 107 bytes (unix(7)).
            folder: tempfile::Builder::new()
                .prefix("bus-")
                .tempdir_in("/tmp")
                .expect("a temporary folder"),
            children: Vec::new(),
            _silent: None,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus")
    }

    /// Without service folders: nothing of the machine may be started on demand.
    fn write_configuration(&self) -> PathBuf {
        let file = self.folder.path().join("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
            self.socket().display()
        );
        std::fs::write(&file, text).expect("the bus configuration");
        file
    }

    fn spawn(&mut self, command: &mut Command) -> &mut Child {
        let child = self
            .surround(command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a program of the session");
        self.children.push(child);
        self.children.last_mut().expect("the child just added")
    }

    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let folder = self.folder.path();
        let path = fnox_core::Env::of_process();
        command
            .env_clear()
            .env("PATH", path.var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("XDG_DATA_HOME", folder.join("share"))
            .env("XDG_RUNTIME_DIR", folder)
            .envs(self.variables())
    }

    fn keyring_is_ready(&self) -> bool {
        let mut question = Command::new(program("dbus-send"));
        question.args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.ReadAlias",
            "string:default",
        ]);
        let answer = self.surround(&mut question).stdin(Stdio::null()).output();
        answer.is_ok_and(|answer| {
            let text = String::from_utf8_lossy(&answer.stdout);
            answer.status.success() && text.contains("/org/freedesktop/secrets/")
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sandbox;

    #[test]
    #[ignore = "needs gnome-keyring, dbus and secret-tool"]
    fn a_keyring_keeps_a_secret_for_the_length_of_the_session() {
        let session = Session::with_keyring();
        let sandbox = Sandbox::new(program("secret-tool"));
        let store = ["store", "--label=test", "service", "fnox", "key", "K1"];
        let lookup = ["lookup", "service", "fnox", "key", "K1"];
        let stored = sandbox.run(store).envs(session.variables());
        stored.stdin("value").finish().succeeds();
        let found = sandbox.run(lookup).envs(session.variables()).finish();
        assert_eq!(found.succeeds().stdout, "value");

        let other = Session::with_keyring();
        let found = sandbox.run(lookup).envs(other.variables()).finish();
        assert_eq!(found.exits_with(1).stdout, "");
    }

    #[test]
    #[ignore = "needs dbus and secret-tool"]
    fn a_bare_session_has_no_secret_service() {
        let session = Session::bare();
        let sandbox = Sandbox::new(program("secret-tool"));
        let lookup = sandbox.run(["lookup", "service", "fnox"]);
        let run = lookup.envs(session.variables()).finish().exits_with(1);
        assert!(run.stderr.contains("org.freedesktop.secrets"), "{run}");
    }
}
