"""Everything here runs on both loops: asyncio's own, and the one that serves."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvloop

from dragoman.wire.client import Client


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.close()
