"""The pipe to the process that sends, and what happens where that is slow, or dies."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from dragoman import config
from dragoman.ledger.row import Row
from dragoman.telemetry import Telemetry, feed
from dragoman.telemetry.settings import plan
from fakes.collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
async def telemetry(collector: Collector) -> AsyncIterator[Telemetry]:
    settings = config.Config(telemetry=config.Telemetry(endpoint=collector.url))
    made = plan(settings, dict(os.environ) | {"OTEL_BSP_SCHEDULE_DELAY": "50"})
    assert made is not None
    running = Telemetry(made)
    running.start()
    yield running
    await running.close()


def finish(telemetry: Telemetry, name: str) -> None:
    telemetry.end(telemetry.begin({}, "generate"), Row(request_id=name, time=1.0, model=name, total=1.0))


async def spans(collector: Collector, number: int) -> set[str]:
    found = await asyncio.to_thread(collector.wait, number)
    return {span.attributes["dragoman.request.id"] for span in found}


async def test_nothing_goes_out_before_the_flush(telemetry: Telemetry, collector: Collector) -> None:
    finish(telemetry, "a")
    assert telemetry._waiting
    telemetry.flush()
    assert not telemetry._waiting
    assert await spans(collector, 1) == {"a"}


async def test_a_process_that_died_is_followed_by_another(
    telemetry: Telemetry, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    child = telemetry._child
    assert child is not None
    child.send_signal(signal.SIGKILL)
    await asyncio.to_thread(child.wait)
    finish(telemetry, "kept")
    telemetry.flush()
    monkeypatch.setattr(feed, "_RESTS", 0.0)
    telemetry.look()
    telemetry.flush()
    assert await spans(collector, 1) == {"kept"}
    assert "has ended with status -9" in caplog.text


async def test_it_is_not_started_again_at_once(telemetry: Telemetry) -> None:
    child = telemetry._child
    assert child is not None
    child.send_signal(signal.SIGKILL)
    await asyncio.to_thread(child.wait)
    telemetry.look()
    telemetry.look()
    assert telemetry._child is None


async def test_signals_to_end_are_the_workers(telemetry: Telemetry, collector: Collector) -> None:
    finish(telemetry, "first")
    telemetry.flush()
    await spans(collector, 1)
    child = telemetry._child
    assert child is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        child.send_signal(number)
    finish(telemetry, "after")
    telemetry.flush()
    assert await spans(collector, 2) == {"first", "after"}


async def test_what_is_too_much_is_left_out_and_counted(
    telemetry: Telemetry, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "MOST", 1)
    for name in ("a", "b", "c"):
        finish(telemetry, name)
    with caplog.at_level(logging.ERROR):
        telemetry.look()
    assert "2 requests are left out" in caplog.text
    assert await spans(collector, 1) == {"a"}


async def test_a_collector_that_takes_too_long_does_not_keep_the_worker(
    telemetry: Telemetry, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuse = [503] * 100
    monkeypatch.setattr(feed, "PATIENCE", 0.2)
    finish(telemetry, "a")
    telemetry.flush()
    await telemetry.close()
    assert "is left out" in caplog.text
    assert telemetry._child is None


async def test_a_pipe_that_is_full_is_not_waited_for(telemetry: Telemetry, collector: Collector) -> None:
    child = telemetry._child
    assert child is not None
    child.send_signal(signal.SIGSTOP)
    for number in range(2000):
        finish(telemetry, f"row-{number}-" + "x" * 100)
        telemetry.flush()
    assert telemetry._waiting
    child.send_signal(signal.SIGCONT)
    await telemetry.close()
    assert len(collector.spans) == 2000
