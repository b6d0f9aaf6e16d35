"""The embedded transcriber, on people's recordings."""

import asyncio

import pytest

import speech
from dragoman.voice.engine import HEARD, Utterance, Words
from dragoman.voice.engines import moonshine
from dragoman.voice.engines.local_stt import LocalTranscriber
from dragoman.voice.engines.moonshine import Moonshine
from dragoman.voice.engines.pool import Pool
from dragoman.voice.pcm import floats
from voice.engines.test_vad import noise

SECOND = 2 * HEARD


@pytest.fixture(scope="module")
def model() -> Moonshine:
    return moonshine.load()


@pytest.fixture
def transcriber(pool: Pool) -> LocalTranscriber:
    return LocalTranscriber(pool)


async def listened(utterance: Utterance, pcm: bytes, every: int) -> list[Words]:
    """Feeds the sound piece by piece, with a draft after each; the last are the final words."""
    drafts = []
    for at in range(0, len(pcm), every):
        utterance.feed(pcm[at : at + every])
        drafts.append(await utterance.words())
    return [*drafts, await utterance.finish()]


async def test_people_are_understood(transcriber: LocalTranscriber) -> None:
    wrong = said = 0
    for clip in (*speech.recordings(), speech.beckett()):
        *_, final = await listened(transcriber.begin(), clip.pcm, 3 * SECOND)
        wrong += speech.word_errors(clip.text, final.text)
        said += len(speech.words(clip.text))
    assert wrong / said < 0.08


async def test_a_long_turn_is_understood_to_its_end(transcriber: LocalTranscriber) -> None:
    clip = speech.two_cities()
    *_, final = await listened(transcriber.begin(), clip.pcm, 16 * SECOND)
    assert speech.word_errors(clip.text, final.text) / len(speech.words(clip.text)) < 0.08
    assert final.tokens is not None  # those of what is settled, too
    assert b"".join(token.said for token in final.tokens).decode().split() == final.text.split()
    assert all(-25 < token.logprob <= 0 for token in final.tokens)


def test_a_draft_changes_nothing_of_the_words(model: Moonshine) -> None:
    clip = speech.beckett()
    heard = floats(clip.pcm)[: 6 * HEARD]
    plain = model.transcribe(heard)
    partial = model.transcribe(heard[: 3 * HEARD])
    for draft in (plain.tokens, partial.tokens, plain.tokens[1:], (300, *plain.tokens), (5, 6, 7), plain.tokens * 3):
        assert model.transcribe(heard, draft).tokens == plain.tokens


async def test_the_last_draft_stands_when_silence_follows(transcriber: LocalTranscriber) -> None:
    utterance = transcriber.begin()
    utterance.feed(speech.spoken("Please turn off the lights in the kitchen") + noise(0.05, 0.0005))
    draft = await utterance.words()
    utterance.feed(noise(0.2, 0.0005))
    assert await utterance.finish() == draft
    assert speech.word_errors("please turn off the lights in the kitchen", draft.text) == 0


async def test_words_after_a_pause_are_not_missed(transcriber: LocalTranscriber) -> None:
    utterance = transcriber.begin()
    utterance.feed(speech.spoken("Please turn off") + bytes(SECOND // 5))
    await utterance.words()
    utterance.feed(bytes(SECOND // 5) + speech.spoken("the lights in the kitchen") + bytes(SECOND // 10))
    assert "kitchen" in (await utterance.finish()).text


@pytest.mark.parametrize("size", [0.0, 0.0005, 0.01, 0.2])
@pytest.mark.parametrize("seconds", [0.02, 0.5, 3.0])
def test_noise_has_no_words(model: Moonshine, size: float, seconds: float) -> None:
    assert model.transcribe(floats(noise(seconds, size))).text == ""


def test_a_hum_has_no_words(model: Moonshine) -> None:
    import numpy as np

    hum = np.sin(2 * np.pi * 50 * np.arange(2 * HEARD) / HEARD).astype(np.float32)
    assert model.transcribe(hum * 0.1).text == ""


async def test_a_turn_without_sound_has_no_words(transcriber: LocalTranscriber) -> None:
    assert (await transcriber.begin().finish()).text == ""


async def test_a_dropped_turn_does_not_hold_up_others(transcriber: LocalTranscriber) -> None:
    pcm = speech.spoken("Please hold on")
    dropped, other = transcriber.begin(), transcriber.begin()
    dropped.feed(pcm * 5)
    other.feed(pcm)
    drafting = asyncio.ensure_future(dropped.words())
    await asyncio.sleep(0)
    dropped.drop()
    assert speech.word_errors("please hold on", (await other.finish()).text) == 0
    assert isinstance(await drafting, Words)


def test_a_repeated_phrase_is_kept_once() -> None:
    assert moonshine._without_loop([9, 1, 2, 1, 2, 1, 2, 1, 2]) == [9, 1, 2]
    assert moonshine._without_loop([9, 1, 2, 1, 2, 1, 2]) == [9, 1, 2, 1, 2, 1, 2]
