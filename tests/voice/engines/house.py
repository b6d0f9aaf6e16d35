"""A gateway's accounts without its server, for engines that call fakes on loopback."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dragoman import config
from dragoman.accounts.leases import Leases
from dragoman.gateway.serving import Serving
from dragoman.voice.engine import HEARD, SPOKEN, Sound, Speaker, Spent, Transcriber
from dragoman.voice.engines.providers import provider_engines
from dragoman.wire.client import Client


class House:
    """`spent`: what was booked."""

    def __init__(self, settings: config.Config, client: Client) -> None:
        self.client = client
        self.serving = Serving(settings, client, Leases())
        self.hears, self.speaks = provider_engines(client, lambda: self.serving)
        self.spent: list[Spent] = []
        self.made: list[Transcriber] = []

    def transcriber(self, name: str) -> Transcriber:
        provider, _, model = name.partition("/")
        self.made.append(self.hears[provider](model))
        return self.made[-1]

    def speaker(self, name: str) -> Speaker:
        provider, _, model = name.partition("/")
        return self.speaks[provider](model)

    async def say(self, name: str, text: str, **how: Any) -> list[Sound]:
        return [sound async for sound in self.speaker(name).say(text, book=self.spent.append, **how)]

    def rests(self) -> list[str]:
        """The accounts that are taken to ail."""
        desk, now = self.serving.pool.leases.desk, self.serving.pool.leases.now()
        return [
            name for name, account in desk.accounts.items()
            if account.cooldown.allows(now) < 2 or any(seat.cooldown.allows(now) < 2 for seat in account.seats.values())
        ]  # fmt: skip

    def busy(self) -> int:
        """Leases that are held."""
        return sum(account.in_flight for account in self.serving.pool.leases.desk.accounts.values())


@contextlib.asynccontextmanager
async def house(folder: Path, *accounts: config.Account, **tables: Any) -> AsyncIterator[House]:
    settings = config.Config(state=config.State(dir=str(folder)), accounts=list(accounts), **tables)
    client = Client()
    here = House(settings, client)
    try:
        yield here
    finally:
        for transcriber in here.made:
            await transcriber.close()
        await client.close()


def account(provider: str, fake: Any, *, name: str | None = None, key: str | None = None) -> config.Account:
    return config.Account(
        name=name or provider, provider=provider, key=config.Secret(key or fake.key), base_url=fake.base_url
    )


def speech(ms: int) -> bytes:
    """Something that is not silent, at `HEARD`."""
    return b"\x10\x20" * (HEARD * ms // 1000)


def ms(sounds: list[Sound]) -> float:
    return sum(len(sound.pcm) for sound in sounds) / 2 / SPOKEN * 1000
