"""Whether `[voice]` names engines that there are: to be told at start, not to the first who speaks."""

from dragoman import config
from dragoman.accounts.leases import Leases
from dragoman.accounts.pool import Pool
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook, Speech
from dragoman.voice.engines import LOCAL, check_names
from dragoman.voice.engines.providers import provider_engines
from dragoman.wire.client import Client


class _Planned:
    """What a config will have of names and accounts, as `voice.engines.calls.House` has it."""

    def __init__(self, settings: config.Config) -> None:
        prices = PriceBook(settings)
        self.directory = Directory(settings, prices)
        self.pool = Pool(settings, self.directory, Leases(), lambda target: None)

    def speech_price(self, target: str) -> Speech:
        raise NotImplementedError("nobody is called")


def check_voice(settings: config.Config) -> None:
    """Raises `ConfigError` where `[voice]` names an engine that nobody has. Nothing is loaded or called."""
    voice = settings.voice
    if {voice.stt, voice.tts} == {LOCAL}:
        check_names(voice, {}, {})
        return
    planned = _Planned(settings)
    check_names(voice, *provider_engines(Client(), lambda: planned))
