"""Uses the stand-in by Keeper's own client, and prints `all good`.

Arguments: URL, UID of a record, the configuration that fnox wrote, a file for one of the client's own. The one-time token is in
`TOKEN`; `SERVICE` says which key the service has.
"""

import json
import os
import sys

import requests
from keeper_secrets_manager_core import SecretsManager
from keeper_secrets_manager_core.dto.payload import KSMHttpResponse
from keeper_secrets_manager_core.storage import FileKeyValueStorage

url, uid, config_of_fnox, own_config = sys.argv[1:]
service = json.loads(os.environ["SERVICE"])


def post(address, key, sealed, *_):
    """The client speaks TLS only; the stand-in is on this machine, without."""
    answer = requests.post(
        url + "/api/" + address.split("/api/", 1)[1],
        data=sealed.encrypted_payload,
        headers={
            "Content-Type": "application/octet-stream",
            "PublicKeyId": key.publicKeyId,
            "TransmissionKey": base64(key.encryptedKey),
            "Authorization": "Signature " + base64(sealed.signature),
        },
        timeout=20,
    )
    return KSMHttpResponse(answer.status_code, answer.content, answer)


def base64(data):
    import base64 as library

    return library.b64encode(data).decode()


class Client(SecretsManager):
    """Changes are posted by this function, and not by the one that is given."""

    post_function = staticmethod(post)


def client(path, token=None):
    return Client(
        token=token,
        hostname="stand-in.invalid" if token else None,
        config=FileKeyValueStorage(path),
        custom_post_function=post,
        server_public_key=service["serverPublicKey"],
        server_public_key_id=service["serverPublicKeyId"],
    )


by_token = client(own_config, os.environ["TOKEN"])
of_fnox = client(config_of_fnox)
for each in (by_token, of_fnox):
    titles = sorted(record.title for record in each.get_secrets())
    assert titles == ["In a folder", "Shop"], titles
    assert each.get_notation(uid + "/field/password") == "p/w ü"
    assert each.get_notation("In a folder/field/password") == "second"
    (record,) = each.get_secrets([uid])
    assert record.files[0].get_file_data() == b"content"

(record,) = by_token.get_secrets([uid])
record.field("password", "of their client")
by_token.save(record)
assert of_fnox.get_notation("Shop/field/password") == "of their client"
print("all good")
