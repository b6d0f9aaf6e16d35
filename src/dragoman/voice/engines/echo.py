"""Echo and noise taken out of what is heard: WebRTC's audio processing (BSD), as the `livekit` wheel carries it.

Echo is what a microphone hears of our own voice from a loudspeaker. It can be taken out where both sides share a clock:
a browser's call, or the page of the console. Noise can be taken out of anything.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from dragoman.voice.engine import HEARD, EngineError
from dragoman.voice.engines.weights import MEND

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame

FRAME = HEARD // 100  # samples: 10 ms
SILENCE = bytes(2 * FRAME)


def load() -> None:
    """Imports what is large, where it is installed. Blocks for half a second, the first time."""
    with contextlib.suppress(ImportError):
        importlib.import_module("livekit.rtc.apm")


class Cleaner:
    """One session's. About 50 µs a frame, so it is called in the event loop."""

    def __init__(self, *, echo: bool, noise: bool) -> None:
        """Imports livekit, which takes half a second the first time. Raises `EngineError` where it is missing."""
        try:
            from livekit.rtc.apm import AudioProcessingModule
        except ImportError:
            raise EngineError(f"livekit is not installed: {MEND}") from None
        self._echo = echo
        self._module = AudioProcessingModule(echo_cancellation=echo, noise_suppression=noise, high_pass_filter=True)

    def process(self, near: bytes, far: bytes = SILENCE) -> bytes:
        """`near` without echo and noise: `FRAME` samples at `HEARD`. `far`: what was sent to be played in that time, at
        the same rate; its echo may come up to half a second later."""
        if self._echo:
            self._module.process_reverse_stream(_frame(far))
        heard = _frame(near)
        self._module.process_stream(heard)
        return bytes(heard.data.cast("B"))


def _frame(pcm: bytes) -> AudioFrame:
    from livekit.rtc.audio_frame import AudioFrame

    return AudioFrame(bytearray(pcm), HEARD, 1, FRAME)
