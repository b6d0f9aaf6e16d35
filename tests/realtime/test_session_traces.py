"""A session is a span, its turns are spans below it, and its provider is told."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gate import REALTIME, Gate, account, dial, gate, say, until
from test_pipelines import HELLO, connected, talking
from test_pipelines import until as until_done

from dragoman import config
from dragoman.telemetry import Telemetry
from dragoman.telemetry.settings import plan
from dragoman.wire.errors import NotUpgraded
from fakes.collector import Collector
from fakes.realtime import RealtimeFake

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = [(b"authorization", b"Bearer any"), (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@asynccontextmanager
async def traced(running: Gate, collector: Collector) -> AsyncIterator[None]:
    """All that was told is with the collector at the end."""
    made = plan(config.Config(telemetry=config.Telemetry(endpoint=collector.url)), os.environ)
    assert made is not None
    telemetry = running.gateway.telemetry = Telemetry(made)
    telemetry.start()
    yield
    await running.app.idle()
    await telemetry.close()


async def test_a_relayed_session_and_its_turns(tmp_path: Path, fake: RealtimeFake, collector: Collector) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running, traced(running, collector):
        socket = await dial(running, headers=HEADERS)
        for _ in range(2):
            await say(socket, "response.create")
            await until(socket, "response.done")
        await socket.close()
    session, upstream, *turns = sorted(collector.spans, key=lambda span: (span.start, span.kind == "CLIENT"))
    assert (session.kind, session.trace, session.parent) == ("SERVER", TRACE, SPAN)
    assert session.name == f"realtime {REALTIME}"
    assert {span.parent for span in (upstream, *turns)} == {session.id}
    assert (upstream.kind, upstream.name) == ("CLIENT", "realtime gpt-realtime")
    assert fake.talks[0].headers["traceparent"] == f"00-{TRACE}-{upstream.id}-01"
    assert [turn.name for turn in turns] == ["realtime_inference gpt-realtime"] * 2
    for turn, row in zip(turns, running.rows, strict=True):
        assert turn.attributes["dragoman.request.id"] == row.request_id
        assert turn.attributes["gen_ai.usage.output_tokens"] == row.output
        assert turn.attributes["gen_ai.usage.audio.input_tokens"] == row.audio_input
        assert session.start <= turn.start <= turn.end
    assert not [name for name in session.attributes | upstream.attributes if name.startswith("gen_ai.usage.")]


async def test_a_session_that_is_refused_is_one_span(tmp_path: Path, fake: RealtimeFake, collector: Collector) -> None:
    async with gate(tmp_path, [account("a", fake)]) as running, traced(running, collector):
        with pytest.raises(NotUpgraded):
            await dial(running, "/v1/realtime?model=nobody-has-this", headers=HEADERS)
    (session,) = collector.spans
    assert (session.parent, session.attributes["error.type"]) == (SPAN, "unknown_model")


async def test_a_pipelines_questions_stand_below_its_session(tmp_path: Path, collector: Collector) -> None:
    async with (
        talking(tmp_path) as (running, fake, _),
        traced(running, collector),
        connected(running) as connection,
    ):
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        await until_done(connection, "response.done", [])
    by_kind = {span.kind: span for span in collector.spans}
    session, question, attempt = by_kind["SERVER"], by_kind["INTERNAL"], by_kind["CLIENT"]
    assert (question.parent, attempt.parent) == (session.id, question.id)
    assert (question.name, attempt.name) == ("chat smart", "chat gpt-4.1")
    assert fake.last.headers["traceparent"] == f"00-{session.trace}-{attempt.id}-01"
