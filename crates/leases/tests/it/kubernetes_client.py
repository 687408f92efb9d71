"""Asks for a service account's token, and for a Secret, by the Kubernetes client for Python. Argument: the kubeconfig."""

import base64
import json
import sys

from kubernetes import client, config

config.load_kube_config(config_file=sys.argv[1])
request = client.AuthenticationV1TokenRequest(
    api_version="authentication.k8s.io/v1",
    kind="TokenRequest",
    spec=client.V1TokenRequestSpec(
        audiences=["https://kubernetes.default.svc.cluster.local"], expiration_seconds=3600
    ),
)
# This library names no content type. API servers take the body for JSON all the same; what is tested does not.
caller = client.ApiClient()
caller.set_default_header("Content-Type", "application/json")
answer = client.CoreV1Api(caller).create_namespaced_service_account_token("deploy", "apps", request)
assert answer.status.token.count(".") == 2
assert answer.status.expiration_timestamp.tzinfo is not None

secret = client.CoreV1Api().read_namespaced_secret("database", "apps")
assert (secret.metadata.namespace, secret.metadata.name) == ("apps", "database")
values = {key: base64.b64decode(value, validate=True) for key, value in secret.data.items()}
assert values == {"password": "ünïcödé 🔑\n".encode(), "binary": b"\xff\x00"}
try:
    client.CoreV1Api().read_namespaced_secret("gone", "apps")
    raise SystemExit("what is not there was read")
except client.ApiException as error:
    assert error.status == 404 and json.loads(error.body)["reason"] == "NotFound", error
