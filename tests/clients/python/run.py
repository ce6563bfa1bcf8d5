"""Calls every public method of the Python client `memobase` against a running server, and checks what it returns.

The server is at POWERMEMO_URL, takes POWERMEMO_TOKEN, and has the mock model at MODEL_URL for its language model.
"""

import asyncio
import os
import sys

from memobase import AsyncMemoBaseClient, AsyncUser, MemoBaseClient, User

import calls
import project
import users
import wrapper

URL = os.environ["POWERMEMO_URL"]
TOKEN = os.environ["POWERMEMO_TOKEN"]
MODEL_URL = os.environ["MODEL_URL"]

CLASSES = [MemoBaseClient, User, AsyncMemoBaseClient, AsyncUser]


async def main():
    for cls in CLASSES:
        calls.watch(cls)

    client = MemoBaseClient(project_url=URL, api_key=TOKEN)
    await project.check(client, MemoBaseClient(project_url=URL, api_key="wrong"))
    await users.check(client)

    async with AsyncMemoBaseClient(project_url=URL, api_key=TOKEN) as client:
        async with AsyncMemoBaseClient(project_url=URL, api_key="wrong") as stranger:
            await project.check(client, stranger)
        await users.check(client)
    assert client.client.is_closed

    wrapper.check(MemoBaseClient(project_url=URL, api_key=TOKEN), MODEL_URL)

    forgotten = calls.forgotten()
    if forgotten:
        sys.exit(f"public methods that are not tested: {', '.join(forgotten)}")
    print(f"{calls.total()} methods and the wrapper of OpenAI do what they should")


asyncio.run(main())
