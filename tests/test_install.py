"""The installer, the archives and the Debian package, from a file server on this machine to a program that runs.

The program in them is the one under test. Releases are signed with a key that is made here.
"""

import functools
import hashlib
import http.server
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import unittest

from vault_server import BINARY

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "scripts" / "release"
TARGET = f"{platform.machine()}-unknown-linux-musl"
VERSION = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
# Without what only debuggers read: a tenth of the bytes to pack.
STRIPPED = pathlib.Path(tempfile.mkdtemp(prefix="fnox-install-")) / "fnox"
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SOURCE_DATE_EPOCH": "1700000000",
               "FNOX_RELEASE_LEVEL": "1", "DPKG_DEB_COMPRESSOR_TYPE": "none"}


def setUpModule():
    run("strip", "-o", STRIPPED, BINARY)
    unittest.addModuleCleanup(shutil.rmtree, STRIPPED.parent)


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True,
                          env=ENVIRONMENT | more.pop("env", {}), **more).stdout


def key(folder, name):
    """A signing key, and the line of allowed signers that belongs to it."""
    file = folder / name
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file)
    public = " ".join((folder / f"{name}.pub").read_text().split()[:2])
    signers = folder / f"{name}.signers"
    signers.write_text(f'# who signs\nreleases@example.com namespaces="fnox-release" {public}\n')
    return file, signers


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Release(unittest.TestCase):
    """One release on a file server; each test changes a copy of it."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.key, cls.signers = key(cls.scratch, "release")
        cls.made = cls.scratch / "made"
        run(RELEASE / "archive", STRIPPED, TARGET, VERSION, cls.made)
        cls.list_and_sign(cls.made, cls.key, cls.signers)

    @staticmethod
    def list_and_sign(folder, private, signers):
        names = sorted(file.name for file in folder.glob("fnox-*"))
        sums = "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
        (folder / "SHA256SUMS").write_text(sums)
        run(RELEASE / "sign", folder / "SHA256SUMS", signers, env={"FNOX_RELEASE_KEY": private.read_text()})

    def setUp(self):
        self.home = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.served = self.home / "served"
        shutil.copytree(self.made, self.served)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=self.served))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.script = run(RELEASE / "render", VERSION, self.signers)
        self.to = self.home / ".local/bin"

    def install(self, *words, path=None, script=None):
        """The script on standard input, as people run it."""
        environment = {"PATH": path or ENVIRONMENT["PATH"], "HOME": str(self.home), "FNOX_INSTALL_FROM": self.url,
                       "TMPDIR": str(self.home), "no_proxy": "*"}
        return subprocess.run(["/bin/sh", "-s", "--", *words], input=script or self.script, env=environment,
                              capture_output=True, text=True)

    def refused(self, done, *said):
        self.assertNotEqual(done.returncode, 0, done.stderr)
        for words in said:
            self.assertIn(words, done.stderr)
        self.assertFalse((self.to / "fnox").exists())
        self.clean()

    def clean(self):
        """Nothing of the work is left behind."""
        left = {entry.name for entry in self.home.iterdir()} - {"served", ".local", "tools"}
        self.assertEqual(left, set())
        self.assertLessEqual({entry.name for entry in self.to.glob("*")} | {entry.name for entry in self.to.glob(".*")},
                             {"fnox"})

    def test_the_program_is_installed_and_runs(self):
        done = self.install()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn("signed by releases@example.com", done.stderr)
        self.assertIn(f"Installed fnox {VERSION}: {self.to}/fnox", done.stderr)
        self.assertIn("is not on your PATH", done.stderr)
        self.assertEqual(run(self.to / "fnox", "--version"), f"fnox {VERSION}\n")
        self.assertEqual((self.to / "fnox").stat().st_mode & 0o777, 0o755)
        self.clean()

    def test_an_older_program_is_replaced_and_another_folder_can_be_named(self):
        self.to = self.home / ".local/other"
        self.to.mkdir(parents=True)
        (self.to / "fnox").write_text("#!/bin/sh\necho old\n")
        done = self.install("--to", str(self.to), path=f"{self.to}:{ENVIRONMENT['PATH']}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Begin with", done.stderr)
        self.assertEqual(run(self.to / "fnox", "--version"), f"fnox {VERSION}\n")
        self.clean()

    def test_another_archive_than_the_signed_one_is_refused(self):
        archive = next(self.served.glob("*.tar.gz"))
        archive.write_bytes(archive.read_bytes() + b"\0")
        self.refused(self.install(), "is not what was released", "wanted SHA-256")

    def test_a_list_that_was_changed_after_signing_is_refused(self):
        archive = next(self.served.glob("*.tar.gz"))
        archive.write_bytes(archive.read_bytes() + b"\0")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        (self.served / "SHA256SUMS").write_text(f"{digest}  {archive.name}\n")
        self.refused(self.install(), "the signature of the list of checksums is wrong")

    def test_a_stranger_s_signature_is_refused(self):
        stranger, signers = key(self.home, "stranger")
        self.list_and_sign(self.served, stranger, signers)
        for file in self.home.glob("stranger*"):
            file.unlink()
        self.refused(self.install(), "signed by nobody that this script knows")

    def test_a_signature_for_something_else_is_refused(self):
        (self.served / "SHA256SUMS.sig").unlink()
        run("ssh-keygen", "-q", "-Y", "sign", "-f", self.key, "-n", "git", self.served / "SHA256SUMS")
        self.refused(self.install(), "was not installed")

    def test_an_older_release_does_not_pass_for_this_one(self):
        old = self.served / f"fnox-0.0.1-{TARGET}.tar.gz"
        archive = next(self.served.glob(f"fnox-{VERSION}-*"))
        archive.rename(old)
        self.list_and_sign(self.served, self.key, self.signers)
        old.rename(archive)
        self.refused(self.install(), f"the list of checksums does not have {archive.name}")

    def test_without_ssh_keygen_it_says_what_to_do(self):
        tools = self.home / "tools"
        tools.mkdir()
        for name in ["awk", "basename", "chmod", "cp", "curl", "cut", "head", "mkdir", "mktemp", "mv", "rm", "sha256sum",
                     "tar", "gzip", "uname", "cat"]:
            (tools / name).symlink_to(shutil.which(name))
        self.refused(self.install(path=str(tools)), "ssh-keygen is missing", "--without-signature")
        done = self.install("--without-signature", path=str(tools))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not checked, as you asked", done.stderr)

    def test_a_version_that_does_not_exist_is_said(self):
        self.refused(self.install("--version", "v99.0.0"), "fnox-99.0.0-")
        self.refused(self.install("--version", "../1"), "is not a version")
        self.refused(self.install("--verbose"), "there is no option --verbose")

    def test_half_a_script_does_nothing(self):
        for part in [4, 2]:
            lines = self.script.splitlines(keepends=True)
            self.install(script="".join(lines[:-len(lines) // part]))
            self.assertFalse(self.to.exists())
            self.clean()

    def test_plain_http_to_elsewhere_is_refused(self):
        self.refused(self.install("--from", "http://192.0.2.1"), "neither https nor on this machine")

    def test_the_script_of_the_repository_says_that_it_is_of_no_release(self):
        self.refused(self.install(script=(ROOT / "packaging/install/install.sh").read_text()), "get.fnox.sh")

    def test_an_installer_without_signers_is_not_made(self):
        empty = self.home / "tools"
        empty.write_text("# nobody\n")
        done = subprocess.run([RELEASE / "render", VERSION, empty], capture_output=True, text=True, env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no signer of releases is named", done.stderr)

    def test_help_needs_no_network(self):
        done = self.install("--help", script=self.script)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--without-signature", done.stdout)

    def test_the_archive_is_the_same_each_time_and_nobody_s(self):
        again = self.home / "tools"
        run(RELEASE / "archive", STRIPPED, TARGET, VERSION, again)
        name = f"fnox-{VERSION}-{TARGET}"
        self.assertEqual((again / f"{name}.tar.gz").read_bytes(), (self.made / f"{name}.tar.gz").read_bytes())
        with tarfile.open(again / f"{name}.tar.gz") as archive:
            names = archive.getnames()
            self.assertEqual({(member.uid, member.gid) for member in archive}, {(0, 0)})
        for file in ["fnox", "LICENSE-MIT", "man/fnox-exec.1", "completions/_fnox", "completions/fnox.fish"]:
            self.assertIn(f"{name}/{file}", names)

    def test_manifests_name_the_archives_of_the_release(self):
        sums = self.home / "served/all"
        targets = ["x86_64-unknown-linux-musl.tar.gz", "aarch64-unknown-linux-musl.tar.gz", "x86_64-apple-darwin.tar.gz",
                   "aarch64-apple-darwin.tar.gz"]
        digests = {target: hashlib.sha256(target.encode()).hexdigest() for target in targets}
        sums.write_text("".join(f"{digest}  fnox-1.2.3-{target}\n" for target, digest in digests.items()))
        out = self.home / "served/manifests"
        run(RELEASE / "manifests", "1.2.3", sums, out)
        text = (out / "fnox.rb").read_text()
        for target in targets:
            self.assertIn(digests[target], text)
            self.assertIn(f"releases/download/v1.2.3/fnox-1.2.3-{target}", text)
        sums.write_text("")
        done = subprocess.run([RELEASE / "manifests", "1.2.3", sums, out], capture_output=True, text=True, env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no checksum", done.stderr)


@unittest.skipUnless(shutil.which("dpkg") and os.getuid() == 0, "left out: only root installs with dpkg into a folder")
class Debian(unittest.TestCase):
    def test_the_package_is_installed_into_a_root_and_removed_again(self):
        with tempfile.TemporaryDirectory() as folder:
            scratch = pathlib.Path(folder)
            package = run(RELEASE / "deb", STRIPPED, "amd64", "1.2.3-rc.1", scratch).strip()
            self.assertTrue(package.endswith("fnox_1.2.3~rc.1_amd64.deb"))
            root = scratch / "root"
            (root / "var/lib/dpkg/info").mkdir(parents=True)
            (root / "var/lib/dpkg/updates").mkdir()
            (root / "var/lib/dpkg/status").touch()
            # `postinst` would run in the root, which has no shell; it does nothing where DPKG_ROOT is set.
            dpkg = ["dpkg", f"--root={root}", "--force-script-chrootless", "--log=/dev/null"]
            run(*dpkg, "--install", package)
            self.assertEqual(run(root / "usr/bin/fnox", "--version"), f"fnox {VERSION}\n")
            for file in ["usr/share/man/man1/fnox-exec.1.gz", "usr/share/bash-completion/completions/fnox",
                         "usr/share/zsh/vendor-completions/_fnox", "lib/systemd/system/fnox-server.service",
                         "usr/lib/sysusers.d/fnox-vault.conf", "usr/share/doc/fnox/copyright"]:
                self.assertTrue((root / file).is_file(), file)
            run(*dpkg, "--verify", "fnox")
            run(*dpkg, "--purge", "fnox")
            left = [path for path in root.rglob("*") if path.is_file() and "var/lib/dpkg" not in str(path)]
            self.assertEqual(left, [])


class Workflows(unittest.TestCase):
    CHECK = os.environ.get("FNOX_TEST_CHECK_JSONSCHEMA_PYTHON")

    def test_they_are_what_github_reads(self):
        self.assertTrue(self.CHECK, "FNOX_TEST_CHECK_JSONSCHEMA_PYTHON is set by scripts/test")
        check = [self.CHECK, "-m", "check_jsonschema", "--builtin-schema"]
        workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
        workflows += sorted((ROOT / "examples").rglob(".github/workflows/*.yml"))
        self.assertGreaterEqual(len(workflows), 3)
        run(*check, "vendor.github-workflows", *workflows)
        run(*check, "vendor.github-actions", ROOT / "action.yml")

    def test_a_workflow_gets_no_more_than_it_needs(self):
        for workflow in (ROOT / ".github/workflows").glob("*.yml"):
            text = workflow.read_text()
            self.assertRegex(text, r"(?m)^permissions:\n  contents: read$")
            self.assertNotIn("pull_request_target", text)
            # What a stranger can name, such as a branch, must not become part of a script.
            for script in re.findall(r"(?m)^ +run: (?:\|\n((?: {8,}.*\n|\n)+)|(.*))", text):
                self.assertNotRegex("".join(script), r"\$\{\{ *github\.(event|head_ref|ref_name)")
            self.assertEqual(text.count("actions/checkout@"), text.count("persist-credentials: false"))

    def test_the_hooks_of_pre_commit_are_commands_of_this_program(self):
        hooks = (ROOT / ".pre-commit-hooks.yaml").read_text()
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "fnox.toml").write_text('[secrets]\nA = { default = "b" }\n')
            run("git", "init", "--quiet", folder)
            for entry in re.findall(r"(?m)^  entry: fnox (.*)$", hooks):
                run(BINARY, *entry.split(), cwd=folder, env={"HOME": folder})
            (pathlib.Path(folder) / "fnox.toml").write_text('[secret]\nA = { default = "b" }\n')
            with self.assertRaises(subprocess.CalledProcessError):
                run(BINARY, "list", cwd=folder, env={"HOME": folder})

    def test_scripts_of_releases_pass_shellcheck(self):
        self.assertTrue(shutil.which("shellcheck"), "scripts/test installs shellcheck")
        scripts = [file for file in RELEASE.iterdir() if file.is_file()]
        run("shellcheck", "--external-sources", ROOT / "packaging/install/install.sh", ROOT / "packaging/debian/postinst",
            *scripts, cwd=ROOT)


if __name__ == "__main__":
    unittest.main()
