"""Whether a turn is complete, by its sound: Smart Turn v3.2 (BSD-2), as the `pipecat-ai` wheel carries it.

It hears the last 8 s, up to the pause that is judged. It knows 23 languages.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from dragoman.voice.engine import HEARD
from dragoman.voice.engines import weights
from dragoman.voice.engines.mel import log_mel
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.pcm import floats

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE = "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
LENGTH = 8 * HEARD  # samples


class SmartTurn:
    """See `TurnJudge`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._model = Once(lambda: pool.run(Urgency.NOW, load))

    async def ready(self) -> None:
        """Loads it. Raises `EngineError`."""
        await self._model.get()

    async def complete(self, pcm: bytes, words: str) -> float:
        return await self._pool.run(Urgency.NOW, probability, await self._model.get(), pcm)


@functools.cache
def load() -> InferenceSession:
    """The model, warm. Blocks. Raises `EngineError`."""
    model = weights.opened(weights.find("pipecat", FILE, SHA256))
    probability(model, bytes(2 * HEARD))
    return model


def probability(model: InferenceSession, pcm: bytes) -> float:
    """That a turn with this sound is complete. Blocks."""
    import numpy as np

    heard = floats(pcm[-2 * LENGTH :])
    heard = np.pad(heard, (LENGTH - len(heard), 0))
    (complete,) = model.run(None, {"input_features": log_mel(heard)[None]})
    return float(complete[0, 0])
