"""OpenAI's endpoint for transcriptions, and those who imitate it."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.voice import wav
from dragoman.voice.engine import HEARD, EngineError
from dragoman.voice.engines.openai import LEAST
from fakes import Azure, OpenAI, Scenario, brain, status
from fakes.openai_media import form
from fakes.speakers import Groq
from voice.engines.house import House, account, house, speech

EACH: dict[str, tuple[str, Any]] = {
    "openai/gpt-4o-transcribe": ("openai", OpenAI),
    "openai/gpt-4o-mini-transcribe": ("openai", OpenAI),
    "openai/whisper-1": ("openai", OpenAI),
    "azure/gpt-4o-transcribe": ("azure", Azure),
    "groq/whisper-large-v3-turbo": ("groq", Groq),
}
each = pytest.mark.parametrize("name", EACH)
streams = pytest.mark.parametrize("name", [name for name in EACH if name.endswith("transcribe")])


def file_of(fake: Any) -> tuple[str, str, bytes]:
    _, file = form(fake.last)
    assert file is not None
    return file


async def understood(here: House, name: str, sound: bytes, **how: Any) -> str:
    utterance = here.transcriber(name).begin(book=here.spent.append, **how)
    utterance.feed(sound)
    return (await utterance.finish()).text


@each
async def test_a_turn_is_sent_as_a_wav_file(name: str, tmp_path: Path) -> None:
    provider, make = EACH[name]
    with make() as fake:
        async with house(tmp_path, account(provider, fake)) as here:
            text = await understood(here, name, speech(500))
            assert here.busy() == 0
        assert fake.refusals == []
        file, mime, data = file_of(fake)
    assert (file, mime) == ("turn.wav", "audio/wav")
    assert wav.read(data) == (speech(500), HEARD)
    assert text == brain.seen("audio", mime, data)


@each
async def test_language_and_prompt_are_told(name: str, tmp_path: Path) -> None:
    provider, make = EACH[name]
    with make() as fake:
        async with house(tmp_path, account(provider, fake)) as here:
            await understood(here, name, speech(500), language="de", prompt="Namen: Özgür.")
        fields, _ = form(fake.last)
    assert (fields["language"], fields["prompt"]) == ("de", "Namen: Özgür.")


@each
async def test_too_little_is_filled_up_with_silence(name: str, tmp_path: Path) -> None:
    provider, make = EACH[name]
    with make() as fake:
        async with house(tmp_path, account(provider, fake)) as here:
            await understood(here, name, speech(40))
        sound, _ = wav.read(file_of(fake)[2])
    assert sound == speech(40).ljust(LEAST, b"\0")


async def test_of_nothing_nobody_is_asked(tmp_path: Path) -> None:
    with OpenAI() as fake:
        async with house(tmp_path, account("openai", fake)) as here:
            assert await understood(here, "openai/whisper-1", b"") == ""
        assert fake.requests == []


async def test_each_draft_is_a_call_of_its_own(tmp_path: Path) -> None:
    with OpenAI() as fake:
        async with house(tmp_path, account("openai", fake)) as here:
            transcriber = here.transcriber("openai/gpt-4o-transcribe")
            assert transcriber.metered
            utterance = transcriber.begin(book=here.spent.append)
            utterance.feed(speech(500))
            await utterance.words()
            utterance.feed(speech(500))
            await utterance.finish()
        assert wav.read(file_of(fake)[2])[0] == speech(1000)
    assert [spent.seconds for spent in here.spent] == [0.5, 1.0]


async def test_what_it_took_is_booked_by_tokens_where_they_are_told(tmp_path: Path) -> None:
    with OpenAI() as fake:
        async with house(tmp_path, account("openai", fake)) as here:
            await understood(here, "openai/gpt-4o-transcribe", speech(500))
    (spent,) = here.spent
    assert spent.usage is not None
    assert (spent.usage.input, spent.usage.audio_input) == (40, 40)
    assert spent.cost == 40 * 6_000_000 + spent.usage.output * 10_000_000


async def test_what_it_took_is_booked_by_seconds_where_those_cost(tmp_path: Path) -> None:
    with OpenAI() as fake:
        async with house(tmp_path, account("openai", fake)) as here:
            await understood(here, "openai/whisper-1", speech(6000))
    assert here.spent[0].seconds == 6.0
    assert here.spent[0].cost == 600_000_000  # $0.0006


@each
@pytest.mark.parametrize("code", [401, 429, 503])
async def test_another_account_hears_it_where_one_fails(name: str, tmp_path: Path, code: int) -> None:
    provider, make = EACH[name]
    with make() as fake:
        fake.script(status(code))
        async with house(tmp_path, account(provider, fake, name="a"), account(provider, fake, name="b")) as here:
            assert await understood(here, name, speech(500))
            assert len(here.rests()) == 1


@streams
@pytest.mark.parametrize("fault", ["cut", "drop", "reset", "error"])
async def test_another_account_hears_it_where_a_stream_breaks(name: str, tmp_path: Path, fault: Any) -> None:
    provider, make = EACH[name]
    with make() as fake:
        fake.script(Scenario(fault=fault, after=2))
        async with house(tmp_path, account(provider, fake, name="a"), account(provider, fake, name="b")) as here:
            text = await understood(here, name, speech(500))
        _, mime, data = file_of(fake)
    assert text == brain.seen("audio", mime, data)
    assert [spent.failed for spent in here.spent] == [True, False]


@each
async def test_a_refusal_says_when_to_come_back(name: str, tmp_path: Path) -> None:
    provider, make = EACH[name]
    with make() as fake:
        fake.always(status(429, retry_after="7"))
        async with house(tmp_path, account(provider, fake)) as here:
            with pytest.raises(EngineError, match=f"^{name}: account") as refused:
                await understood(here, name, speech(500))
    assert refused.value.retry_after == 7


async def test_a_fault_of_the_request_is_asked_nowhere_else(tmp_path: Path) -> None:
    with OpenAI() as fake:
        fake.script(status(400, "what language is that?"))
        accounts = account("openai", fake, name="a"), account("openai", fake, name="b")
        async with house(tmp_path, *accounts) as here:
            with pytest.raises(EngineError, match="what language is that"):
                await understood(here, "openai/whisper-1", speech(500), language="??")
            assert here.rests() == []
        assert len(fake.requests) == 1


async def test_a_turn_that_nobody_wants_any_more_closes_its_connection(tmp_path: Path) -> None:
    with OpenAI() as fake:
        fake.script(Scenario(fault="hang"))
        async with house(tmp_path, account("openai", fake)) as here:
            waiting = asyncio.create_task(understood(here, "openai/gpt-4o-transcribe", speech(500)))
            await asyncio.to_thread(fake.wait, lambda: len(fake.requests) == 1)
            waiting.cancel()
            await asyncio.to_thread(fake.wait, lambda: fake.last.done)
            assert here.busy() == 0
            assert here.rests() == []


async def test_a_key_is_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-a-secret-that-nobody-may-see"
    with OpenAI(keys={key}) as fake, caplog.at_level(logging.DEBUG):
        fake.always(status(401, f"what is {key}?"))
        async with house(tmp_path, account("openai", fake, key=key)) as here:
            with pytest.raises(EngineError) as refused:
                await understood(here, "openai/whisper-1", speech(500))
    assert key not in str(refused.value) + caplog.text
    assert "sk-…-see" in caplog.text


async def test_a_provider_of_the_config_hears_as_openai_does(tmp_path: Path) -> None:
    with OpenAI() as fake:
        mine = config.Provider(name="mine", dialect="openai-chat", base_url=fake.base_url)
        entry = config.Account(name="m", provider="mine", key=config.Secret(fake.key))
        async with house(tmp_path, entry, providers=[mine]) as here:
            assert await understood(here, "mine/whisper", speech(500))
        assert form(fake.last)[0] == {"model": "whisper", "response_format": "json"}
