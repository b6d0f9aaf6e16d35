"""What speech that is relayed (`/v1/audio/speech`) takes is known, or said to be unknown: it is never nothing."""

from pathlib import Path
from typing import Any

import openai
import pytest
from gate import Gate, gate
from test_session_limits import KEYS, key

from fakes.openai import OpenAI as OpenAIFake

TEXT = "Good morning."


@pytest.fixture
def fake() -> Any:
    with OpenAIFake() as running:
        yield running


def account(fake: OpenAIFake) -> dict[str, Any]:
    return {"name": "a", "provider": "openai", "key": fake.key, "base_url": fake.base_url}


async def speak(running: Gate, model: str, key: str = "any", **more: Any) -> None:
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{running.url}/v1", max_retries=0) as client:
        await client.audio.speech.create(model=model, voice="alloy", input=TEXT, **more)


async def test_a_voice_that_is_sold_by_the_character_is_booked_by_them(tmp_path: Path, fake: OpenAIFake) -> None:
    async with gate(tmp_path, [account(fake)]) as running:
        await speak(running, "openai/tts-1")
    assert [row.cost for row in running.rows] == [len(TEXT) * 15 * 10**6]


async def test_one_that_is_sold_by_tokens_is_booked_by_those_that_its_stream_tells(
    tmp_path: Path, fake: OpenAIFake
) -> None:
    async with gate(tmp_path, [account(fake)]) as running:
        await speak(running, "openai/gpt-4o-mini-tts", stream_format="sse")
    (row,) = running.rows
    assert (row.input, row.output) == (4, 100)
    assert row.cost == 4 * 600_000 + 100 * 12_000_000


async def test_tokens_that_nobody_tells_cost_nobody_knows_what(tmp_path: Path, fake: OpenAIFake) -> None:
    async with gate(tmp_path, [account(fake)]) as running:
        await speak(running, "openai/gpt-4o-mini-tts")
    assert [row.cost for row in running.rows] == [None]


async def test_where_a_budget_depends_on_it_that_is_refused(tmp_path: Path, fake: OpenAIFake) -> None:
    mine = key(tmp_path, budget=10**12)[0][1].decode().removeprefix("Bearer ")
    async with gate(tmp_path, [account(fake)], access=KEYS) as running:
        with pytest.raises(openai.BadRequestError, match="stream_format") as refused:
            await speak(running, "openai/gpt-4o-mini-tts", mine)
        assert refused.value.response.headers["x-dragoman-error"] == "unknown_price"
        await speak(running, "openai/gpt-4o-mini-tts", mine, stream_format="sse")
        await speak(running, "openai/tts-1", mine)
    assert [row.status for row in running.rows] == [400, 200, 200]
