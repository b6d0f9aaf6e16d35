"""Whether `[voice]` names engines that there are: to be told at start, not to the first who speaks."""

from dragoman import config
from dragoman.accounts.leases import Leases
from dragoman.gateway.serving import Serving
from dragoman.voice.engines import LOCAL, named
from dragoman.voice.engines.providers import provider_engines
from dragoman.wire.client import Client


def check_voice(settings: config.Config) -> None:
    """Raises `ConfigError` where `[voice]` names an engine that nobody has. Nothing is loaded or called."""
    if {settings.voice.stt, settings.voice.tts} != {LOCAL}:
        client = Client()
        serving = Serving(settings, client, Leases())
        named(settings.voice, *provider_engines(client, lambda: serving))
