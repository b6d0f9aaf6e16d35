"""Sound as bytes: formats, rates, levels, and how it stands in JSON.

Within Dragoman sound is mono, 16-bit little-endian PCM (`dragoman.voice.engine`). Clients speak that at several rates,
or telephony's G.711 at 8 kHz. Rates are changed by a short windowed sinc of our own: it trails by 24 samples of the
lower rate (1.5 ms at 16 kHz), where soxr's streams, measured in pieces of 20 ms, trail by 20 to 115 ms, which a turn
would wait.

numpy (extra `voice`) is imported by what needs it, when it is called.
"""

from __future__ import annotations

import base64
import binascii
import functools
import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int16: TypeAlias = NDArray[np.int16]
    UInt8: TypeAlias = NDArray[np.uint8]
    Float32: TypeAlias = NDArray[np.float32]

Encoding = Literal["pcm16", "g711_ulaw", "g711_alaw"]

SILENT = -100.0  # dBFS, of what has no sound at all
TELEPHONY = 8_000  # samples a second of G.711
HALF_WIDTH = 24  # samples of the lower rate on each side that a resampled one is made of
AT_ONCE = 4096  # samples; each takes room for all that it is made of
KAISER = 8.0  # the window's shape: 80 dB down beyond the band
BAND = 0.93  # of half the lower rate: what passes


class BadAudio(Exception):
    """What a client sent is no sound in the format it named; the message says why."""


class Format(Struct, frozen=True):
    """How the other side's sound is written."""

    encoding: Encoding = "pcm16"
    rate: int = 24_000  # samples a second; G.711 has 8,000 by its nature


class Inward:
    """A stream from the other side's format to PCM at `rate`. Pieces may be of any length, but whole samples."""

    def __init__(self, format: Format, rate: int) -> None:
        self._encoding = format.encoding
        self._source = TELEPHONY if format.encoding != "pcm16" else format.rate
        self._rates = Resampler(self._source, rate) if self._source != rate else None

    def check(self, data: bytes) -> None:
        """Raises `BadAudio` for half a sample."""
        if self._encoding == "pcm16":
            whole(data)

    def ms(self, data: bytes) -> float:
        """How long it sounds."""
        return len(data) / (self._source * (2 if self._encoding == "pcm16" else 1) / 1000)

    def feed(self, data: bytes) -> bytes:
        """Raises `BadAudio` for half a sample."""
        pcm = decoded(data, self._encoding)
        return pcm if self._rates is None else self._rates.feed(pcm)


class Outward:
    """A stream from PCM at `rate` to the other side's format."""

    def __init__(self, format: Format, rate: int) -> None:
        self._encoding = format.encoding
        target = TELEPHONY if format.encoding != "pcm16" else format.rate
        self._rates = Resampler(rate, target) if target != rate else None

    def feed(self, pcm: bytes) -> bytes:
        return encoded(pcm if self._rates is None else self._rates.feed(pcm), self._encoding)

    def finish(self) -> bytes:
        """What is still to come when nothing more follows; the stream begins anew."""
        return b"" if self._rates is None else encoded(self._rates.finish(), self._encoding)


def decoded(data: bytes, encoding: Encoding) -> bytes:
    """PCM of what stands in `encoding`, at the same rate. Raises `BadAudio` for half a sample."""
    if encoding == "pcm16":
        return whole(data)
    import numpy as np

    table = _heard_of_ulaw() if encoding == "g711_ulaw" else _heard_of_alaw()
    return table[np.frombuffer(data, np.uint8)].tobytes()


def encoded(pcm: bytes, encoding: Encoding) -> bytes:
    """`pcm` written in `encoding`, at the same rate. Raises `BadAudio` for half a sample."""
    if encoding == "pcm16":
        return whole(pcm)
    table = _ulaw_of_sample() if encoding == "g711_ulaw" else _alaw_of_sample()
    written: bytes = table[samples(pcm).view("<u2")].tobytes()
    return written


def samples(pcm: bytes) -> Int16:
    """The samples as numbers. Raises `BadAudio` for half a sample."""
    import numpy as np

    return np.frombuffer(whole(pcm), "<i2")


def floats(pcm: bytes) -> Float32:
    """The samples as numbers from -1 to 1. Raises `BadAudio` for half a sample."""
    import numpy as np

    return samples(pcm).astype(np.float32) / np.float32(32768)


def pcm_of(heard: Float32) -> bytes:
    """The opposite of `floats`; what is too loud is clipped."""
    return _in_16_bits(heard * 32768)


def whole(pcm: bytes) -> bytes:
    """`pcm`, if it holds whole samples. Raises `BadAudio`."""
    if len(pcm) % 2:
        raise BadAudio(f"{len(pcm)} bytes of 16-bit sound end in the middle of a sample")
    return pcm


