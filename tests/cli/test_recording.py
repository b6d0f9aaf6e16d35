"""WAV files of every usual kind."""

import math
import struct
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dragoman.cli.recording import RATE, RecordingError, audible, read, write

HALF = [0.5 * math.sin(2 * math.pi * 440 * n / RATE) for n in range(RATE // 10)]
EXPECTED = np.round(np.array(HALF) * 32768)


def wav(
    kind: int, channels: int, rate: int, bits: int, data: bytes, more: bytes = b"", size: int | None = None
) -> bytes:
    frame = channels * bits // 8
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + more
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


KINDS = {
    "8 bits": (1, 8, bytes(round(128 + x * 127) for x in HALF)),
    "16 bits": (1, 16, array("h", [round(x * 32767) for x in HALF]).tobytes()),
    "24 bits": (1, 24, b"".join(round(x * (2**23 - 1)).to_bytes(3, "little", signed=True) for x in HALF)),
    "32 bits": (1, 32, struct.pack(f"<{len(HALF)}i", *(round(x * (2**31 - 1)) for x in HALF))),
    "float": (3, 32, struct.pack(f"<{len(HALF)}f", *HALF)),
    "double": (3, 64, struct.pack(f"<{len(HALF)}d", *HALF)),
}


def samples(pcm: bytes) -> Any:
    return np.frombuffer(pcm, "<i2")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_sample_sounds_the_same(name: str, tmp_path: Path) -> None:
    kind, bits, data = KINDS[name]
    path = tmp_path / "a.wav"
    path.write_bytes(wav(kind, 1, RATE, bits, data))
    assert np.abs(samples(read(path)) - EXPECTED).max() <= (300 if bits == 8 else 2)


def test_the_extensible_head_says_what_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    more = struct.pack("<HHIH", 22, 32, 4, 3) + bytes.fromhex("000000001000800000aa00389b71")
    path.write_bytes(wav(0xFFFE, 1, RATE, 32, KINDS["float"][2], more))
    assert np.abs(samples(read(path)) - EXPECTED).max() <= 2


def test_channels_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(3, 2, RATE, 32, struct.pack(f"<{2 * len(HALF)}f", *(v for x in HALF for v in (x, 0.0)))))
    assert np.abs(samples(read(path)) - EXPECTED / 2).max() <= 2


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_every_rate_keeps_the_pitch_and_the_length(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    tone = [0.5 * math.sin(2 * math.pi * 440 * n / rate) for n in range(rate)]
    path.write_bytes(wav(3, 1, rate, 32, struct.pack(f"<{rate}f", *tone)))
    heard = samples(read(path))
    assert len(heard) == pytest.approx(RATE, abs=2)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() == 440


def test_a_stream_whose_length_was_never_written_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(1, 1, RATE, 16, KINDS["16 bits"][2], size=0xFFFFFFFF))
    assert len(samples(read(path))) == len(HALF)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no WAV file"),
        (b"ID3 this is an mp3", "ffmpeg"),
        (b"RIFF\x04\0\0\0WAVE", "no samples"),
        (wav(1, 1, RATE, 16, b""), "no sound"),
        (wav(1, 0, RATE, 16, b"\0\0"), "channels"),
        (wav(0x55, 1, RATE, 16, b"\0\0"), "format 85"),
        (wav(1, 1, RATE, 12, b"\0\0"), "12 bits"),
    ],
)
def test_what_cannot_be_played_is_said(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says):
        read(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pcm = array("h", [0, 1, -1, 32767, -32768]).tobytes()
    write(tmp_path / "a.wav", pcm)
    assert read(tmp_path / "a.wav") == pcm


def test_audible_is_what_is_louder_than_the_level() -> None:
    just = 32768 * 10 ** (-45 / 20)  # 184.3
    pcm = array("h", [0, int(just), int(just) + 1, -int(just), -int(just) - 1]).tobytes()
    assert audible(pcm) == [2, 4]
    assert audible(pcm, -90) == [1, 2, 3, 4]
