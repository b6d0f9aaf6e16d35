"""Text to speech over HTTP: one request a clause, its sound used as it comes.

What differs from provider to provider is an `Asked`: where, what, and how the sound is wrapped.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from dragoman.canon import Failed, Failure, Usage
from dragoman.dialects.counts import AUDIO_DETAILS, read_counts
from dragoman.dialects.openai_chat.errors import failure_of
from dragoman.voice.engine import SPOKEN, Book, Sound
from dragoman.voice.engines.calls import FAILURES, Calls
from dragoman.voice.pcm import BadAudio, Resampler, bytes_of, samples
from dragoman.voice.wav import BadWav, Head
from dragoman.wire import sse
from dragoman.wire.head import block

AUDIBLE = round(32768 * 10 ** (-45 / 20))  # of a sample: -45 dBFS
ONSET = SPOKEN // 400  # samples that stay ahead of the first audible one
PIECE = SPOKEN // 5 * 2  # bytes of sound given out at once
TAIL = SPOKEN // 100 * 2  # bytes that wait for what comes behind them, so that the last piece is known to be it
PACE = 15.0  # characters a second, as people speak English
JSON_LINE = block([(b"content-type", b"application/json")])
# OpenAI's names, which clients use whoever speaks: each is one of a provider's own, the default for the first
NAMES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin",
         "cedar")  # fmt: skip


Comes: TypeAlias = Literal["pcm", "wav", "sse"]


class Asked(Struct, frozen=True):
    """A request for speech. `comes`: as bare samples at `SPOKEN`, as a WAV file at any rate, or in OpenAI's events."""

    path: str
    body: dict[str, object]
    comes: Comes = "pcm"


Ask: TypeAlias = Callable[[str, str, float], Asked]  # text, voice, speed


class HttpSpeaker:
    """See `Speaker`. `own`: what voices look like that are not in `voices`, but that somebody may have there."""

    def __init__(
        self, calls: Calls, ask: Ask, voices: tuple[str, ...], *, own: re.Pattern[str] | None = None
    ) -> None:  # fmt: skip
        self.name = calls.name
        self.voices = voices
        self._calls = calls
        self._ask = ask
        self._own = own

    async def say(
        self, text: str, *, voice: str | None = None, speed: float = 1.0, book: Book | None = None
    ) -> AsyncIterator[Sound]:
        asked = self._ask(text, self._voice(voice), speed)
        body = msgspec.json.encode(asked.body)
        call = self._calls.begin(book)
        begun = False
        while True:
            try:
                with await call.place() as place, await place.send(asked.path, body, JSON_LINE) as reply:
                    place.characters = len(text)
                    source = _SOURCES[asked.comes]()
                    said = Said(len(text), speed)
                    while data := await reply.decoded():
                        pcm = source.feed(data)
                        for sound in said.feed(pcm, source.rate):
                            place.began()
                            begun = True
                            yield sound
                        if source.usage is not None:
                            place.usage = source.usage
                    source.finish()
                    for sound in said.finish():
                        yield sound
                    return
            except FAILURES as error:
                call.after(error, final=begun)

    async def close(self) -> None:
        """The connections are the client's."""

    def _voice(self, name: str | None) -> str:
        """One of those it has, whatever the name."""
        plain = (name or "").strip()
        if plain.lower() in self.voices:
            return plain.lower()
        if self._own is not None and self._own.fullmatch(plain):
            return plain
        return self.voices[NAMES.index(plain) % len(self.voices)] if plain in NAMES else self.voices[0]


def within(least: float, value: float, most: float) -> float:
    """`value`, as far as a provider goes with it."""
    return min(most, max(least, value))


