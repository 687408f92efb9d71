#!/usr/bin/env python3
"""Tries a provider program against fnox's provider protocol, version 1.

    python3 fnox_provider_kit.py --program ./fnox-provider-shelf --option folder=/tmp/shelf --capability store

Nothing but Python 3.8's standard library is needed. The program is run as fnox runs it: one process a request, two
lines of JSON on its stdin, no arguments. With `--capability store` and `encrypt` values are written: give it a place
of its own. With `read`, name what is there already: `--existing REFERENCE=VALUE`.

Each case is a line, `ok` or `FAILED` with the reason. The exit code is 0 if all are ok, 1 if not, 2 for a wrong call.
What the program must do is in docs/reference/provider-protocol.md.
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys

PROTOCOL = 1
KINDS = ("not_found", "authentication", "unavailable", "denied", "invalid")
OUTPUT_LIMIT = 16 * 1024 * 1024

TEXTS = [
    "",
    "plain",
    "ünïcödé 🔑",
    "two\nlines",
    "ends with a newline\n",
    "\n\n leading and trailing \t ",
    "a=b#c 'd' \"e\" $F ${G} `h` \\i {{ op://x }} %s",
    "x\r\ny",
    "zero\0byte",
]
LENGTHS = [1, 2, 3, 57, 4095, 4096, 65535, 65536]


class Broken(Exception):
    """The program did not do what the protocol says."""


class Run:
    """What came of one process."""

    def __init__(self, status, stdout, stderr):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.lines = [line for line in stdout.split(b"\n") if line.strip()]

    def document(self, index, what):
        if len(self.lines) <= index:
            raise Broken(f"there is no {what}; exit status {self.status}, stderr: {self.stderr[:300]!r}")
        try:
            document = json.loads(self.lines[index])
        except ValueError:
            raise Broken(f"the {what} is not JSON") from None
        if not isinstance(document, dict):
            raise Broken(f"the {what} is not an object")
        return document


class Kit:
    """A program, and how to talk to it."""

    def __init__(self, program, options, capability, existing, time_limit):
        self.program = os.path.abspath(program)
        self.options = options
        self.capability = capability
        self.existing = existing
        self.time_limit = time_limit

    # Talking

    def raw(self, data):
        process = subprocess.Popen(
            [self.program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(data, timeout=self.time_limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Broken(f"it did not end within {self.time_limit} s") from None
        if len(stdout) > OUTPUT_LIMIT:
            raise Broken("it printed more than 16 MiB")
        return Run(process.returncode, stdout, stderr)

    def hello_line(self, **changes):
        hello = {
            "type": "hello",
            "protocol": PROTOCOL,
            "fnox": "0.0.0-kit",
            "provider": "kit",
            "profile": "default",
            "project": None,
        }
        hello.update(changes)
        return json.dumps(hello) + "\n"

    def send(self, request, hello=None):
        line = {"time_limit_seconds": self.time_limit, "options": self.options}
        line.update(request)
        data = (hello or self.hello_line()) + json.dumps(line) + "\n"
        return self.raw(data.encode())

    def greeting(self, run):
        hello = run.document(0, "hello")
        if hello.get("type") != "hello":
            raise Broken("the first line is not of the type `hello`")
        if type(hello.get("protocol")) is not int:
            raise Broken("`protocol` of the hello is not a whole number")
        return hello

    def ask(self, request, hello=None):
        """The answer to a request, after everything that holds for all of them."""
        run = self.send(request, hello)
        greeting = self.greeting(run)
        if greeting["protocol"] != PROTOCOL:
            raise Broken(f"it speaks version {greeting['protocol']}")
        answer = run.document(1, "answer")
        if len(run.lines) > 2:
            raise Broken("it printed more than two lines")
        if run.status != 0:
            raise Broken(f"it answered and then ended with status {run.status}")
        if answer.get("type") == "error":
            self.failure(answer)
        return answer

    def failure(self, holder):
        error = holder.get("error")
        if not isinstance(error, dict) or error.get("kind") not in KINDS:
            raise Broken(f"an error has no kind out of {', '.join(KINDS)}")
        for key in ("message", "remedy"):
            if key in error and not isinstance(error[key], str):
                raise Broken(f"`{key}` of an error is not a text")
        return error

    def expect(self, answer, kind):
        if answer.get("type") == "error":
            error = answer["error"]
            raise Broken(f"it answers with an error: {error['kind']}: {error.get('message', '')}")
        if answer.get("type") != kind:
            raise Broken(f"the answer is of the type {answer.get('type')!r}, not `{kind}`")
        return answer

    def by_id(self, answer, kind, count):
        values = self.expect(answer, kind).get("values")
        if not isinstance(values, list):
            raise Broken("`values` is not a list")
        found = {}
        for value in values:
            if not isinstance(value, dict) or type(value.get("id")) is not int:
                raise Broken("an element of `values` has no `id`")
            if value["id"] in found:
                raise Broken(f"it answers {value['id']} twice")
            found[value["id"]] = value
        if set(found) != set(range(count)):
            raise Broken(f"it answers {sorted(found)[:5]}…, asked were 0 to {count - 1}")
        return [found[index] for index in range(count)]

    def get(self, references, **extra):
        items = [
            {"id": index, "name": f"SECRET_{index}", "reference": reference}
            for index, reference in enumerate(references)
        ]
        answer = self.ask({"type": "get", "items": items, **extra})
        out = []
        for value in self.by_id(answer, "values", len(references)):
            if ("value" in value) == ("error" in value):
                raise Broken("an element of `values` must have one of `value` and `error`")
            if "error" in value:
                out.append(self.failure(value)["kind"])
            else:
                out.append(decoded(value["value"]))
        return out

    def put(self, reference, value):
        answer = self.ask({"type": "put", "reference": reference, "value": encoded(value)})
        stored = self.expect(answer, "stored").get("reference")
        if not isinstance(stored, str) or not stored:
            raise Broken("`stored` has no `reference`")
        return stored

    def encrypt(self, values):
        items = [
            {"id": index, "name": f"SECRET_{index}", "value": encoded(value)}
            for index, value in enumerate(values)
        ]
        answer = self.ask({"type": "encrypt", "items": items})
        texts = [value.get("value") for value in self.by_id(answer, "encrypted", len(values))]
        if not all(isinstance(text, str) and text for text in texts):
            raise Broken("a ciphertext is not a text")
        return texts

    # Cases

    def case_hello(self):
        """says hello with its version and what it can do"""
        answer = self.ask({"type": "capabilities"})
        self.expect(answer, "done")
        greeting = self.greeting(self.send({"type": "capabilities"}))
        can = greeting.get("capabilities")
        if not isinstance(can, list) or not all(isinstance(word, str) for word in can):
            raise Broken("`capabilities` is not a list of texts")
        needed = {"read": [], "store": ["put", "delete"], "encrypt": ["encrypt"]}[self.capability]
        lacking = [word for word in ["get", "test", *needed] if word not in can]
        if lacking:
            raise Broken(f"it cannot {', '.join(lacking)}")

    def case_test(self):
        """answers `test`"""
        self.expect(self.ask({"type": "test"}), "done")

    def case_missing(self):
        """says `not_found` for what is not there, and answers the rest"""
        if self.capability == "encrypt":
            return
        references = ["kit-absent-1", *self.existing, "kit-absent-2"]
        wanted = ["not_found", *map(str.encode, self.existing.values()), "not_found"]
        same(self.get(references), wanted)

    def case_existing(self):
        """reads what is there, in any order and twice"""
        references = list(self.existing) + list(reversed(self.existing))
        if references:
            same(self.get(references), [self.existing[name].encode() for name in references])

    def case_exact(self):
        """gives every value back to the byte"""
        values = [text.encode() for text in TEXTS]
        values += [("aä\n\t\"\\\r" * length).encode()[:length] for length in LENGTHS]
        if self.capability == "store":
            stored = [self.put(f"kit/{index}", value) for index, value in enumerate(values)]
            same(self.get(stored), values)
            same(self.get(stored[::-1] + stored), values[::-1] + values)
        elif self.capability == "encrypt":
            same(self.get(self.encrypt(values)), values)

    def case_replace(self):
        """replaces a value under the same reference"""
        if self.capability == "store":
            first = self.put("kit/replaced", b"one")
            if self.put(first, b"another") != first:
                raise Broken("the second `put` has another reference")
            same(self.get([first]), [b"another"])

    def case_delete(self):
        """deletes, and says `not_found` the second time"""
        if self.capability == "store":
            reference = self.put("kit/deleted", b"x")
            self.expect(self.ask({"type": "delete", "reference": reference}), "done")
            same(self.get([reference]), ["not_found"])
            answer = self.ask({"type": "delete", "reference": reference})
            if answer.get("type") != "error" or answer["error"]["kind"] != "not_found":
                raise Broken("deleting what is not there is no `not_found`")

    def case_many(self):
        """answers 500 references in one process"""
        if self.capability == "encrypt":
            stored = self.encrypt([b"v"]) * 500
            same(self.get(stored), [b"v"] * 500)
        elif self.capability == "store":
            reference = self.put("kit/many", b"v")
            same(self.get([reference, "kit-absent"] * 250), [b"v", "not_found"] * 250)
        else:
            same(self.get(["kit-absent"] * 500), ["not_found"] * 500)

    def case_strange_references(self):
        """is led nowhere by strange references"""
        if self.capability == "encrypt":
            return
        strange = ["../../../etc/passwd", "/etc/passwd", "a\nb", "-x", "$(id)", "%s%n", "ü" * 300]
        for reference in strange:
            answer = self.get([reference])[0]
            if answer not in ("not_found", "invalid", "denied"):
                raise Broken(f"{reference[:20]!r} is answered with {answer!r:.40}")

    def case_newer_fnox(self):
        """ignores keys that it does not know"""
        hello = self.hello_line(mood="good")
        answer = self.ask({"type": "test", "mood": {"also": ["good"]}}, hello)
        self.expect(answer, "done")

    def case_version(self):
        """keeps to its own version when fnox has another one"""
        run = self.send({"type": "test"}, self.hello_line(protocol=99))
        greeting = self.greeting(run)
        if greeting["protocol"] == 99:
            raise Broken("it claims to speak a version that does not exist")
        if len(run.lines) > 1 and run.document(1, "answer").get("type") != "error":
            raise Broken("it goes on with a version that it does not speak")

    def case_unknown_request(self):
        """refuses a request that it does not know"""
        answer = self.ask({"type": "kit-unknown"})
        if answer.get("type") != "error" or answer["error"]["kind"] != "invalid":
            raise Broken("it is not answered with an error of the kind `invalid`")

    def case_rubbish(self):
        """does not take rubbish for a request"""
        for data in (b"rubbish\nrubbish\n", self.hello_line().encode() + b"[1]\n", b"\xff\xfe\n\n"):
            run = self.raw(data)
            if len(run.lines) > 1 and run.document(1, "answer").get("type") != "error":
                raise Broken(f"{data[:20]!r} is answered")

    def case_closed(self):
        """ends when stdin does"""
        for data in (b"", self.hello_line().encode()):
            run = self.raw(data)
            if len(run.lines) > 1 and run.document(1, "answer").get("type") != "error":
                raise Broken("it answers what nobody asked")

    def case_silent(self):
        """shows no value on stderr"""
        value = b"kit-value-that-nobody-may-see"
        if self.capability == "store":
            request = {"type": "put", "reference": "kit/silent", "value": encoded(value)}
        elif self.capability == "encrypt":
            request = {"type": "encrypt", "items": [{"id": 0, "name": "A", "value": encoded(value)}]}
        else:
            return
        run = self.send(request)
        if value in run.stderr or encoded(value).encode() in run.stderr:
            raise Broken("the value is on stderr")

    def cases(self):
        return [getattr(self, name) for name in vars(Kit) if name.startswith("case_")]


def encoded(value):
    return base64.b64encode(value).decode()


def decoded(text):
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Broken("a value is not base64") from None


def same(found, wanted):
    for index, (one, other) in enumerate(zip(found, wanted)):
        if one != other:
            raise Broken(f"answer {index} is {one!r:.60}, not {other!r:.60}")


def run(kit, say=print):
    """Runs all cases; the number of those that failed."""
    failed = 0
    for case in kit.cases():
        try:
            case()
            say(f"ok      {case.__doc__}")
        except Broken as reason:
            failed += 1
            say(f"FAILED  {case.__doc__}: {reason}")
    return failed


def pair(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Tries a provider program against fnox's provider protocol.")
    parser.add_argument("--program", required=True, help="path of the executable")
    parser.add_argument("--option", action="append", default=[], type=pair, metavar="NAME=VALUE",
                        help="an option, as in `options = { … }`")
    parser.add_argument("--capability", choices=["read", "store", "encrypt"], default="store")
    parser.add_argument("--existing", action="append", default=[], type=pair, metavar="REFERENCE=VALUE",
                        help="a value that is there already")
    parser.add_argument("--time-limit", type=int, default=30, metavar="SECONDS")
    given = parser.parse_args(arguments)
    if not os.access(given.program, os.X_OK):
        parser.error(f"{given.program} is not executable")
    kit = Kit(given.program, dict(given.option), given.capability, dict(given.existing), given.time_limit)
    failed = run(kit)
    print(f"{failed} failed" if failed else "all ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
