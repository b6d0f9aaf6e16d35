"""Speech is told from other sound."""

import random

import pytest

import speech
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import vad
from dragoman.voice.engines.vad import Silero
from dragoman.voice.pcm import floats, pcm_of, samples

SECOND = 2 * HEARD  # bytes
FRAME = 2 * Silero.FRAME


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    return vad.load()


def heard(model, pcm: bytes, activity: Silero | None = None) -> list[float]:  # type: ignore[no-untyped-def]
    activity = activity or Silero(model)
    return [activity.probability(pcm[at : at + FRAME]) for at in range(0, len(pcm) - FRAME + 1, FRAME)]


def noise(seconds: float, size: float, seed: int = 1) -> bytes:
    import numpy as np

    return pcm_of(np.random.default_rng(seed).standard_normal(int(seconds * HEARD)).astype(np.float32) * size)


def mixed(one: bytes, other: bytes) -> bytes:
    length = max(len(one), len(other))
    return pcm_of(floats(one.ljust(length, b"\0")) + floats(other.ljust(length, b"\0")))


def test_people_are_heard(model) -> None:  # type: ignore[no-untyped-def]
    for clip in (*speech.recordings(), speech.beckett()):
        frames = heard(model, bytes(SECOND // 2) + clip.pcm)
        assert sum(one > 0.5 for one in frames) > 0.3 * len(clip.pcm) / FRAME, clip.text


@pytest.mark.parametrize("size", [0.0, 0.0003, 0.003, 0.03])
def test_noise_is_not_speech(model, size: float) -> None:  # type: ignore[no-untyped-def]
    assert max(heard(model, noise(4, size))) < 0.5


@pytest.mark.parametrize("behind", [0.0, 0.0001, 0.001])
def test_the_end_of_speech_is_known_within_a_few_frames(model, behind: float) -> None:  # type: ignore[no-untyped-def]
    said = speech.spoken("I would like to know what the weather is like today")
    end = SECOND // 2 + len(said) - SECOND // 20  # the voice ends 50 ms after its last audible sample
    sound = bytes(SECOND // 2) + said + bytes(SECOND)
    frames = heard(model, mixed(sound, noise(len(sound) / SECOND, behind)))
    last = max(at for at, one in enumerate(frames) if one > 0.5)
    assert abs((last + 1) * FRAME - end) < 0.09 * SECOND


def test_speech_in_loud_noise_is_still_heard(model) -> None:  # type: ignore[no-untyped-def]
    said = speech.spoken("I would like to know what the weather is like today")
    frames = heard(model, mixed(said, noise(len(said) / SECOND, 0.01)))
    assert sum(one > 0.5 for one in frames) > 0.6 * len(frames)


def test_speech_after_long_noise_is_heard_as_soon_as_at_the_start(model) -> None:  # type: ignore[no-untyped-def]
    said, before = speech.spoken("Could you repeat that"), noise(8, 0.003)

    def first(pcm: bytes) -> int:
        return next(at for at, one in enumerate(heard(model, pcm)) if one > 0.5)

    assert first(before + said) - len(before) // FRAME <= first(bytes(SECOND // 2) + said) - SECOND // 2 // FRAME + 2


def test_sessions_do_not_hear_each_other_and_a_reset_forgets(model) -> None:  # type: ignore[no-untyped-def]
    said = speech.spoken("One two three")[: 20 * FRAME]
    alone = heard(model, said)
    one, other = Silero(model), Silero(model)
    both = [
        (one.probability(said[at : at + FRAME]), other.probability(bytes(FRAME)))[0]
        for at in range(0, len(said), FRAME)
    ]
    assert both == alone
    one.reset()
    assert heard(model, said, one) == alone


def test_any_frame_has_a_probability(model) -> None:  # type: ignore[no-untyped-def]
    chance, activity = random.Random(4), Silero(model)
    for _ in range(50):
        size = chance.choice([0, 1, 1000, 32767])
        frame = b"".join(
            chance.randint(-size - 1, size).to_bytes(2, "little", signed=True) for _ in range(Silero.FRAME)
        )
        assert 0 <= activity.probability(frame) <= 1
        assert len(samples(frame)) == Silero.FRAME
