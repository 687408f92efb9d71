#!/usr/bin/env python3
"""Writes the files of this folder, from the documentation of sops ("Encryption Protocol") alone.

    python3 make.py             # needs the package `cryptography` and the programs `age` and `age-keygen`

Each value is AES-256-GCM with a nonce of 32 bytes and the names on the way to it, each with a colon behind it, as associated
data. Over all values in their order goes SHA-512, which is encrypted with the time of the last change as associated data.
"""
import base64, hashlib, json, os, pathlib, subprocess
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HERE = pathlib.Path(__file__).parent


class Plain(str):
    """A text that YAML has without quotes."""


LAST = "2026-11-02T10:20:30Z"


class File:
    def __init__(self, recipient, rule=None, only_encrypted=False):
        self.key = os.urandom(32)
        self.rule = rule or (lambda names: not any(name.endswith("_unencrypted") for name in names))
        self.only_encrypted = only_encrypted
        self.hash = hashlib.sha512(hashlib.sha256(b"sops").digest() if only_encrypted else b"")
        age = subprocess.run(["age", "-a", "-r", recipient], input=self.key, capture_output=True, check=True)
        self.enc = age.stdout.decode()
        self.recipient = recipient

    def seal(self, text, place, kind):
        nonce = os.urandom(32)
        cipher = Cipher(algorithms.AES(self.key), modes.GCM(nonce)).encryptor()
        cipher.authenticate_additional_data(place.encode())
        data = cipher.update(text) + cipher.finalize()
        b64 = lambda part: base64.b64encode(part).decode()
        return f"ENC[AES256_GCM,data:{b64(data)},iv:{b64(nonce)},tag:{b64(cipher.tag)},type:{kind}]"

    def walk(self, value, names):
        if isinstance(value, dict):
            return {name: self.walk(inner, names + [name]) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.walk(inner, names) for inner in value]
        if value is None:
            return None
        kind, text = {
            bool: lambda: ("bool", "True" if value else "False"),
            int: lambda: ("int", str(value)),
            float: lambda: ("float", repr(value)),
        }.get(type(value), lambda: ("str", value))()
        encrypted = self.rule(names)
        if encrypted or not self.only_encrypted:
            self.hash.update(text.encode())
        if not encrypted or text == "":
            return value
        return self.seal(text.encode(), "".join(name + ":" for name in names), kind)

    def mac(self):
        return self.seal(self.hash.hexdigest().upper().encode(), LAST, "str")

    def section(self, **more):
        return {
            "age": [{"recipient": self.recipient, "enc": self.enc}],
            "lastmodified": LAST,
            "mac": self.mac(),
            **more,
            "version": "3.9.4",
        }


def yaml(value, indent=0):
    """What JSON cannot do is not needed: texts in quotes of JSON are texts of YAML."""
    lines = []
    for name, inner in value.items():
        pad = "    " * indent
        if isinstance(inner, dict):
            lines += [f"{pad}{name}:", yaml(inner, indent + 1)]
        elif isinstance(inner, list):
            lines.append(f"{pad}{name}:")
            for element in inner:
                if isinstance(element, dict):
                    block = yaml(element, indent + 2).splitlines()
                    block[0] = pad + "    - " + block[0].lstrip()
                    lines += [block[0]] + [line[2:] for line in block[1:]]
                else:
                    lines.append(f"{pad}    - {json.dumps(element, ensure_ascii=False)}")
        elif isinstance(inner, str) and "\n" in inner:
            lines.append(f"{pad}{name}: |")
            lines += [f"{pad}    {line}" for line in inner.splitlines()]
        elif isinstance(inner, Plain) or isinstance(inner, str) and inner.startswith("ENC["):
            lines.append(f"{pad}{name}: {inner}")
        else:
            lines.append(f"{pad}{name}: {json.dumps(inner, ensure_ascii=False)}")
    return "\n".join(lines)


def main():
    identity = HERE / "identity.txt"
    if not identity.exists():
        subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True).stdout.decode().strip()

    tree = {
        "API_KEY": "k-1 with spaces ",
        "port": 5432,
        "ratio": 0.25,
        "debug": True,
        "empty": "",
        "absent": None,
        "region_unencrypted": "eu-west-1",
        "replicas_unencrypted": 3,
        "verbose_unencrypted": False,
        "answer_unencrypted": Plain("yes"),
        "database": {"user-name": "shop", "certificate": "-----BEGIN-----\nä€😀\n-----END-----\n"},
        "hosts": ["one", "two"],
        "accounts": [{"name": "a", "password": "hunter2-canary"}, {"name": "b", "password": "hunter3-canary"}],
    }
    file = File(recipient)
    body = yaml(file.walk(tree, []))
    comment = file.seal(b" of the shop", "database:", "comment")
    section = yaml({"sops": file.section(unencrypted_suffix="_unencrypted")})
    (HERE / "nested.yaml").write_text(f"#{comment}\n{body}\n{section}\n")

    file = File(recipient, lambda names: any(name in ("data", "stringData") for name in names), only_encrypted=True)
    tree = {"kind": "Secret", "metadata": {"name": "shop"}, "data": {"PASSWORD": "hunter2-canary"}, "stringData": {"TOKEN": "t-1"}}
    body = file.walk(tree, [])
    body["sops"] = file.section(encrypted_regex="^(data|stringData)$", mac_only_encrypted=True)
    (HERE / "only-encrypted.json").write_text(json.dumps(body, indent="\t") + "\n")

    file = File(recipient)
    tree = {"API_KEY": "k-1", "LINES": "one\ntwo", "QUOTED": '"x y"', "EMPTY": "", "LEVEL_unencrypted": "info"}
    lines = [f"{name}={value}" for name, value in file.walk(tree, []).items()]
    flat = {
        "sops_age__list_0__map_enc": file.enc.replace("\n", "\\n"),
        "sops_age__list_0__map_recipient": recipient,
        "sops_lastmodified": LAST,
        "sops_mac": file.mac(),
        "sops_unencrypted_suffix": "_unencrypted",
        "sops_version": "3.9.4",
    }
    lines += [f"{name}={value}" for name, value in flat.items()]
    (HERE / "flat.env").write_text("\n".join(lines) + "\n")


main()
