"""What a pipeline needs of speech engines, embedded or a provider's: four small interfaces.

Sound is mono, 16-bit little-endian PCM in `bytes`: at 16 kHz where it is heard (`HEARD`), at 24 kHz where it is spoken
(`SPOKEN`). No call blocks the event loop; what computes, computes in a thread of the engine's pool.
"""

from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from dragoman.canon import Usage

HEARD = 16_000  # samples a second of what is listened to
SPOKEN = 24_000  # samples a second of what is said


class EngineError(Exception):
    """The engine can't do it; the message names the engine and the mend. `retry_after`: seconds, where it was told."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Spent(Struct, frozen=True, kw_only=True):
    """What a call took at a provider: seconds of sound heard, characters said, and tokens where it counts them. `cost`:
    pico-dollars; None: the price is not known. `failed`: nothing came of it, but the provider may charge it."""

    target: str  # provider/model-id
    account: str
    seconds: float = 0.0
    characters: int = 0
    usage: Usage | None = None
    cost: int | None = None
    failed: bool = False


Book: TypeAlias = Callable[[Spent], None]


class VoiceActivity(Protocol):
    """Tells speech from other sound. One a session; it remembers what came before."""

    FRAME: int  # samples it looks at at once

    def probability(self, frame: bytes) -> float:
        """How likely it is that somebody speaks in `frame` (`FRAME` samples at `HEARD`), 0..1. Takes microseconds, so
        it is called in the event loop."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class Token(Struct, frozen=True):
    """A piece of what was understood, as the engine spells it. `logprob`: natural."""

    said: bytes
    logprob: float


class Words(Struct, frozen=True):
    """What was understood. `sure`: 0..1, and `tokens`, where the engine tells."""

    text: str
    sure: float | None = None
    tokens: tuple[Token, ...] | None = None


class Utterance(Protocol):
    """Speech to text of one turn, from the first sound of it (pre-roll included)."""

    def feed(self, pcm: bytes) -> None:
        """Further sound, at `HEARD`, of any length."""
        ...

    async def words(self) -> Words:
        """What all the sound so far says. Called at every pause and in between (each call may use the last one's
        result as a draft); more sound may follow. Raises `EngineError`."""
        ...

    async def finish(self) -> Words:
        """The final words, where no more sound follows. Called once. Raises `EngineError`."""
        ...

    def drop(self) -> None:
        """Nobody wants it any more; frees what it holds."""
        ...


class Transcriber(Protocol):
    """Speech to text: an engine, shared by all sessions of a worker."""

    name: str  # as in the config: "local", "openai/gpt-4o-transcribe"
    metered: bool  # each `words` costs money: speculate less

    def begin(self, *, language: str | None = None, prompt: str | None = None, book: Book | None = None) -> Utterance:
        """`book` is told what every call at a provider took, once that is over, however it ended."""
        ...

    async def close(self) -> None: ...


class Sound(Struct, frozen=True):
    """A piece of speech. `spoken`: how many characters of the text have been said when it ends (an estimate where the
    engine does not tell), so that what was heard can be cut at a word."""

    pcm: bytes  # at `SPOKEN`
    spoken: int


class Speaker(Protocol):
    """Text to speech: an engine, shared by all sessions of a worker."""

    name: str
    voices: tuple[str, ...]  # the first is the default; other names are mapped to one of them, never refused

    def say(
        self, text: str, *, voice: str | None = None, speed: float = 1.0, book: Book | None = None
    ) -> AsyncIterator[Sound]:
        """Says a clause or a sentence. The first sound comes as early as it can and is audible: no silence ahead of
        it. Closing the iterator stops the work. `book`: as in `Transcriber.begin`. Raises `EngineError`."""
        ...

    async def close(self) -> None: ...


class TurnJudge(Protocol):
    """Tells from sound and words whether somebody who is silent now has ended the turn, or only pauses."""

    async def complete(self, pcm: bytes, words: str) -> float:
        """The probability that the turn is complete, 0..1. `pcm`: the turn so far at `HEARD` (it takes the part it
        wants, mostly the last 8 s); `words`: the draft of what was said, maybe empty."""
        ...
