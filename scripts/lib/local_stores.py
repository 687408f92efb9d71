"""Local stores with values in them, for scripts/bench-exec.

Each store is filled by what people fill it with: fnox itself, KeePassXC, SQLCipher. What cannot run here is left out, with the
reason.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class LeftOut(Exception):
    """A store that cannot run here, and why."""


class Stores:
    """Projects of `count` secrets each, below a folder. Services that they need end with the context."""

    def __init__(self, binary, folder, environment, count):
        self.binary = binary
        self.folder = folder
        self.environment = environment
        self.count = count
        self.services = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.services.close()

    def projects(self):
        """Of each store its name, and its project with the environment in which it is used; or why it is left out."""
        made, left_out = {}, {}
        for name, make in {
            "plain": self.plain,
            "a JSON file": self.json_file,
            "keychain (gnome-keyring)": self.keychain,
            "password-store": self.password_store,
            "keepass": self.keepass,
            "enpass": self.enpass,
        }.items():
            try:
                made[name] = make()
            except LeftOut as reason:
                left_out[name] = str(reason)
        return made, left_out

    def project(self, name, provider, reference=None):
        """A project with a provider; with secrets too, if what it knows them by is known."""
        project = self.folder / name
        project.mkdir()
        lines = ["root = true", "[providers]", f"store = {{ {provider} }}", "[secrets]"]
        if reference:
            secrets = (f'SECRET_{number} = {{ provider = "store", value = "{reference(number)}" }}' for number in range(self.count))
            lines.extend(secrets)
        (project / "fnox.toml").write_text("\n".join(lines) + "\n")
        return project

    def set_all(self, project, environment):
        """Has fnox store the values."""
        for number in range(self.count):
            command = [self.binary, "set", f"SECRET_{number}", "-p", "store"]
            run(command, cwd=project, env=environment, input=b"value-%d" % number)

    def plain(self):
        return self.project("plain", 'type = "plain"', lambda number: f"value-{number}"), self.environment

    def json_file(self):
        project = self.project("json-file", 'type = "plain", file = "values.json", format = "json"', lambda number: f"KEY_{number}")
        values = {f"KEY_{number}": f"value-{number}" for number in range(self.count)}
        (project / "values.json").write_text(json.dumps(values))
        return project, self.environment

    def keychain(self):
        need("dbus-daemon", "gnome-keyring-daemon")
        socket = self.folder / "bus"
        (self.folder / "bus.conf").write_text(BUS.format(socket=socket))
        environment = self.environment | {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={socket}"}
        self.service(["dbus-daemon", "--nofork", "--nopidfile", "--config-file", self.folder / "bus.conf"], environment)
        wait("the session bus", socket.exists)
        keyring = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
        self.service(keyring, environment, PASSWORD.encode())
        project = self.project("keychain", 'type = "keychain", service = "bench"')
        test = [self.binary, "provider", "test", "store"]
        # The collection appears a moment after the service.
        wait("the unlocked keyring", lambda: subprocess.run(test, cwd=project, env=environment, capture_output=True).returncode == 0)
        self.set_all(project, environment)
        return project, environment

    def password_store(self):
        need("pass", "gpg", "gpgconf")
        home = self.folder / "gnupg"
        home.mkdir(mode=0o700)
        environment = self.environment | {"GNUPGHOME": str(home)}
        key = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", "bench", "default", "default", "never"]
        run(key, env=environment)
        self.services.callback(run, ["gpgconf", "--kill", "all"], env=environment)
        store = self.folder / "password-store"
        run(["pass", "init", "bench"], env=environment | {"PASSWORD_STORE_DIR": str(store)})
        project = self.project("pass", f'type = "password-store", store_dir = "{store}"')
        self.set_all(project, environment)
        return project, environment

    def keepass(self):
        need("keepassxc-cli")
        root = xml.Element("KeePassFile")
        group = xml.SubElement(xml.SubElement(root, "Root"), "Group")
        xml.SubElement(group, "Name").text = "Root"
        for number in range(self.count):
            entry = xml.SubElement(group, "Entry")
            for key, value in {"Title": f"entry-{number}", "Password": f"value-{number}"}.items():
                text = xml.SubElement(entry, "String")
                xml.SubElement(text, "Key").text = key
                xml.SubElement(text, "Value").text = value
        export, database = self.folder / "entries.xml", self.folder / "bench.kdbx"
        xml.ElementTree(root).write(export, encoding="utf-8", xml_declaration=True)
        # As long as KeePassXC has it take by its own choice, the derivation of the key would be all that is measured.
        command = ["keepassxc-cli", "import", "--quiet", "--set-password", "--decryption-time", "100", export, database]
        run(command, env=self.environment | {"QT_QPA_PLATFORM": "offscreen"}, input=f"{PASSWORD}\n{PASSWORD}\n".encode())
        project = self.project("keepass", f'type = "keepass", database = "{database}"', lambda number: f"entry-{number}")
        return project, self.environment | {"FNOX_KEEPASS_PASSWORD": PASSWORD}

    def enpass(self):
        python = os.environ.get("FNOX_TEST_SQLCIPHER_PYTHON")
        if not python:
            raise LeftOut("FNOX_TEST_SQLCIPHER_PYTHON names no Python with SQLCipher (scripts/requirements/sqlcipher.txt)")
        field = {"label": "Password", "type": "password", "encrypted": True, "deleted": False}
        items = [
            {
                "uuid": f"00000000-0000-4000-8000-{number:012}", "title": f"item-{number}", "note": "", "flags": [],
                "fields": [field | {"value": f"value-{number}"}],
            }
            for number in range(self.count)
        ]
        vault = self.folder / "vault"
        wanted = {
            "folder": str(vault), "password": PASSWORD, "keyfile": "", "rounds": 100_000, "compatibility": 4, "items": items,
        }
        maker = ROOT / "crates/providers/tests/it/enpass_vault.py"
        run([python, maker], env=os.environ, input=json.dumps(wanted).encode())
        project = self.project("enpass", f'type = "enpass", vault = "{vault}"', lambda number: f"item-{number}")
        return project, self.environment | {"FNOX_ENPASS_PASSWORD": PASSWORD}

    def service(self, command, environment, first=b""):
        """Starts a program that runs until the end, and tells it something first."""
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.services.callback(end, child)
        child.stdin.write(first)
        child.stdin.close()


def end(child):
    child.terminate()
    child.wait()


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise LeftOut(f"{', '.join(missing)} is not installed")


def run(command, **options):
    """Runs to the end; what a failing program said is shown."""
    done = subprocess.run(command, capture_output=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr.decode()}")


def wait(what, is_there):
    for _ in range(600):
        if is_there():
            return
        time.sleep(0.05)
    raise SystemExit(f"{what} does not come")
