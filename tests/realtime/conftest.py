"""Everything here runs on the loop that serves."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from fakes.realtime import RealtimeFake


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture
def fake() -> Iterator[RealtimeFake]:
    with RealtimeFake() as running:
        yield running


@pytest.fixture
def other() -> Iterator[RealtimeFake]:
    with RealtimeFake() as running:
        yield running
