"""`dragoman voice`: speaks with a realtime session, as a caller with a microphone would."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from dragoman.cli import recording, voice_report
from dragoman.cli.asking import KEY, Running
from dragoman.cli.out import print_json
from dragoman.cli.settings import AsJson, ConfigFile, settings

if TYPE_CHECKING:
    from dragoman import config
    from dragoman.cli.voice_turns import Turns

app = typer.Typer(help="Speak with a model.", no_args_is_help=True)


@app.callback()
def _several() -> None:
    """Speak with a model."""  # a callback keeps `ask` a subcommand while it is the only one


@app.command()
def ask(
    file: Annotated[Path, typer.Argument(metavar="FILE.wav", exists=True, dir_okay=False, help="What is said.")],
    *,
    url: Annotated[
        str | None,
        typer.Option(help="A realtime session elsewhere. Default: the config's gateway; one in here, if none runs."),
    ] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Default: the first of the config.")] = None,
    key: Annotated[str | None, typer.Option(envvar=KEY, help="The gateway key.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="REPLY.wav", help="Where to write what was replied.")] = None,
    level: Annotated[float, typer.Option(max=0, help="dBFS above which sound is heard.")] = recording.LEVEL,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait where nothing happens.")] = 15.0,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Play a recording to a realtime session in real time; show what was said and how long each stage took."""
    from dragoman.cli.voice_turns import Turns

    try:
        sound = recording.read(file)
    except recording.RecordingError as error:
        raise typer.BadParameter(f"{file}: {error}") from None
    turns = Turns(sound, level)
    try:
        address = asyncio.run(_converse(_place(url, model, key, config_file), sound, turns, patience, as_json))
    finally:
        if out is not None and turns.all:
            recording.write(out, turns.player.heard())
    if as_json:
        print_json(voice_report.as_json(file, len(sound) / 2 / recording.RATE, address, turns))
    else:
        voice_report.show(turns)
    raise typer.Exit(0 if any(turn.heard is not None for turn in turns.all) else 1)


class Place(Struct):
    """Where a conversation is held, and how to get in."""

    url: str
    key: str | None = None
    tls: ssl.SSLContext | None = None


async def _converse(
    places: AbstractAsyncContextManager[Place], sound: bytes, turns: "Turns", patience: float, quiet: bool
) -> str:
    """Holds the conversation, and says where."""
    from dragoman.cli.voice_session import play

    show = voice_report.quiet if quiet else voice_report.caption
    async with places as place:
        await play(place.url, sound, turns, show, key=place.key, tls=place.tls, patience=patience)
        return place.url


@asynccontextmanager
async def _place(url: str | None, model: str | None, key: str | None, config_file: Path | None) -> AsyncIterator[Place]:
    """The session at `url`; else one of the gateway that runs; else one of a gateway of our own."""
    from dragoman.cli.voice_session import session_url

    if url is not None:
        yield Place(session_url(url, model), key, ssl.create_default_context())
        return
    found = settings(config_file)
    running = Running(found)
    name = model or _first(found)
    if running.ask("GET", "/healthz") is not None:
        yield Place(session_url(running.url, name), key or running.key, running.tls())
        return
    async with _own(found) as here:
        yield Place(session_url(here, name))


def _first(found: "config.Config") -> str:
    """The first model that the config declares. Raises `ConfigError` where there is none."""
    from dragoman.catalog.directory import Directory
    from dragoman.catalog.prices import PriceBook
    from dragoman.config import ConfigError

    declared = Directory(found, PriceBook(found)).declared()
    if not declared:
        raise ConfigError("no model is declared: name one with -m provider/model-id, or install dragoman[local]")
    return declared[0].name


@asynccontextmanager
async def _own(found: "config.Config") -> AsyncIterator[str]:
    """A gateway of this process, on a free port of this machine; its address. Raises `ConfigError`."""
    from dragoman.cli.chat import gateway
    from dragoman.server.app import App
    from dragoman.server.http import Connection, Listener
    from dragoman.server.metrics import Metrics

    found.access.mode = "open"  # who can read config and state needs no gateway key
    found.server.host = "127.0.0.1"
    house = await gateway(found)
    application = App(house, Metrics())
    listener = Listener(application, application.body_limit)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(listener), found.server.host, 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await application.idle()
        await application.sessions.close()
        await house.close()
