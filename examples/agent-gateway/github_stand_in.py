#!/usr/bin/env python3
"""The parts of GitHub that the guide of agents needs, on this machine: one repository over git's smart HTTP protocol and
the REST endpoint of pull requests. Both want the token, as GitHub does.

    github_stand_in.py PORT FOLDER TOKEN_FILE

Serves FOLDER/acme/app.git. Not a server for anything else.
"""

import base64
import http.server
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

PULLS = "/repos/acme/app/pulls"


class GitHub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pulls = []

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        body = self.body()
        if not self.is_authorized():
            return self.answer(401, {"message": "Requires authentication"}, {"WWW-Authenticate": 'Basic realm="GitHub"'})
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/acme/app.git/"):
            return self.git(body)
        if path != PULLS:
            return self.answer(404, {"message": "Not Found"})
        if self.command == "GET":
            return self.answer(200, self.pulls)
        wanted = json.loads(body)
        pull = {"number": len(self.pulls) + 1, "title": wanted["title"], "head": wanted["head"], "base": wanted["base"]}
        self.pulls.append(pull)
        return self.answer(201, pull)

    def is_authorized(self):
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            rest = base64.b64decode(rest).decode().partition(":")[2]
        return rest == self.server.token

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def git(self, body):
        """Hands the request to git's own CGI program (RFC 3875; git-http-backend(1))."""
        url = urllib.parse.urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "agent",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        self.send(status, content, headers)

    def answer(self, status, document, headers=None):
        self.send(status, json.dumps(document).encode() + b"\n", {"Content-Type": "application/json", **(headers or {})})

    def send(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def main():
    port, folder, token_file = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), GitHub)
    server.folder = pathlib.Path(folder).absolute()
    server.token = pathlib.Path(token_file).read_text().strip()
    server.serve_forever()


if __name__ == "__main__":
    main()
