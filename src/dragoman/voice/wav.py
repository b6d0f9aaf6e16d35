"""WAV files: their head, read as it comes, and whole ones as PCM.

Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF WAVE), and WAVEFORMATEXTENSIBLE.
"""

from __future__ import annotations

import struct
from typing import Literal

from msgspec import Struct

from dragoman.voice.pcm import decoded, pcm_of

Encoding = Literal["uint8", "int16", "int24", "int32", "float32", "ulaw", "alaw"]
_ENCODINGS: dict[tuple[int, int], Encoding] = {  # by format tag and bits
    (1, 8): "uint8",
    (1, 16): "int16",
    (1, 24): "int24",
    (1, 32): "int32",
    (3, 32): "float32",
    (6, 8): "alaw",
    (7, 8): "ulaw",
}
_EXTENSIBLE = 0xFFFE
_LONGEST = 1024 * 1024  # bytes of a head: it may hold chunks that we pass over


class BadWav(Exception):
    """It is no WAV file that is read here; the message says why."""


class Format(Struct, frozen=True):
    rate: int  # samples a second
    channels: int
    encoding: Encoding


class Head:
    """Reads a file from its start, in pieces of any length. `format` is there once the sound begins."""

    def __init__(self) -> None:
        self.format: Format | None = None
        self._held = b""
        self._left: int | None = None  # bytes of sound to come; None: it goes on to the end

    def feed(self, data: bytes) -> bytes:
        """The sound in `data`. Raises `BadWav`."""
        if self.format is None:
            self._held += data
            start = self._start()
            if start is None:
                if len(self._held) > _LONGEST:
                    raise BadWav("no sound within its first MiB")
                return b""
            data, self._held = self._held[start:], b""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def _start(self) -> int | None:
        """Where the sound starts; None where that is not known yet."""
        held = self._held
        if not b"RIFF".startswith(held[:4]) or (len(held) >= 12 and held[8:12] != b"WAVE"):
            raise BadWav("it does not begin as a WAV file does")
        at, format = 12, None
        while at + 8 <= len(held):
            name, size = held[at : at + 4], int.from_bytes(held[at + 4 : at + 8], "little")
            at += 8
            if name == b"data":
                if format is None:
                    raise BadWav("its sound comes before its format")
                self.format = format
                self._left = None if size in {0, 0xFFFFFFFF, 0x7FFFFFFF} else size  # written while it was made
                return at
            if name == b"fmt " and at + size <= len(held):
                format = _format(held[at : at + size])
            at += size + size % 2
        return None


def _format(chunk: bytes) -> Format:
    try:
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
        if tag == _EXTENSIBLE:
            (tag,) = struct.unpack_from("<H", chunk, 24)
    except struct.error:
        raise BadWav("its format is cut off") from None
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None or not channels or not 4_000 <= rate <= 384_000:
        raise BadWav(f"{bits} bits of format {tag} in {channels} channels at {rate} Hz are not read here")
    return Format(rate, channels, encoding)


def read(data: bytes) -> tuple[bytes, int]:
    """The sound of a whole file as mono PCM with 16 bits, and its rate. Raises `BadWav`."""
    import numpy as np

    head = Head()
    sound = head.feed(data)
    if head.format is None:
        raise BadWav("it holds no sound")
    encoding, channels = head.format.encoding, head.format.channels
    width = {"uint8": 1, "int16": 2, "int24": 3, "int32": 4, "float32": 4, "ulaw": 1, "alaw": 1}[encoding]
    sound = sound[: len(sound) // (width * channels) * width * channels]
    match encoding:
        case "uint8":
            heard = (np.frombuffer(sound, np.uint8).astype(np.float32) - 128) / 128
        case "int24":
            parts = np.frombuffer(sound, np.uint8).reshape(-1, 3)
            heard = parts[:, 1:].copy().view("<i2").ravel().astype(np.float32) / 32768
        case "int32":
            heard = np.frombuffer(sound, "<i4").astype(np.float32) / 2**31
        case "float32":
            heard = np.nan_to_num(np.frombuffer(sound, "<f4"))
        case "ulaw" | "alaw":
            plain = decoded(sound, "g711_ulaw" if encoding == "ulaw" else "g711_alaw")
            heard = np.frombuffer(plain, "<i2").astype(np.float32) / 32768
        case "int16":
            if channels == 1:
                return sound, head.format.rate
            heard = np.frombuffer(sound, "<i2").astype(np.float32) / 32768
    mono = heard.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return pcm_of(mono), head.format.rate


def head(rate: int, size: int | None = None) -> bytes:
    """The head of a file with mono PCM of 16 bits: `size` bytes of it; None: not known yet."""
    sound = 0xFFFFFFFF if size is None else size
    riff = 0xFFFFFFFF if size is None else size + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", sound
    )
