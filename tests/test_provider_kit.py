"""The kit for provider programs: the example passes it, and programs with one fault each do not."""

import os
import pathlib
import stat
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "provider-kit"))

import fnox_provider_kit as provider_kit  # noqa: E402

EXAMPLE = ROOT / "examples" / "external-provider" / "fnox-provider-example"

# A piece of the example, what stands there instead, and the case that must notice.
FAULTS = [
    ('"protocol": PROTOCOL,\n        "name"', '"protocol": hash(1) + 1,\n        "name"', "says hello with"),
    ('CAPABILITIES = ["get", "put", "delete", "test"]', 'CAPABILITIES = ["get", "put", "test"]', "says hello with"),
    ("return file.read()", "return file.read().strip()", "to the byte"),
    ("return file.read()", 'return file.read().replace(b"\\r\\n", b"\\n")', "to the byte"),
    ("for item in items:", "for item in items[:100]:", "500 references"),
    ("for item in items:", "for item in {item['reference']: item for item in items}.values():", "to the byte"),
    ('"stored", "reference": request["reference"]', '"stored", "reference": ""', "to the byte"),
    (
        'return file.read()\n        except FileNotFoundError:\n            raise Failure("not_found"',
        'return file.read()\n        except FileNotFoundError:\n            raise Failure("missing"',
        "`not_found` for what",
    ),
    ("os.unlink(self.path(reference))", "pass", "deletes"),
    ("hashlib.sha256(reference.encode()).hexdigest()", "reference", "strange references"),
    ('if hello.get("protocol") != PROTOCOL:', "if False:", "its own version"),
    ("shelf.put(request", "print(request['value'], file=sys.stderr); shelf.put(request", "on stderr"),
    ('return {"type": "done"}\n\n\ndef line', 'print("{}"); return {"type": "done"}\n\n\ndef line', "answers `test`"),
]


class ProviderKit(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.shelf = os.path.join(self.folder.name, "shelf")
        os.mkdir(self.shelf)

    def tried(self, program, **changes):
        settings = {
            "options": {"folder": self.shelf},
            "capability": "store",
            "existing": {},
            "time_limit": 20,
        }
        settings.update(changes)
        said = []
        failed = provider_kit.run(provider_kit.Kit(str(program), **settings), said.append)
        return failed, said

    def changed(self, old, new):
        text = EXAMPLE.read_text()
        self.assertEqual(text.count(old), 1, old)
        program = pathlib.Path(self.folder.name, "fnox-provider-changed")
        program.write_text(text.replace(old, new))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    def test_the_example_passes(self):
        failed, said = self.tried(EXAMPLE)
        self.assertEqual(failed, 0, said)
        failed, said = self.tried(EXAMPLE, capability="read", existing={"kit/1": "plain"})
        self.assertEqual(failed, 0, said)

    def test_each_fault_is_noticed(self):
        for old, new, case in FAULTS:
            with self.subTest(new=new):
                kit = provider_kit.Kit(str(self.changed(old, new)), {"folder": self.shelf}, "store", {}, 20)
                (noticing,) = [one for one in kit.cases() if case in one.__doc__]
                with self.assertRaises(provider_kit.Broken):
                    noticing()

    def test_a_program_that_hangs_is_ended(self):
        program = self.changed("def main():\n", "def main():\n    import time; time.sleep(600)\n")
        kit = provider_kit.Kit(str(program), {}, "store", {}, 1)
        with self.assertRaisesRegex(provider_kit.Broken, "did not end within 1 s"):
            kit.ask({"type": "test"})


if __name__ == "__main__":
    unittest.main()
