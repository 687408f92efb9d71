"""A package index, a registry, a git server, a WebSocket and a remote call over TLS on loopback, for whoever has the credential.

    server.py CERTIFICATE KEY VALUE

Writes the ports as JSON, one line, and ends with its input. The git server has an empty repository, `/git/app.git`, in a folder
beside the certificate.
"""

import base64
import hashlib
import http.server
import io
import json
import os
import ssl
import subprocess
import sys
import tarfile
import threading
import urllib.parse
import zipfile
from concurrent import futures

import grpc
from websockets.sync.server import serve

CERTIFICATE, KEY, VALUE = sys.argv[1:]
BEARER = f"Bearer {VALUE}"
BASIC = "Basic " + base64.b64encode(f"reader:{VALUE}".encode()).decode()
REPOSITORIES = os.path.join(os.path.dirname(CERTIFICATE), "repositories")
WHEEL = "fnox_sample-1.0-py3-none-any.whl"


def wheel():
    """The smallest wheel (PEP 427): one module."""
    info = "fnox_sample-1.0.dist-info"
    files = {
        "fnox_sample.py": "ANSWER = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: fnox-sample\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD"
    files[record] = "".join(f"{name},,\n" for name in [*files, record])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
    return archive.getvalue()


def package():
    """A package of npm: a compressed tar file whose files are below `package/`."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as out:
        for name, text in {
            "package.json": json.dumps({"name": "fnox-sample", "version": "1.0.0"}),
            "index.js": "module.exports = 42;\n",
        }.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            out.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


PACKAGE = package()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/git/"):
            return self.git(b"")
        place = f"https://localhost:{self.server.server_port}"
        document = {
            "name": "fnox-sample",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {
                "1.0.0": {
                    "name": "fnox-sample",
                    "version": "1.0.0",
                    "dist": {
                        "tarball": f"{place}/npm/fnox-sample/-/fnox-sample-1.0.0.tgz",
                        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode(),
                    },
                }
            },
        }
        link = f'<!DOCTYPE html><a href="/files/{WHEEL}">{WHEEL}</a>'
        answers = {
            "/simple/fnox-sample/": (BASIC, "text/html", link.encode()),
            f"/files/{WHEEL}": (BASIC, "application/octet-stream", wheel()),
            "/npm/fnox-sample": (BEARER, "application/json", json.dumps(document).encode()),
            "/npm/fnox-sample/-/fnox-sample-1.0.0.tgz": (BEARER, "application/octet-stream", PACKAGE),
            "/me": (BEARER, "application/json", json.dumps({"you sent": self.headers["authorization"]}).encode()),
        }
        wanted, kind, body = answers.get(self.path, (None, "text/plain", b"no such thing"))
        status = 404 if wanted is None else 200
        if wanted is not None and self.headers["authorization"] != wanted:
            status, body = 401, b"this is not the credential"
        self.send_response(status)
        if status == 401:
            self.send_header("www-authenticate", 'Basic realm="sample"')
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.body()
        if self.path.startswith("/git/"):
            return self.git(body)
        is_known = self.headers["authorization"] == BEARER
        self.send_response(200 if is_known else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def git(self, body):
        """Hands the request to git's own CGI program (RFC 3875; git-http-backend(1))."""
        if self.headers["authorization"] != BASIC:
            return self.send(401, b"", {"www-authenticate": 'Basic realm="git"'})
        url = urllib.parse.urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": REPOSITORIES,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "reader",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path.removeprefix("/git"),
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return self.send(status, content, headers)

    def send(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


def start_http():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def start_websocket():
    def echo(connection):
        if connection.request.headers["authorization"] != BEARER:
            connection.close(1008, "this is not the credential")
        for message in connection:
            connection.send(message)

    server = serve(echo, "127.0.0.1", 0, ssl=tls())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.socket.getsockname()[1]


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method != "/sample.Sample/Ask":
            return None
        metadata = dict(details.invocation_metadata)

        def ask(request, context):
            if metadata.get("authorization") != BEARER:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "this is not the credential")
            context.set_trailing_metadata((("x-after", "the answer"),))
            return request

        return grpc.unary_unary_rpc_method_handler(ask)


def start_grpc():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Echo(),))
    with open(KEY, "rb") as key, open(CERTIFICATE, "rb") as certificate:
        credentials = grpc.ssl_server_credentials(((key.read(), certificate.read()),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return port, server


subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", f"{REPOSITORIES}/app.git"], check=True)
grpc_port, grpc_server = start_grpc()
print(json.dumps({"http": start_http(), "websocket": start_websocket(), "grpc": grpc_port}), flush=True)
sys.stdin.read()
