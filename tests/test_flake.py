"""The flake, evaluated by Nix itself. Nothing is built: nixpkgs is on the network."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SYSTEMS = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"]


def outputs(root):
    expression = f"import {ROOT}/tests/flake/outputs.nix {root}"
    command = ["nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "--expr", expression]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


class Flake(unittest.TestCase):
    def test_each_system_builds_the_program_of_this_version_and_runs_it(self):
        self.assertTrue(shutil.which("nix-instantiate"), "scripts/test installs nix-bin")
        found = outputs(ROOT)
        workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
        self.assertEqual(sorted(found["packages"]), SYSTEMS)
        self.assertEqual(sorted(found["apps"]), SYSTEMS)
        for system in SYSTEMS:
            package = found["packages"][system]
            self.assertEqual((package["pname"], package["version"]), ("fnox", workspace["version"]))
            self.assertEqual(package["cargoLock"], {"lockFile": f"{ROOT}/Cargo.lock"})
            self.assertEqual(package["cargoBuildFlags"], ["--package", "fnox-cli"])
            self.assertEqual(" OR ".join(package["meta"]["license"]), workspace["license"])
            self.assertEqual(found["apps"][system], {"type": "app", "program": f"/nix/store/{system}/bin/fnox"})

    def test_what_the_build_installs_is_there(self):
        package = outputs(ROOT)["packages"]["x86_64-linux"]
        self.assertIn("installManPage docs/man/*.1", package["postInstall"])
        self.assertTrue(list((ROOT / "docs/man").glob("*.1")))
        # Nix fetches each library by the checksum in the lock file; one from a repository has none there.
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
        self.assertEqual([it["name"] for it in lock["package"] if it.get("source", "").startswith("git")], [])

    def test_a_planted_mistake_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            shutil.copy(ROOT / "Cargo.toml", root)
            (root / "flake.nix").write_text((ROOT / "flake.nix").read_text().replace("manifest.version", "manifest.versions"))
            with self.assertRaisesRegex(ValueError, "versions"):
                outputs(root)


if __name__ == "__main__":
    unittest.main()
