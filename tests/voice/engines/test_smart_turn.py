"""Whether a turn is complete, by its sound."""

import math

import pytest

import speech
from dragoman.voice.engine import HEARD
from dragoman.voice.engines.mel import BANDS, log_mel
from dragoman.voice.engines.pool import Pool
from dragoman.voice.engines.smart_turn import SmartTurn

SECOND = 2 * HEARD


@pytest.fixture
def judge(pool: Pool) -> SmartTurn:
    return SmartTurn(pool)


async def test_a_whole_question_is_complete_and_half_of_one_is_not(judge: SmartTurn) -> None:
    question = speech.recordings()[4]
    assert question.text.startswith("and mister john dashwood")
    assert await judge.complete(question.pcm, "") > 0.8
    assert await judge.complete(question.pcm[: 3 * SECOND], "") < 0.4


@pytest.mark.parametrize("seconds", [0.0, 0.01, 7.99, 8.0, 20.0])
async def test_a_turn_of_any_length_is_judged(judge: SmartTurn, seconds: float) -> None:
    assert 0 <= await judge.complete(speech.two_cities().pcm[: int(seconds * HEARD) * 2], "") <= 1


async def test_only_the_last_eight_seconds_count(judge: SmartTurn) -> None:
    pcm = speech.two_cities().pcm[: 12 * SECOND]
    assert await judge.complete(pcm, "") == await judge.complete(pcm[4 * SECOND :], "words")


@pytest.mark.parametrize(("hertz", "band"), [(200, 4), (1000, 26), (4000, 62), (7600, 78)])
def test_a_tone_stands_in_its_band(hertz: float, band: int) -> None:
    import numpy as np

    tone = np.sin(2 * np.pi * hertz * np.arange(HEARD) / HEARD).astype(np.float32)
    features = log_mel(tone)
    assert features.shape == (BANDS, 100)
    assert abs(int(features[:, 50].argmax()) - band) <= 1


def test_features_do_not_depend_on_loudness() -> None:
    import numpy as np

    heard = np.random.default_rng(1).standard_normal(HEARD).astype(np.float32)
    assert math.isclose(float(abs(log_mel(heard) - log_mel(heard * np.float32(0.03))).max()), 0, abs_tol=0.01)
