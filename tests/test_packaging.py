"""The systemd units are well-formed, hardened, and start what exists; the image runs as nobody in particular.

`systemd-analyze` checks them where it is installed; nothing is started.
"""

import configparser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from vault_client import Refused
from vault_server import BINARY, Vault

PACKAGING = pathlib.Path(__file__).resolve().parent.parent / "packaging"
UNITS = PACKAGING / "systemd"
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
    def test_the_services_are_started_as_the_command_line_wants_it(self):
        for name, words in [("fnox-vault.service", ["vault", "serve"]), ("fnox-server.service", ["serve"])]:
            command = unit(name)["Service"]["ExecStart"].split()
            self.assertEqual(command[:len(words) + 1], ["/usr/bin/fnox", *words])
            shown = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, check=True).stdout
            for word in command:
                if word.startswith("--"):
                    self.assertIn(word, shown)

    def test_the_key_comes_as_a_credential_and_memory_stays_in_memory(self):
        service = unit("fnox-vault.service")["Service"]
        name = service["LoadCredential"].split(":")[0]
        self.assertIn(f"file:%d/{name}", service["ExecStart"])
        self.assertEqual((service["LimitCORE"], service["MemorySwapMax"]), ("0", "0"))

    def test_the_servers_key_comes_as_a_credential_and_memory_stays_in_memory(self):
        service = unit("fnox-server.service")["Service"]
        name, place = service["LoadCredential"].split(":")
        self.assertIn(f"--signing-key %d/{name}", service["ExecStart"])
        self.assertEqual((service["LimitCORE"], service["MemorySwapMax"]), ("0", "0"))
        self.assertEqual(pathlib.Path(place).name, "server.key")

    def test_the_server_has_a_user_of_its_own_and_time_to_finish(self):
        service = unit("fnox-server.service")["Service"]
        users = (UNITS / "fnox-server.sysusers").read_text()
        self.assertRegex(users, f"(?m)^u {service['User']} ")
        self.assertNotEqual(service["User"], "root")
        self.assertEqual((service["StateDirectory"], service["StateDirectoryMode"]), (service["User"], "0700"))
        self.assertIn("HUP", service["ExecReload"])
        # `drain_timeout`, and a second for a disk that hangs
        self.assertGreater(int(service["TimeoutStopSec"].removesuffix("s")), 21)

    def test_a_server_that_is_set_up_as_the_unit_says_starts_as_the_unit_says(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            setup = re.search(r"fnox (serve init .*)", (UNITS / "fnox-server.service").read_text())[1]
            moved = lambda words: [word.replace("/etc/", f"{root}/etc/").replace("/var/", f"{root}/var/") for word in words]
            environment = {"HOME": folder, "PATH": "/usr/bin:/bin"}
            subprocess.run([BINARY, *moved(setup.split())], env=environment, capture_output=True, check=True)
            command = unit("fnox-server.service")["Service"]["ExecStart"]
            # What systemd makes of LoadCredential=: a file of the service alone in a folder of its own (%d).
            credentials = root / "credentials"
            credentials.mkdir(mode=0o700)
            (root / "etc/fnox-server/server.key").rename(credentials / "signing-key")
            words = moved(command.replace("%d", str(credentials)).split()[1:])
            server = subprocess.Popen([BINARY, *words, "--listen", "127.0.0.1:0"], env=environment,
                                      stderr=subprocess.PIPE, text=True)
            try:
                lines = iter(server.stderr.readline, "")
                self.assertTrue(any(json.loads(line)["message"] == "ready" for line in lines))
            finally:
                server.terminate()
                server.communicate(timeout=60)
            self.assertEqual(server.returncode, 0)

    def test_the_image_runs_one_static_program_as_nobody_in_particular(self):
        lines = (PACKAGING / "docker/Dockerfile").read_text().splitlines()
        last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")):]
        said = dict(line.split(maxsplit=1) for line in last if line and not line.startswith("#"))
        self.assertEqual(said["FROM"], "scratch")
        self.assertTrue(all(int(part) >= 1000 for part in said["USER"].split(":")), said["USER"])
        self.assertEqual(json.loads(said["ENTRYPOINT"]), ["/usr/bin/fnox"])
        self.assertEqual(said["VOLUME"], "/data")
        words = json.loads(said["CMD"])
        shown = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
        for word in words:
            if word.startswith("--"):
                self.assertIn(word, shown)
        # Nothing secret is asked for while the image is built, and only sources go into it.
        self.assertFalse([line for line in lines if line.startswith(("ARG", "ADD"))])
        sent = (PACKAGING / "docker/Dockerfile.dockerignore").read_text().split()
        self.assertEqual(sent[0], "*")
        root = PACKAGING.parent
        for entry in sent[1:]:
            self.assertTrue((root / entry.removeprefix("!")).exists(), entry)

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
            for number, service in enumerate(copies[:2]):
                text = service.read_text().replace("ProtectSystem=strict", f"ProtectSystem=very{number}")
                service.write_text(text)
            verified = subprocess.run(
                [ANALYZE, "verify", "--man=no", "--recursive-errors=no", *copies], capture_output=True, text=True)
        self.assertIn("very0", verified.stderr)
        self.assertIn("very1", verified.stderr)

    @unittest.skipUnless(ANALYZE, "left out: systemd-analyze is not installed")
    def test_the_services_are_as_closed_as_systemd_can_make_them(self):
        with tempfile.TemporaryDirectory() as folder:
            for service in self.copies(pathlib.Path(folder))[:2]:
                rated = subprocess.run(
                    [ANALYZE, "security", "--offline=yes", "--threshold=20", service], capture_output=True, text=True)
                self.assertEqual(rated.returncode, 0, rated.stdout[-300:] + rated.stderr)

    def copies(self, folder):
        """The units with a program that exists: the tested binary need not be installed."""
        copies = []
        for path in sorted(UNITS.glob("fnox-*.s*e*")):
            if path.suffix in [".service", ".socket"]:
                copy = folder / path.name
                copy.write_text(path.read_text().replace("/usr/bin/fnox", str(BINARY)))
                copies.append(copy)
        copies.sort(key=lambda path: path.suffix)
        self.assertEqual([path.name for path in copies],
                         ["fnox-server.service", "fnox-vault.service", "fnox-vault-agent.socket", "fnox-vault.socket"])
        return copies


if __name__ == "__main__":
    unittest.main()
