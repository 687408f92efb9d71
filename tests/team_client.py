"""A client of the team server, written from docs/reference/server-api.md and openapi.json and nothing else.

It is here to check those pages and the server against each other. Standard library only, one request a connection.

    job = Client("127.0.0.1:8443", observe=print).log_in(oidc_token)
    asked = job.ask(["NPM_TOKEN"], ["npm", "publish"])
    job.wait(asked["id"])
    secrets = job.fetch(job.grant(asked["id"])["grant_token"])
"""

import base64
import contextlib
import hashlib
import http.client
import json
import struct
import urllib.parse

import ed25519

PATIENCE = 90
JSON = "application/json"
MAGIC = b"fnox-signed-v1\n"
CONTEXT = b"fnox signed value v1"
CHECKSUM = b"fnox token checksum v1"


class Problem(Exception):
    """The server answered with a problem document."""

    def __init__(self, answer):
        self.answer = answer
        self.document = answer.json
        self.status = answer.status
        self.code = self.document["code"]
        super().__init__(f"{self.status} {self.document}")


class Answer:
    """What the server said to one request."""

    def __init__(self, method, path, response):
        self.method = method
        self.path = path
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def kind(self):
        return self.headers.get("Content-Type", "").split(";")[0].strip()


def command_hash(arguments):
    """SHA-256 over the program and its arguments, each preceded by its length."""
    whole = b"".join(struct.pack(">Q", len(part)) + part for part in (one.encode() for one in arguments))
    return hashlib.sha256(whole).hexdigest()


class Client:
    """Calls with one bearer token, or with none."""

    def __init__(self, address, token=None, observe=None):
        self.address = address
        self.token = token
        self.observe = observe or (lambda answer: None)

    def bearer(self, token):
        return Client(self.address, token, self.observe)

    def send(self, method, path, body=None, *, query=None, raw=None, headers=()):
        """One request, as it is. `raw` is a body of bytes, `query` a mapping or a list of pairs."""
        sent = {"Accept": "*/*"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["Content-Type"] = JSON
            raw = json.dumps(body).encode()
        sent.update(headers)
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            with contextlib.suppress(BrokenPipeError):  # answered before all was sent (RFC 9112, section 9.5)
                connection.request(method, target, raw, {name: value for name, value in sent.items() if value is not None})
            answer = Answer(method, path, connection.getresponse())
        finally:
            connection.close()
        self.observe(answer)
        return answer

    def call(self, method, path, body=None, **more):
        """The JSON of a good answer, None where it has no body; raises Problem."""
        answer = self.send(method, path, body, **more)
        if answer.status >= 400:
            raise Problem(answer)
        return answer.json if answer.body else None

    # A job's way to its secrets

    def log_in(self, token):
        """A client with a session."""
        return self.bearer(self.bearer(token).call("POST", "/v1/sessions")["token"])

    def session(self):
        return self.call("GET", "/v1/sessions/current")

    def log_out(self):
        return self.call("DELETE", "/v1/sessions/current")

    @staticmethod
    def wish(keys, command=("npm", "publish"), **more):
        """The body of a request for keys."""
        shown = {"command_hash": command_hash(command), "command_display": " ".join(command)}
        return {"project": "my-app", "keys": keys, **shown, **more}

    def ask(self, keys, command=("npm", "publish"), **more):
        return self.call("POST", "/v1/approvals", self.wish(keys, command, **more))

    def check(self, keys, **more):
        return self.call("POST", "/v1/checks", {"project": "my-app", "keys": keys, **more})["keys"]

    def approval(self, name, **query):
        return self.call("GET", f"/v1/approvals/{name}", query=query)

    def wait(self, name, seconds=30):
        """Asks until it is not pending any more."""
        while (approval := self.approval(name, wait=seconds))["status"] == "pending":
            pass
        return approval

    def cancel(self, name):
        return self.call("DELETE", f"/v1/approvals/{name}")

    def grant(self, name):
        return self.call("POST", "/v1/grants", {"approval_id": name})

    def grant_at_once(self, keys, command=("npm", "publish"), **more):
        return self.call("POST", "/v1/grants", self.wish(keys, command, **more))

    def fetch(self, grant):
        return self.bearer(grant).call("POST", "/v1/fetch")["secrets"]

    # Deciding

    def approvals(self, **query):
        return self.call("GET", "/v1/approvals", query=query)["approvals"]

    def decide(self, name, decision, code=None, **more):
        body = {"decision": decision, **more} | ({} if code is None else {"code": code})
        return self.call("POST", f"/v1/approvals/{name}/decision", body)

    def approve(self, name, code):
        return self.decide(name, "approve", code)

    def deny(self, name, **more):
        return self.decide(name, "deny", **more)

    # Storing

    @staticmethod
    def place(key=None, project="my-app"):
        """The path of a secret or of all; the short form for no project."""
        start = f"/v1/projects/{project}/secrets" if project else "/v1/secrets"
        return start if key is None else f"{start}/{key}"

    def put(self, key, ciphertext, recipients, *, project="my-app", headers=(), **more):
        body = {"ciphertext": base64.b64encode(ciphertext).decode(), "recipients": recipients, **more}
        return self.call("PUT", self.place(key, project), body, headers=headers)

    def secret(self, key, project="my-app", **query):
        return self.call("GET", self.place(key, project), query=query)

    def versions(self, key, project="my-app", **query):
        return self.call("GET", self.place(key, project) + "/versions", query=query)["versions"]

    def delete(self, key, project="my-app", headers=(), **query):
        return self.call("DELETE", self.place(key, project), query=query, headers=headers)

    def pages(self, path, items, **query):
        """Yields the pages of a list."""
        while True:
            page = self.call("GET", path, query=query)
            yield page[items]
            if page.get("next") is None:
                return
            query["after"] = page["next"]

    def secrets(self, project="my-app", **query):
        return [one for page in self.pages(self.place(None, project), "secrets", **query) for one in page]

    def audit(self, **query):
        return [one for page in self.pages("/v1/audit", "records", **query) for one in page]


def key_bytes(text, prefix):
    """The 32 bytes of a writer key, `fxws_…` or `fxwp_…` (signed-values.md)."""
    body, checksum = text.removeprefix(prefix)[:43], text.removeprefix(prefix)[43:]
    digest = hashlib.sha256(CHECKSUM + prefix.encode() + body.encode()).digest()
    if not text.startswith(prefix) or base64.urlsafe_b64encode(digest[:5]).decode()[:6] != checksum:
        raise ValueError(f"not a key with the prefix {prefix}")
    return base64.urlsafe_b64decode(body + "=")


def signed_parts(line, value):
    return b"".join(struct.pack(">Q", len(part)) + part for part in (CONTEXT, line, value))


def open_signed(plaintext):
    """The fields and the value of a signed value. Raises ValueError unless its own writer signed it."""
    if not plaintext.startswith(MAGIC):
        raise ValueError("not a signed value")
    line, signature, value = plaintext.removeprefix(MAGIC).split(b"\n", 2)
    fields = json.loads(line)
    if list(fields) != ["project", "profile", "key", "version", "created_at", "writer"] or len(line) > 4096:
        raise ValueError(f"other fields: {list(fields)}")
    if len(signature) != 86:
        raise ValueError("the signature is not 86 characters long")
    public = key_bytes(fields["writer"], "fxwp_")
    if not ed25519.verify(public, signed_parts(line, value), base64.urlsafe_b64decode(signature + b"==")):
        raise ValueError("not signed by its writer")
    return fields, value
