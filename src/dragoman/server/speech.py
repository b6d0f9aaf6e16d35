"""`/v1/audio/transcriptions` and `/v1/audio/speech` for the model `local`: the embedded speech engines, without a key
and without a session. They know English only, WAV files, and bare samples.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from dragoman import config
from dragoman.canon import Failed, Failure, Usage
from dragoman.dialects.fields import Malformed, decode
from dragoman.gateway.ask import unsayable
from dragoman.gateway.call import JSON_TYPE, Story
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.relay import HERE_TARGET, form_fields
from dragoman.server.pipelines import Speech
from dragoman.server.realtime import Sessions
from dragoman.voice import wav
from dragoman.voice.engine import HEARD, SPOKEN, EngineError, Sound, Transcriber
from dragoman.voice.engines import Engines, open_engines
from dragoman.voice.pcm import Resampler
from dragoman.wire import sse

LONGEST = 15 * 60 * HEARD * 2  # bytes of sound in a file
PART = 20 * HEARD * 2  # bytes that are heard at once; sessions go before the next
TEXT_LIMIT = 4096  # characters, as at OpenAI
_EMBEDDED = config.Voice()
_SSE_TYPE = b"text/event-stream; charset=utf-8"
_TARGET = f"x-dragoman-target: {HERE_TARGET}\r\n".encode()
_HEARD_FORMATS = ("json", "text", "verbose_json")
_SPOKEN_TYPES = {"wav": b"audio/wav", "pcm": b"audio/pcm"}
_UNHEARD = ("prompt", "temperature", "timestamp_granularities[]", "include[]", "chunking_strategy")


class LocalSpeech:
    """The two endpoints, as `Gateway.hosted` has them."""

    def __init__(self, gateway: Gateway, sessions: Sessions) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._own = Speech(open_engines)

    async def transcribe(self, story: Story) -> None:
        """Raises `Failed`, `Malformed`."""
        call = story.call
        fields = form_fields(call.body, call.headers.get(b"content-type", b""))
        if "file" not in fields:
            raise Malformed("file", "a WAV file")
        told = {name: value.decode("utf-8", "replace") for name, value in fields.items() if name != "file"}
        format = told.get("response_format", "json")
        if format not in _HEARD_FORMATS:
            raise Malformed("response_format", f"one of {', '.join(_HEARD_FORMATS)}: local knows no times", format)
        english = told.get("language", "en").lower().startswith("en")
        _lose(story, [*(["language"] if not english else []), *(name for name in _UNHEARD if name in told)])
        sound = await asyncio.to_thread(_sound, fields["file"])
        text = await _written((await self._engines()).transcriber, sound)
        story.used(Usage())
        seconds = round(len(sound) / 2 / HEARD, 3)
        usage = {"type": "duration", "seconds": seconds}
        if told.get("stream", "").lower() == "true":
            events = [{"type": "transcript.text.delta", "delta": text}, {"type": "transcript.text.done", "text": text}]
            await story.whole(200, _SSE_TYPE, b"".join(map(_event, events)), _TARGET)
        elif format == "text":
            await story.whole(200, b"text/plain; charset=utf-8", f"{text}\n".encode(), _TARGET)
        else:
            verbose = {"task": "transcribe", "language": "english", "duration": seconds}
            answer = {**(verbose if format == "verbose_json" else {}), "text": text, "usage": usage}
            await story.whole(200, JSON_TYPE, msgspec.json.encode(answer), _TARGET)

    async def say(self, story: Story) -> None:
        """Raises `Failed`, `Malformed`."""
        asked = decode(story.call.body)
        text, format, voice, speed = _asked(asked)
        _lose(story, [name for name in ("instructions",) if name in asked])
        events = asked.get("stream_format") == "sse"
        said = (await self._engines()).speaker.say(text, voice=voice, speed=speed)
        async with contextlib.aclosing(_pieces(said)) as pieces:
            first = await anext(pieces, b"")  # a failure is told, as long as nothing went out
            story.used(Usage())
            story.row.status, story.row.ttft = 200, story.elapsed()
            await story.out.start(200, story.head(_SSE_TYPE if events else _SPOKEN_TYPES[format]) + _TARGET)
            head = wav.head(SPOKEN) if format == "wav" else b""
            await _push(story, _delta(head + first) if events else head + first)
            try:
                async for pcm in pieces:
                    await _push(story, _delta(pcm) if events else pcm)
            except Failed as error:
                story.row.error = error.failure.kind
                story.book()
                story.out.abort()
                return
        story.book()
        await story.out.finish(_event({"type": "speech.audio.done"}) if events else b"")

    async def _engines(self) -> Engines:
        """The sessions' own, where those are the embedded ones. Raises `Failed`."""
        voice = self._gateway.serving.settings.voice
        if voice.stt == voice.tts == "local":
            return await self._sessions.speech.engines(voice)
        return await self._own.engines(_EMBEDDED)

    async def close(self) -> None:
        """No call may be under way any more."""
        await self._own.close()


