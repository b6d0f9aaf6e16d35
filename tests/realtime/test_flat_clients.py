"""Azure's SDKs, which speak the older names, talk to a provider of OpenAI's newer ones through the gateway."""

import asyncio
import base64
from pathlib import Path
from typing import Any

from azure.ai.voicelive.aio import connect
from azure.ai.voicelive.models import (
    AzureSemanticVad,
    AzureStandardVoice,
    FunctionCallOutputItem,
    FunctionTool,
    InputTextContentPart,
    RequestSession,
    UserMessageItem,
)
from azure.core.credentials import AzureKeyCredential
from gate import Gate, gate
from openai import AsyncAzureOpenAI

from fakes.realtime import RealtimeFake, tone
from fakes.realtime_schemas import Dialect, assert_valid_server_event

LOUD = base64.b64encode(b"\x10\x20" * 2400).decode()  # 100 ms at 24 kHz
QUIET = base64.b64encode(bytes(4800)).decode()


def account(fake: RealtimeFake) -> dict[str, Any]:
    return {"name": "a", "provider": "openai", "key": "sk-fake", "base_url": fake.base_url}


class Heard:
    """What a client hears, held to its dialect's schemas."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = await self.connection.recv()
            told = event.to_dict() if hasattr(event, "to_dict") else event.as_dict()
            self.events.append(told)
            assert_valid_server_event(told, self.dialect)
            assert told["type"] != "error", told
            if told["type"] == kind:
                return told

    def said(self) -> str:
        return "".join(e["delta"] for e in self.events if e["type"] == "response.audio_transcript.delta")

    def sound(self) -> bytes:
        return b"".join(base64.b64decode(e["delta"]) for e in self.events if e["type"] == "response.audio.delta")


def azure(running: Gate) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        api_key="any", api_version="2025-04-01-preview", azure_endpoint=running.url,
        websocket_base_url=running.ws + "/openai",
    )  # fmt: skip


async def test_azure_s_client_has_a_conversation_with_a_function_call(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.calls.append(("weather", {"city": "Ulm"}))
    async with gate(tmp_path, [account(fake)]) as running:
        async with azure(running).beta.realtime.connect(model="openai/gpt-realtime") as connection:
            heard = Heard(connection, "beta")
            created = await heard.until("session.created")
            assert created["session"]["modalities"] == ["audio", "text"]
            weather: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
            await connection.session.update(
                session={
                    "modalities": ["audio", "text"], "instructions": "Be kind.", "voice": "alloy", "temperature": 0.7,
                    "input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 200}, "tools": [weather],
                }
            )  # fmt: skip
            await heard.until("session.updated")
            for sound in [LOUD] * 3 + [QUIET] * 3:
                await connection.input_audio_buffer.append(audio=sound)
            call = await heard.until("response.function_call_arguments.done")
            await heard.until("response.done")
            output: Any = {"type": "function_call_output", "call_id": call["call_id"], "output": "grey"}
            await connection.conversation.item.create(item=output)
            await connection.response.create()
            done = await heard.until("response.done")
        talk = fake.talks[0]
        assert talk.wrong == []
        assert heard.said() == "one two three four five"
        assert heard.sound() == b"".join(base64.b64decode(tone(word)) for word in fake.answer.split())
        assert done["response"]["output"][0]["content"] == [{"type": "audio", "transcript": heard.said()}]
        assert talk.session["audio"]["output"]["voice"] == "alloy"
        assert talk.session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
        assert "temperature" not in talk.session
        assert [e["transcript"] for e in heard.events if e["type"].endswith("transcription.completed")] == [
            "what was said"
        ]


async def test_azure_s_client_breaks_in(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.pause = asyncio.Event().wait
    async with gate(tmp_path, [account(fake)]) as running:
        async with azure(running).beta.realtime.connect(model="openai/gpt-realtime") as connection:
            heard = Heard(connection, "beta")
            await connection.response.create()
            await heard.until("response.audio.delta")
            await connection.input_audio_buffer.append(audio=LOUD)
            done = await heard.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def test_voice_live_s_client_has_a_conversation_with_a_function_call(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.calls.append(("weather", {"city": "Ulm"}))
    async with gate(tmp_path, [account(fake)]) as running:
        credential = AzureKeyCredential("any")
        async with connect(credential=credential, endpoint=running.url, model="openai/gpt-realtime") as connection:
            heard = Heard(connection, "voicelive")
            await heard.until("session.created")
            await connection.session.update(
                session=RequestSession(
                    instructions="Be kind.",
                    voice=AzureStandardVoice(name="en-US-AvaNeural"),
                    turn_detection=AzureSemanticVad(remove_filler_words=True),
                    input_audio_sampling_rate=16000,
                    tools=[FunctionTool(name="weather", parameters={"type": "object", "properties": {}})],
                )
            )
            warning = await heard.until("warning")
            updated = await heard.until("session.updated")
            item = UserMessageItem(content=[InputTextContentPart(text="How is the weather?")])
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            call = await heard.until("response.function_call_arguments.done")
            await heard.until("response.done")
            await connection.conversation.item.create(
                item=FunctionCallOutputItem(call_id=call["call_id"], output="grey")
            )
            await connection.response.create()
            done = await heard.until("response.done")
        talk = fake.talks[0]
        assert talk.wrong == []
        assert "session.voice" in warning["warning"]["message"]
        assert "session.turn_detection.remove_filler_words" in warning["warning"]["message"]
        assert updated["session"]["turn_detection"]["type"] == "azure_semantic_vad"
        assert talk.session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
        assert heard.said() == "one two three four five"
        assert done["response"]["usage"]["output_tokens"] == 150
        assert running.rows[-1].lossy == ["session.voice", "session.turn_detection.remove_filler_words"]


async def test_voice_live_s_client_breaks_in(tmp_path: Path, fake: RealtimeFake) -> None:
    fake.pause = asyncio.Event().wait
    async with gate(tmp_path, [account(fake)]) as running:
        credential = AzureKeyCredential("any")
        async with connect(credential=credential, endpoint=running.url, model="openai/gpt-realtime") as connection:
            heard = Heard(connection, "voicelive")
            await connection.response.create()
            await heard.until("response.audio.delta")
            await connection.input_audio_buffer.append(audio=LOUD)
            done = await heard.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
