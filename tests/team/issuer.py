#!/usr/bin/env python3
"""An issuer of OIDC tokens for tests, independent of fnox: PyJWT signs, http.server serves.

It has what a CI provider has: discovery, a key set that can be rotated, and an endpoint shaped like GitHub's
`ACTIONS_ID_TOKEN_REQUEST_URL` (https://docs.github.com/actions/reference/security/oidc). Everything is on 127.0.0.1.

    issuer.py [--port PORT]

prints one JSON line: {"url": "http://127.0.0.1:PORT", "request_token": "…"}; then serves until its standard input
is closed.

    GET  /.well-known/openid-configuration
    GET  /jwks
    GET  /idtoken?audience=AUD     with `Authorization: Bearer REQUEST_TOKEN`: {"count": …, "value": "eyJ…"}
    POST /claims                   JSON: claims that every following token has; null removes one
    POST /rotate                   a new key; the one before is dropped from the key set
    GET  /counts                   how often discovery and key set were fetched
"""

import argparse
import http.server
import json
import secrets
import sys
import threading
import time
import urllib.parse
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

# A GitHub Actions token of a push to a branch (docs.github.com, "Understanding the OIDC token").
CLAIMS = {
    "sub": "repo:octo-org/hello:ref:refs/heads/main",
    "repository": "octo-org/hello",
    "repository_id": "1296269",
    "repository_owner": "octo-org",
    "repository_owner_id": "583231",
    "repository_visibility": "private",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "ref_protected": "true",
    "sha": "0123456789abcdef0123456789abcdef01234567",
    "event_name": "push",
    "workflow": "release",
    "workflow_ref": "octo-org/hello/.github/workflows/release.yml@refs/heads/main",
    "job_workflow_ref": "octo-org/hello/.github/workflows/release.yml@refs/heads/main",
    "runner_environment": "github-hosted",
    "actor": "octocat",
    "actor_id": "583231",
    "run_id": "4242",
    "run_number": "7",
    "run_attempt": "1",
    "check_run_id": "991",
}


class Issuer:
    def __init__(self):
        self.lock = threading.Lock()
        self.request_token = secrets.token_urlsafe(24)
        self.claims = dict(CLAIMS)
        self.counts = {"discovery": 0, "jwks": 0, "tokens": 0}
        self.rotate()

    def rotate(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        self.key, self.key_id = key, secrets.token_hex(8)
        self.jwks = {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def token(self, url, audience):
        now = int(time.time())
        claims = {
            **self.claims,
            "iss": url,
            "aud": audience,
            "iat": now,
            "nbf": now - 600,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        issuer, url = self.server.issuer, self.server.url
        address = urllib.parse.urlsplit(self.path)
        with issuer.lock:
            if address.path == "/.well-known/openid-configuration":
                issuer.counts["discovery"] += 1
                self.answer(200, {
                    "issuer": url,
                    "jwks_uri": url + "/jwks",
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                })
            elif address.path == "/jwks":
                issuer.counts["jwks"] += 1
                self.answer(200, issuer.jwks)
            elif address.path == "/counts":
                self.answer(200, issuer.counts)
            elif address.path == "/idtoken":
                given = self.headers.get("Authorization", "")
                if not secrets.compare_digest(given, "Bearer " + issuer.request_token):
                    return self.answer(401, {"message": "Bad credentials"})
                query = urllib.parse.parse_qs(address.query)
                audience = query.get("audience", ["https://github.com/octo-org"])[0]
                issuer.counts["tokens"] += 1
                self.answer(200, {"count": 1, "value": issuer.token(url, audience)})
            else:
                self.answer(404, {})

    def do_POST(self):
        issuer = self.server.issuer
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with issuer.lock:
            if self.path == "/claims":
                for name, value in json.loads(body).items():
                    if value is None:
                        issuer.claims.pop(name, None)
                    else:
                        issuer.claims[name] = value
                self.answer(200, issuer.claims)
            elif self.path == "/rotate":
                issuer.rotate()
                self.answer(200, {"kid": issuer.key_id})
            else:
                self.answer(404, {})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=0)
    options = arguments.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    server.issuer = Issuer()
    server.url = "http://127.0.0.1:%d" % server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": server.url, "request_token": server.issuer.request_token}), flush=True)
    # Whoever started this holds the other end: it ends with them.
    sys.stdin.read()


if __name__ == "__main__":
    main()