class Said:
    """From what a provider sends to what is heard: at `SPOKEN`, without the silence ahead, in pieces. How much of the
    text each has said is estimated."""

    def __init__(self, characters: int, speed: float) -> None:
        self._characters = characters
        self._pace = PACE * max(0.1, speed)
        self._rates: Resampler | None = None
        self._held = b""
        self._given = 0  # bytes
        self._audible = False

    def feed(self, pcm: bytes, rate: int) -> list[Sound]:
        """`pcm`: whole samples at `rate`, which stays the same."""
        if rate != SPOKEN:
            self._rates = self._rates or Resampler(rate, SPOKEN)
            pcm = self._rates.feed(pcm)
        return self._take(pcm, TAIL)

    def finish(self) -> list[Sound]:
        """The rest; the last piece has said all."""
        sounds = self._take(self._rates.finish() if self._rates is not None else b"", 0)
        if sounds:
            sounds[-1] = Sound(sounds[-1].pcm, self._characters)
        return sounds

    def _take(self, pcm: bytes, keep: int) -> list[Sound]:
        self._held += pcm
        if not self._audible:
            self._held = self._from_onset(self._held)
        sounds = []
        while self._audible and len(self._held) > keep:
            piece = self._held[: min(PIECE, len(self._held) - keep)]
            self._held = self._held[len(piece) :]
            self._given += len(piece)
            said = math.ceil(self._given / 2 / SPOKEN * self._pace)
            sounds.append(Sound(piece, min(said, max(0, self._characters - 1))))
        return sounds

    def _from_onset(self, pcm: bytes) -> bytes:
        import numpy as np

        loud = np.flatnonzero(np.abs(samples(pcm).astype(np.int32)) > AUDIBLE)
        self._audible = bool(len(loud))
        first = int(loud[0]) if self._audible else len(pcm) // 2
        return pcm[2 * max(0, first - ONSET) :]


class _Samples:
    """Bare samples; a piece may end in the middle of one."""

    rate = SPOKEN
    usage: Usage | None = None

    def __init__(self) -> None:
        self._half = b""
        self._some = False

    def feed(self, data: bytes) -> bytes:
        data = self._half + data
        whole = len(data) & ~1
        self._half = data[whole:]
        self._some = self._some or bool(whole)
        return data[:whole]

    def finish(self) -> None:
        """Raises `Failed` where nothing came, or not all of it."""
        if not self._some or self._half:
            raise broken("the sound ends in the middle of a sample" if self._some else "no sound came")


class _Wav(_Samples):
    """A WAV file as it comes; what follows the sound in it is not for us."""

    def __init__(self) -> None:
        super().__init__()
        self._head = Head()

    def feed(self, data: bytes) -> bytes:
        try:
            data = self._head.feed(data)
        except BadWav as error:
            raise broken(str(error)) from None
        if self._head.format is None:
            return b""
        if (self._head.format.encoding, self._head.format.channels) != ("int16", 1):
            raise broken("the WAV file is not mono with 16 bits")
        self.rate = self._head.format.rate
        return super().feed(data)


class _Events(_Samples):
    """OpenAI's `speech.audio.delta` and `speech.audio.done`, which ends it and tells what it took."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = sse.Frames()
        self._done = False

    def feed(self, data: bytes) -> bytes:
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            raise broken(str(error)) from None
        return super().feed(b"".join(map(self._frame, frames)))

    def _frame(self, frame: bytes) -> bytes:
        event = sse.parse(frame)
        if event is None or event.data == b"[DONE]":
            return b""
        try:
            told = msgspec.json.decode(event.data)
            kind = told.get("type")
            if kind == "speech.audio.delta":
                return bytes_of(told["audio"])
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, BadAudio):
            raise broken("an event of the stream can't be read") from None
        if kind == "speech.audio.done":
            self._done = True
            self.usage = usage_of(told.get("usage"))
        elif "error" in told:
            raise Failed(failure_of(told, 0))
        return b""

    def finish(self) -> None:
        if not self._done:
            raise broken("the stream ended without its end mark")
        super().finish()


_SOURCES: dict[str, type[_Samples]] = {"pcm": _Samples, "wav": _Wav, "sse": _Events}


def broken(message: str) -> Failed:
    """To raise where an answer is not what it should be."""
    return Failed(Failure(kind="stream_broken", message=message))


def usage_of(told: object) -> Usage | None:
    """The tokens that OpenAI's audio endpoints tell; None where they tell none."""
    return read_counts(told, AUDIO_DETAILS) if isinstance(told, dict) and "input_tokens" in told else None
