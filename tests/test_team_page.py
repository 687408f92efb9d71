"""The pages of the team server's API say what the server really does."""

import base64
import json
import pathlib
import re
import unittest

import ed25519
from json_schema import Schemas, is_base64, is_time
from team_case import TeamCase
from team_client import command_hash, key_bytes, open_signed, signed_parts
from team_page import DOCUMENT, PAGE, PROBLEMS, REFERENCE, ROOT, answer_flaws, events, examples, operations, schema_flaws

SERVER = ROOT / "crates/server/src"
# What `openapi.json` leaves out: the document itself, and what is for browsers and for Prometheus.
BESIDES = {"GET /v1/openapi.json", "GET /a/{link}", "GET /metrics"}
# What cannot be had from a server that works; the nonce's is for people who log out of the pages.
OUT_OF_REACH = {"internal", "store_unavailable", "timeout", "nonce_invalid"}


def mentioned():
    """Yields `METHOD /path` of the page, without queries."""
    for methods, path in re.findall(r"`((?:GET|PUT|POST|DELETE|PATCH)(?:\|[A-Z]+)*) (/[^` ?]*)", PAGE):
        for method in methods.split("|"):
            yield f"{method} {path}"


def shapes(value):
    """The names in a JSON value, at every level."""
    if isinstance(value, dict):
        return {name: shapes(inner) for name, inner in value.items()}
    return [shapes(value[0])] if isinstance(value, list) and value else None


class Page(unittest.TestCase):
    def test_every_json_example_fits_its_schema(self):
        found = examples("json")
        self.assertGreaterEqual(len(found), 6)
        for name, text in found:
            with self.subTest(name):
                self.assertEqual(schema_flaws(json.loads(text), name), [])

    def test_the_hash_of_the_example_is_that_of_its_command(self):
        (request,) = [json.loads(text) for name, text in examples("json") if name == "CreateApproval"]
        self.assertEqual(request["command_hash"], command_hash(request["command_display"].split()))

    def test_the_routes_of_the_page_are_those_of_the_document(self):
        there = {f"{method} {path}" for method, path, _ in operations()}
        self.assertLessEqual(set(mentioned()) - BESIDES, there)
        unsaid = {path for _, path, _ in operations() if f"{path}`" not in PAGE and f"{path}?" not in PAGE}
        self.assertEqual(unsaid, set())
        self.assertGreater(len(there), 30)

    def test_the_events_of_the_page_are_those_of_the_code(self):
        code = "\n".join(path.read_text() for path in SERVER.rglob("*.rs") if "conformance" not in path.parts)
        listed = events()
        self.assertEqual(len(listed), len(set(listed)))
        self.assertEqual([event for event in listed if f'"{event}"' not in code], [])
        recorded = set(re.findall(r'(?:\bentry|Entry::new)\(\s*"(\w+)"', code))
        self.assertGreater(len(recorded), 10)
        self.assertLessEqual(recorded, set(listed))

    def test_codes_of_the_page_are_problems(self):
        said = set(re.findall(r"\b\d{3}\s+`(\w+)`", PAGE))
        self.assertGreater(len(said), 15)
        self.assertLessEqual(said, set(PROBLEMS))
        for status, code in re.findall(r"\b(\d{3})\s+`(\w+)`", PAGE):
            self.assertEqual(PROBLEMS[code], int(status), code)

    def test_every_problem_that_can_be_had_has_a_test(self):
        tests = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_team_p*o*.py"))
        self.assertEqual({code for code in PROBLEMS if f'"{code}"' not in tests}, OUT_OF_REACH)

    def test_every_operation_says_which_problems_it_has(self):
        for method, path, operation in operations():
            with self.subTest(method, path=path):
                kind = "application/scim+json" if path.startswith("/scim/") else "application/problem+json"
                problems = [one for status, one in operation["responses"].items() if status[0] in "4d"]
                self.assertEqual({media for one in problems for media in one["content"]}, {kind})


