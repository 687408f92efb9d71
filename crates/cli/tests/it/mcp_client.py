"""What an agent does with `fnox mcp`, by the official Python client.

Arguments: mode, the binary, the upstream's URL. The environment is the server's.
"""

import asyncio
import os
import sys

from mcp import Client, MCPError, StdioServerParameters

MODE, BINARY, URL = sys.argv[1:]


def text(result, is_error=False):
    assert bool(result.is_error) == is_error, result
    assert [block.type for block in result.content] == ["text"], result
    return result.content[0].text


async def run():
    environment = {**os.environ, "URL": URL}
    server = StdioServerParameters(command=BINARY, args=["mcp"], env=environment)
    async with Client(server, mode=MODE, read_timeout_seconds=60) as client:
        print(client.protocol_version)
        assert client.server_info.name == "fnox-mcp", client.server_info
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == ["exec", "list_credentials", "request_access"], tools
        assert tools["exec"].input_schema["required"] == ["command"]

        listed = (await client.call_tool("list_credentials", {})).structured_content
        (credential,) = listed["credentials"]
        script = 'echo "$TOKEN"; curl -fsS -o /dev/null -H "Authorization: Bearer $TOKEN" "$URL/a"; exit 3'
        ran = text(await client.call_tool("exec", {"command": ["sh", "-c", script]}))
        assert ran == credential["placeholder"] + "\n[exit code: 3]", ran

        # The client checks each result against what the protocol's version has.
        wrong = text(await client.call_tool("exec", {"command": []}), is_error=True)
        assert "no command" in wrong, wrong
        wanted = {"credential": "TOKEN", "host": "example.com", "reason": "to see", "methods": ["GET", "POST"]}
        answer = text(await client.call_tool("request_access", wanted))
        assert answer.startswith("A person allowed it") and "GET, POST" in answer, answer
        listed = (await client.call_tool("list_credentials", {})).structured_content["credentials"]
        assert [it["host"] for it in listed if "until" in it] == ["example.com"], listed
        wanted["host"] = "example.org"
        answer = text(await client.call_tool("request_access", wanted))
        assert answer.startswith("A person refused") and "[[proxy.rules]]" in answer, answer
        several = [client.call_tool("exec", {"command": ["echo", str(number)]}) for number in range(20)]
        for number, result in enumerate(await asyncio.gather(*several)):
            assert text(result) == f"{number}\n[exit code: 0]", result
        try:
            await client.call_tool("get_secret", {"name": "TOKEN"})
        except MCPError as error:
            assert "is off" in str(error), error
        else:
            raise AssertionError("get_secret is off and was called")


asyncio.run(run())
