"""Where speech begins and ends in a recording, by its level beside the recording's own loud parts: so that breath,
clicks and the noise of a room count for nothing, however loud the recording."""

import numpy as np

from dragoman.cli import recording

BELOW = 25  # dB below the loud parts (the 95th percentile of the levels) that is still speech
_RUN = 5  # windows of 10 ms in a row


def spoken(sound: bytes) -> tuple[float, float]:
    """Seconds into `sound` (at `recording.RATE`) at which its speech begins and ends: its first and its last 50 ms of
    that level."""
    samples = np.frombuffer(sound, np.int16).astype(np.float64)
    size = recording.RATE // 100
    levels = np.sqrt((samples[: len(samples) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    loud = levels > np.quantile(levels, 0.95) * 10 ** (-BELOW / 20)
    runs = np.flatnonzero(np.convolve(loud, np.ones(_RUN, int), "valid") == _RUN)
    return int(runs[0]) / 100, (int(runs[-1]) + _RUN) / 100
