"""Whether a turn is complete, by its sound and its words, on voices that the weights were not made from."""

import pytest

import speech
from dragoman.voice.engine import HEARD
from dragoman.voice.engines.pool import Pool
from dragoman.voice.engines.turn_judge import LocalJudge

SECOND = 2 * HEARD
QUIET = bytes(SECOND * 11 // 100)  # 110 ms, as the pause is when the judge is asked
TAKEN = 0.6  # from where on a turn is taken for complete within 200 ms


@pytest.fixture
def judge(pool: Pool) -> LocalJudge:
    return LocalJudge(pool)


async def judged(judge: LocalJudge, text: str, seconds: float | None = None) -> float:
    """Of the recording in which `text` begins what is said, up to `seconds`."""
    clip = next(clip for clip in speech.recordings() if clip.text.startswith(text))
    if seconds is None:
        return await judge.complete(clip.pcm, clip.text)
    return await judge.complete(clip.pcm[: int(seconds * HEARD) * 2] + QUIET, text)


@pytest.mark.parametrize(
    "text",
    [
        "go forward ten meters",
        "go somewhere and do something",
        "two nine three four zero",
        "he was not an ill disposed young man",
        "he might even have been made amiable himself",
        "had he married",
        "eight of spades four of clubs seven of hearts",
    ],
)
async def test_what_is_said_to_its_end_is_complete(judge: LocalJudge, text: str) -> None:
    assert await judged(judge, text) > TAKEN


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("go forward", 1.16),
        ("go somewhere and", 1.36),
        ("two nine three", 0.92),
        ("and mister john dashwood", 1.38),
        ("and mister john dashwood had then leisure to", 2.58),
        ("he was not an", 1.51),
        ("he might even have been", 1.66),
        ("unless to be", 1.08),
        ("ten of", 0.51),
        ("eight of", 0.70),
    ],
)
async def test_a_pause_within_a_sentence_is_none(judge: LocalJudge, text: str, seconds: float) -> None:
    assert await judged(judge, text, seconds) < TAKEN


async def test_words_weigh_as_well_as_sound(judge: LocalJudge) -> None:
    pcm = next(clip.pcm for clip in speech.recordings() if clip.text.startswith("go forward"))
    assert await judge.complete(pcm, "go forward ten meters") > await judge.complete(pcm, "go forward and the") + 0.1


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 7.99, 8.0, 20.0])
async def test_a_turn_of_any_length_is_judged(judge: LocalJudge, seconds: float) -> None:
    assert 0 <= await judge.complete(speech.two_cities().pcm[: int(seconds * HEARD) * 2], "") <= 1


async def test_only_the_last_of_the_sound_counts(judge: LocalJudge) -> None:
    pcm = speech.two_cities().pcm[: 12 * SECOND]
    assert await judge.complete(pcm, "it was") == await judge.complete(pcm[10 * SECOND :], "it was")
