"""Providers that have speech only: how they are found, tried out, and what they are not asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from dragoman.catalog.discovery import discover
from fakes import Fake
from fakes.speakers import Aura, Cartesia, ElevenLabs
from realtime.gate import gate
from voice.engines.house import account, house

EACH: dict[str, Callable[..., Fake]] = {"deepgram": Aura, "elevenlabs": ElevenLabs, "cartesia": Cartesia}


def test_their_keys_are_found_in_the_environment() -> None:
    names = ("DEEPGRAM_API_KEY", "ASSEMBLYAI_API_KEY", "ELEVENLABS_API_KEY", "CARTESIA_API_KEY")
    found = {entry.provider for entry in discover(dict.fromkeys(names, "key")).accounts}
    assert found >= {"deepgram", "assemblyai", "elevenlabs", "cartesia"}


@pytest.mark.parametrize("provider", EACH)
async def test_an_account_is_tried_out_without_any_speech(provider: str, tmp_path: Path) -> None:
    from dragoman.gateway.trial import Trials

    booked: list[Any] = []
    with EACH[provider]() as fake:
        async with house(tmp_path, account(provider, fake)) as here:
            trials = Trials(here.client, booked.append)
            (good,) = await trials.all(here.serving, [provider])
            assert good.ok, good
            fake.keys = {"another"}
            (bad,) = await trials.all(here.serving, [provider])
            assert (bad.ok, bad.error) == (False, "unauthorized")
            assert fake.key not in str(bad)
    assert booked == []


async def test_they_are_asked_for_no_chat_and_no_list_of_models(tmp_path: Path) -> None:
    with ElevenLabs() as fake:
        entry = {"name": "e", "provider": "elevenlabs", "key": fake.key, "base_url": fake.base_url}
        async with gate(tmp_path, [entry]) as running:
            client = openai.AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1", max_retries=0)
            async with client:
                with pytest.raises(openai.BadRequestError, match="elevenlabs has speech only"):
                    hello: Any = [{"role": "user", "content": "Hello"}]
                    await client.chat.completions.create(model="elevenlabs/eleven_flash_v2_5", messages=hello)
                assert [model.id async for model in client.models.list()] == []
        assert fake.requests == []
