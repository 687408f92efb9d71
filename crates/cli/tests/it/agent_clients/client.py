"""Clients that know nothing of a gateway but what the environment says.

    client.py requests|websocket|grpc PORT
    client.py oauth URL
    client.py boto3 URL
"""

import os
import sys

NAME, PLACE = sys.argv[1:]
BEARER = f"Bearer {os.environ.get('TOKEN')}"


def by_requests():
    import requests

    with requests.Session() as session:
        session.headers["authorization"] = BEARER
        for _ in range(3):
            answer = session.get(f"https://localhost:{PLACE}/me")
            answer.raise_for_status()
        # What comes back is what was sent from here.
        assert answer.json() == {"you sent": BEARER}, answer.text
        body = os.urandom(300_000)
        assert session.post(f"https://localhost:{PLACE}/echo", data=body).content == body
        assert session.get(f"https://localhost:{PLACE}/me", headers={"authorization": "Bearer x"}).status_code == 401


def by_websocket():
    from websockets.sync.client import connect

    with connect(f"wss://localhost:{PLACE}/", additional_headers={"authorization": BEARER}) as connection:
        for message in ("hello", b"\0\1\2" * 50_000, "and more"):
            connection.send(message)
            assert connection.recv(timeout=20) == message
        # In pieces, and longer than what is sent at once.
        connection.send(["a" * 70_000, "b" * 70_000])
        assert connection.recv(timeout=20) == "a" * 70_000 + "b" * 70_000


def by_grpc():
    import grpc

    with grpc.secure_channel(f"localhost:{PLACE}", grpc.ssl_channel_credentials()) as channel:
        ask = channel.unary_unary("/sample.Sample/Ask")
        for size in (5, 100_000):
            message = os.urandom(size)
            answer, call = ask.with_call(message, metadata=(("authorization", BEARER),), timeout=20)
            assert answer == message
            assert ("x-after", "the answer") in [(key, value) for key, value in call.trailing_metadata()]
        try:
            ask(b"", metadata=(("authorization", "Bearer x"),), timeout=20)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
        else:
            raise AssertionError("an unknown credential is let in")


def by_oauth():
    import requests

    with requests.Session() as session:
        form = {"grant_type": "authorization_code", "code": "the-code"}
        for _ in range(3):
            answer = session.post(f"{PLACE}/oauth/token", data=form)
            answer.raise_for_status()
            tokens = answer.json()
            assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 3600, tokens
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            answer = session.get(f"{PLACE}/oauth/resource", headers=bearer)
            answer.raise_for_status()
            # What comes back is what was sent from here.
            assert answer.json() == {"resource": "yes", "asked_with": tokens["access_token"]}, answer.text
            form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        session.post(f"{PLACE}/oauth/revoke", data={"token": tokens["access_token"]}).raise_for_status()
        assert session.get(f"{PLACE}/oauth/resource", headers=bearer).status_code == 401
        # Each refresh token is good once.
        session.post(f"{PLACE}/oauth/token", data=form).raise_for_status()
        answer = session.post(f"{PLACE}/oauth/token", data=form)
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"}), answer.text


def by_boto3():
    import boto3

    def client(name):
        return boto3.client(name, endpoint_url=PLACE, region_name="eu-central-1")

    print(client("sts").get_caller_identity()["Arn"])
    s3 = client("s3")
    bucket = f"fnox-{os.urandom(8).hex()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    body = os.urandom(200_000)
    s3.put_object(Bucket=bucket, Key="a b/c+d", Body=body)
    assert s3.get_object(Bucket=bucket, Key="a b/c+d")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key="a b/c+d")
    s3.delete_bucket(Bucket=bucket)


{"requests": by_requests, "websocket": by_websocket, "grpc": by_grpc, "oauth": by_oauth, "boto3": by_boto3}[NAME]()
print("done")
