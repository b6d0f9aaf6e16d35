"""Voice activity: Silero's model (MIT), as the `pipecat-ai` wheel carries it. Any language.

A window of 512 samples at 16 kHz with the 64 before it goes in, and the memory of the windows before; out comes how
likely somebody speaks in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dragoman.voice.engine import HEARD
from dragoman.voice.engines import weights
from dragoman.voice.pcm import floats

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from dragoman.voice.pcm import Float32

FILE = "audio/vad/data/silero_vad.onnx"
SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
WINDOW, BEFORE = 512, 64  # samples


def load() -> InferenceSession:
    """The model; sessions share it. Blocks. Raises `EngineError`."""
    return weights.opened(weights.find("pipecat", FILE, SHA256))


class Silero:
    """One session's listening: see `VoiceActivity`."""

    FRAME = WINDOW

    def __init__(self, model: InferenceSession) -> None:
        import numpy as np

        self._model = model
        self._rate = np.array(HEARD, np.int64)
        self.reset()

    def reset(self) -> None:
        import numpy as np

        self._before: Float32 = np.zeros(BEFORE, np.float32)
        self._memory: Any = np.zeros((2, 1, 128), np.float32)

    def probability(self, frame: bytes) -> float:
        import numpy as np

        heard = np.concatenate((self._before, floats(frame)))
        self._before = heard[-BEFORE:]
        given = {"input": heard[None], "state": self._memory, "sr": self._rate}
        spoken, self._memory = self._model.run(None, given)
        return float(spoken[0, 0])
