"""The embedded voice: what is heard of it, and when."""

import asyncio

import pytest

import speech
from dragoman.voice.engine import SPOKEN, Sound
from dragoman.voice.engines import moonshine
from dragoman.voice.engines.hibari import Hibari, load, phrases
from dragoman.voice.engines.pool import Pool
from dragoman.voice.pcm import Resampler, floats

AUDIBLE = 10 ** (-45 / 20)
SENTENCE = "Sure, I can help you with that."
TWO = "It is sunny today. Tomorrow it will rain."


@pytest.fixture
def speaker(pool: Pool) -> Hibari:
    return Hibari(pool)


async def said(speaker: Hibari, text: str, speed: float = 1.0) -> list[Sound]:
    return [sound async for sound in speaker.say(text, speed=speed)]


def pcm(sounds: list[Sound]) -> bytes:
    return b"".join(sound.pcm for sound in sounds)


def understood(sounds: list[Sound]) -> str:
    rates = Resampler(SPOKEN, 16_000)
    return moonshine.load().transcribe(floats(rates.feed(pcm(sounds)))).text


@pytest.mark.parametrize("text", [SENTENCE, "Yes.", "Fifty soft sheep, staff.", '"Hello!"', "Hm, well, I see: no."])
async def test_it_is_audible_from_the_start(speaker: Hibari, text: str) -> None:
    first = floats((await said(speaker, text))[0].pcm)
    assert abs(first[: SPOKEN // 200]).max() > AUDIBLE
    assert abs(first[0]) < AUDIBLE  # softly, without a click


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.5])
async def test_it_can_be_understood(speaker: Hibari, speed: float) -> None:
    assert speech.word_errors(TWO, understood(await said(speaker, TWO, speed))) == 0


async def test_the_same_text_always_sounds_the_same(speaker: Hibari) -> None:
    assert pcm(await said(speaker, TWO)) == pcm(await said(speaker, TWO))


async def test_speed_is_heard_and_a_wild_one_is_bounded(speaker: Hibari) -> None:
    lengths = [len(pcm(await said(speaker, SENTENCE, speed))) for speed in (0.01, 0.5, 1.0, 2.0, 50.0)]
    slowest, slow, plain, fast, fastest = lengths
    assert slow > 1.5 * plain > 1.5 * 1.5 * fast
    assert abs(slowest - slow) < 0.05 * slow
    assert abs(fastest - fast) < 0.05 * fast


async def test_letters_said_grow_to_the_whole_text(speaker: Hibari) -> None:
    letters = [sound.spoken for sound in await said(speaker, TWO)]
    assert letters == sorted(letters)
    assert letters[-1] == len(TWO)
    assert len(set(letters)) >= 4


async def test_a_pause_stands_between_sentences_and_none_before_the_first(speaker: Hibari) -> None:
    quiet = longest = 0
    for sample in abs(floats(pcm(await said(speaker, TWO)))) > AUDIBLE:
        quiet = 0 if sample else quiet + 1
        longest = max(longest, quiet)
    assert 0.2 * SPOKEN < longest < 0.6 * SPOKEN


async def test_no_piece_begins_with_a_jump(speaker: Hibari) -> None:
    sounds = await said(speaker, "It is going to be sunny with a light breeze, and the evening will be cool.")
    whole = floats(pcm(sounds))
    steps = abs(whole[1:] - whole[:-1])
    edges = [sum(len(sound.pcm) // 2 for sound in sounds[:at]) for at in range(1, len(sounds))]
    assert all(steps[edge - 1] <= steps.max() / 2 for edge in edges)


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "\n\n"])
async def test_what_says_nothing_makes_no_sound(speaker: Hibari, text: str) -> None:
    assert await said(speaker, text) == []


async def test_closing_ends_the_work(speaker: Hibari) -> None:
    saying = speaker.say(" ".join([TWO] * 50))
    assert (await anext(saying)).pcm
    await saying.aclose()
    assert speech.word_errors("yes", understood(await asyncio.wait_for(said(speaker, "Yes."), 10))) == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TWO, ["It is sunny today. ", "Tomorrow it will rain."]),
        ("One, two.", ["One, two."]),
        (
            "It is going to be sunny with a light breeze, and cool later on, I think. Yes, it is.",
            ["It is going to be sunny with a light breeze, ", "and cool later on, I think. ", "Yes, it is."],
        ),
    ],
)
def test_a_long_first_sentence_is_begun_with_its_first_clause(text: str, parts: list[str]) -> None:
    found = list(phrases(text, load().split_sentences(text)))
    assert [text[start:end] for start, end in found] == parts


@pytest.mark.parametrize("text", ["word " * 1000, "x" * 5000, "Yes. " + "word " * 300 + "end.", "a, " * 700])
def test_what_is_no_sentence_is_said_in_pieces(text: str) -> None:
    found = list(phrases(text, load().split_sentences(text)))
    assert "".join(text[start:end] for start, end in found) == text
    assert max(end - start for start, end in found) <= 400
