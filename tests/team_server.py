"""Starts a real `fnox serve` in a folder of its own, with an issuer of tokens and a stand-in for ntfy, and ends it.

The binary is FNOX_TEST_BINARY, or target/debug/fnox. Tokens are signed here, by RFC 7515 and RFC 8037, and also by
`fnox serve issuer`; pushes are what ntfy's documentation calls a message published as JSON.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import ed25519
from team_client import Client
from team_page import ROOT, answer_flaws

BINARY = pathlib.Path(os.environ.get("FNOX_TEST_BINARY", ROOT / "target/debug/fnox")).absolute()
STARTING_SECONDS = 60
ENDING_SECONDS = 20
PUBLIC = "https://fnox.example.com"
CI = "https://ci.example.com"
PRACTICE = "https://practice.example.com"
PEOPLE = "https://id.example.com"
HOOK_SECRET = b"0123456789abcdef0123456789abcdef"
TOPIC = "fnox-0123456789abcdefghijkl"
# Bech32 of 32 bytes as `age-keygen` prints it; whose key it is does not matter to a server.
RECIPIENT = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"
OTHER_RECIPIENT = "age18q672kljffqz4cu7ac4d0h5lcxv57rjrawljcr70ymmhr8j37y7szcrqzm"

SETTINGS = """
public_url = "{public}"
database = "server.db"
signing_key = "server.key"
policy = "policy.toml"

[[issuer]]
name = "ci"
preset = "github"
url = "{ci}"
jwks_file = "jwks.json"
algorithms = ["EdDSA"]

[[issuer]]
name = "practice"
preset = "github"
url = "{practice}"
jwks_file = "issuer/jwks.json"
algorithms = ["EdDSA"]

[[issuer]]
name = "people"
preset = "generic"
url = "{people}"
audience = "fnox"
jwks_file = "jwks.json"
algorithms = ["EdDSA"]

[[issuer]]
name = "away"
preset = "github"
url = "http://127.0.0.1:9"
allow_origins = ["http://127.0.0.1:9"]

[login]
issuer = "people"
client_id = "fnox"

[login.roles]
admin = ["admins"]
approver = ["approvers"]
reader = ["readers"]

[notify.ntfy]
url = "http://127.0.0.1:{ntfy}"
topic = "{topic}"
"""

# The first fits each job by its key; each repository is another requester, so tests do not count for each other.
POLICY = """
[[rule]]
name = "{name} asks"
issuer = "{issuer}"
repository_id = "{repository}"
repository_owner_id = "583231"
repository = "octo-org/{name}"
refs = ["refs/heads/main"]
projects = ["my-app", "paged"]
profiles = ["default", "production"]
keys = ["NPM_*", "SENTRY_*", "PAGE_*"]
{more}

[[rule]]
name = "{name} helps itself"
issuer = "{issuer}"
repository_id = "{repository}"
refs = ["refs/heads/main"]
projects = ["my-app", "default"]
keys = ["FREE_*"]
require_approval = false
"""


def encoded(data):
    """Base64url without padding, of bytes or of a JSON value."""
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def age_file(text=b""):
    """A file that has age's form (C2SP age.md) and another content each time; nobody can open it."""
    stanza = base64.b64encode(os.urandom(32)).rstrip(b"=")
    mac = base64.b64encode(os.urandom(32)).rstrip(b"=")
    return b"age-encryption.org/v1\n-> X25519 %s\n%s\n--- %s\n" % (stanza, stanza, mac) + os.urandom(32 + len(text))


class Issuer:
    """Signs OIDC tokens."""

    def __init__(self):
        self.secret = os.urandom(32)
        self.kid = uuid.uuid4().hex

    def keys(self):
        public = encoded(ed25519.public_key(self.secret))
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": public}]}

    def sign(self, claims, **header):
        text = encoded({"alg": "EdDSA", "typ": "JWT", "kid": self.kid, **header}) + "." + encoded(claims)
        return text + "." + encoded(ed25519.sign(self.secret, text.encode()))

    def claims(self, issuer, audience, **more):
        now = int(time.time())
        claims = {"iss": issuer, "aud": audience, "iat": now, "nbf": now, "exp": now + 300, "jti": str(uuid.uuid4()), **more}
        return {name: value for name, value in claims.items() if value is not None}

    def job(self, repository, *, name=None, run="1", attempt="1", **more):
        """The token of a CI job."""
        path = f"octo-org/{name or 'repo-' + repository}"
        return self.sign(self.claims(CI, PUBLIC, **{
            "sub": f"repo:{path}:ref:refs/heads/main", "repository": path, "repository_id": repository,
            "repository_owner_id": "583231", "ref": "refs/heads/main", "event_name": "push", "run_id": run,
            "run_attempt": attempt, **more,
        }))

    def person(self, name, *groups, **more):
        """The token of a person."""
        mail = f"{name}@example.com"
        return self.sign(self.claims(PEOPLE, "fnox", **{
            "sub": f"sub-{name}", "preferred_username": name, "email": mail, "email_verified": True,
            "groups": list(groups), **more,
        }))


