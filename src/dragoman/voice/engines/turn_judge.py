"""The embedded judge: whether a turn is complete, by its sound and its words together. English.

The sound is heard by the transcriber's encoder: what it makes of the last 0.7 s tells how the voice falls, slows and
fades at an end. A weighted sum over that, and one over the runs of words that `wording` tells, make the log odds.
`docs/turn-taking.md` says how the weights were made, and what else was tried.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.routing import artifact
from dragoman.voice import wording
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import moonshine, weights
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.pcm import floats

if TYPE_CHECKING:
    from pathlib import Path

    from dragoman.voice.engines.moonshine import Moonshine
    from dragoman.voice.pcm import Float32

KIND = "turn judge"
SHORTEST, LONGEST = HEARD // 2, 8 * HEARD // 5  # samples that the encoder hears
SPANS = (-4, None), (-8, -4), (-13, -8), (-18, -13), (-28, -18)  # steps of 24 ms, from the end
STEPS = 28


class Ear:
    """The encoder."""

    def __init__(self, model: Moonshine) -> None:
        self._model = model

    def hear(self, pcm: bytes) -> Float32:
        """What the last of the turn's sound is like. Blocks, for 10 ms."""
        return self.told(floats(pcm[-2 * LONGEST :]))

    def told(self, heard: Float32) -> Float32:
        """The same, of at most `LONGEST` samples."""
        import numpy as np

        seen = self._model.see(np.pad(heard, (0, max(0, SHORTEST - len(heard)))))[-STEPS:]
        seen = np.pad(seen, ((STEPS - len(seen), 0), (0, 0)), mode="edge")
        told: Float32 = np.concatenate([seen[begin:end].mean(0) for begin, end in SPANS])
        return told


class Weights(Struct, frozen=True):
    """`sound`: for each number of the ear's, and what is added. `runs`: for each slot. `both`: for the sum over the
    words, the sum over the sound, and what is added."""

    sound: Float32
    runs: Float32
    both: Float32

    def complete(self, told: Float32, text: str) -> float:
        words = float(self.runs[wording.runs(wording.last_sentence(text))].sum())
        sound = float(self.sound[:-1] @ told + self.sound[-1])
        odds = float(self.both[0]) * words + float(self.both[1]) * sound + float(self.both[2])
        return 1 / (1 + math.exp(-odds))


class LocalJudge:
    """See `TurnJudge`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loaded = Once(lambda: pool.run(Urgency.NOW, load))

    async def ready(self) -> None:
        """Loads it. Raises `EngineError`."""
        await self._loaded.get()

    async def complete(self, pcm: bytes, words: str) -> float:
        ear, weighed = await self._loaded.get()
        return weighed.complete(await self._pool.run(Urgency.NOW, ear.hear, pcm), words)


@functools.cache
def load() -> tuple[Ear, Weights]:
    """Encoder and weights, warm. Blocks. Raises `EngineError`."""
    ear = Ear(moonshine.load())
    ear.hear(bytes(2 * HEARD))
    return ear, shipped()


def shipped(path: Path | None = None) -> Weights:
    """The weights in `path`, or those of the package."""
    import numpy as np

    path = path or weights.own("turn.dgm")
    file = artifact.unpack(path.read_bytes(), KIND, str(path))
    arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in file.arrays.items()}
    return Weights(arrays["sound"], arrays["runs"] * arrays["scale"], arrays["both"])
