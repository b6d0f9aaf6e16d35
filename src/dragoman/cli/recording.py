"""Recordings: WAV files of the usual kinds as the sound that a realtime session takes, and back.

Sound is mono, 16-bit little-endian PCM at `RATE`. Source: Multimedia Programming Interface and Data Specifications 1.0
(RIFF); Microsoft's WAVEFORMATEXTENSIBLE.
"""

import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 24_000  # samples a second
LEVEL = -45.0  # dBFS above which a sample counts as audible
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_KINDS: dict[tuple[int, int], tuple[str, float, float]] = {  # format, bits -> numpy's name, what silence is, full scale
    (_PCM, 8): ("u1", 128, 128),
    (_PCM, 16): ("<i2", 0, 2**15),
    (_PCM, 32): ("<i4", 0, 2**31),
    (_FLOAT, 32): ("<f4", 0, 1),
    (_FLOAT, 64): ("<f8", 0, 1),
}


class RecordingError(Exception):
    """It is no recording that can be played; the message says why."""


def read(path: Path) -> bytes:
    """What the WAV file at `path` sounds like, its channels mixed to one. Raises `RecordingError`, `OSError`."""
    try:
        import numpy as np
    except ImportError:
        raise RecordingError("reading recordings needs numpy: install dragoman[voice]") from None
    from dragoman.voice.pcm import Resampler

    kind, channels, rate, bits, data = _parts(path.read_bytes())
    mono = _samples(kind, bits, data)
    mono = mono[: len(mono) // channels * channels].reshape(-1, channels).mean(axis=1)
    if not len(mono):
        raise RecordingError("there is no sound in it")
    pcm = bytes(np.clip(np.rint(mono * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes())
    if rate == RATE:
        return pcm
    resampler = Resampler(rate, RATE)
    return resampler.feed(pcm) + resampler.finish()


def write(path: Path, pcm: bytes) -> None:
    """`pcm` as a WAV file. Raises `OSError`."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes(pcm)


def audible(pcm: bytes, level: float = LEVEL) -> list[int]:
    """The places of all samples whose magnitude is above `level` (dBFS), in order."""
    least = 2**15 * 10 ** (level / 20)
    samples = memoryview(pcm[: len(pcm) // 2 * 2]).cast("h")
    return [place for place, sample in enumerate(samples) if sample > least or sample < -least]


def _parts(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Format, channels, samples a second, bits a sample, and the samples of a RIFF file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise RecordingError("this is no WAV file: convert it, for example with `ffmpeg -i FILE recording.wav`")
    head: tuple[int, int, int, int] | None = None
    for name, body in _chunks(data):
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if kind == _EXTENSIBLE and len(body) >= 26:
                (kind,) = struct.unpack_from("<H", body, 24)  # the sub-format begins with the format it extends
            head = kind, channels, rate, bits
        elif name == b"data" and head:
            if not head[1] or not head[2]:
                raise RecordingError("its head names no channels, or no rate")
            return *head, body
    raise RecordingError("the WAV file is broken: it has no samples, or does not say what they are")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF file. A length beyond the end (written by programs that stream) means the end."""
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _samples(kind: int, bits: int, data: bytes) -> "Samples":
    """The samples, full scale 1."""
    import numpy as np

    if (kind, bits) == (_PCM, 24):  # the upper three bytes of 32 bits
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8, len(data) // 3 * 3).reshape(-1, 3)
        data, bits = wide.tobytes(), 32
    if (kind, bits) not in _KINDS:
        raise RecordingError(
            f"its samples are of format {kind} with {bits} bits: expected PCM of 8 to 32 bits, or float"
        )
    name, zero, full = _KINDS[kind, bits]
    raw: NDArray[Any] = np.frombuffer(data, name, len(data) // (bits // 8))
    return ((raw.astype(np.float64) - zero) / full).astype(np.float32)
