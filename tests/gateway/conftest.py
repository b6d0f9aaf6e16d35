"""`world(accounts, targets)`: a gateway without sockets, see `fake_wire`."""

from pathlib import Path
from typing import Any

import pytest
from fake_wire import Make, World, account

from dragoman import config


@pytest.fixture
def world(tmp_path: Path) -> Make:
    def make(*accounts: Any, targets: Any = ("openai/x",), price: config.Price | None = None, **more: Any) -> World:
        entries = [account(entry) if isinstance(entry, str) else entry for entry in accounts]
        return World(tmp_path, entries, [config.Model(name="m", targets=list(targets), price=price)], **more)

    return make
