"""Log-mel features as Whisper's models take them: 80 bands of 25 ms of sound, one every 10 ms.

After A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2, and the
Slaney mel scale (M. Slaney, "Auditory Toolbox", 1998): linear to 1 kHz, logarithmic above.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from dragoman.voice.engine import HEARD

if TYPE_CHECKING:
    from dragoman.voice.pcm import Float32

WINDOW, HOP, BANDS = 400, 160, 80
LEAST = 1e-10  # power of a band
RANGE = 8.0  # decades below the loudest; what is quieter counts as this


def log_mel(heard: Float32) -> Float32:
    """The features of `heard`, brought to mean 0 and variance 1 first: (BANDS, len(heard) // HOP)."""
    import numpy as np

    even = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)
    mirrored = np.pad(even, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, WINDOW)[: len(heard) : HOP]
    spectrum = np.fft.rfft(frames * _window(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.log10(np.maximum(_filters() @ power.T, LEAST))
    told: Float32 = (np.maximum(bands, bands.max() - RANGE) + 4) / 4
    return told


@functools.cache
def _window() -> Float32:
    import numpy as np

    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@functools.cache
def _filters() -> Float32:
    """A triangle a band, of one area each: (BANDS, WINDOW // 2 + 1)."""
    import numpy as np

    knee, step = 15.0, np.log(6.4) / 27  # mels at 1 kHz; the growth of one mel above
    top = knee + np.log(HEARD / 2 / 1000) / step
    mels = np.linspace(0, top, BANDS + 2)
    edges = np.where(mels < knee, mels * 200 / 3, 1000 * np.exp((mels - knee) * step))[:, None]
    hertz = np.linspace(0, HEARD / 2, WINDOW // 2 + 1)[None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle))
    even: Float32 = (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
    return even
