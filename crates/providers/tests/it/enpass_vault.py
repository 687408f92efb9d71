"""Makes an Enpass vault with SQLCipher itself and Python's cryptography, apart from fnox's own reader.

Reads one JSON object: folder, password, keyfile (hexadecimal), rounds, compatibility (3 or 4), items. An item has uuid,
title, note, flags, fields: label, type, value, whether to encrypt the value, deleted.
"""

import hashlib
import json
import os
import sys

import sqlcipher3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

wanted = json.load(sys.stdin)
folder = wanted["folder"]
os.makedirs(folder, exist_ok=True)
salt = os.urandom(16)
secret = wanted["password"].encode() + bytes.fromhex(wanted["keyfile"])
key = hashlib.pbkdf2_hmac("sha512", secret, salt, wanted["rounds"])[:32]
path = os.path.join(folder, "vault.enpassdb")
database = sqlcipher3.connect(path)
# A raw key and the salt that the file starts with ("PRAGMA key", "Raw Key Data with Explicit Salt").
database.execute(f"PRAGMA key = \"x'{key.hex()}{salt.hex()}'\"")
database.execute(f"PRAGMA cipher_compatibility = {wanted['compatibility']}")
database.execute(
    "CREATE TABLE item (uuid TEXT PRIMARY KEY, title TEXT, subtitle TEXT, note TEXT, trashed INTEGER,"
    " archived INTEGER, deleted INTEGER, category TEXT, key BLOB)"
)
database.execute(
    "CREATE TABLE itemfield (item_uuid TEXT, item_field_uid INTEGER, label TEXT, value TEXT, deleted INTEGER,"
    " sensitive INTEGER, type TEXT, hash TEXT, PRIMARY KEY (item_uuid, item_field_uid))"
)
for item in wanted["items"]:
    own = os.urandom(44)
    flags = item["flags"]
    database.execute(
        "INSERT INTO item VALUES (?, ?, '', ?, ?, ?, ?, 'login', ?)",
        (item["uuid"], item["title"], item["note"], *(name in flags for name in ("trashed", "archived", "deleted")), own),
    )
    for number, field in enumerate(item["fields"]):
        value = field["value"]
        if field["encrypted"]:
            uuid = bytes.fromhex(item["uuid"].replace("-", ""))
            value = AESGCM(own[:32]).encrypt(own[32:], value.encode(), uuid).hex()
        database.execute(
            "INSERT INTO itemfield VALUES (?, ?, ?, ?, ?, ?, ?, '')",
            (item["uuid"], number, field["label"], value, field["deleted"], field["encrypted"], field["type"]),
        )
database.commit()
database.close()
with open(path, "rb") as file:
    assert file.read(16) == salt
description = {
    "encryption_algo": "aes-256-cbc",
    "have_keyfile": 1 if wanted["keyfile"] else 0,
    "kdf_algo": "pbkdf2",
    "kdf_iter": wanted["rounds"],
    "vault_name": "Primary",
    "version": 6,
}
with open(os.path.join(folder, "vault.json"), "w") as file:
    json.dump(description, file)
