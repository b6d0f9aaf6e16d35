"""From what hibari's network predicts to sound, piece by piece, so that the first is heard before the last is made.

The network tells a spectrum for each 12.5 ms in parts: a filter for the pulses of the voice, one for noise, and a
remainder (the formula stands in hibari's README, "ONNX interface"). Frames that will not be audible are not made at
all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dragoman.voice.engine import SPOKEN

if TYPE_CHECKING:
    import numpy as np

    from dragoman.voice.pcm import Float32

HOP = 300  # samples a frame
AROUND = 4  # frames on each side that a piece's edges depend on
FIRST, FURTHER = 24, 48  # frames a piece: 300 and 600 ms
LOUD = 0.0  # log magnitude of a frame's strongest bin that is surely audible
ONSET, DYING = 4, 12  # frames before and after such ones that may be
STEEPEST = 7.0  # log magnitude; more is clipped
AUDIBLE = 10 ** (-45 / 20)  # of full scale
FADE = SPOKEN // 400  # samples over which sound comes up and dies away
RELEASE = SPOKEN // 20  # samples that stay behind the last audible one


class Prediction:
    """What the network predicts for one sentence: see `pieces`."""

    def __init__(self, outputs: list[Any], noise: np.random.Generator) -> None:
        from hibari import dsp

        *spectra, pitch = (output[0] for output in outputs)
        self._spectra, self._noise = spectra, noise
        self._source = dsp.pulses(pitch)
        self._hiss: Any = None  # the noise of the frames that the next piece shares with the last
        self.start, self.end = _audible_frames(spectra)

    def pieces(self) -> Iterator[tuple[Float32, float]]:
        """Sound from the first audible sample to the last, each piece with how much of the whole is said at its end
        (0..1). Each is computed when it is asked for."""
        at = self.start
        while at < self.end:
            until = min(self.end, at + (FIRST if at == self.start else FURTHER))
            heard = self._sound(at, until)
            if at == self.start:
                heard = _risen(heard)
            if until == self.end:
                heard = _fallen(heard)
            yield heard, (until - self.start) / (self.end - self.start)
            at = until

    def _sound(self, start: int, end: int) -> Float32:
        from hibari import dsp

        frames = self._spectra[0].shape[1]
        low, high = max(0, start - AROUND), min(frames, end + AROUND)
        made: Float32 = dsp.ola(self._spectrum(low, high))
        return made[(start - low) * HOP : (end - low) * HOP]

    def _spectrum(self, low: int, high: int) -> Any:
        import numpy as np
        from hibari import dsp

        voiced, turn, noisy, free, phase = (part[:, low:high] for part in self._spectra)
        made = dsp.stft(self._source[low * HOP : high * HOP], high - low)
        made *= _magnitude(voiced) * _turned(np.pi * np.tanh(turn))
        made += _magnitude(noisy) * self._hiss_of(high - low)
        made += _magnitude(free) * _turned(phase)
        return made

    def _hiss_of(self, frames: int) -> Any:
        import numpy as np

        shared = self._hiss[:, -2 * AROUND :] if self._hiss is not None else np.zeros((len(self._spectra[0]), 0), "c8")
        fresh = self._noise.standard_normal((len(shared), 2 * (frames - shared.shape[1])), dtype=np.float32)
        self._hiss = np.concatenate((shared, fresh.view(np.complex64)), axis=1)
        return self._hiss


def _magnitude(log: Float32) -> Any:
    import numpy as np

    return np.exp(np.minimum(log, STEEPEST))


def _turned(phase: Float32) -> Any:
    """e^(i phase); many times faster than numpy's own for complex numbers."""
    import numpy as np

    turned = np.empty(phase.shape, np.complex64)
    np.cos(phase, out=turned.real)
    np.sin(phase, out=turned.imag)
    return turned


def _audible_frames(spectra: list[Any]) -> tuple[int, int]:
    import numpy as np

    voiced, _, noisy, free, _ = spectra
    loud = np.flatnonzero(np.maximum(np.maximum(voiced, noisy), free).max(axis=0) > LOUD)
    if not len(loud):
        return 0, 0
    return max(0, int(loud[0]) - ONSET), min(voiced.shape[1], int(loud[-1]) + 1 + DYING)


def _risen(heard: Float32) -> Float32:
    """Without what comes before the first audible sample."""
    import numpy as np

    loud = np.flatnonzero(np.abs(heard) > AUDIBLE)
    if not len(loud):
        return heard
    heard = heard[max(0, loud[0] - FADE) :].copy()
    heard[:FADE] *= np.linspace(0, 1, FADE, dtype=np.float32)
    return heard


def _fallen(heard: Float32) -> Float32:
    """Without what comes long after the last audible sample."""
    import numpy as np

    loud = np.flatnonzero(np.abs(heard) > AUDIBLE)
    heard = heard[: (int(loud[-1]) if len(loud) else 0) + RELEASE].copy()
    fade = min(FADE, len(heard))
    heard[len(heard) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return heard
