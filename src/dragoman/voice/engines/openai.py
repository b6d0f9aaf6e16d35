"""OpenAI's speech endpoints, and those of whoever imitates them: Azure, Groq, vLLM, a provider of the config.

    stt = "openai/gpt-4o-transcribe"
    tts = "openai/gpt-4o-mini-tts"

An utterance is sent as a WAV file each time that its words are asked for. The newer transcribers stream their words:
what ends without its end mark is known to be cut.

Sources: OpenAI's API reference (audio), openai 3 (`types/audio`); console.groq.com/docs (Speech to Text, Text to
Speech): Groq's voices come as WAV files at 48 kHz.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from dragoman.canon import Failed
from dragoman.dialects.openai_chat.errors import failure_of
from dragoman.voice.engine import HEARD, Book, Words
from dragoman.voice.engines.calls import FAILURES, Call, Calls, Place
from dragoman.voice.engines.speaking import NAMES, Asked, Comes, HttpSpeaker, broken, usage_of, within
from dragoman.voice.wav import head
from dragoman.wire import sse
from dragoman.wire.head import block
from dragoman.wire.reply import Reply

BOUNDARY = "dragoman-cfa4b0f2d9b74f6ab4b3e28b1a0c77d1"
FORM_LINE = block([(b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())])
LEAST = HEARD // 5 * 2  # bytes: less than a tenth of a second is refused
LIMIT = 1024 * 1024  # bytes of an answer
OLDER_VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")  # of tts-1
GROQ_VOICES = ("autumn", "diana", "hannah", "austin", "daniel", "troy")
GROQ_ARABIC_VOICES = ("abdullah", "fahad", "sultan", "lulwa", "noura", "aisha")
SLOWEST, FASTEST = 0.25, 4.0
_ANY = re.compile(r".+", re.DOTALL)
_CUSTOM = re.compile(r"voice_\w+")


class FormTranscriber:
    """See `Transcriber`."""

    metered = True

    def __init__(self, calls: Calls, model: str) -> None:
        self.name = calls.name
        self._calls = calls
        self._streams = "transcribe" in model

    def begin(
        self, *, language: str | None = None, prompt: str | None = None, book: Book | None = None
    ) -> FormUtterance:
        told = {"language": language, "prompt": prompt, "stream": "true" if self._streams else None}
        return FormUtterance(self._calls, {name: value for name, value in told.items() if value}, book)

    async def close(self) -> None:
        """The connections are the client's."""


class FormUtterance:
    """See `Utterance`. Its caller's task does the work: who gives up cancels that."""

    def __init__(self, calls: Calls, told: dict[str, str], book: Book | None) -> None:
        self._calls = calls
        self._told = told
        self._book = book
        self._sound = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._sound += pcm

    async def words(self) -> Words:
        if not self._sound:
            return Words("")
        sound = bytes(self._sound)
        call: Call = self._calls.begin(self._book)
        while True:
            try:
                with await call.place() as place:
                    body = form({**self._told, "model": place.seat.target.model}, sound.ljust(LEAST, b"\0"))
                    with await place.send("/audio/transcriptions", body, FORM_LINE) as reply:
                        place.seconds = len(sound) / 2 / HEARD
                        return await _read(reply, place)
            except FAILURES as error:
                call.after(error)

    async def finish(self) -> Words:
        words = await self.words()
        self._sound.clear()
        return words

    def drop(self) -> None:
        self._sound.clear()


def form(fields: dict[str, str], pcm: bytes) -> bytes:
    """The multipart form (RFC 7578) of a request with `pcm` as a WAV file."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**fields, "response_format": "json"}.items()
    ]
    file = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="turn.wav"\r\n'
    return b"".join(
        [*parts, file.encode(), b"content-type: audio/wav\r\n\r\n", head(HEARD, len(pcm)), pcm,
         f"\r\n--{BOUNDARY}--\r\n".encode()]
    )  # fmt: skip


async def _read(reply: Reply, place: Place) -> Words:
    """The words of an answer, streamed or whole: not all that are asked to stream do."""
    if not (reply.header(b"content-type") or b"").startswith(b"text/event-stream"):
        return _words(_object(await reply.read(LIMIT)), place)
    frames = sse.Frames()
    while data := await reply.decoded():
        try:
            events = [event for frame in frames.feed(data) if (event := sse.parse(frame)) is not None]
        except sse.FrameTooLong as error:
            raise broken(str(error)) from None
        for event in events:
            if event.data == b"[DONE]":
                continue
            told = _object(event.data)
            if told.get("type") == "transcript.text.done":
                return _words(told, place)
            if "error" in told:
                raise Failed(failure_of(told, 0))
            place.began()
    raise broken("the stream ended without its end mark")


def _words(told: dict[str, Any], place: Place) -> Words:
    text = told.get("text")
    if not isinstance(text, str):
        raise broken("the answer has no text")
    place.usage = usage_of(told.get("usage"))
    return Words(text.strip())


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise broken("the answer can't be read")
    return told


def speaker(calls: Calls, model: str, provider: str) -> HttpSpeaker:
    older = model.startswith("tts-1")
    groq = provider == "groq"
    comes: Comes = "wav" if groq else "sse" if provider == "openai" and not older else "pcm"

    def ask(text: str, voice: str, speed: float) -> Asked:
        chosen = {"id": voice} if provider == "openai" and _CUSTOM.fullmatch(voice) else voice
        body: dict[str, object] = {"model": model, "input": text, "voice": chosen}
        body["response_format"] = "wav" if groq else "pcm"
        if comes == "sse":
            body["stream_format"] = "sse"
        if speed != 1.0:
            body["speed"] = within(SLOWEST, speed, FASTEST)
        return Asked("/audio/speech", body, comes)

    if groq:
        return HttpSpeaker(calls, ask, GROQ_ARABIC_VOICES if "arabic" in model else GROQ_VOICES)
    if provider in {"openai", "azure"}:
        voices = OLDER_VOICES if older else NAMES
        return HttpSpeaker(calls, ask, voices, own=_CUSTOM if provider == "openai" else None)
    return HttpSpeaker(calls, ask, ("alloy",), own=_ANY)  # nobody knows which it has
