"""Programs that get credentials from fnox while they run, and programs that call fnox for them.

    python3 -m unittest discover -s tests

Real clients: boto3, the AWS CLI, git. Needs openssl for the certificate of a git server.
"""

import base64
import functools
import http.server
import json
import os
import ssl
import subprocess
import threading
import unittest

from credential_project import Project
from json_schema import Schemas

# A client of docs/reference/credential-endpoint.md, "Any program". Ends when it has seen four credentials.
GENERIC = """
import datetime, json, os, threading, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(path):
    with open(os.environ["FNOX_CREDENTIALS_TOKEN_FILE"]) as file:
        headers = {"Authorization": "Bearer " + file.read()}
    with opener.open(urllib.request.Request(os.environ["FNOX_CREDENTIALS_URL"] + path, headers=headers)) as answer:
        return json.load(answer)
assert [one["lease"] for one in ask("")["leases"]] == ["token"], ask("")
tick, seen = threading.Event(), {}
while len(seen) < 4:
    answer = ask("/token")
    end = datetime.datetime.fromisoformat(answer["expires_at"])
    assert end > datetime.datetime.now(datetime.timezone.utc), answer
    seen[answer["variables"]["TOKEN"]] = True
    tick.wait(0.05)
print(json.dumps(list(seen)))
assert "TOKEN" not in os.environ
"""

# Calls an AWS service again and again, until four sessions were seen.
BOTO3 = """
import os, boto3, json, threading
from botocore.config import Config
client = boto3.client("sts", endpoint_url=os.environ["STAND_IN"], config=Config(proxies={}))
tick, seen = threading.Event(), {}
while len(seen) < 4:
    seen[client.get_caller_identity()["Arn"]] = True
    tick.wait(0.05)
print(json.dumps(list(seen)))
"""

# kubernetes.io, "client-go credential plugins" and client.authentication.k8s.io/v1.
EXEC_CREDENTIAL = {
    "type": "object",
    "required": ["apiVersion", "kind", "status"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "client.authentication.k8s.io/v1"},
        "kind": {"const": "ExecCredential"},
        "status": {
            "type": "object",
            "required": ["token", "expirationTimestamp"],
            "additionalProperties": False,
            "properties": {
                "token": {"type": "string"},
                "expirationTimestamp": {"type": "string", "format": "date-time"},
            },
        },
    },
}


