"""The providers whose speech models can be engines: what makes them, by the name before the slash."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dragoman.config import ConfigError
from dragoman.voice.engine import Speaker, Transcriber
from dragoman.voice.engines import Speakers, Transcribers, assemblyai, cartesia, deepgram, elevenlabs, openai
from dragoman.voice.engines.calls import Calls, House
from dragoman.wire.client import Client

_TRANSCRIBERS: dict[str, Callable[[Calls, str], Transcriber]] = {
    "deepgram": deepgram.transcriber,
    "assemblyai": assemblyai.transcriber,
    "elevenlabs": elevenlabs.transcriber,
}
_SPEAKERS: dict[str, Callable[[Calls, str], Speaker]] = {
    "deepgram": deepgram.speaker,
    "elevenlabs": elevenlabs.speaker,
    "cartesia": cartesia.speaker,
}


def provider_engines(client: Client, house: Callable[[], House]) -> tuple[Transcribers, Speakers]:
    """What `open_engines` makes providers' engines with: those of our own, and everybody who has OpenAI's endpoints.
    `house` gives the config in force, whenever a call is made. What is made raises `ConfigError` where no account has
    it."""
    providers = house().directory.providers.values()

    def calls(provider: str, model: str) -> Calls:
        name = f"{provider}/{model}"
        found = house().directory.find(name)
        if found is None or not any(house().pool.seats(target) for tier in found.tiers for target in tier):
            raise ConfigError(f'voice: "{name}": no account has it: add one of {provider} to [[accounts]]')
        return Calls(client, house, name)

    def transcriber(provider: str, model: str) -> Transcriber:
        return _TRANSCRIBERS.get(provider, openai.FormTranscriber)(calls(provider, model), model)

    def speaker(provider: str, model: str) -> Speaker:
        make = _SPEAKERS.get(provider) or partial(openai.speaker, provider=provider)
        return make(calls(provider, model), model)

    hears = [p.name for p in providers if p.name in _TRANSCRIBERS or "audio/transcriptions" in p.relays]
    speaks = [p.name for p in providers if p.name in _SPEAKERS or "audio/speech" in p.relays]
    return (
        {name: partial(transcriber, name) for name in hears},
        {name: partial(speaker, name) for name in speaks},
    )
