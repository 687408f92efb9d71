"""A client of the agents' vault, written from docs/reference/vault-protocol.md and nothing else.

It is here to check that page and the vault against each other. Standard library only; one thread; the answers
to pipelined requests are kept until somebody asks for them by id.

    client = Client.unix("/run/user/1000/fnox/vault.sock")
    lease = client.call("request_lease", agent="me", secret_name="github-token", domain="api.github.com")
    value = client.secret(lease["lease_id"], "api.github.com")
"""

import base64
import json
import socket
import struct
import time
import uuid

MAX_FRAME = 1024 * 1024
NIL = "00000000-0000-0000-0000-000000000000"
PATIENCE = 30


class Refused(Exception):
    """The vault answered with an error, or refused the hello."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Closed(Exception):
    """The vault closed the connection."""


class Frames:
    """Frames over a socket: a length of four bytes, big-endian, and that many bytes."""

    def __init__(self, stream, observe=None):
        self.stream = stream
        self.stream.settimeout(PATIENCE)
        self.waiting = bytearray()
        self.observe = observe or (lambda direction, payload: None)

    @classmethod
    def unix(cls, path, observe=None):
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(PATIENCE)
        stream.connect(path)
        return cls(stream, observe)

    @classmethod
    def tcp(cls, host, port, observe=None):
        stream = socket.create_connection((host, port), timeout=PATIENCE)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(stream, observe)

    def send_bytes(self, data):
        self.stream.sendall(data)

    def send(self, payload):
        """Header and payload in one write."""
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload, separators=(",", ":")).encode()
        self.observe("sent", payload)
        self.send_bytes(struct.pack(">I", len(payload)) + payload)

    def receive(self, patience=PATIENCE):
        """The next frame as JSON. Raises Closed at the end and TimeoutError after so many seconds."""
        end = time.monotonic() + patience
        while True:
            if len(self.waiting) >= 4:
                (length,) = struct.unpack(">I", self.waiting[:4])
                if length > MAX_FRAME:
                    raise ValueError(f"the vault sent a frame of {length} bytes")
                if len(self.waiting) >= 4 + length:
                    payload = bytes(self.waiting[4 : 4 + length])
                    del self.waiting[: 4 + length]
                    self.observe("received", payload)
                    return json.loads(payload)
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no frame came in time")
            self.stream.settimeout(left)
            try:
                data = self.stream.recv(65536)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("within a frame" if self.waiting else "between frames")
            self.waiting += data

    def close(self):
        self.stream.close()


class Client:
    """An authenticated connection."""

    def __init__(self, frames, token=None, protocol="fnox-vault", version=1):
        self.frames = frames
        self.answers = {}
        self.events = []
        self.order = []
        hello = {"protocol": protocol, "version": version}
        if token is not None:
            hello["token"] = token
        try:
            frames.send(hello)
            welcome = frames.receive()
            if not welcome["ok"]:
                raise Refused(welcome["code"], welcome["error"])
            if (welcome["protocol"], welcome["version"]) != (protocol, version):
                raise ValueError(f"not the answer to this hello: {welcome}")
        except BaseException:
            frames.close()
            raise

    @classmethod
    def unix(cls, path, token=None, observe=None, **hello):
        return cls(Frames.unix(path, observe), token, **hello)

    @classmethod
    def tcp(cls, host, port, token=None, observe=None, **hello):
        return cls(Frames.tcp(host, port, observe), token, **hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.frames.close()

    def start(self, method, **params):
        """Sends a request and does not wait. Returns its id."""
        name = str(uuid.uuid4())
        self.frames.send({"id": name, "method": method, "params": params})
        return name

    def answer(self, name, patience=PATIENCE):
        """The result of a request; what comes in between is kept."""
        while name not in self.answers:
            self.take(patience)
        response = self.answers.pop(name)
        if response["ok"]:
            return response["result"]
        raise Refused(response["error"]["code"], response["error"]["message"])

    def call(self, method, **params):
        return self.answer(self.start(method, **params))

    def take(self, patience=PATIENCE):
        """Reads one frame and puts it where it belongs."""
        frame = self.frames.receive(patience)
        if "event" in frame:
            self.events.append(frame["event"])
        else:
            self.order.append(frame["id"])
            self.answers[frame["id"]] = frame

    def event(self, patience=PATIENCE):
        """The next event."""
        end = time.monotonic() + patience
        while not self.events:
            self.take(max(end - time.monotonic(), 0.001))
        return self.events.pop(0)

    def is_closed(self, patience=PATIENCE):
        """Waits for the vault to close the connection; whether it did in time."""
        try:
            while True:
                self.take(patience)
        except Closed:
            return True
        except TimeoutError:
            return False

    def store(self, name, value, **more):
        plaintext = base64.b64encode(value).decode()
        return self.call("store_secret", name=name, plaintext=plaintext, **{"kind": "Opaque", **more})

    def secret(self, lease, host):
        answer = self.call("access_secret", lease_id=lease, target_domain=host)
        return base64.b64decode(answer["secret"], validate=True)
