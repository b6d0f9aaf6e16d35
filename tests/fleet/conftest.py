"""Fake providers with many keys, and clients that are closed after the test."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fakes import Fake, start
from fleet.crowd import Client

KEYS = {f"key-{i}" for i in range(10)}


@pytest.fixture
def openai() -> Iterator[Fake]:
    with start("openai-chat", keys=KEYS) as fake:
        yield fake


@pytest.fixture
def anthropic() -> Iterator[Fake]:
    with start("anthropic", keys=KEYS) as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[Callable[..., Client]]:
    """`client(gateway)`, `client(gateway, key)`: a program that talks to it."""
    made: list[Client] = []

    def make(gateway: Any, key: str = "none") -> Client:
        made.append(Client(gateway.url, key))
        return made[-1]

    yield make
    for one in made:
        await one.close()