class Pushes(http.server.ThreadingHTTPServer):
    """A stand-in for ntfy, which keeps what is published as JSON to its root, and for a webhook at `/hook`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), PushHandler)
        self.messages = []
        self.arrived = threading.Condition()
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def next(self, fits, patience=30):
        """The first message that fits, taken out."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: any(map(fits, self.messages)), patience):
                raise TimeoutError(f"no such push among {self.messages}")
            found = next(filter(fits, self.messages))
            self.messages.remove(found)
            return found

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class PushHandler(http.server.BaseHTTPRequestHandler):
    """`POST /` with a JSON object that names the topic, or a webhook."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/hook":
            message, good = {"title": "", "body": body, **{name.lower(): value for name, value in self.headers.items()}}, True
        else:
            message = json.loads(body)
            good = self.path == "/" and message.get("topic") == TOPIC and len(message.get("message", "").encode()) <= 4096
        with self.server.arrived:
            if good:
                self.server.messages.append(message)
                self.server.arrived.notify_all()
        answer = json.dumps({"id": uuid.uuid4().hex[:12], "event": "message", "topic": TOPIC}).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class TeamServer:
    """A running server, with the policy that lets repositories ask."""

    def __init__(self, settings="", more=""):
        """`settings` are added to server.toml, `more` to the rule of every repository."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnox-team-"))
        self.config = self.folder / "server.toml"
        self.policy = self.folder / "policy.toml"
        self.log = self.folder / "serve.log"
        self.issuer = Issuer()
        self.pushes = Pushes()
        self.more = more
        self.flaws = []
        self.repositories = iter(range(1000, 1100))
        self.child = None
        try:
            self.set_up(settings)
            self.start()
        except BaseException:
            self.stop()
            raise

    def environment(self, **more):
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **more}

    def run(self, *arguments, input=None, environment=None):
        return subprocess.run(
            [BINARY, *arguments], env=environment or self.environment(), cwd=self.folder, timeout=60, check=True,
            capture_output=True, text=True, input=input,
        ).stdout

    def set_up(self, settings):
        made = json.loads(self.run("serve", "init", "--dir", str(self.folder), "--public-url", PUBLIC, "--json"))
        self.bootstrap = made["bootstrap_token"]
        self.run("serve", "issuer", "init", "--dir", str(self.folder / "issuer"))
        text = SETTINGS.format(
            public=PUBLIC, ci=CI, practice=PRACTICE, people=PEOPLE, topic=TOPIC, ntfy=self.pushes.server_address[1],
        )
        self.config.write_text(text + settings.replace("{ntfy}", str(self.pushes.server_address[1])))
        secret = os.open(self.folder / "hook.secret", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(secret, HOOK_SECRET)
        os.close(secret)
        (self.folder / "jwks.json").write_text(json.dumps(self.issuer.keys()))
        self.write_policy()
        self.provisioning = self.run("serve", "token", "--role", "scim", "--config", str(self.config)).strip()

    def write_policy(self, without=()):
        rules = [
            POLICY.format(name=f"repo-{number}", issuer="ci", repository=number, more=self.more)
            for number in range(1000, 1100) if str(number) not in without
        ]
        rules.append(POLICY.format(name="hello", issuer="practice", repository=1296269, more=self.more))
        self.policy.write_text("".join(rules))

    def reload(self):
        """Has the policy read again, and waits until the log says so."""
        before = len(re.findall("policy", self.log.read_text()))
        self.child.send_signal(signal.SIGHUP)
        self.wait_until(lambda: len(re.findall("policy", self.log.read_text())) > before)

    def start(self):
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [BINARY, "serve", "--config", str(self.config), "--listen", "127.0.0.1:0", "--log", "json"],
                env=self.environment(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.wait_until(lambda: self.port is not None)
        self.address = f"127.0.0.1:{self.port}"

    @property
    def port(self):
        """The TCP port, as the server says it."""
        found = re.search(r"serving at http://127\.0\.0\.1:([1-9]\d*)", self.log.read_text(errors="replace"))
        return int(found[1]) if found else None

    def wait_until(self, is_there):
        end = time.monotonic() + STARTING_SECONDS
        tick = threading.Event()
        while not is_there():
            if self.child.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not do it:\n{self.log.read_text(errors='replace')}")
            tick.wait(0.02)

    def observe(self, answer):
        found = answer_flaws(answer)
        self.flaws += [f"{flaw}: {answer.method} {answer.path} {answer.status} {answer.body[:300]!r}" for flaw in found]

    def client(self, token=None):
        return Client(self.address, token, self.observe)

    @property
    def admin(self):
        return self.client(self.bootstrap)

    def repository(self):
        """The id of a repository that no other test has."""
        return str(next(self.repositories))

    def job(self, repository=None, **more):
        """A job that has logged in."""
        return self.client().log_in(self.issuer.job(repository or self.repository(), **more))

    def person(self, name, *groups, **more):
        """A person who has logged in."""
        return self.client().log_in(self.issuer.person(name, *groups, **more))

    def link(self, fits=lambda message: True):
        """The path of the page that a push links to."""
        message = self.pushes.next(lambda one: "actions" in one and fits(one))
        (action,) = message["actions"]
        return action["url"].removeprefix(PUBLIC), message

    def end(self):
        """Has the server end, as a service manager does."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def stop(self):
        self.end()
        self.pushes.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
