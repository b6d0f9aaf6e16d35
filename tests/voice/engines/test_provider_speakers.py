"""Providers' voices, each against a strict fake of its provider."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.voice.engine import EngineError
from dragoman.voice.engines.speaking import AUDIBLE, NAMES, PIECE
from dragoman.voice.pcm import samples
from fakes import Azure, Fake, OpenAI, Scenario, status
from fakes.openai_media import VOICES
from fakes.speakers import Aura, Cartesia, ElevenLabs, Groq
from fakes.speech_sounds import TONE_MS
from voice.engines.house import account, house, ms

TEXT = "Hello, this is a sentence that is said."
EACH: dict[str, tuple[str, Callable[..., Fake]]] = {
    "openai/gpt-4o-mini-tts": ("openai", OpenAI),
    "openai/tts-1": ("openai", OpenAI),
    "azure/gpt-4o-mini-tts": ("azure", Azure),
    "groq/canopylabs/orpheus-v1-english": ("groq", Groq),
    "elevenlabs/eleven_flash_v2_5": ("elevenlabs", ElevenLabs),
    "cartesia/sonic-3": ("cartesia", Cartesia),
    "deepgram/aura-2": ("deepgram", Aura),
    "deepgram/aura-2-zeus-en": ("deepgram", Aura),
    "deepgram/aura": ("deepgram", Aura),
}


@pytest.fixture(params=EACH)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def provider(name: str) -> str:
    return EACH[name][0]


@pytest.fixture
def fake(name: str) -> Iterator[Any]:
    with EACH[name][1]() as running:
        yield running


async def test_a_text_is_said_without_silence_ahead(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        sounds = await here.say(name, TEXT)
        assert fake.refusals == []
        assert abs(samples(sounds[0].pcm[:400])).max() > AUDIBLE
        assert ms(sounds) == pytest.approx(TONE_MS, abs=5)
        assert here.busy() == 0


async def test_what_was_said_grows_to_the_whole_text(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        sounds = await here.say(name, TEXT)
    spoken = [sound.spoken for sound in sounds]
    assert spoken == sorted(spoken)
    assert spoken[-1] == len(TEXT)
    assert all(0 < len(sound.pcm) <= PIECE for sound in sounds)


async def test_no_voice_is_refused(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        for voice in (None, "", *NAMES, "nobody has this voice", "ALLOY"):
            assert await here.say(name, TEXT, voice=voice)
    assert fake.refusals == []


async def test_every_voice_of_an_engine_is_there(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        for voice in here.speaker(name).voices:
            assert await here.say(name, TEXT, voice=voice)
    assert fake.refusals == []


@pytest.mark.parametrize("speed", [0.25, 0.9, 4.0])
async def test_no_speed_is_refused(name: str, provider: str, fake: Any, tmp_path: Path, speed: float) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        assert await here.say(name, TEXT, speed=speed)
    assert fake.refusals == []


async def test_the_characters_that_were_said_are_booked(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        await here.say(name, TEXT)
    (spent,) = here.spent
    assert (spent.target, spent.account, spent.failed) == (name, provider, False)
    assert spent.characters == len(TEXT)
    match name:
        case "openai/tts-1":
            assert spent.cost == len(TEXT) * 15 * 10**6
        case "openai/gpt-4o-mini-tts":
            assert spent.usage is not None
            assert spent.cost == spent.usage.input * 600_000 + spent.usage.output * 12_000_000
        case "groq/canopylabs/orpheus-v1-english":
            assert spent.cost == len(TEXT) * 22 * 10**6
        case _:
            assert spent.cost is None  # nobody knows the price: that is not the same as free


async def test_a_price_of_the_config_counts(tmp_path: Path) -> None:
    priced = config.Model(
        name="voice", targets=["elevenlabs/eleven_flash_v2_5"], price=config.Price(million_characters=50)
    )
    with ElevenLabs() as fake:
        async with house(tmp_path, account("elevenlabs", fake), models=[priced]) as here:
            await here.say("elevenlabs/eleven_flash_v2_5", TEXT)
    assert here.spent[0].cost == len(TEXT) * 50 * 10**6


@pytest.mark.parametrize("code", [401, 402, 429, 500, 503])
async def test_another_account_says_it_where_one_fails(
    name: str, provider: str, fake: Any, tmp_path: Path, code: int
) -> None:
    fake.script(status(code))
    accounts = account(provider, fake, name="a"), account(provider, fake, name="b")
    async with house(tmp_path, *accounts) as here:
        assert ms(await here.say(name, TEXT)) == pytest.approx(TONE_MS, abs=5)
        assert len(fake.requests) == 2
        assert len(here.rests()) == 1 or code == 500  # one broken answer alone is no reason to rest hard
        assert [spent.failed for spent in here.spent] == [False]


@pytest.mark.parametrize("fault", ["drop", "reset"])
async def test_another_account_says_it_where_one_breaks_before_any_sound(
    name: str, provider: str, fake: Any, tmp_path: Path, fault: Any
) -> None:
    fake.script(Scenario(fault=fault, after=1))  # one frame, which is silent
    accounts = account(provider, fake, name="a"), account(provider, fake, name="b")
    async with house(tmp_path, *accounts) as here:
        assert ms(await here.say(name, TEXT)) == pytest.approx(TONE_MS, abs=5)
        assert [spent.failed for spent in here.spent] == [True, False]  # the first may be charged too


async def test_what_broke_after_some_sound_is_not_said_again(
    name: str, provider: str, fake: Any, tmp_path: Path
) -> None:
    silent = 40 if provider == "openai" or provider == "azure" else 20
    fake.script(Scenario(fault="drop", after=silent))
    accounts = account(provider, fake, name="a"), account(provider, fake, name="b")
    heard = []
    async with house(tmp_path, *accounts) as here:
        with pytest.raises(EngineError, match=f"^{name}: account"):
            async for sound in here.speaker(name).say(TEXT, book=here.spent.append):
                heard += [sound]
        assert 0 < ms(heard) < TONE_MS
        assert len(fake.requests) == 1
        assert here.spent[0].failed


async def test_a_refusal_says_when_to_come_back(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    fake.always(status(429, retry_after="7"))
    async with house(tmp_path, account(provider, fake)) as here:
        with pytest.raises(EngineError) as refused:
            await here.say(name, TEXT)
        assert refused.value.retry_after == 7
        assert here.spent == []


async def test_who_stops_listening_stops_the_provider(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    fake.script(Scenario(fault="hang", after=40 if provider in {"openai", "azure"} else 20))
    async with house(tmp_path, account(provider, fake)) as here:
        said = here.speaker(name).say(TEXT, book=here.spent.append)
        async for _ in said:
            break
        await said.aclose()  # type: ignore[attr-defined]  # a generator
        await asyncio.to_thread(fake.wait, lambda: fake.last.done)
        assert here.busy() == 0
        assert here.rests() == []
        assert here.spent[0].characters == len(TEXT)


async def test_a_key_is_never_told(
    name: str, provider: str, fake: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-a-secret-that-nobody-may-see"
    fake.always(status(400, f"what is {key}?"))
    with caplog.at_level(logging.DEBUG):
        async with house(tmp_path, account(provider, fake, key=key)) as here:
            fake.keys = {key}
            with pytest.raises(EngineError) as refused:
                await here.say(name, TEXT)
    assert "what is " in str(refused.value)
    assert key not in str(refused.value) + caplog.text


async def test_an_answer_of_nothing_is_no_answer(tmp_path: Path) -> None:
    with ElevenLabs() as fake:
        fake.script(Scenario(status=200, fault="cut", after=0))
        async with house(tmp_path, account("elevenlabs", fake)) as here:
            with pytest.raises(EngineError, match="no sound came"):
                await here.say("elevenlabs/eleven_flash_v2_5", TEXT)


async def test_openais_stream_without_its_end_is_cut(tmp_path: Path) -> None:
    with OpenAI() as fake:
        fake.script(Scenario(fault="cut", after=60))
        async with house(tmp_path, account("openai", fake)) as here:
            with pytest.raises(EngineError, match="without its end mark"):
                await here.say("openai/gpt-4o-mini-tts", TEXT)


async def test_a_voice_that_somebody_has_there_is_used(tmp_path: Path) -> None:
    own = "0123456789abcdefABCD"
    with ElevenLabs() as fake:
        async with house(tmp_path, account("elevenlabs", fake)) as here:
            await here.say("elevenlabs/eleven_flash_v2_5", TEXT, voice=own)
        assert own in fake.last.path
    with OpenAI() as fake:
        async with house(tmp_path, account("openai", fake)) as here:
            await here.say("openai/gpt-4o-mini-tts", TEXT, voice="voice_123")
        assert fake.last.json["voice"] == {"id": "voice_123"}


async def test_a_provider_of_the_config_speaks_as_openai_does(tmp_path: Path) -> None:
    with OpenAI() as fake:
        mine = config.Provider(name="mine", dialect="openai-chat", base_url=fake.base_url)
        entry = config.Account(name="m", provider="mine", key=config.Secret(fake.key))
        async with house(tmp_path, entry, providers=[mine]) as here:
            assert ms(await here.say("mine/kokoro", TEXT, voice="marin")) == pytest.approx(TONE_MS, abs=5)
        assert fake.last.json == {"model": "kokoro", "input": TEXT, "voice": "marin", "response_format": "pcm"}
    assert "marin" in VOICES


async def test_without_an_account_no_engine_is_made(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(config.ConfigError, match="add one of cartesia to"):
            here.speaker("cartesia/sonic-3")
        with pytest.raises(config.ConfigError, match="add one of deepgram to"):
            here.transcriber("deepgram/nova-3")
