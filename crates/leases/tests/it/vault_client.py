"""Uses a Vault in each way by the library hvac, which is not HashiCorp's nor ours, and prints `all good`.

Arguments: URL, namespace, role, user. Secrets come by variables.
"""

import os
import sys

import hvac
from hvac import exceptions

url, namespace, role, user = sys.argv[1:]


def client(token=None):
    return hvac.Client(url=url, namespace=namespace, token=token)


given = client(os.environ["TOKEN"])
assert given.auth.token.lookup_self()["data"]["ttl"] == 0
kv = given.secrets.kv.v2.read_secret_version("app", mount_point="secret", raise_on_deleted_version=True)
assert kv["data"]["data"]["password"] == "kv-two-password"
assert given.secrets.kv.v1.read_secret("app", mount_point="kv")["data"]["password"] == "kv-one-password"

for login in (
    lambda new: new.auth.approle.login(os.environ["ROLE_ID"], os.environ["SECRET_ID"]),
    lambda new: new.auth.jwt.jwt_login(role=role, jwt=os.environ["JWT"]),
    lambda new: new.auth.kubernetes.login(role=role, jwt=os.environ["JWT"]),
    lambda new: new.auth.userpass.login(user, os.environ["PASSWORD"]),
):
    new = client()
    answer = login(new)
    new.token = answer["auth"]["client_token"]
    issued = new.secrets.database.generate_credentials("app", mount_point="database")
    lease = issued["lease_id"]
    assert issued["renewable"] and issued["data"]["password"]
    assert new.sys.renew_lease(lease, increment=600)["lease_duration"] == 600
    new.sys.revoke_lease(lease)
    try:
        new.sys.renew_lease(lease, increment=600)
        raise SystemExit("a lease that is gone was prolonged")
    except exceptions.InvalidRequest as error:
        assert "lease not found" in str(error)
    new.auth.token.renew_self(increment="1200s")
    new.auth.token.revoke_self()
    try:
        new.auth.token.lookup_self()
        raise SystemExit("a token that is gone was looked up")
    except exceptions.Forbidden:
        pass

wrapped = given.read("database/creds/app", wrap_ttl="60s")["wrap_info"]
assert wrapped["creation_path"] == "database/creds/app"
looked_up = client().adapter.post("/v1/sys/wrapping/lookup", json={"token": wrapped["token"]})
assert looked_up["data"]["creation_path"] == "database/creds/app"
assert given.sys.unwrap(wrapped["token"])["data"]["password"]
try:
    given.sys.unwrap(wrapped["token"])
    raise SystemExit("a token worked twice")
except exceptions.InvalidRequest:
    pass
print("all good")
