"""The examples of docs/reference/vault-protocol.md are what the schemas say they are."""

import json
import struct
import unittest

from vault_page import DOCUMENT, examples, message_flaws, request_flaws, response_flaws
from json_schema import Schemas


class Page(unittest.TestCase):
    def test_every_json_example_fits_its_schema(self):
        checked = 0
        for words, text in examples("json"):
            value = json.loads(text)
            with self.subTest(" ".join(words), value=text.strip()[:120]):
                match words:
                    case ["request"]:
                        flaws = request_flaws(value)
                    case ["response"]:
                        flaws = response_flaws(None, value) if not value["ok"] else ["which method?"]
                    case ["response", method]:
                        flaws = response_flaws(method, value)
                    case ["hello" | "welcome" | "event"]:
                        flaws = message_flaws(words[0], value)
                    case _:
                        flaws = ["say what the example is"]
                self.assertEqual(flaws, [])
                checked += 1
        self.assertGreater(checked, 40)

    def test_the_eight_original_methods_have_a_request_and_a_response(self):
        requests = {json.loads(text)["method"] for words, text in examples("json") if words == ["request"]}
        responses = {words[1] for words, _ in examples("json") if words[0] == "response" and len(words) == 2}
        original = {
            "store_secret", "request_lease", "access_secret", "revoke_lease", "revoke_all_for_agent", "list_secrets",
            "renew_lease", "delete_secret",
        }
        self.assertLessEqual(original, requests)
        self.assertLessEqual(original, responses)
        self.assertEqual(list(DOCUMENT["methods"])[:8], [
            "store_secret", "request_lease", "access_secret", "revoke_lease", "revoke_all_for_agent", "list_secrets",
            "renew_lease", "delete_secret",
        ])

    def test_the_bytes_are_frames_of_the_messages(self):
        checked = []
        for words, text in examples("hex"):
            data = bytes.fromhex("".join(line.split("  |")[0].strip() for line in text.splitlines()))
            shown = "".join(line.split("|", 1)[1].removesuffix("|") for line in text.splitlines())
            (length,) = struct.unpack(">I", data[:4])
            self.assertEqual(length, len(data) - 4)
            self.assertEqual(shown[4:], data[4:].decode())
            message = json.loads(data[4:])
            match words:
                case ["request"]:
                    flaws = request_flaws(message)
                case ["response", method]:
                    flaws = response_flaws(method, message)
                case _:
                    flaws = message_flaws(words[0], message)
            self.assertEqual(flaws, [])
            checked.append(words[0])
        self.assertEqual(checked, ["hello", "welcome", "request", "response"])

    def test_the_check_finds_what_does_not_fit(self):
        schemas = Schemas({"$defs": {"Name": {"type": "string"}}})
        schema = {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"$ref": "#/$defs/Name"}, "b": {"type": ["integer", "null"], "minimum": 1}},
            "additionalProperties": False,
        }
        self.assertEqual(list(schemas.flaws({"a": "x", "b": None}, schema)), [])
        for wrong in [{}, {"a": 1}, {"a": "x", "b": 0}, {"a": "x", "b": True}, {"a": "x", "c": 1}, [], None]:
            self.assertFalse(schemas.fits(wrong, schema), wrong)
        with self.assertRaises(NotImplementedError):
            list(schemas.flaws({}, {"unheard-of": 1}))

    def test_a_misspelt_parameter_is_found(self):
        request = {"id": "01939b6e-7e1c-7c3a-9f5e-3a1d5f6b7c8d", "method": "request_lease",
                   "params": {"agent": "a", "secret_name": "s", "domain": "example.com", "max_use": 1}}
        self.assertNotEqual(request_flaws(request), [])


if __name__ == "__main__":
    unittest.main()