def level(pcm: bytes) -> float:
    """How loud it is on average: dB below full scale (root mean square), `SILENT` at least."""
    import numpy as np

    if not pcm:
        return SILENT
    heard = samples(pcm).astype(np.float32)
    power = float(np.dot(heard, heard)) / len(heard) / 32768.0**2
    return max(SILENT, 10 * math.log10(power)) if power else SILENT


def bytes_of(text: str) -> bytes:
    """What stands in base64, standard or URL-safe, padded or not. Raises `BadAudio` for anything else."""
    try:
        plain = text.translate(_URL_SAFE).encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadAudio(f"no base64: {error}") from None


def base64_of(data: bytes) -> str:
    """In the standard alphabet, padded."""
    return base64.b64encode(data).decode("ascii")


_URL_SAFE = str.maketrans("-_", "+/")


class Resampler:
    """A stream of PCM from one rate to another, in pieces of any length, without a seam between them."""

    def __init__(self, source: int, target: int) -> None:
        shared = math.gcd(source, target)
        self._up, self._down = target // shared, source // shared
        self._taps = _taps(self._up, self._down)
        self._width = self._taps.shape[1]
        self._begin()

    def _begin(self) -> None:
        import numpy as np

        self._held: Float32 = np.zeros(self._width // 2 - 1, np.float32)  # as if silence had come before
        self._at = 0  # the next sample's place in `_held`, in steps of one `_up`th

    def feed(self, pcm: bytes) -> bytes:
        """As many samples as can be told by now."""
        import numpy as np

        held = np.concatenate((self._held, samples(pcm)), dtype=np.float32)
        room = (len(held) - self._width + 1) * self._up - self._at
        count = max(0, -(-room // self._down))
        if not count:
            self._held = held
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(held, self._width)
        told = np.empty(count, np.float32)
        for start in range(0, count, AT_ONCE):
            end = min(count, start + AT_ONCE)
            first, phase = np.divmod(self._at + self._down * np.arange(start, end), self._up)
            np.einsum("nt,nt->n", windows[first], self._taps[phase], out=told[start:end])
        used, self._at = divmod(self._at + self._down * count, self._up)
        self._held = held[used:]
        self._at += max(0, used - len(held)) * self._up
        return _in_16_bits(told)

    def finish(self) -> bytes:
        """The rest, as if silence followed; the next piece begins a new stream."""
        rest = self.feed(bytes(self._width))
        self._begin()
        return rest


@functools.cache
def _taps(up: int, down: int) -> Float32:
    """One row of weights for each place between two samples where a new one may stand (`up` of them)."""
    import numpy as np

    wide = max(1.0, down / up)  # going down, the lower rate's samples are this many of the higher
    half = math.ceil(HALF_WIDTH * wide)
    away = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(KAISER * np.sqrt(np.maximum(0, 1 - (away / half) ** 2))) / np.i0(KAISER)
    taps = np.sinc(away * BAND / wide) * window
    even: Float32 = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return even


def _in_16_bits(heard: Float32) -> bytes:
    import numpy as np

    return np.clip(np.rint(heard), -32768, 32767).astype("<i2").tobytes()


# ITU-T G.711: eight segments a side, each twice as steep as the one before, 16 steps in each.


@functools.cache
def _heard_of_ulaw() -> Int16:
    import numpy as np

    code = ~np.arange(256) & 0xFF
    segment, step = code >> 4 & 7, code & 15
    size = ((step * 2 + 33) << segment) - 33
    return np.where(code & 0x80, -size * 4, size * 4).astype("<i2")


@functools.cache
def _heard_of_alaw() -> Int16:
    import numpy as np

    code = np.arange(256) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    size = np.where(segment == 0, step * 2 + 1, (step * 2 + 33) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size * 8, -size * 8).astype("<i2")


@functools.cache
def _ulaw_of_sample() -> UInt8:
    """For each sample, read as an unsigned number, its code."""
    import numpy as np

    value = np.arange(65536).astype("<u2").view("<i2").astype(np.int64)
    size = np.minimum(np.abs(value), 32635) + 132
    segment = np.floor(np.log2(size)).astype(np.int64) - 7
    code = segment << 4 | size >> (segment + 3) & 15
    codes: UInt8 = (~(code | np.where(value < 0, 0x80, 0)) & 0xFF).astype(np.uint8)
    return codes


@functools.cache
def _alaw_of_sample() -> UInt8:
    import numpy as np

    value = np.arange(65536).astype("<u2").view("<i2").astype(np.int64)
    size = np.where(value < 0, ~value, value) >> 3
    segment = np.maximum(0, np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) - 4)
    code = segment << 4 | size >> np.maximum(segment, 1) & 15
    codes: UInt8 = ((code | np.where(value < 0, 0, 0x80)) ^ 0x55).astype(np.uint8)
    return codes
