"""Fixtures that any test may use."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest

from fakes import Fake, start
from services import database, postgres, postgres_server, redis, redis_server, shared_redis

__all__ = ["database", "postgres", "postgres_server", "redis", "redis_server", "shared_redis"]  # see `services`

# how fast the machine is says nothing of right or wrong
hypothesis.settings.register_profile("any", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=60, help="how many virtual fleets tests/simulation runs")


@pytest.fixture
def provider() -> Iterator[Callable[..., Any]]:
    """Starts fake providers, `provider("anthropic", keys={"k"})`, and stops them after the test."""
    with ExitStack() as stack:

        def begin(dialect: str, **options: Any) -> Fake:
            return stack.enter_context(start(dialect, **options))

        yield begin