class Serving:
    """A server on loopback for the time of a `with`."""

    def __init__(self, handler, context=None):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Sts(http.server.BaseHTTPRequestHandler):
    """Says by which session it was asked: the ARN is `arn:ACCESS_KEY:SESSION_TOKEN`."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"].split("Credential=")[1].split("/")[0]
        arn = f"arn:{key}:{self.headers['X-Amz-Security-Token']}"
        body = (
            '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
            f"<Arn>{arn}</Arn><UserId>u</UserId><Account>1</Account></GetCallerIdentityResult>"
            "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class GitServer(http.server.SimpleHTTPRequestHandler):
    """Serves repositories as files (git-http-backend(1) calls it the dumb protocol) to whoever has a token."""

    offered = []

    def do_GET(self):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            self.offered.append(base64.b64decode(value).decode())
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class CredentialCase(unittest.TestCase):
    def setUp(self):
        self.project = Project()
        self.addCleanup(self.project.stop)


class WhileTheProgramRuns(CredentialCase):
    def test_a_program_that_knows_fnox_always_has_a_credential_that_works(self):
        self.project.lease("token", {"TOKEN": "t-N"}, "5 seconds", 'deliver = ["endpoint"]')
        done = self.project.fnox("exec", "--", "python3", "-c", GENERIC)
        self.assertEqual(json.loads(done.stdout), ["t-1", "t-2", "t-3", "t-4"])

    @unittest.skipUnless("FNOX_TEST_BOTO3_PYTHON" in os.environ, "needs boto3: run ./scripts/test")
    def test_boto3_runs_past_three_renewals(self):
        self.project.aws_lease("5 seconds", 'deliver = ["endpoint"]')
        with Serving(Sts) as sts:
            done = self.project.fnox(
                "exec", "--", os.environ["FNOX_TEST_BOTO3_PYTHON"], "-c", BOTO3,
                STAND_IN=f"http://127.0.0.1:{sts.port}", AWS_ACCESS_KEY_ID="AKIALONG", AWS_SECRET_ACCESS_KEY="long-lived",
            )
        self.assertEqual(json.loads(done.stdout), [f"arn:ASIA-{n}:token-{n}" for n in (1, 2, 3, 4)])


class WhoCallsFnox(CredentialCase):
    def install(self, *arguments):
        return self.project.fnox("credential", "install", *arguments, "--yes")

    @unittest.skipUnless("FNOX_TEST_AWS_CLI" in os.environ, "needs the AWS CLI: run ./scripts/test")
    def test_the_aws_cli_and_boto3_use_the_installed_profile(self):
        self.project.aws_lease()
        self.install("aws", "aws", "--aws-profile", "dev")
        with Serving(Sts) as sts:
            url = f"http://127.0.0.1:{sts.port}"
            for _ in range(2):
                done = self.project.run(
                    os.environ["FNOX_TEST_AWS_CLI"], "sts", "get-caller-identity", "--profile", "dev", "--endpoint-url", url,
                    "--region", "eu-central-1", cwd="/", no_proxy="*",
                )
                self.assertEqual(json.loads(done.stdout)["Arn"], "arn:ASIA-1:token-1")
            script = "import boto3, os; print(boto3.client('sts', endpoint_url=os.environ['STAND_IN']).get_caller_identity()['Arn'])"
            done = self.project.run(
                os.environ["FNOX_TEST_BOTO3_PYTHON"], "-c", script, cwd="/", AWS_PROFILE="dev", STAND_IN=url, no_proxy="*",
                AWS_DEFAULT_REGION="eu-central-1",
            )
            self.assertEqual(done.stdout.strip(), "arn:ASIA-1:token-1")
        self.assertEqual(self.project.mints("aws"), 1)

    def test_git_clones_with_a_token_that_nothing_keeps(self):
        self.project.lease("token", {"TOKEN": "git-N"})
        certificate, key = (self.project.folder / name for name in ("certificate.pem", "key.pem"))
        self.project.run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
            "-subj", "/CN=git", "-addext", "subjectAltName=IP:127.0.0.1",
        )
        served = self.project.folder / "served"
        repository = served / "a.git"
        for command in [
            ["init", "--quiet", self.project.folder / "work"],
            ["-C", self.project.folder / "work", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "one"],
            ["clone", "--quiet", "--bare", self.project.folder / "work", repository],
            ["-C", repository, "update-server-info"],
            ["config", "--global", "credential.helper", "store"],
        ]:
            self.project.run("git", *command)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        offered = []
        handler = type("Handler", (GitServer,), {"offered": offered})
        with Serving(functools.partial(handler, directory=str(served)), context) as server:
            host = f"127.0.0.1:{server.port}"
            self.install("git", "token", "--host", host, "--username", "me")
            self.project.run(
                "git", "clone", "--quiet", f"https://{host}/a.git", self.project.folder / "clone", cwd="/",
                GIT_SSL_CAINFO=str(certificate), GIT_TERMINAL_PROMPT="0",
            )
        self.assertEqual(set(offered), {"me:git-1"})
        self.assertTrue((self.project.folder / "clone/.git").exists())
        self.assertFalse((self.project.home / ".git-credentials").exists())

    def test_docker_calls_the_installed_program_as_its_protocol_says(self):
        self.project.lease("token", {"TOKEN": "docker-N"})
        (self.project.home / ".docker").mkdir()
        config = self.project.home / ".docker/config.json"
        config.write_text('{"auths": {"other.example": {"auth": "eA=="}}, "credsStore": "secretservice"}')
        self.install("docker", "token", "--host", "registry.example:5000", "--username", "me", "--bin", str(self.project.bin))
        document = json.loads(config.read_text())
        self.assertEqual(document["credsStore"], "secretservice")
        self.assertEqual(document["auths"], {"other.example": {"auth": "eA=="}})
        program = f"docker-credential-{document['credHelpers']['registry.example:5000']}"

        def call(operation, text):
            return subprocess.run(
                [program, operation], input=text, env=self.project.environment(), executable=self.project.bin / program, cwd="/",
                capture_output=True, text=True, timeout=60,
            )

        got = json.loads(call("get", "registry.example:5000").stdout)
        self.assertEqual(got, {"ServerURL": "registry.example:5000", "Username": "me", "Secret": "docker-1"})
        missing = call("get", "https://index.docker.io/v1/")
        self.assertEqual((missing.returncode, missing.stdout.strip()), (1, "credentials not found in native keychain"))
        self.assertEqual(call("store", json.dumps({**got, "Secret": "long-lived"})).returncode, 0)
        self.assertEqual(json.loads(call("list", "").stdout), {"registry.example:5000": "me"})
        self.assertEqual(json.loads(call("get", "https://registry.example:5000").stdout)["Secret"], "docker-1")

    def test_an_exec_credential_fits_its_schema(self):
        self.project.lease("token", {"TOKEN": "k-N"})
        self.install("kubernetes", "token", "--server", "https://k8s.example:6443")
        text = (self.project.home / ".kube/config").read_text()
        lines = [line.strip() for line in text.splitlines()]
        command = [json.loads(lines[[line.startswith("command:") for line in lines].index(True)].removeprefix("command: "))]
        command += [json.loads(line.removeprefix("- ")) for line in lines if line.startswith('- "')]
        info = {
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
            "spec": {"interactive": False, "cluster": {"server": "https://k8s.example:6443", "certificate-authority-data": "eA=="}},
        }
        done = self.project.run(*command, cwd="/", KUBERNETES_EXEC_INFO=json.dumps(info))
        document = json.loads(done.stdout)
        self.assertEqual(list(Schemas({}).flaws(document, EXEC_CREDENTIAL)), [])
        self.assertEqual(document["status"]["token"], "k-1")
        info["spec"]["cluster"]["server"] = "https://evil.example"
        done = self.project.run(*command, cwd="/", check=False, KUBERNETES_EXEC_INFO=json.dumps(info))
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
