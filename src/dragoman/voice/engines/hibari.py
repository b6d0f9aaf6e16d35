"""The embedded voice: hibari (Apache-2.0; English), whose wheel carries it. 24 kHz.

A sentence comes out of the model with a quarter of a second of silence on both sides. That is cut, since the listener
waits for what is audible, and a pause of natural length is put behind it instead, by how it ends.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from dragoman.voice.engine import SPOKEN, EngineError, Sound
from dragoman.voice.engines import weights
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.pcm import pcm_of

if TYPE_CHECKING:
    from dragoman.voice.pcm import Float32

MODEL = "assets/hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
AUDIBLE = 10 ** (-45 / 20)  # of full scale
FADE = SPOKEN // 400  # samples over which sound comes up and dies away
RELEASE = SPOKEN // 20  # samples that stay behind the last audible one
PIECE = SPOKEN // 5  # samples of sound given out at once
SLOWEST, FASTEST = 0.5, 2.0
PAUSES = {".": 0.30, "!": 0.30, "?": 0.30, "…": 0.35, ":": 0.20, ";": 0.20, ",": 0.12, "—": 0.15}  # s
CLOSERS = "\"'”’)]* "


class Hibari:
    """See `Speaker`."""

    name = "local"
    voices: tuple[str, ...] = ("heart",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._model = Once(lambda: pool.run(Urgency.NOW, load))

    async def ready(self) -> None:
        """Loads it. Raises `EngineError`."""
        await self._model.get()

    async def say(self, text: str, *, voice: str | None = None, speed: float = 1.0) -> AsyncIterator[Sound]:
        model = await self._model.get()
        pace = min(FASTEST, max(SLOWEST, speed))
        urgency = Urgency.NOW
        for start, end in sentences(text):
            pcm = await self._pool.run(urgency, render, model, text[start:end], pace)
            for sound in pieces(pcm, start, end):
                yield sound
            urgency = Urgency.NEXT

    async def close(self) -> None:
        """The pool is closed by who made it."""


def load() -> Any:
    """hibari's own object, warm. Blocks. Raises `EngineError`."""
    path = weights.find("hibari", *MODEL)
    try:
        import hibari
    except ImportError as error:
        raise EngineError(f"hibari can't be loaded ({error}): {weights.MEND}") from None
    model = hibari.Hibari(model=str(path))
    render(model, "Warm up, Dr. Smith.", 1.0)
    return model


_END = re.compile(r"[.!?…]+[\"”’)\]]*\s+(?=\S)|\n+")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence of `text` starts and ends."""
    ends = [found.end() for found in _END.finditer(text)] + [len(text)]
    starts = [0, *ends[:-1]]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if text[start:end].strip()]


def render(model: Any, text: str, speed: float) -> bytes:
    """The sound of a sentence, from its first audible sample to the end of the pause behind it. Blocks."""
    import numpy as np

    heard = np.concatenate([audible(part) for part in model.stream(text, speed)] or [np.zeros(0, np.float32)])
    if not len(heard):
        return b""
    pause = np.zeros(int(PAUSES.get(text.rstrip(CLOSERS)[-1:], 0.0) / speed * SPOKEN), np.float32)
    return pcm_of(np.concatenate((heard, pause)))


def audible(heard: Float32) -> Float32:
    """`heard` without the silence around it, with soft edges."""
    import numpy as np

    loud = np.flatnonzero(np.abs(heard) > AUDIBLE)
    if not len(loud):
        return heard[:0]
    cut = heard[max(0, loud[0] - FADE) : loud[-1] + RELEASE].copy()
    ramp = np.linspace(0, 1, FADE, dtype=np.float32)
    cut[:FADE] *= ramp
    cut[-FADE:] *= ramp[::-1]
    return cut


def pieces(pcm: bytes, start: int, end: int) -> list[Sound]:
    """`pcm` in pieces, with how much of the text from `start` to `end` was said by each: as if all letters took equally
    long, since the model does not tell."""
    return [
        Sound(pcm[at : at + 2 * PIECE], start + round((end - start) * min(1.0, (at + 2 * PIECE) / len(pcm))))
        for at in range(0, len(pcm), 2 * PIECE)
    ]
