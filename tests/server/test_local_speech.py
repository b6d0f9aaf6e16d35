"""The model `local` at the endpoints of audio: OpenAI's own client hears and speaks without a provider."""

import asyncio
import base64
import contextlib
import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from dragoman.server.pipelines import Speech
from dragoman.voice import wav
from dragoman.voice.engine import HEARD, SPOKEN, EngineError
from fakes.openai import OpenAI as OpenAIFake
from realtime.gate import Gate, gate
from voice.stage import Engines


class Loaded(Engines):
    async def ready(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None: ...


@contextlib.asynccontextmanager
async def speaking(folder: Path, *lines: str | EngineError, **tables: Any) -> AsyncIterator[tuple[Gate, Any, Loaded]]:
    """A gateway without accounts; its engines understand `lines`."""
    engines = Loaded(*(lines or ("Hello there.",)))
    async with gate(folder, tables.pop("accounts", []), **tables) as running:
        running.app.sessions.speech = Speech(lambda settings: engines)  # type: ignore[arg-type, return-value]
        async with openai.AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1", max_retries=0) as client:
            yield running, client, engines


def recording(rate: int = HEARD, channels: int = 1, ms: int = 500) -> tuple[str, bytes]:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, rate, 0, "NONE", ""))
        writer.writeframes(b"\x10\x20" * (rate * channels * ms // 1000))
    return "said.wav", file.getvalue()


@pytest.mark.parametrize("rate", [8_000, HEARD, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
async def test_a_recording_is_written_down(tmp_path: Path, rate: int, channels: int) -> None:
    async with speaking(tmp_path) as (running, client, engines):
        answer = await client.audio.transcriptions.create(model="local", file=recording(rate, channels))
        assert answer.text == "Hello there."
        heard = len(engines.transcriber.begun[0].sound)
        assert heard == pytest.approx(HEARD, abs=200)
        (row,) = running.rows
        assert (row.target, row.status, row.cost, row.attempts) == ("local/local", 200, 0, 0)


async def test_each_format_has_the_words(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (_, client, _engines):
        create = client.audio.transcriptions.create
        assert await create(model="local", file=recording(), response_format="text") == "Hello there.\n"
        told = await create(model="local", file=recording(), response_format="verbose_json")
        assert (told.text, told.duration, told.language) == ("Hello there.", 0.5, "english")
        events = [event async for event in await create(model="local", file=recording(), stream=True)]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert events[-1].text == "Hello there."


@pytest.mark.parametrize(
    ("file", "more", "message"),
    [
        (("a.mp3", b"ID3\x04" + bytes(100)), {}, "file: expected a WAV file"),
        (("a.wav", recording()[1][:30]), {}, "file: expected a WAV file"),
        (recording(), {"response_format": "srt"}, "local knows no times"),
    ],
)
async def test_what_can_not_be_heard_is_told(tmp_path: Path, file: Any, more: Any, message: str) -> None:
    async with speaking(tmp_path) as (_, client, _engines):
        with pytest.raises(openai.BadRequestError, match=message):
            await client.audio.transcriptions.create(model="local", file=file, **more)


async def test_what_the_engine_is_not_told_is_named(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (_, client, _engines):
        raw = client.audio.transcriptions.with_raw_response
        answer = await raw.create(model="local", file=recording(), language="de", prompt="Wie bitte?")
        assert answer.headers["x-dragoman-lossy"] == "language,prompt"
        assert answer.headers["x-dragoman-target"] == "local/local"
        with pytest.raises(openai.BadRequestError, match="can't be told language"):
            strict = {"x-dragoman-strict": "1"}
            await raw.create(model="local", file=recording(), language="de", extra_headers=strict)


async def test_a_busy_engine_says_when_to_come_back(tmp_path: Path) -> None:
    async with speaking(tmp_path, EngineError("too much to do", 2.0)) as (_, client, _engines):
        with pytest.raises(openai.InternalServerError) as refused:
            await client.audio.transcriptions.create(model="local", file=recording())
        assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (503, "2")


async def test_a_text_is_said(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (running, client, engines):
        speech = await client.audio.speech.create(model="local", voice="alloy", input="Hi you.", response_format="wav")
        pcm, rate = wav.read(speech.content)
        assert (rate, len(pcm)) == (SPOKEN, 7 * SPOKEN // 100 * 2)
        assert speech.response.headers["content-type"] == "audio/wav"
        assert engines.speaker.said == ["Hi you."]
        bare = await client.audio.speech.create(model="local", voice="x", input="Hi you.", response_format="pcm")
        assert bare.content == pcm
        assert [(row.target, row.status, row.cost) for row in running.rows] == [("local/local", 200, 0)] * 2


async def test_a_text_is_said_in_events(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (running, _client, _engines), httpx.AsyncClient() as http:
        body = {"model": "local", "voice": "a", "input": "Hi.", "response_format": "pcm", "stream_format": "sse"}
        answer = await http.post(f"{running.url}/v1/audio/speech", json=body)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert events[-1]["type"] == "speech.audio.done"
    assert len(b"".join(base64.b64decode(event["audio"]) for event in events[:-1])) == 3 * SPOKEN // 100 * 2


async def test_the_usual_default_of_mp3_is_refused_with_what_there_is(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (_, client, _engines):
        with pytest.raises(openai.BadRequestError, match=r'"wav" or "pcm"'):
            await client.audio.speech.create(model="local", voice="alloy", input="Hi.")


async def test_a_voice_that_fails_at_once_is_an_error(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (_, client, engines):
        engines.speaker.fails_at = "H"
        with pytest.raises(openai.InternalServerError, match="the cable is loose"):
            await client.audio.speech.create(model="local", voice="a", input="Hi.", response_format="wav")


async def test_a_voice_that_fails_in_mid_sentence_is_cut_off(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (running, client, engines):
        engines.speaker.fails_at = "end"
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
            await client.audio.speech.create(model="local", voice="a", input="Here to the end.", response_format="wav")
        assert running.rows[0].error == "upstream_error"


async def test_a_model_of_the_config_goes_before_the_name(tmp_path: Path) -> None:
    with OpenAIFake() as fake:
        entry = {"name": "a", "provider": "openai", "key": fake.key, "base_url": fake.base_url}
        models = [{"name": "local", "targets": ["openai/tts-1"]}]
        async with speaking(tmp_path, accounts=[entry], models=models) as (_, client, _engines):
            answer = await client.audio.speech.create(model="local", voice="alloy", input="Hi.")
        assert answer.content.startswith(b"FAKE")
