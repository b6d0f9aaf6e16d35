"""A gateway process with the embedded model and nothing else: started once, as its users start it."""

from collections.abc import Iterator

import pytest

from e2e.gateway import GatewayProcess

LOCAL = [{"name": "home", "provider": "local"}]


@pytest.fixture(scope="session")
def gateway() -> Iterator[GatewayProcess]:
    with GatewayProcess(accounts=LOCAL) as running:
        yield running
