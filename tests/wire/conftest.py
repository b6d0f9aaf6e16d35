"""Everything here runs on both loops: asyncio's own, and the one that serves."""

import asyncio
from collections.abc import AsyncIterator
from inspect import iscoroutinefunction

import pytest
import pytest_asyncio
import uvloop

from dragoman.wire.client import Client


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if iscoroutinefunction(metafunc.function):
        metafunc.parametrize("event_loop_policy", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    if getattr(request, "param", "asyncio") == "uvloop":
        return uvloop.EventLoopPolicy()
    return asyncio.DefaultEventLoopPolicy()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.close()
