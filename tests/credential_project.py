"""A project of fnox in a folder of its own, with leases of type `command` that count.

The binary is FNOX_TEST_BINARY, or target/debug/fnox.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("FNOX_TEST_BINARY", ROOT / "target/debug/fnox")).absolute()
LIMIT_SECONDS = 120

# Whoever finds these in an answer has found a way around the lease.
LONG_LIVED = """
[default]
aws_access_key_id = AKIALONG
aws_secret_access_key = long-lived
region = eu-central-1
"""


class Project:
    """`home/`, `project/` with a fnox.toml, and `bin/` first on PATH."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnox-credentials-"))
        self.home, self.project, self.bin = (self.folder / name for name in ("home", "project", "bin"))
        for folder in (self.home, self.project, self.bin):
            folder.mkdir(mode=0o700)
        self.config = self.project / "fnox.toml"
        self.config.touch()

    def lease(self, name, variables, life="1 hour", more=""):
        """A lease; `N` in a value is the number of the mint."""
        pairs = ", ".join(f'"{key}": "{value}"' for key, value in variables.items())
        script = "\n".join([
            f"echo x >> {name}.mints",
            f"N=$(wc -l < {name}.mints)",
            f"END=$(date --utc --date='+{life}' +%Y-%m-%dT%H:%M:%SZ)",
            f"""printf '%s' '{{"credentials": {{{pairs}}}, "expires_at": "END"}}' | sed "s/-N/-$N/g; s/END/$END/" """,
        ])
        text = f"[leases.{name}]\ntype = \"command\"\nconsumes = [\"PATH\"]\n{more}\ncreate_command = '''\n{script}\n'''\n"
        with open(self.config, "a") as config:
            config.write(text)

    def aws_lease(self, life="1 hour", more=""):
        keys = {"AWS_ACCESS_KEY_ID": "ASIA-N", "AWS_SECRET_ACCESS_KEY": "secret-N", "AWS_SESSION_TOKEN": "token-N"}
        self.lease("aws", keys, life, more)
        (self.home / ".aws").mkdir()
        for name in ("config", "credentials"):
            (self.home / ".aws" / name).write_text(LONG_LIVED)

    def mints(self, name):
        path = self.project / f"{name}.mints"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def environment(self, **more):
        # A proxy that nobody has: whoever asks it fails.
        return {
            "HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin", "LANG": "C.UTF-8", "http_proxy": "http://127.0.0.1:9",
            "AWS_EC2_METADATA_DISABLED": "true", **more,
        }

    def run(self, *command, cwd=None, check=True, **more):
        done = subprocess.run(
            [str(word) for word in command], env=self.environment(**more), cwd=cwd or self.project, timeout=LIMIT_SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def fnox(self, *arguments, **more):
        return self.run(BINARY, *arguments, **more)

    def stop(self):
        shutil.rmtree(self.folder, ignore_errors=True)
