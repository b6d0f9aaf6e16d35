"""Providers' transcription, each against a strict fake of its provider."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.voice.engine import HEARD, EngineError, Transcriber
from fakes.listeners import Fate, Listener, Nova, Scribe, Universal
from voice.engines.house import account, house, speech

EACH: dict[str, tuple[str, Callable[..., Listener]]] = {
    "deepgram/nova-3": ("deepgram", Nova),
    "assemblyai/universal-streaming-english": ("assemblyai", Universal),
    "assemblyai/universal-streaming-multilingual": ("assemblyai", Universal),
    "elevenlabs/scribe_v2_realtime": ("elevenlabs", Scribe),
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


async def understood(transcriber: Transcriber, ms: int, **how: Any) -> str:
    """What is understood of so much speech."""
    utterance = transcriber.begin(**how)
    for _ in range(ms // 20):
        utterance.feed(speech(20))
        await asyncio.sleep(0)
    return (await utterance.finish()).text


def plain(text: str) -> str:
    return text.lower().replace(".", "")


async def test_a_turn_is_understood(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        assert plain(await understood(here.transcriber(name), 2000)) == "one two three four"
        heard = await fake.left()
        assert bytes(heard.sound).rstrip(b"\0") == speech(2000)
        assert here.busy() == 0


@pytest.mark.parametrize("language", [None, "de"])
@pytest.mark.parametrize("prompt", [None, "Names: Özgür."])
async def test_language_and_prompt_are_told_as_far_as_they_can_be(
    name: str, provider: str, fake: Any, tmp_path: Path, language: str | None, prompt: str | None
) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        said = await understood(here.transcriber(name), 1000, language=language, prompt=prompt)
        assert plain(said) == "one two"
        heard = await fake.left()
    told = str(heard.query) + str(heard.messages)
    assert ("de" in [value.strip('[]"') for value in heard.query.values()]) == bool(language and "english" not in name)
    assert ("Özgür" in told) == (provider == "elevenlabs" and prompt is not None)


@pytest.mark.parametrize("ms", [0, 20, 40, 110])
async def test_a_turn_of_next_to_nothing_ends_too(name: str, provider: str, fake: Any, tmp_path: Path, ms: int) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        assert plain(await understood(here.transcriber(name), ms)) == ("one" if ms else "")


async def test_words_are_there_while_somebody_speaks(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        utterance = here.transcriber(name).begin()
        utterance.feed(speech(1000))
        await fake.hears(HEARD * 2)
        async with asyncio.timeout(60):
            while plain((await utterance.words()).text) != "one two":
                await asyncio.sleep(0)
        utterance.feed(speech(1000))
        assert plain((await utterance.finish()).text) == "one two three four"


async def test_its_words_cost_nothing_by_themselves(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        assert here.transcriber(name).metered is False


async def test_the_seconds_that_were_heard_are_booked(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    priced = config.Model(name="ears", targets=[name], price=config.Price(audio_minute=0.006))
    async with house(tmp_path, account(provider, fake), models=[priced]) as here:
        await understood(here.transcriber(name), 2000, book=here.spent.append)
    (spent,) = here.spent
    assert (spent.target, spent.account, spent.seconds, spent.failed) == (name, provider, 2.0, False)
    assert spent.cost == 200_000_000  # $0.0002


async def test_without_a_price_the_cost_is_unknown(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        await understood(here.transcriber(name), 1000, book=here.spent.append)
    assert here.spent[0].cost is None


async def test_another_account_hears_all_of_it_where_one_is_cut(
    name: str, provider: str, fake: Any, tmp_path: Path
) -> None:
    fake.fates = [Fate(dies=HEARD)]
    accounts = account(provider, fake, name="a"), account(provider, fake, name="b")
    async with house(tmp_path, *accounts) as here:
        said = await understood(here.transcriber(name), 2000, book=here.spent.append)
        assert plain(said) == "one two three four"
        heard = await fake.left(1)
        assert bytes(heard.sound).rstrip(b"\0") == speech(2000)
        assert [spent.failed for spent in here.spent] == [True, False]


async def test_the_only_account_hears_all_of_it_again_where_its_connection_is_cut_once(
    name: str, provider: str, fake: Any, tmp_path: Path
) -> None:
    fake.fates = [Fate(dies=HEARD), Fate(), Fate(dies=HEARD), Fate(dies=HEARD)]
    async with house(tmp_path, account(provider, fake)) as here:
        assert plain(await understood(here.transcriber(name), 2000)) == "one two three four"
        with pytest.raises(EngineError):
            await understood(here.transcriber(name), 2000)
        assert here.busy() == 0


@pytest.mark.parametrize("code", [401, 402, 429, 500])
async def test_another_account_hears_it_where_one_is_refused(
    name: str, provider: str, fake: Any, tmp_path: Path, code: int
) -> None:
    fake.fates = [Fate(refuse=code)]
    accounts = account(provider, fake, name="a"), account(provider, fake, name="b")
    async with house(tmp_path, *accounts) as here:
        assert plain(await understood(here.transcriber(name), 1000, book=here.spent.append)) == "one two"
        assert len(here.rests()) == 1 or code == 500
        assert [spent.failed for spent in here.spent] == [False]


async def test_a_refusal_says_when_to_come_back(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    fake.fates = [Fate(refuse=429, retry_after="7")]
    async with house(tmp_path, account(provider, fake)) as here:
        with pytest.raises(EngineError, match=f"^{name}: account") as refused:
            await understood(here.transcriber(name), 100)
        assert refused.value.retry_after == 7


async def test_words_tell_that_it_failed(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    fake.fates = [Fate(refuse=401)]
    async with house(tmp_path, account(provider, fake)) as here:
        utterance = here.transcriber(name).begin()
        utterance.feed(speech(500))
        with pytest.raises(EngineError, match="a key that its provider refuses"):
            while True:
                await utterance.words()


async def test_a_provider_that_says_nothing_is_waited_for_no_longer_than_that(
    name: str, provider: str, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.voice.engines.streaming.ANSWER", 0.05)
    fake.fates = [Fate(mute=True)]
    async with house(tmp_path, account(provider, fake)) as here:
        with pytest.raises(EngineError, match="upstream_timeout"):
            await understood(here.transcriber(name), 100)
        await fake.left()
        assert here.busy() == 0


async def test_a_turn_that_is_dropped_closes_its_connection(
    name: str, provider: str, fake: Any, tmp_path: Path
) -> None:
    async with house(tmp_path, account(provider, fake)) as here:
        utterance = here.transcriber(name).begin(book=here.spent.append)
        utterance.feed(speech(1000))
        await fake.hears(HEARD * 2)
        utterance.drop()
        await fake.left()
        assert here.busy() == 0
        assert here.rests() == []
        assert here.spent[0].seconds == 1.0  # heard is heard


async def test_who_gives_up_waiting_closes_the_connection(name: str, provider: str, fake: Any, tmp_path: Path) -> None:
    fake.fates = [Fate(mute=True)]
    async with house(tmp_path, account(provider, fake)) as here:
        utterance = here.transcriber(name).begin()
        utterance.feed(speech(1000))
        waiting = asyncio.create_task(utterance.finish())
        await fake.hears(HEARD * 2)
        waiting.cancel()
        await fake.left()
        assert here.busy() == 0


async def test_a_key_is_never_told(name: str, provider: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-a-secret-that-nobody-may-see"

    class Repeats(EACH[name][1]):  # type: ignore[misc]  # one of the fakes
        def error(self, status: int) -> dict[str, Any]:
            return {"error": f"who is {key}?"}

    with Repeats() as fake, caplog.at_level(logging.DEBUG):
        fake.fates = [Fate(refuse=400)]
        async with house(tmp_path, account(provider, fake, key=key)) as here:
            with pytest.raises(EngineError) as refused:
                await understood(here.transcriber(name), 100)
    assert "who is " in str(refused.value)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("dragoman")]
    assert ours
    assert key not in str(refused.value) + str(ours)


@pytest.mark.parametrize(
    ("name", "says", "closes", "trouble"),
    [
        ("deepgram/nova-3", {"type": "Error", "variant": "x", "description": "it is broken"}, None, "it is broken"),
        ("assemblyai/universal-streaming-english", None, 4002, "out of credit"),
        ("assemblyai/universal-streaming-english", None, 3006, "bad_request"),
        ("assemblyai/universal-streaming-english", {"type": "Error", "error": "too many", "error_code": 3009}, None,
         "rate_limited"),
        ("elevenlabs/scribe_v2_realtime", {"message_type": "quota_exceeded", "error": "none left"}, None,
         "out of credit"),
        ("elevenlabs/scribe_v2_realtime", {"message_type": "rate_limited", "error": "slow"}, None, "rate_limited"),
        ("deepgram/nova-3", None, 1011, "1011 told to"),
        ("deepgram/nova-3", {"type": "Results"}, None, "can't be read"),
    ],
)  # fmt: skip
async def test_a_provider_says_what_is_wrong(
    name: str, says: Any, closes: int | None, trouble: str, fake: Any, provider: str, tmp_path: Path
) -> None:
    fake.fates = [Fate(says=says, closes=closes), Fate(says=says, closes=closes)]
    async with house(tmp_path, account(provider, fake)) as here:
        with pytest.raises(EngineError, match=trouble):
            await understood(here.transcriber(name), 1000)
