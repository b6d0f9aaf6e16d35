"""What a worker does every second goes on, whatever of it fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.server import serve
from dragoman.server.serve import Worker


def worker(folder: Path, **access: Any) -> Worker:
    settings = config.Config(state=config.State(dir=str(folder)), access=config.Access(mode="keys", **access))
    return Worker(settings, lambda: settings, None)


async def test_a_chore_that_fails_keeps_it_neither_from_the_others_nor_from_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serve, "TICK", 0.0)
    kept, enough = [], asyncio.Event()

    def broken() -> None:
        raise OSError("no space left on device")

    async def keep_keys() -> None:
        kept.append(True)
        if len(kept) == 3:
            enough.set()

    made = worker(tmp_path)
    monkeypatch.setattr(made, "look", broken)
    monkeypatch.setattr(made, "_keep_keys", keep_keys)
    task = asyncio.create_task(made._keep_house())
    await asyncio.wait_for(enough.wait(), 30)
    assert not task.done()
    task.cancel()
    assert "what a worker does every second failed (broken)" in caplog.text
    assert "no space left on device" in caplog.text


async def test_a_reload_replaces_the_admin_key(tmp_path: Path) -> None:
    made = worker(tmp_path, admin_key=config.Secret("first-admin-key"))
    made._load = lambda: config.Config(
        state=made.gateway.settings.state,
        access=config.Access(mode="keys", admin_key=config.Secret("second-admin-key")),
    )
    before = await made.gateway.who("first-admin-key")
    made.reload()
    assert before is not None and before.admin
    assert await made.gateway.who("first-admin-key") is None
    assert await made.gateway.who("second-admin-key") == before
