"""Starts a real `fnox vault serve` in a folder of its own, and ends it.

The binary is FNOX_TEST_BINARY, or target/debug/fnox.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from vault_client import Client
from vault_page import Observer, ROOT

BINARY = pathlib.Path(os.environ.get("FNOX_TEST_BINARY", ROOT / "target/debug/fnox")).absolute()
STARTING_SECONDS = 60
ENDING_SECONDS = 20

POLICY = """
[[rule]]
name = "once"
agent = "alice"
secret = "once"
hosts = ["api.example.com"]
ttl = "5m"
max_uses = 1

[[rule]]
name = "alice"
agent = "alice"
secret = "token-*"
hosts = ["api.example.com", "*.wild.example", "db.internal:5432"]
ttl = "10m"
max_ttl = "30m"
renewable = true
max_lifetime = "1h"

[[rule]]
name = "short"
agent = "alice"
secret = "short"
hosts = ["api.example.com"]
ttl = "1s"

[[rule]]
name = "injected"
agent = "alice"
secret = "injected"
hosts = ["api.example.com"]
delivery = "inject"

[[rule]]
name = "bob"
agent = "bob"
secret = "bobs"
hosts = ["api.example.com"]
"""


class Vault:
    """A running vault with an administrators' socket, an agents' socket and a TCP port."""

    def __init__(self, policy=POLICY, launcher=()):
        """`launcher` is a program and its arguments that starts the vault's own command line."""
        self.launcher = launcher
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnox-vault-"))
        self.socket = str(self.folder / "admin.sock")
        self.agent_socket = str(self.folder / "agent.sock")
        self.policy = self.folder / "policy.toml"
        self.log = self.folder / "serve.log"
        self.observers = []
        self.child = None
        try:
            self.init()
            self.policy.write_text(policy)
            self.start()
        except BaseException:
            self.stop()
            raise

    def environment(self):
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def run(self, *arguments, **more):
        return subprocess.run(
            [BINARY, "vault", *arguments], env=self.environment(), cwd=self.folder, timeout=60, check=True,
            capture_output=True, text=True, **more,
        )

    def init(self):
        self.run(
            "init", "--config", str(self.folder / "vault.toml"), "--store", f"sqlite:{self.folder}/vault.db",
            "--key", f"file:{self.folder}/vault.key",
        )

    def start(self):
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [
                    *self.launcher, BINARY, "vault", "serve", "--config", str(self.folder / "vault.toml"), "--socket", self.socket,
                    "--agent-socket", self.agent_socket, "--listen", "127.0.0.1:0", "--policy", str(self.policy),
                ],
                env=self.environment(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.wait_until(lambda: os.path.exists(self.agent_socket) and self.port is not None)

    @property
    def port(self):
        """The TCP port, as the vault says it."""
        found = re.search(r"127\.0\.0\.1:([1-9]\d*)", self.log.read_text(errors="replace"))
        return int(found[1]) if found else None

    def wait_until(self, is_there):
        end = time.monotonic() + STARTING_SECONDS
        tick = threading.Event()
        while not is_there():
            if self.child.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the vault did not start:\n{self.log.read_text(errors='replace')}")
            tick.wait(0.02)

    def observer(self):
        """A check of one connection's frames; `flaws` collects what all of them find."""
        observer = Observer()
        self.observers.append(observer)
        return observer.observe

    @property
    def flaws(self):
        return [flaw for observer in self.observers for flaw in observer.flaws]

    def admin(self, **hello):
        return Client.unix(self.socket, observe=self.observer(), **hello)

    def agent(self, token, **hello):
        return Client.unix(self.agent_socket, token, observe=self.observer(), **hello)

    def tcp(self, token=None, **hello):
        return Client.tcp("127.0.0.1", self.port, token, observe=self.observer(), **hello)

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
