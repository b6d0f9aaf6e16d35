"""The embedded judge: whether a turn is complete, by its sound and its words together. English.

The sound is heard by the encoder of Smart Turn v3.2. Its own verdict is trained for another task and is little better
than chance within 100 ms of silence (0.60 of 1 as the area under the curve, where 0.5 is chance); what its layers hear
in the last 0.6 s tells far more (0.94): how the voice falls, slows and fades at an end. A weighted sum over those, and
over what `wording` tells of the words, is the log odds. `docs/turn-taking.md` says how the weights were made.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.routing import artifact
from dragoman.voice import wording
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import weights
from dragoman.voice.engines.mel import log_mel
from dragoman.voice.engines.pool import Once, Pool, Urgency
from dragoman.voice.pcm import floats

if TYPE_CHECKING:
    from pathlib import Path

    from onnxruntime import InferenceSession

    from dragoman.voice.pcm import Float32

FILE = "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
KIND = "turn judge"
LENGTH = 8 * HEARD  # samples that the encoder hears
POOLED, LAYERS = "sum_1", ("layer_norm_4", "layer_norm_8")  # the model's own names
SPANS = (-5, None), (-10, -5), (-15, -10), (-30, -15)  # steps of 20 ms, from the end


class Ear:
    """The encoder."""

    def __init__(self, model: InferenceSession) -> None:
        self._model = model

    def hear(self, pcm: bytes) -> Float32:
        """What the last of the turn's sound is like. Blocks, for 27 ms."""
        import numpy as np

        heard = floats(pcm[-2 * LENGTH :])
        heard = np.pad(heard, (LENGTH - len(heard), 0))
        pooled, *layers = self._model.run([POOLED, *LAYERS], {"input_features": log_mel(heard)[None]})
        parts = [layer[0, begin:end].mean(0) for layer in layers for begin, end in SPANS]
        told: Float32 = np.concatenate([*parts, pooled.ravel()])
        return told


class Weights(Struct, frozen=True):
    """`sound` and `runs` are sums of their own; the log odds are a sum over both and the other numbers of the words."""

    sound: Float32
    runs: Float32
    words: Float32  # of `wording.numbers`, then of `sound`'s sum, then what is added

    def complete(self, told: Float32, text: str) -> float:
        import numpy as np

        whole = float(self.runs[wording.runs(wording.last_sentence(text))].sum())
        given = [*wording.numbers(text, whole), float(self.sound[:-1] @ told + self.sound[-1]), 1.0]
        return float(1 / (1 + np.exp(-self.words @ np.asarray(given, np.float32))))


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
    model = weights.find("pipecat", FILE, SHA256).read_bytes()
    ear = Ear(weights.opened(model + _outputs(POOLED, *LAYERS)))
    ear.hear(bytes(2 * HEARD))
    return ear, shipped()


def shipped(path: Path | None = None) -> Weights:
    """The weights in `path`, or those of the package."""
    import numpy as np

    path = path or weights.own("turn.dgm")
    file = artifact.unpack(path.read_bytes(), KIND, str(path))
    arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in file.arrays.items()}
    return Weights(arrays["sound"], arrays["runs"] * arrays["scale"], arrays["words"])


def _outputs(*names: str) -> bytes:
    """Put behind an ONNX file, this makes values within its graph outputs too: protocol buffers that follow each other
    are merged (model: field 7, graph: field 12, name: field 1)."""
    return _field(7, b"".join(_field(12, _field(1, name.encode())) for name in names))


def _field(number: int, content: bytes) -> bytes:
    if len(content) > 127:
        raise ValueError("a length of more than one byte")
    return bytes([number << 3 | 2, len(content)]) + content
