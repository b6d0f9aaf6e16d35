"""OpenAI's client talks to providers with the older names: Azure OpenAI's beta, and Azure Voice Live."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate import Gate, gate
from openai import AsyncOpenAI

from fakes.flat_realtime import FlatFake
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_server_event

LOUD = base64.b64encode(b"\x10\x20" * 2400).decode()  # 100 ms at 24 kHz
QUIET = base64.b64encode(bytes(4800)).decode()


@pytest.fixture(params=["beta", "voicelive"])
def flat(request: pytest.FixtureRequest) -> Iterator[FlatFake]:
    with FlatFake(request.param) as running:
        yield running


def account(fake: FlatFake) -> dict[str, Any]:
    provider = "azure" if fake.dialect == "beta" else "voicelive"
    version = "2025-04-01-preview" if fake.dialect == "beta" else "2025-10-01"
    return {"name": "a", "provider": provider, "key": "sk-fake", "base_url": fake.base_url, "api_version": version}


def model(fake: FlatFake) -> str:
    return "azure/gpt-realtime" if fake.dialect == "beta" else "voicelive/gpt-realtime"


class Heard:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = (await self.connection.recv()).to_dict()
            self.events.append(event)
            assert_valid_server_event(event)
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event


def connect(running: Gate, name: str) -> Any:
    client = AsyncOpenAI(api_key="any", base_url=running.url + "/v1", websocket_base_url=running.ws + "/v1")
    return client.realtime.connect(model=name)


async def test_a_conversation_with_a_function_call(tmp_path: Path, flat: FlatFake) -> None:
    flat.calls.append(("weather", {"city": "Ulm"}))
    async with gate(tmp_path, [account(flat)]) as running:
        async with connect(running, model(flat)) as connection:
            heard = Heard(connection)
            await heard.until("session.created")
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "Be kind.",
                    "audio": {
                        "input": {
                            "transcription": {"model": "whisper-1"},
                            "turn_detection": {"type": "semantic_vad"},
                        },
                        "output": {"voice": "alloy"},
                    },
                    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
                }
            )
            updated = await heard.until("session.updated")
            for sound in [LOUD] * 3 + [QUIET] * 3:
                await connection.input_audio_buffer.append(audio=sound)
            call = await heard.until("response.function_call_arguments.done")
            await heard.until("response.done")
            output: Any = {"type": "function_call_output", "call_id": call["call_id"], "output": "grey"}
            await connection.conversation.item.create(item=output)
            await connection.response.create()
            done = await heard.until("response.done")
        assert flat.talks[0].wrong == []
        in_order(heard.events)
        assert (call["name"], call["arguments"]) == ("weather", '{"city": "Ulm"}')
        assert updated["session"]["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
        said = [e["delta"] for e in heard.events if e["type"] == "response.output_audio_transcript.delta"]
        assert "".join(said) == "one two three four five"
        assert done["response"]["output"][0]["content"][0]["type"] == "output_audio"
        assert running.rows[-1].input == 100


async def test_breaking_in(tmp_path: Path, flat: FlatFake) -> None:
    flat.pause = asyncio.Event().wait
    async with gate(tmp_path, [account(flat)]) as running:
        async with connect(running, model(flat)) as connection:
            heard = Heard(connection)
            await connection.response.create()
            await heard.until("response.output_audio.delta")
            await connection.input_audio_buffer.append(audio=LOUD)
            done = await heard.until("response.done")
        assert done["response"]["status_details"]["reason"] == "turn_detected"
