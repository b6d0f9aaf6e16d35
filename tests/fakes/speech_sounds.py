"""The sounds of fake voices: a stretch of silence, as real ones begin with, then a tone."""

import math
import struct

from dragoman.voice import wav

SILENCE_MS, TONE_MS = 150, 400


def spoken(rate: int = 24_000, tone_ms: int = TONE_MS) -> bytes:
    """PCM with 16 bits."""
    tone = [round(8000 * math.sin(2 * math.pi * 220 * i / rate)) for i in range(rate * tone_ms // 1000)]
    return bytes(rate * SILENCE_MS // 1000 * 2) + struct.pack(f"<{len(tone)}h", *tone)


def streamed_wav(rate: int) -> bytes:
    """A WAV file as servers stream it: without its length, and with a chunk that nobody needs."""
    head = wav.head(rate)
    return head[:36] + b"LIST\x04\x00\x00\x00fake" + head[36:] + spoken(rate)


def cut(sound: bytes, size: int = 1001) -> list[bytes]:
    """In pieces of an odd length."""
    return [sound[i : i + size] for i in range(0, len(sound), size)]
