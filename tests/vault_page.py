"""The protocol's page and its schemas, as data."""

import json
import pathlib
import re

from json_schema import Schemas

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/vault-protocol.md"
DOCUMENT = json.loads((ROOT / "docs/reference/vault-protocol.schema.json").read_text())
FENCE = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_schemas = Schemas(DOCUMENT)


def examples(language):
    """Yields (words after the language, text) of each fenced block of a language."""
    for info, text in FENCE.findall(PAGE.read_text()):
        first, *words = info.split()
        if first == language:
            yield words, text


def message_flaws(name, value):
    """What is wrong with a hello, welcome, request, response or event."""
    name = {"hello": "client_hello", "welcome": "server_hello"}.get(name, name)
    return list(_schemas.flaws(value, DOCUMENT["messages"][name]))


def request_flaws(request):
    """What is wrong with a request and its parameters."""
    flaws = message_flaws("request", request)
    method = DOCUMENT["methods"].get(request.get("method"))
    if method is None:
        return [*flaws, f"no such method: {request.get('method')}"]
    return flaws + list(_schemas.flaws(request["params"], method["params"], "params"))


def response_flaws(method, response):
    """What is wrong with a response to a method."""
    flaws = message_flaws("response", response)
    if response["ok"]:
        if "error" in response:
            flaws.append("a result and an error")
        return flaws + list(_schemas.flaws(response["result"], DOCUMENT["methods"][method]["result"], "result"))
    if "result" in response:
        flaws.append("a result and an error")
    if response["error"]["code"] not in DOCUMENT["error_codes"]:
        flaws.append(f"no such code: {response['error']['code']}")
    return flaws


class Observer:
    """Checks every frame of a connection against the schemas; `observe` goes to the client."""

    def __init__(self):
        self.methods = {}
        self.greeted = False
        self.flaws = []
        self.responses = 0

    def observe(self, direction, payload):
        try:
            message = json.loads(payload)
        except ValueError:
            if direction == "received":
                self.flaws.append(f"not JSON: {payload[:80]!r}")
            return
        if direction == "sent":
            if isinstance(message, dict) and "method" in message and "id" in message:
                self.methods[message["id"]] = message["method"]
            return
        self.flaws += [f"{flaw} in {payload[:300]!r}" for flaw in self.check(message)]

    def check(self, message):
        if not self.greeted:
            self.greeted = True
            return message_flaws("welcome", message)
        if "event" in message:
            return message_flaws("event", message)
        self.responses += 1
        # An unknown method has no result; what could not be read has the nil id.
        method = self.methods.pop(message["id"], None)
        return response_flaws(method, message) if method else message_flaws("response", message)
