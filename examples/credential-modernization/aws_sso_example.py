"""Talks to S3, DynamoDB, SQS and SNS with aioboto3, under credentials that expire and that it knows nothing of.

    fnox exec -- python aws_sso_example.py demo            once through all four services
    fnox exec -- python aws_sso_example.py watch 3600      the same every second, for an hour
    fnox exec -- uvicorn aws_sso_example:app               a service with a health check

No profile and no key is named here. fnox gives the process an address on this machine where every AWS SDK fetches its
credentials, and fetches them again when they are about to end.
"""

import asyncio
import contextlib
import sys
import time
import uuid

import aioboto3
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    TokenRetrievalError,
)

# What AWS answers to credentials that have ended.
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "UnrecognizedClientException"}

session = aioboto3.Session()


class LoginNeeded(Exception):
    """Nobody is logged in any more, so there are no new credentials."""


@contextlib.asynccontextmanager
async def aws():
    """Turns the ways in which credentials can be missing into one exception that says what to do."""
    try:
        yield
    except (CredentialRetrievalError, NoCredentialsError, TokenRetrievalError) as error:
        raise LoginNeeded("run: aws sso login") from error
    except ClientError as error:
        if error.response["Error"]["Code"] in EXPIRED:
            raise LoginNeeded("run: aws sso login") from error
        raise


async def s3(bucket, text):
    async with session.client("s3") as client:
        await client.create_bucket(Bucket=bucket)
        await client.put_object(Bucket=bucket, Key="hello", Body=text.encode())
        answer = await client.get_object(Bucket=bucket, Key="hello")
        async with answer["Body"] as body:
            return (await body.read()).decode()


async def dynamodb(table, text):
    async with session.client("dynamodb") as client:
        await client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await client.put_item(TableName=table, Item={"id": {"S": "1"}, "text": {"S": text}})
        answer = await client.get_item(TableName=table, Key={"id": {"S": "1"}})
        return answer["Item"]["text"]["S"]


async def sqs_and_sns(name, text):
    """A topic that delivers into a queue."""
    async with session.client("sqs") as queues, session.client("sns") as topics:
        url = (await queues.create_queue(QueueName=name))["QueueUrl"]
        attributes = await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        topic = (await topics.create_topic(Name=name))["TopicArn"]
        await topics.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        await topics.publish(TopicArn=topic, Message=text)
        answer = await queues.receive_message(QueueUrl=url, WaitTimeSeconds=5)
        return answer["Messages"][0]["Body"]


async def demo():
    name = f"fnox-example-{uuid.uuid4().hex[:12]}"
    async with aws():
        for service in (s3, dynamodb, sqs_and_sns):
            answer = await service(name, f"by {service.__name__}")
            assert answer == f"by {service.__name__}", answer
            print(service.__name__, "ok", flush=True)


async def watch(seconds):
    """One client that lives longer than its first credentials, and says when it gets others."""
    seen = []
    end = time.monotonic() + seconds
    async with aws(), session.client("sts") as client:
        while time.monotonic() < end:
            await client.get_caller_identity()
            credentials = await (await session.get_credentials()).get_frozen_credentials()
            if credentials.access_key not in seen:
                seen.append(credentials.access_key)
                print("credentials", len(seen), flush=True)
            await asyncio.sleep(0.5)


async def health():
    """Whether this process can use AWS now. Never says who it is to whoever asks."""
    try:
        async with aws(), session.client("sts") as client:
            await client.get_caller_identity()
    except LoginNeeded as error:
        return 503, {"aws": "login needed", "remedy": str(error)}
    except ClientError as error:
        return 503, {"aws": error.response["Error"]["Code"]}
    return 200, {"aws": "ok"}


try:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse
except ImportError:
    app = None
else:
    app = FastAPI()

    @app.get("/health")
    async def health_check():
        status, answer = await health()
        return JSONResponse(answer, status_code=status)


def main():
    try:
        match sys.argv[1:]:
            case ["demo"]:
                asyncio.run(demo())
            case ["watch", seconds]:
                asyncio.run(watch(float(seconds)))
            case _:
                sys.exit(__doc__)
    except LoginNeeded as error:
        sys.exit(f"no AWS credentials: {error}")


if __name__ == "__main__":
    main()
