"""The Python MCP client, in both of its ways to begin, with bin/daytona-mcp.

Says what it did, a line each; ends with status 1 and why when something is wrong.
"""
import asyncio, json, os

from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

server = StdioServerParameters(command="../bin/daytona-mcp", env=dict(os.environ))


async def work(session, label):
    tools = (await session.list_tools()).tools
    assert len(tools) == 12, tools
    made = await session.call_tool("daytona_create_sandbox", {})
    box = content(made)["sandbox"]["id"]
    ran = await session.call_tool("daytona_execute_command", {"sandboxId": box, "command": "echo hi; exit 3"})
    assert content(ran) == {"exitCode": 3, "result": "hi\n"}, ran
    assert json.loads(ran.content[0].text) == content(ran)
    wrong = await session.call_tool("daytona_execute_command", {"sandboxId": box, "command": 5})
    assert is_error(wrong) and wrong.content[0].text == "command must be a string, not 5", wrong
    await session.call_tool("daytona_delete_sandbox", {"sandboxId": box})
    print(f"        {label}: listed, created, ran, was told, deleted")


def content(result):
    return getattr(result, "structured_content", None) or getattr(result, "structuredContent")


def is_error(result):
    return getattr(result, "is_error", None) or getattr(result, "isError")


async def handshake():
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            await work(session, "ClientSession, handshake")


async def newest():
    async with Client(stdio_client(server)) as client:
        await work(client, "Client, newest revision")


asyncio.run(handshake())
asyncio.run(newest())