def _sound(file: bytes) -> bytes:
    """What a WAV file holds, at `HEARD`. Blocks. Raises `Malformed`."""
    try:
        pcm, rate = wav.read(file)
    except wav.BadWav as error:
        raise Malformed("file", f"a WAV file ({error})") from None
    if len(pcm) * HEARD // rate > LONGEST:
        raise Malformed("file", "at most 15 minutes of sound")
    if rate == HEARD:
        return pcm
    rates = Resampler(rate, HEARD)
    return rates.feed(pcm) + rates.finish()


async def _written(transcriber: Transcriber, sound: bytes) -> str:
    """Raises `Failed`."""
    utterance = transcriber.begin()
    try:
        for at in range(0, len(sound), PART):
            utterance.feed(sound[at : at + PART])
            await utterance.words()
        return (await utterance.finish()).text
    except EngineError as error:
        raise _failed(error) from None
    finally:
        utterance.drop()


def _asked(body: Any) -> tuple[str, str, str | None, float]:
    """Text, format, voice and speed. Raises `Malformed`."""
    if not isinstance(body, dict):
        raise Malformed("", "a JSON object")
    text, format = body.get("input"), body.get("response_format", "mp3")
    voice, speed = body.get("voice"), body.get("speed", 1.0)
    if not isinstance(text, str) or not 0 < len(text) <= TEXT_LIMIT:
        raise Malformed("input", f"a text of at most {TEXT_LIMIT} characters")
    if not isinstance(format, str) or format not in _SPOKEN_TYPES:
        raise Malformed("response_format", '"wav" or "pcm" (24 kHz), which is all that local gives', format)
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
        raise Malformed("speed", "a number from 0.25 to 4", speed)
    return text, format, voice if isinstance(voice, str) else None, float(speed)


def _lose(story: Story, names: list[str]) -> None:
    """What the engines can't be told. Raises `Failed` where the client forbids that."""
    if names and story.call.headers.get(b"x-dragoman-strict") == b"1":
        raise unsayable(f"local can't be told {', '.join(names)}, and x-dragoman-strict: 1 forbids leaving it out")
    story.row.lossy = names


async def _pieces(said: AsyncIterator[Sound]) -> AsyncGenerator[bytes, None]:
    """Raises `Failed`."""
    try:
        async for sound in said:
            yield sound.pcm
    except EngineError as error:
        raise _failed(error) from None
    finally:
        if (aclose := getattr(said, "aclose", None)) is not None:
            await aclose()


async def _push(story: Story, data: bytes) -> None:
    if not story.out.push(data):
        await story.out.drained()


def _failed(error: EngineError) -> Failed:
    busy = error.retry_after is not None
    return Failed(
        Failure(
            kind="overloaded" if busy else "upstream_error", status=503 if busy else 502, message=str(error),
            retry_after=error.retry_after,
        )
    )  # fmt: skip


def _delta(pcm: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(pcm).decode()})


def _event(event: dict[str, Any]) -> bytes:
    return sse.write(msgspec.json.encode(event))
