"""boto3 as a client, and botocore as a second opinion on signatures.

`capture ID SECRET`: writes what boto3's clients would send with these keys, as JSON.
`sign ID SECRET TOKEN`: reads requests from standard input, and writes the signature that each of them should have.
Nothing is sent.
"""

import base64
import datetime
import json
import sys
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 7, 22, 12, 0, 0)
botocore.auth.get_current_datetime = lambda *_, **__: NOW

SINGLE = {"s3", "s3express", "s3-outposts", "s3-object-lambda"}


class Captured(Exception):
    """What would have been sent."""


def stop(request, **_):
    raise Captured(request)


def captured(call):
    try:
        call()
    except Captured as stopped:
        (request,) = stopped.args
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
        return document(
            request.method,
            request.url,
            [(name.lower(), text(value)) for name, value in request.headers.items()],
            body.encode() if isinstance(body, str) else body,
        )
    raise AssertionError("nothing would have been sent")


def document(method, url, headers, body=b""):
    return {
        "method": method,
        "url": url,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
    }


def capture(key, secret):
    def client(name, **more):
        made = boto3.client(
            name,
            region_name="eu-central-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, signature_version=more.get("version")),
        )
        made.meta.events.register("before-send", stop)
        return made

    s3, sts = client("s3", version="s3v4"), client("sts")
    odd = "a b/ü$&'()*,=:@!~+[x].txt"
    calls = [
        lambda: s3.put_object(Bucket="b", Key=odd, Body=b"sesame", Metadata={"own": "a  b"}),
        lambda: s3.put_object(Bucket="b", Key="k", Body=b"sesame", ChecksumAlgorithm="SHA256"),
        lambda: s3.get_object(Bucket="b", Key=odd, Range="bytes=0-9"),
        lambda: s3.list_objects_v2(Bucket="b", Prefix="a +/&=ü", Delimiter="/"),
        lambda: s3.get_bucket_acl(Bucket="b"),
        lambda: s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]}),
        lambda: s3.upload_part(Bucket="b", Key="k", PartNumber=1, UploadId="u+/=", Body=b"part"),
        lambda: sts.get_caller_identity(),
        lambda: client("dynamodb").put_item(TableName="t", Item={"k": {"S": "ü"}}),
        lambda: client("lambda").get_function(
            FunctionName="arn:aws:lambda:eu-central-1:123456789012:function:name"
        ),
        lambda: client("lambda").invoke(FunctionName="name", Payload=b"{}"),
        lambda: client("iam").list_users(),
        lambda: client("secretsmanager").get_secret_value(SecretId="s"),
        lambda: client("apigateway").get_resources(restApiId="a:b c", embed=["methods"]),
    ]
    requests = [captured(call) for call in calls]
    presigned = [
        ("GET", s3.generate_presigned_url("get_object", {"Bucket": "b", "Key": odd}, 600)),
        ("PUT", s3.generate_presigned_url("put_object", {"Bucket": "b", "Key": "k"}, 60)),
        ("GET", sts.generate_presigned_url("get_caller_identity", {}, 600)),
    ]
    for method, url in presigned:
        requests.append(document(method, url, []))
    json.dump(requests, sys.stdout)


def signer(base, digest):
    class Signer(base):
        # The client's word on the body.
        def payload(self, request):
            return digest or super().payload(request)

    return Signer


def expected(request, credentials):
    url = urlsplit(request["url"])
    headers = {name: value for name, value in request["headers"]}
    scope, digest = request["scope"], headers.get("x-amz-content-sha256")
    region, service = scope["region"], scope["service"]
    signed = {name: headers[name] for name in request["signed"] if name in headers}
    signed = {
        name: value
        for name, value in signed.items()
        if name not in ("host", "x-amz-date", "x-amz-security-token")
    }
    is_presigned = "authorization" not in headers
    bare, expires = request["url"], None
    if is_presigned:
        pairs = parse_qsl(url.query, keep_blank_values=True)
        expires = int(dict(pairs)["X-Amz-Expires"])
        own = {"Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Security-Token", "Signature"}
        pairs = [(k, v) for k, v in pairs if k.removeprefix("X-Amz-") not in own]
        query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs)
        bare = urlunsplit(url._replace(query=query))
    bases = {
        (False, False): botocore.auth.SigV4Auth,
        (False, True): botocore.auth.S3SigV4Auth,
        (True, False): botocore.auth.SigV4QueryAuth,
        (True, True): botocore.auth.S3SigV4QueryAuth,
    }
    base = signer(bases[(is_presigned, service in SINGLE)], digest)
    more = {"expires": expires} if is_presigned else {}
    made = AWSRequest(request["method"], bare, signed, base64.b64decode(request["body"]))
    base(credentials, service, region, **more).add_auth(made)
    if is_presigned:
        return dict(parse_qsl(urlsplit(made.url).query))["X-Amz-Signature"]
    return made.headers["Authorization"].rpartition("Signature=")[2]


def main():
    command, *arguments = sys.argv[1:]
    if command == "capture":
        capture(*arguments)
        return
    credentials = Credentials(*arguments)
    requests = json.load(sys.stdin)
    json.dump([expected(request, credentials) for request in requests], sys.stdout)


main()
