"""The speech engines a worker uses, by the config's `[voice]`: embedded ones, or a provider's.

Nothing heavy is imported or loaded before it is needed, and it is loaded in threads; `Engines.ready` waits for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dragoman.config import ConfigError, Voice
from dragoman.voice.engine import EngineError, Speaker, Transcriber, TurnJudge, VoiceActivity
from dragoman.voice.engines import vad
from dragoman.voice.engines.hibari import Hibari
from dragoman.voice.engines.local_stt import LocalTranscriber
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.engines.turn_judge import LocalJudge

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

T = TypeVar("T")

Transcribers: TypeAlias = Mapping[str, Callable[[str], Transcriber]]  # by provider; given the model's name
Speakers: TypeAlias = Mapping[str, Callable[[str], Speaker]]


LOCAL = "local"
NOBODY: Mapping[str, Callable[[str], Any]] = {}


class Engines:
    """What a worker's sessions share. `judge` is None where silence alone ends a turn."""

    def __init__(self, pool: Pool, transcriber: Transcriber, speaker: Speaker, judge: TurnJudge | None) -> None:
        self.transcriber, self.speaker, self.judge = transcriber, speaker, judge
        self._pool = pool
        self._vad = Once(lambda: pool.run(Urgency.NOW, vad.load))
        self._silero: InferenceSession | None = None

    async def ready(self) -> None:
        """Loads what is embedded, and warms it up, so that the first turn is as fast as any. Returns at once when that
        is done. Raises `EngineError`."""
        embedded = [one for one in (self.transcriber, self.speaker, self.judge) if isinstance(one, _EMBEDDED)]
        self._silero, *_ = await asyncio.gather(self._vad.get(), *(one.ready() for one in embedded))

    def activity(self) -> VoiceActivity:
        """A session's own. Raises `EngineError` before `ready` has returned."""
        if self._silero is None:
            raise EngineError("the speech engines are not ready")
        return vad.Silero(self._silero)

    async def close(self) -> None:
        """Ends the threads and the providers' connections. No session may use it any more."""
        await asyncio.gather(self.transcriber.close(), self.speaker.close())
        self._pool.close()


_EMBEDDED = LocalTranscriber, Hibari, LocalJudge


def open_engines(settings: Voice, transcribers: Transcribers = NOBODY, speakers: Speakers = NOBODY) -> Engines:
    """The engines that `[voice]` names; `transcribers` and `speakers` make those of providers, whose names stand before
    the slash. Loads nothing. Raises `ConfigError` for a name that nobody makes."""
    pool = Pool()
    transcriber, speaker = named(settings, transcribers, speakers)
    transcriber = LocalTranscriber(pool) if transcriber is None else transcriber
    speaker = Hibari(pool) if speaker is None else speaker
    return Engines(pool, transcriber, speaker, LocalJudge(pool) if settings.turn == LOCAL else None)


def named(settings: Voice, transcribers: Transcribers, speakers: Speakers) -> tuple[Transcriber | None, Speaker | None]:
    """The engines of providers that `settings` names; None for an embedded one. Raises `ConfigError`."""
    return (
        None if settings.stt == LOCAL else _made("stt", settings.stt, transcribers),
        None if settings.tts == LOCAL else _made("tts", settings.tts, speakers),
    )


def _made(key: str, name: str, makers: Mapping[str, Callable[[str], T]]) -> T:
    provider, slash, model = name.partition("/")
    if not slash or not model or provider not in makers:
        known = "".join(f', "{one}/MODEL"' for one in makers)
        raise ConfigError(f'voice.{key}: expected "local"{known}, got "{name}"')
    return makers[provider](model)
