"""Sound as bytes."""

import itertools
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.voice import pcm
from dragoman.voice.pcm import BadAudio, Format, Inward, Outward, Resampler

RATES = (8_000, 16_000, 24_000, 44_100, 48_000)


def tone(hertz: float, rate: int, seconds: float = 0.5, size: float = 0.5) -> bytes:
    steps = range(int(rate * seconds))
    return struct.pack(f"<{len(steps)}h", *(round(32767 * size * math.sin(math.tau * hertz * n / rate)) for n in steps))


@pytest.mark.parametrize("encoding", ["g711_ulaw", "g711_alaw"])
def test_every_code_of_telephony_survives(encoding: pcm.Encoding) -> None:
    codes = bytes(range(256))
    heard = pcm.decoded(codes, encoding)
    again = pcm.encoded(heard, encoding)
    assert pcm.decoded(again, encoding) == heard
    if encoding == "g711_alaw":
        assert again == codes
    else:
        assert [code for code in codes if again[code] != code] == [0x7F]  # minus zero


@pytest.mark.parametrize(
    ("encoding", "codes"),
    [  # of 0, 1000, -1000, 32767, -32768; as ITU-T G.191's reference writes them
        ("g711_ulaw", bytes([0xFF, 0xCE, 0x4E, 0x80, 0x00])),
        ("g711_alaw", bytes([0xD5, 0xFA, 0x7A, 0xAA, 0x2A])),
    ],
)
def test_telephony_is_written_as_the_standard_says(encoding: pcm.Encoding, codes: bytes) -> None:
    assert pcm.encoded(struct.pack("<5h", 0, 1000, -1000, 32767, -32768), encoding) == codes


@pytest.mark.parametrize("encoding", ["g711_ulaw", "g711_alaw"])
@given(samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_telephony_is_wrong_by_a_thirtieth_at_most(encoding: pcm.Encoding, samples: list[int]) -> None:
    heard = pcm.samples(pcm.decoded(pcm.encoded(struct.pack(f"<{len(samples)}h", *samples), encoding), encoding))
    assert all(
        abs(int(one) - was) <= abs(was) / 30 + 8 for one, was in zip(heard, samples, strict=True) if was > -32700
    )


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", RATES)
def test_a_tone_is_the_same_at_any_rate(source: int, target: int) -> None:
    rates = Resampler(source, target)
    made = rates.feed(tone(440, source)) + rates.finish()
    wanted = tone(440, target)
    assert abs(len(made) - len(wanted)) <= 2
    inner = slice(len(wanted) // 5 * 2, len(wanted) // 5 * 4)
    difference = pcm.samples(made[inner]).astype(int) - pcm.samples(wanted[inner])
    assert abs(difference).max() <= 4


@pytest.mark.parametrize(("source", "target"), [(24_000, 16_000), (48_000, 16_000), (24_000, 8_000)])
def test_what_is_too_high_for_the_lower_rate_is_gone(source: int, target: int) -> None:
    rates = Resampler(source, target)
    made = rates.feed(tone(target * 0.6, source)) + rates.finish()
    assert pcm.level(made[400:-400]) < -70


@settings(max_examples=50)
@given(
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    cuts=st.lists(st.integers(0, 1200), max_size=8),
)
def test_it_does_not_matter_where_a_stream_is_cut(rates: tuple[int, int], cuts: list[int]) -> None:
    sound = tone(700, rates[0], 0.05)
    whole = Resampler(*rates)
    expected = whole.feed(sound) + whole.finish()
    pieces = Resampler(*rates)
    edges = [0, *sorted(min(2 * cut, len(sound)) for cut in cuts), len(sound)]
    made = b"".join(pieces.feed(sound[a:b]) for a, b in itertools.pairwise(edges)) + pieces.finish()
    assert made == expected


def test_a_stream_trails_by_two_milliseconds_at_most() -> None:
    rates = Resampler(24_000, 16_000)
    assert len(rates.feed(tone(440, 24_000, 1.0))) >= 2 * (16_000 - 32)


def test_a_stream_begins_anew_after_its_end() -> None:
    rates = Resampler(24_000, 16_000)
    first = rates.feed(tone(440, 24_000)) + rates.finish()
    assert rates.feed(tone(440, 24_000)) + rates.finish() == first


def test_a_telephones_stream_goes_to_and_fro() -> None:
    out, back = Outward(Format("g711_ulaw"), 24_000), Inward(Format("g711_ulaw"), 16_000)
    line = out.feed(tone(440, 24_000)) + out.finish()
    assert len(line) == 4_000
    assert abs(pcm.level(back.feed(line)) - pcm.level(tone(440, 16_000))) < 0.2


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(BadAudio, match="3 bytes"):
        Inward(Format(), 24_000).feed(b"abc")


def test_levels_are_told_in_decibels() -> None:
    assert pcm.level(b"") == pcm.level(bytes(200)) == pcm.SILENT
    assert round(pcm.level(tone(440, 16_000, size=1.0)), 1) == -3.0
    assert round(pcm.level(tone(440, 16_000, size=0.1)), 1) == -23.0


@given(data=st.binary(max_size=64))
def test_base64_is_read_in_both_alphabets_padded_or_not(data: bytes) -> None:
    plain = pcm.base64_of(data)
    safe = plain.replace("+", "-").replace("/", "_")
    assert {pcm.bytes_of(text) for text in (plain, safe, plain.rstrip("="), safe.rstrip("="))} == {data}


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA=A", "AA AA", "ü", "AA\n", "===="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(BadAudio, match="no base64"):
        pcm.bytes_of(text)


def test_a_long_piece_takes_little_more_room_than_itself() -> None:
    import tracemalloc

    sound, rates = tone(440, 48_000, 5.0), Resampler(48_000, 16_000)
    tracemalloc.start()
    rates.feed(sound)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30 * len(sound)
