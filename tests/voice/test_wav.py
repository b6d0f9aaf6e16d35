"""WAV files as others write them."""

import struct

import numpy as np
import pytest

from dragoman.voice import wav

SOUND = np.round(np.sin(np.arange(800) / 9) * 12_000).astype("<i2")


def written(tag: int, bits: int, data: bytes, *, channels: int = 1, extensible: bool = False) -> bytes:
    each = bits // 8 * channels
    format = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, 8000, 8000 * each, each, bits)
    if extensible:
        format += struct.pack("<HHIH14s", 22, bits, 4, tag, b"\0" * 14)
    chunks = [(b"fmt ", format), (b"LIST", b"odd"), (b"data", data)]
    body = b"".join(name + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2) for name, chunk in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


FILES = {
    "8 bits": written(1, 8, (SOUND // 256 + 128).astype(np.uint8).tobytes()),
    "16 bits": written(1, 16, SOUND.tobytes()),
    "24 bits": written(1, 24, b"".join(b"\0" + sample.tobytes() for sample in SOUND)),
    "32 bits": written(1, 32, (SOUND.astype("<i4") << 16).tobytes()),
    "float": written(3, 32, (SOUND / np.float32(32768)).astype("<f4").tobytes()),
    "extensible": written(1, 16, SOUND.tobytes(), extensible=True),
    "stereo": written(1, 16, np.repeat(SOUND, 2).tobytes(), channels=2),
}


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_of_file_is_read(kind: str) -> None:
    pcm, rate = wav.read(FILES[kind])
    assert rate == 8000
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int) - SOUND).max() <= (256 if kind == "8 bits" else 1)


@pytest.mark.parametrize("cut", [1, 7, 44, 45, 50, 51, 800])
def test_wherever_it_is_cut_the_sound_is_the_same(cut: int) -> None:
    file = FILES["16 bits"] + b"LIST\x02\0\0\0no"
    head = wav.Head()
    pieces = [head.feed(file[at : at + cut]) for at in range(0, len(file), cut)]
    assert b"".join(pieces) == SOUND.tobytes()
    assert head.format == wav.Format(8000, 1, "int16")


def test_a_file_that_was_written_while_it_was_made_goes_on_to_its_end() -> None:
    assert wav.read(wav.head(8000) + SOUND.tobytes()) == (SOUND.tobytes(), 8000)
    assert wav.read(wav.head(8000, 100) + SOUND.tobytes()) == (SOUND.tobytes()[:100], 8000)


@pytest.mark.parametrize(
    "file",
    [b"", b"ID3\x04", b"RIFF\0\0\0\0AVI fmt ", FILES["16 bits"][:40], written(2, 4, b"\0" * 100),
     written(1, 16, b"")[:20], b"RIFF\0\0\0\0WAVEdata\x04\0\0\0\0\0\0\0"],
)  # fmt: skip
def test_what_is_no_wav_file_is_refused(file: bytes) -> None:
    with pytest.raises(wav.BadWav):
        wav.read(file)
