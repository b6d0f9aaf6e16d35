"""Any model of the gateway gets a voice: sessions on text models, through the whole gateway, with engines that play."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.ai.voicelive.aio import connect
from azure.ai.voicelive.models import AzureSemanticVad, RequestSession
from azure.core.credentials import AzureKeyCredential
from gate import Gate, gate
from google.genai import types
from openai import APIStatusError, AsyncOpenAI
from test_bridged_sessions import gemini_client, server_tls

from dragoman import config
from dragoman.server.pipelines import Speech
from dragoman.voice.engine import EngineError
from fakes.openai import OpenAI as OpenAIFake
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_server_event
from voice.stage import Engines, silence, speech

HELLO: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {}},
}


class Loaded(Engines):
    """Engines as a worker loads them."""

    closed = False

    async def ready(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.closed = True


@contextlib.asynccontextmanager
async def talking(
    folder: Path, *lines: str, tls: ssl.SSLContext | None = None, **tables: Any
) -> AsyncIterator[tuple[Gate, OpenAIFake, Loaded]]:
    engines = Loaded(*lines)
    with OpenAIFake() as fake:
        account = {"name": "a", "provider": "openai", "key": fake.key, "base_url": fake.base_url}
        models = [{"name": "smart", "targets": ["openai/gpt-4.1"]}]
        async with gate(folder, [account], tls=tls, **({"models": models} | tables)) as running:
            running.app.sessions.speech = Speech(lambda settings: engines)  # type: ignore[arg-type, return-value]
            yield running, fake, engines
            await running.app.sessions.speech.close()
        assert engines.closed


@contextlib.asynccontextmanager
async def connected(running: Gate, model: str = "smart", **query: Any) -> AsyncIterator[Any]:
    """A session of the official SDK; `seen` are the events."""
    client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
    async with client.realtime.connect(model=model, extra_query=query) as connection:
        yield connection


async def until(connection: Any, kind: str, seen: list[Any]) -> Any:
    while True:
        event = await connection.recv()
        seen.append(event.to_dict())
        if event.type == kind:
            return event


async def test_a_text_model_talks_with_the_official_sdk(tmp_path: Path) -> None:
    seen: list[Any] = []
    async with talking(tmp_path) as (running, fake, engines), connected(running, dragoman_turns=1) as connection:
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        done = await until(connection, "response.done", seen)
        turn = await until(connection, "dragoman.turn", seen)
        assert done.response.status == "completed"
        transcript = done.response.output[0].content[0].transcript
        assert transcript and "".join(engines.speaker.said).replace(" ", "") in transcript.replace(" ", "")
        asked = fake.last.json["messages"]
        assert [each["role"] for each in asked] == ["system", "user"] and asked[1]["content"] == "Hello."
        row = running.rows[0]
        assert (row.target, row.model, row.dialect) == ("openai/gpt-4.1", "smart", "realtime.ga")
        told = turn.to_dict()
        assert told["target"] == "openai/gpt-4.1" and told["decision"] == row.decision
        assert set(told["stages_ms"]) == {
            "vad_hang", "turn_model", "stt_final", "route", "llm_ttft", "first_clause", "tts_ttfa", "send", "total",
        }  # fmt: skip
    for event in seen:
        assert_valid_server_event(event)
    in_order(seen)


async def test_speech_becomes_a_question_to_the_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the time?") as (running, fake, _), connected(running) as connection:
        for sound in (silence(300), speech(600), silence(800)):
            await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())
        await until(connection, "response.done", [])
        assert fake.last.json["messages"][-1] == {"role": "user", "content": "What is the time?"}


async def test_the_model_calls_a_function_and_is_told_its_result(tmp_path: Path) -> None:
    async with talking(tmp_path) as (running, fake, _), connected(running) as connection:
        await connection.session.update(session={"type": "realtime", "tools": [TOOL], "tool_choice": "required"})
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        done = await until(connection, "response.done", [])
        call = done.response.output[0]
        assert (call.type, call.name) == ("function_call", "weather")
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
        await connection.conversation.item.create(item=result)
        await connection.response.create(response={"tool_choice": "none"})
        await until(connection, "response.done", [])
        assert [each["role"] for each in fake.last.json["messages"]][-2:] == ["assistant", "tool"]


async def test_a_key_s_limits_hold_within_a_session(tmp_path: Path) -> None:
    limits = {"voice": {"max_session_tokens": 1}}
    seen: list[Any] = []
    async with talking(tmp_path, **limits) as (running, _, _), connected(running) as connection:
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        await until(connection, "response.done", seen)
        told = await until(connection, "error", seen)
        assert "max_session_tokens" in told.error.message
        with pytest.raises(Exception, match="1008"):
            await connection.recv()


async def test_a_transcription_session_needs_no_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "Take this down.") as (running, fake, _):
        client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
        query = {"intent": "transcription"}
        async with client.realtime.connect(model="unheard-of-transcribe", extra_query=query) as connection:
            settings: Any = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            await connection.session.update(session=settings)
            for sound in (silence(300), speech(600), silence(800)):
                await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())
            kind = "conversation.item.input_audio_transcription.completed"
            assert (await until(connection, kind, [])).transcript == "Take this down."
        assert fake.requests == []


async def test_engines_that_cannot_be_loaded_refuse_the_session(tmp_path: Path) -> None:
    def broken(settings: config.Voice) -> Any:
        raise EngineError("install dragoman[voice]")

    async with talking(tmp_path) as (running, _, _):
        kept, running.app.sessions.speech = running.app.sessions.speech, Speech(broken)
        with pytest.raises(Exception, match="501") as refused:
            async with connected(running):
                pass
        assert not isinstance(refused.value, APIStatusError)
        running.app.sessions.speech = kept
        async with connected(running) as connection:
            await until(connection, "session.created", [])


async def test_turns_are_seen_by_prometheus(tmp_path: Path) -> None:
    async with talking(tmp_path) as (running, _, _), connected(running) as connection:
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        await until(connection, "response.done", [])
        await connection.conversation.item.create(item=HELLO)
        await until(connection, "conversation.item.done", [])
        text = running.app.sessions.observe.__self__.text([], 0, None, 0.0).decode()  # type: ignore[attr-defined]
        assert 'dragoman_voice_stage_seconds_count{stage="total"} 1.0' in text


async def test_voice_live_s_client_talks_to_a_text_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the time?") as (running, fake, _):
        credential = AzureKeyCredential("any")
        async with connect(credential=credential, endpoint=running.url, model="smart") as connection:
            await connection.session.update(
                session=RequestSession(
                    instructions="Be kind.", turn_detection=AzureSemanticVad(silence_duration_ms=200)
                )
            )
            for sound in (silence(300), speech(600), silence(1200)):
                await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())
            kinds = []
            async for event in connection:
                kinds.append(event["type"])
                if kinds[-1] == "response.done":
                    break
        assert "response.audio.delta" in kinds and "error" not in kinds
        assert fake.last.json["messages"][0]["content"] == "Be kind."
        assert fake.last.json["messages"][-1] == {"role": "user", "content": "What is the time?"}


async def test_a_gemini_client_talks_to_a_text_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "What is the time?", tls=server_tls()) as (running, fake, _):
        config: Any = {"response_modalities": ["AUDIO"], "system_instruction": "Be kind."}
        async with gemini_client(running).aio.live.connect(model="smart", config=config) as session:
            for sound in (silence(300, 16_000), speech(600, 16_000), silence(1200, 16_000)):
                await session.send_realtime_input(audio=types.Blob(data=sound, mime_type="audio/pcm;rate=16000"))
            heard = b"".join([message.data or b"" async for message in session.receive()])
        assert heard and fake.last.json["messages"][0]["content"] == "Be kind."
