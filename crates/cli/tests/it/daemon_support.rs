//! A sandbox whose password store counts how often it is asked, and whose daemon ends with it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use fnox_testkit::{Invocation, Run, Sandbox};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support;

/// `pass` as far as fnox uses it (pass(1)): it notes each call, and keeps its entries where pass does, unencrypted.
const PASS: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/calls"
for name; do :; done
entry=$PASSWORD_STORE_DIR/$name.gpg
case $1 in
show) cat "$entry" ;;
insert) cat > "$entry" ;;
esac
"#;

pub(crate) const CONFIG: &str = "[providers]\npass = { type = \"password-store\" }\n[secrets]\n\
     A = { provider = \"pass\", value = \"a\" }\nB = { provider = \"pass\", value = \"b\" }\n";

/// A project whose secrets stand in a password store, with the daemon switched on.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::within(support::sandbox())
    }

    pub(crate) fn within(sandbox: Sandbox) -> Self {
        let sandbox = sandbox.with_env("FNOX_DAEMON", "on");
        sandbox.write_program("pass", PASS);
        sandbox.write(sandbox.home().join(".password-store/.gpg-id"), "test\n");
        sandbox.write("fnox.toml", CONFIG);
        let world = Self { sandbox };
        world.store("a", "value-of-a");
        world.store("b", "value-of-b");
        world
    }

    /// Changes an entry behind fnox's back.
    pub(crate) fn store(&self, entry: &str, value: &str) {
        let path = self.sandbox.home().join(".password-store");
        let path = path.join(format!("{entry}.gpg"));
        self.sandbox.write(path, value);
    }

    /// How often the store was asked for an entry.
    pub(crate) fn asked(&self, entry: &str) -> usize {
        let calls = self.sandbox.home().join("calls");
        let calls = std::fs::read_to_string(calls).unwrap_or_default();
        let call = format!("show {entry}");
        calls.lines().filter(|line| **line == *call).count()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Invocation {
        self.sandbox.run(arguments)
    }

    /// Runs fnox, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> Run {
        self.run(arguments).finish().succeeds()
    }

    /// The value that `get` prints.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> String {
        self.ok(&["get", name]).stdout.trim_end().to_owned()
    }

    pub(crate) fn status(&self) -> Value {
        let text = self.ok(&["daemon", "status", "--json"]).stdout;
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn kept(&self) -> u64 {
        self.status()["values"].as_u64().unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sandbox.runtime_folder().join("fnox/daemon.sock")
    }

    /// The daemon's process.
    pub(crate) fn daemon(&self) -> Pid {
        let id = self.status()["pid"].as_i64().unwrap();
        Pid::from_raw(id.try_into().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Pid {
        let daemon = self.daemon();
        kill_process(daemon, signal).unwrap();
        daemon
    }

    pub(crate) fn speak(&self) -> Client {
        Client(UnixStream::connect(self.socket()).unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.socket().exists() {
            drop(self.run(&["daemon", "stop"]).finish());
        }
    }
}

/// A client that was written from docs/reference/daemon-protocol.md, without fnox's own code.
pub(crate) struct Client(pub(crate) UnixStream);

impl Client {
    pub(crate) fn send(&mut self, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length[..], payload].concat()).unwrap();
    }

    /// The next answer; `None` when the daemon closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut payload).unwrap();
        Some(serde_json::from_slice(&payload).unwrap())
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Option<Value> {
        let message = json!({ "version": 1, "request": request });
        self.send(message.to_string().as_bytes());
        self.receive()
    }
}
