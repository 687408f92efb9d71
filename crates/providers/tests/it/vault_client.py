"""Writes, reads and deletes in a KV engine by the library hvac, which is not HashiCorp's nor ours, and prints `all good`.

Arguments: URL, namespace, version of the engine. The token is in the variable TOKEN.
"""

import os
import sys

import hvac
from hvac import exceptions

url, namespace, version = sys.argv[1:]
client = hvac.Client(url=url, namespace=namespace, token=os.environ["TOKEN"])


def refused(expected, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except expected as error:
        return error
    raise SystemExit(f"{call.__name__} was not refused")


mount = client.adapter.get("/v1/sys/internal/ui/mounts/kv/app")["data"]
assert (mount["path"], mount["options"]["version"]) == ("kv/", version)


def first():
    kv = client.secrets.kv.v1

    def call(name, *arguments):
        return getattr(kv, name)("app/theirs", *arguments, mount_point="kv")

    refused(exceptions.InvalidPath, call, "read_secret")
    for fields in ({"value": "one"}, {"value": "two", "user": "ada"}):
        # It reads first, to know whether to say POST or PUT.
        call("create_or_update_secret", fields)
        assert call("read_secret")["data"] == fields
    call("delete_secret")
    refused(exceptions.InvalidPath, call, "read_secret")
    assert kv.read_secret("app/ours", mount_point="kv")["data"] == {"field": "of fnox"}


def second():
    kv = client.secrets.kv.v2

    def write(fields, cas):
        answer = kv.create_or_update_secret("app/theirs", fields, cas=cas, mount_point="kv")
        return answer["data"]["version"]

    def read():
        # Otherwise it answers what is left of a deleted one.
        return kv.read_secret("app/theirs", mount_point="kv", raise_on_deleted_version=True)["data"]

    refused(exceptions.InvalidPath, read)
    assert write({"value": "one"}, 0) == 1
    assert "check-and-set" in str(refused(exceptions.InvalidRequest, write, {"value": "lost"}, 0))
    assert read()["data"] == {"value": "one"}
    kv.patch("app/theirs", {"user": "ada"}, mount_point="kv")
    assert read() == {"data": {"value": "one", "user": "ada"}, "metadata": read()["metadata"]}
    assert read()["metadata"]["version"] == 2
    kv.delete_latest_version_of_secret("app/theirs", mount_point="kv")
    refused(exceptions.InvalidPath, read)
    left = kv.read_secret("app/theirs", mount_point="kv", raise_on_deleted_version=False)["data"]
    assert left["data"] is None and left["metadata"]["version"] == 2
    # Numbers go on after a deletion.
    refused(exceptions.InvalidRequest, write, {"value": "lost"}, 0)
    assert write({"value": "three"}, 2) == 3
    ours = kv.read_secret("app/ours", mount_point="kv", raise_on_deleted_version=True)["data"]
    assert ours["data"] == {"field": "of fnox"}


{"1": first, "2": second}[version]()
print("all good")
