"""The installer, the archives and the Debian package, from a file server on this machine to a program that runs.

The program in them is the one under test. Releases are signed with a key that is made here.
"""

import functools
import hashlib
import http.server
import json
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
import zipfile

from vault_server import BINARY

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "scripts" / "release"
TARGET = f"{platform.machine()}-unknown-linux-musl"
VERSION = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
# Without what only debuggers read: a tenth of the bytes to pack.
STRIPPED = pathlib.Path(tempfile.mkdtemp(prefix="fnox-install-")) / "fnox"
WINDOWS = "x86_64-pc-windows-gnu"
CHECK = os.environ.get("FNOX_TEST_CHECK_JSONSCHEMA_PYTHON")
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

    def test_on_windows_it_names_the_zip_file(self):
        tools = self.home / "tools"
        tools.mkdir()
        (tools / "uname").write_text('#!/bin/sh\n[ "$1" = -m ] && echo x86_64 || echo MINGW64_NT-10.0-22631\n')
        (tools / "uname").chmod(0o755)
        self.refused(self.install(path=f"{tools}:{ENVIRONMENT['PATH']}"), "this is Windows",
                     f"{self.url}/fnox-{VERSION}-{WINDOWS}.zip", "wsl --install")

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


class Manifests(unittest.TestCase):
    """What package managers are told of a release, whose archive for Windows holds another file than a program."""

    VERSION = "1.2.3"
    DOWNLOADS = f"https://github.com/fnox-project/fnox/releases/download/v{VERSION}"
    TARGETS = ["x86_64-unknown-linux-musl.tar.gz", "aarch64-unknown-linux-musl.tar.gz", "x86_64-apple-darwin.tar.gz",
               "aarch64-apple-darwin.tar.gz"]

    def setUp(self):
        self.assertTrue(shutil.which("zip"), "scripts/test installs zip")
        self.scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.program = self.scratch / "any.exe"
        self.program.write_bytes(b"MZ\r\n\x1a\0 no program\n" * 1000)
        self.zip = self.archive("made")
        self.digests = {target: hashlib.sha256(target.encode()).hexdigest() for target in self.TARGETS}
        self.digests[f"{WINDOWS}.zip"] = hashlib.sha256(self.zip.read_bytes()).hexdigest()
        self.sums = self.scratch / "SHA256SUMS"
        self.sums.write_text("".join(f"{digest}  fnox-{self.VERSION}-{target}\n" for target, digest in self.digests.items()))
        self.out = self.scratch / "manifests"
        run(RELEASE / "manifests", self.VERSION, self.sums, self.out)

    def archive(self, folder, **env):
        """The archive for Windows, by the path that the script prints."""
        made = run(RELEASE / "archive", self.program, WINDOWS, self.VERSION, self.scratch / folder, env=env)
        self.assertEqual(made, f"{self.scratch.resolve() / folder}/fnox-{self.VERSION}-{WINDOWS}.zip\n")
        return pathlib.Path(made.strip())

    def yaml(self, name):
        """A file as a reader of YAML that takes no key twice sees it."""
        self.assertTrue(CHECK, "FNOX_TEST_CHECK_JSONSCHEMA_PYTHON is set by scripts/test")
        read = "import json, sys; from ruamel.yaml import YAML; json.dump(YAML(typ='safe', pure=True).load(sys.stdin), sys.stdout)"
        return json.loads(run(CHECK, "-c", read, input=(self.out / "winget" / name).read_text()))

    def test_the_archive_for_windows_is_the_same_each_time_and_holds_no_more_than_it_says(self):
        # A clock of another place, a narrower umask and an archive of before change nothing.
        again = self.archive("again")
        again.write_bytes(b"no archive")
        self.addCleanup(os.umask, os.umask(0o077))
        self.assertEqual(self.archive("again", TZ="Asia/Tokyo").read_bytes(), self.zip.read_bytes())
        name = f"fnox-{self.VERSION}-{WINDOWS}"
        with zipfile.ZipFile(self.zip) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.read(f"{name}/fnox.exe"), self.program.read_bytes())
            self.assertEqual(archive.read(f"{name}/LICENSE-MIT"), (ROOT / "LICENSE-MIT").read_bytes())
            self.assertEqual(archive.namelist(), [f"{name}/{file}" for file in
                             ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "fnox.exe"]])
            # SOURCE_DATE_EPOCH, in UTC; nothing of who packed it.
            self.assertEqual({entry.date_time for entry in archive.infolist()}, {(2023, 11, 14, 22, 13, 20)})
            self.assertEqual({entry.extra for entry in archive.infolist()}, {b""})

    def test_manifests_name_the_archives_of_the_release(self):
        text = (self.out / "fnox.rb").read_text()
        for target in self.TARGETS:
            self.assertIn(self.digests[target], text)
            self.assertIn(f"{self.DOWNLOADS}/fnox-{self.VERSION}-{target}", text)
        self.sums.write_text("")
        done = subprocess.run([RELEASE / "manifests", self.VERSION, self.sums, self.out], capture_output=True, text=True,
                              env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0)
        for lacking in [r"fnox\.rb", r"scoop/fnox\.json", r"winget/fnox-project\.fnox\.installer\.yaml"]:
            self.assertRegex(done.stderr, lacking)
        self.assertIn("no checksum", done.stderr)

    def test_scoop_gets_the_program_in_the_archive_for_windows(self):
        # https://github.com/ScoopInstaller/Scoop/wiki/App-Manifests
        manifest = json.loads((self.out / "scoop/fnox.json").read_text())
        self.assertEqual(set(manifest), {"##", "version", "description", "homepage", "license", "architecture", "bin",
                                         "checkver", "autoupdate"})
        self.assertEqual(manifest["version"], self.VERSION)
        self.assertEqual(manifest["license"].split("|"), ["MIT", "Apache-2.0"])
        wanted = {"url": f"{self.DOWNLOADS}/{self.zip.name}", "hash": self.digests[f"{WINDOWS}.zip"],
                  "extract_dir": self.zip.stem}
        self.assertEqual(manifest["architecture"], {"64bit": wanted})
        self.assertIn(f"{wanted['extract_dir']}/{manifest['bin']}", zipfile.ZipFile(self.zip).namelist())
        # What a bucket makes of the next version's number is what this version has.
        update = manifest["autoupdate"]["architecture"]["64bit"]
        sums = update.pop("hash")
        self.assertEqual({key: text.replace("$version", self.VERSION) for key, text in update.items()},
                         {key: wanted[key] for key in ["url", "extract_dir"]})
        self.assertEqual(sums, {"url": "$baseurl/SHA256SUMS"})
        self.assertEqual(manifest["checkver"], {"github": manifest["homepage"]})

    def test_winget_gets_the_program_in_the_archive_for_windows(self):
        # Schema 1.12.0 of the three files: their keys, and what the version has to say of the other two.
        version, installer, locale = (self.yaml(f"fnox-project.fnox{part}.yaml") for part in ["", ".installer", ".locale.en-US"])
        same = {"PackageIdentifier": "fnox-project.fnox", "PackageVersion": self.VERSION, "ManifestVersion": "1.12.0"}
        self.assertEqual(version, same | {"DefaultLocale": "en-US", "ManifestType": "version"})
        program = f"{self.zip.stem}\\fnox.exe"
        self.assertEqual(installer, same | {
            "InstallerType": "zip",
            "NestedInstallerType": "portable",
            "NestedInstallerFiles": [{"RelativeFilePath": program, "PortableCommandAlias": "fnox"}],
            "Commands": ["fnox"],
            "Installers": [{"Architecture": "x64", "InstallerUrl": f"{self.DOWNLOADS}/{self.zip.name}",
                            "InstallerSha256": self.digests[f"{WINDOWS}.zip"]}],
            "ManifestType": "installer",
        })
        self.assertIn(program.replace("\\", "/"), zipfile.ZipFile(self.zip).namelist())
        self.assertEqual({key: locale[key] for key in same}, same)
        self.assertEqual((locale["ManifestType"], locale["PackageLocale"]), ("defaultLocale", version["DefaultLocale"]))
        self.assertLessEqual({"Publisher", "PackageName", "License", "ShortDescription"}, set(locale))
        self.assertLessEqual(set(locale) - set(same) - {"ManifestType", "PackageLocale"}, {
            "Publisher", "PublisherUrl", "PublisherSupportUrl", "PackageName", "PackageUrl", "License", "LicenseUrl",
            "ShortDescription", "Moniker", "Tags", "ReleaseNotesUrl"})
        for key, value in locale.items():
            for text in value if isinstance(value, list) else [value]:
                self.assertRegex(text, r"^https://github\.com/fnox-project\b" if key.endswith("Url") else r"^\S.{1,255}$")


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
    def test_they_are_what_github_reads(self):
        self.assertTrue(CHECK, "FNOX_TEST_CHECK_JSONSCHEMA_PYTHON is set by scripts/test")
        check = [CHECK, "-m", "check_jsonschema", "--builtin-schema"]
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
