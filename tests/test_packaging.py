"""The systemd units are well-formed, hardened, and start what exists.

`systemd-analyze` checks them where it is installed; nothing is started.
"""

import configparser
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from vault_client import Refused
from vault_server import BINARY, Vault

UNITS = pathlib.Path(__file__).resolve().parent.parent / "packaging/systemd"
ANALYZE = shutil.which("systemd-analyze")

# Does what systemd does (sd_listen_fds(3)): opens the sockets that the command line names, passes them as
# descriptors 3 and 4, and becomes the vault.
PASS_SOCKETS = """
import os, socket, sys
names, command = sys.argv[1], sys.argv[2:]
for number, flag in [(3, "--socket"), (4, "--agent-socket")]:
    at = command.index(flag)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(command[at + 1])
    listener.listen(8)
    if listener.fileno() != number:
        os.dup2(listener.fileno(), number)
    os.set_inheritable(number, True)
    listener.detach()
    del command[at : at + 2]
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def unit(name):
    """A unit's settings; of a key that is repeated the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read(UNITS / name)
    return parser


class Units(unittest.TestCase):
    def test_the_service_is_started_as_the_command_line_wants_it(self):
        command = unit("fnox-vault.service")["Service"]["ExecStart"].split()
        self.assertEqual(command[:3], ["/usr/bin/fnox", "vault", "serve"])
        shown = subprocess.run([BINARY, "vault", "serve", "--help"], capture_output=True, text=True, check=True).stdout
        for word in command:
            if word.startswith("--"):
                self.assertIn(word, shown)

    def test_the_key_comes_as_a_credential_and_memory_stays_in_memory(self):
        service = unit("fnox-vault.service")["Service"]
        name = service["LoadCredential"].split(":")[0]
        self.assertIn(f"file:%d/{name}", service["ExecStart"])
        self.assertEqual((service["LimitCORE"], service["MemorySwapMax"]), ("0", "0"))

    def test_the_agents_have_a_socket_of_their_own(self):
        admin, agent = unit("fnox-vault.socket")["Socket"], unit("fnox-vault-agent.socket")["Socket"]
        self.assertEqual((admin["SocketMode"], admin["DirectoryMode"]), ("0600", "0700"))
        self.assertEqual(agent["FileDescriptorName"], "agent")
        self.assertNotEqual(admin["ListenStream"], agent["ListenStream"])
        for socket in [admin, agent]:
            self.assertEqual(socket["Service"], "fnox-vault.service")

    def test_sockets_that_are_passed_by_these_names_are_served(self):
        sockets = [unit(name)["Socket"] for name in ["fnox-vault.socket", "fnox-vault-agent.socket"]]
        names = [socket["FileDescriptorName"] for socket in sockets]
        vault = Vault(launcher=[sys.executable, "-c", PASS_SOCKETS, ":".join(names)])
        self.addCleanup(vault.stop)
        with vault.admin() as admin:
            self.assertEqual(admin.call("whoami")["role"], "admin")
            token = admin.call("create_token", agent="alice", role="agent", ttl_secs=60)["token"]
        with self.assertRaises(Refused):
            vault.agent(None)
        with vault.agent(token) as agent:
            self.assertEqual(agent.call("whoami")["agent"], "alice")

    @unittest.skipUnless(ANALYZE, "left out: systemd-analyze is not installed")
    def test_systemd_finds_nothing_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            copies = self.copies(pathlib.Path(folder))
            verified = subprocess.run(
                [ANALYZE, "verify", "--man=no", "--recursive-errors=no", *copies], capture_output=True, text=True)
        self.assertEqual((verified.returncode, verified.stderr), (0, ""))

    @unittest.skipUnless(ANALYZE, "left out: systemd-analyze is not installed")
    def test_systemd_finds_a_planted_mistake(self):
        with tempfile.TemporaryDirectory() as folder:
            copies = self.copies(pathlib.Path(folder))
            text = copies[0].read_text().replace("ProtectSystem=strict", "ProtectSystem=very")
            copies[0].write_text(text)
            verified = subprocess.run(
                [ANALYZE, "verify", "--man=no", "--recursive-errors=no", *copies], capture_output=True, text=True)
        self.assertIn("very", verified.stderr)

    @unittest.skipUnless(ANALYZE, "left out: systemd-analyze is not installed")
    def test_the_service_is_as_closed_as_systemd_can_make_it(self):
        with tempfile.TemporaryDirectory() as folder:
            service = self.copies(pathlib.Path(folder))[0]
            rated = subprocess.run(
                [ANALYZE, "security", "--offline=yes", "--threshold=20", service], capture_output=True, text=True)
        self.assertEqual(rated.returncode, 0, rated.stdout[-300:] + rated.stderr)

    def copies(self, folder):
        """The units with a program that exists: the tested binary need not be installed."""
        copies = []
        for path in sorted(UNITS.glob("fnox-vault*.s*e*")):
            if path.suffix in [".service", ".socket"]:
                copy = folder / path.name
                copy.write_text(path.read_text().replace("/usr/bin/fnox", str(BINARY)))
                copies.append(copy)
        copies.sort(key=lambda path: path.suffix)
        self.assertEqual([path.name for path in copies],
                         ["fnox-vault.service", "fnox-vault-agent.socket", "fnox-vault.socket"])
        return copies


if __name__ == "__main__":
    unittest.main()