class SignedValues(unittest.TestCase):
    def test_the_example_is_signed_by_the_key_that_the_page_names(self):
        page = (REFERENCE / "signed-values.md").read_text()
        (text,) = [one for one in re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "hunter2" in one]
        (secret,) = re.findall(r"`(fxws_[A-Za-z0-9_-]+)`", page)
        fields, value = open_signed(text.encode())
        self.assertEqual((fields["version"], value), (7, b"hunter2\n"))
        self.assertEqual(key_bytes(fields["writer"], "fxwp_"), ed25519.public_key(key_bytes(secret, "fxws_")))
        line, signature = text.split("\n")[1:3]
        made = ed25519.sign(key_bytes(secret, "fxws_"), signed_parts(line.encode(), value))
        self.assertEqual(base64.urlsafe_b64encode(made).decode().rstrip("="), signature)
        for change in [("hunter2", "hunter3"), ("my-app", "my-apq"), (signature, "A" * 86), ("fxwp_6", "fxwp_7"), ("fnox-signed-v1", "fnox-signed-v2")]:
            with self.subTest(change=change), self.assertRaises(ValueError):
                open_signed(text.replace(*change).encode())

    def test_signatures_are_those_of_the_standard(self):
        # RFC 8032, section 7.1, test 3.
        secret = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
        wanted = bytes.fromhex(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        )
        self.assertEqual(ed25519.sign(secret, b"\xaf\x82"), wanted)
        public = ed25519.public_key(secret)
        self.assertTrue(ed25519.verify(public, b"\xaf\x82", wanted))
        order = ed25519.ORDER + int.from_bytes(wanted[32:], "little")
        for bad in [wanted[:63], wanted[:32] + order.to_bytes(32, "little"), bytes(64)]:
            self.assertFalse(ed25519.verify(public, b"\xaf\x82", bad))
        self.assertFalse(ed25519.verify(public, b"\xaf\x83", wanted))
        # A key of small order, which would sign anything.
        self.assertFalse(ed25519.verify((1).to_bytes(32, "little"), b"x", (1).to_bytes(32, "little") + bytes(32)))


class Examples(TeamCase):
    def test_the_examples_are_what_the_server_says(self):
        said = {name: shapes(json.loads(text)) for name, text in examples("json")}
        job = self.server.job()
        asked = job.ask(["NPM_TOKEN", "SENTRY_DSN"], reason="release 1.4")
        self.admin.approve(asked["id"], asked["code"])
        granted = job.grant(asked["id"])
        answers = {
            "ApprovalCreated": asked, "GrantCreated": granted, "Fetched": {"secrets": job.fetch(granted["grant_token"])},
            "SessionCreated": self.server.client(self.server.issuer.job(self.server.repository())).call("POST", "/v1/sessions"),
        }
        for name, answer in answers.items():
            with self.subTest(name):
                self.assertEqual(shapes(answer) | {"roles": None} if "roles" in answer else shapes(answer), said[name])

    def test_the_document_of_the_server_is_the_one_in_the_repository(self):
        self.assertEqual(self.server.client().call("GET", "/v1/openapi.json"), DOCUMENT)

    def test_tokens_have_the_form_that_the_page_says(self):
        job, _, grant = self.granted()
        tokens = {"fxs_": job.token, "fxg_": grant, "fxb_": self.server.bootstrap, "fxp_": self.server.provisioning}
        for kind, token in tokens.items():
            self.assertRegex(token, rf"^{kind}[A-Za-z0-9_-]{{49}}$")


class Checks(TeamCase):
    """The checks find what does not fit."""

    def test_an_answer_that_is_not_documented_is_found(self):
        good = self.server.client().send("GET", "/readyz")
        self.assertEqual(answer_flaws(good), [])
        for change in [{"status": 418}, {"body": b'{"status": 7}'}, {"body": b"{}"}, {"headers": {}}]:
            with self.subTest(change=change):
                answer = self.server.client().send("GET", "/readyz")
                answer.__dict__.update(change)
                self.assertNotEqual(answer_flaws(answer), [])
        bad = self.server.client().send("GET", "/v1/sessions/current")
        self.assertEqual(answer_flaws(bad), [])
        bad.body = bad.body.replace(b"unauthenticated", b"unheard_of")
        self.assertNotEqual(answer_flaws(bad), [])

    def test_formats_are_checked(self):
        self.assertTrue(is_time("2026-06-01T12:15:00Z") and is_time("2026-06-01T12:15:00.123456789Z"))
        self.assertFalse(any(map(is_time, ["2026-06-01", "2026-06-01T12:15:00+02:00", "2026-13-01T12:15:00Z", "…"])))
        self.assertTrue(is_base64("YWI="))
        self.assertFalse(any(map(is_base64, ["YWI", "YW-_", "Y W I", "YWJ="])))
        pair = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False}
        schemas = Schemas({})
        self.assertTrue(schemas.fits(["a", 1], pair))
        self.assertFalse(schemas.fits(["a", "b"], pair) or schemas.fits(["a", 1, 2], pair))


if __name__ == "__main__":
    unittest.main()
