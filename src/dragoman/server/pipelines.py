"""Realtime sessions on text models: what a pipeline needs of the server, and a worker's speech engines.

The engines are loaded when the first session needs them, and anew where the config's `[voice]` has changed; sessions
keep the ones they began with.
"""

import asyncio
import logging
from collections.abc import Callable

from dragoman import config
from dragoman.canon import Failed, Failure
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.inside import Inside
from dragoman.gateway.visit import Took, Visit
from dragoman.voice.codecs.codec import Notices
from dragoman.voice.engine import EngineError, Spent
from dragoman.voice.engines import Engines, open_engines
from dragoman.voice.engines.providers import provider_engines
from dragoman.voice.events import JSON
from dragoman.voice.pipeline import Pipeline
from dragoman.voice.record import Turn
from dragoman.voice.refusal import Refused
from dragoman.voice.relaying import bridges
from dragoman.voice.relaying.ends import Client, Codec, End
from dragoman.voice.relaying.relay import Counts

log = logging.getLogger("dragoman")
_KINDS = {False: "realtime", True: "transcription"}


def engines_of(gateway: Gateway) -> Callable[[config.Voice], Engines]:
    """What opens engines, those of the providers that `gateway` has accounts of included."""
    return lambda voice: open_engines(voice, *provider_engines(gateway.client, lambda: gateway.serving))


class Speech:
    """The speech engines of a worker. `open_` opens those that the config names."""

    def __init__(self, open_: Callable[[config.Voice], Engines]) -> None:
        self._open = open_
        self._settings: config.Voice | None = None
        self._loading: asyncio.Task[Engines] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._former: list[asyncio.Task[Engines]] = []  # sessions may still use them

    async def engines(self, settings: config.Voice) -> Engines:
        """Those that `settings` name, ready for use. Raises `Failed`."""
        if self._loading is None or settings != self._settings or _failed(self._loading):
            if self._loading is not None:
                self._former.append(self._loading)
            self._settings, self._loading = settings, asyncio.create_task(self._load(settings))
        try:
            return await asyncio.shield(self._loading)
        except (EngineError, config.ConfigError, ImportError) as error:
            message = f"the speech engines can't be used: {error}"
            raise Failed(Failure(kind="unsupported", status=501, message=message)) from None

    def warm(self, gateway: Gateway) -> None:
        """Somebody is about to speak: begins to load what that takes. What goes wrong, the first session is told."""
        engines = [account.engine for account in gateway.serving.pool.accounts.values() if account.engine is not None]

        async def load() -> None:
            waiting = [self.engines(gateway.serving.settings.voice), *(engine.ready() for engine in engines)]
            await asyncio.gather(*waiting, return_exceptions=True)

        self._warming = asyncio.create_task(load())

    async def _load(self, settings: config.Voice) -> Engines:
        engines = self._open(settings)
        await engines.ready()
        return engines

    async def close(self) -> None:
        """Ends them all. No session may use them any more."""
        if self._warming is not None:
            self._warming.cancel()
        loaded = self._former if self._loading is None else [*self._former, self._loading]
        for each in await asyncio.gather(*loaded, return_exceptions=True):
            if not isinstance(each, BaseException):
                await each.close()


def _failed(loading: asyncio.Task[Engines]) -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)


class Piped:
    """A session on a text model, as `realtime.Session` has it."""

    lines = b""

    def __init__(self, pipeline: Pipeline, codec: Codec) -> None:
        self._pipeline = pipeline
        self.codec: Codec | None = codec

    async def run(self, client: End) -> tuple[int, str]:
        closing = await self._pipeline.run(Client(client))
        return closing.code, closing.reason


async def open_pipeline(
    gateway: Gateway, speech: Speech, visit: Visit, name: str, *, dialect: str, transcription: bool, turns: bool,
    pauses: bool, settings: JSON | None, observe: Callable[[Turn], None], counts: Counts, notices: Notices = "off",
) -> Piped:  # fmt: skip
    """A session on the model `name` ("" where it only writes down what is said). `settings`: the configuration it
    begins with; `turns`: the client wants to be told of every turn; `pauses`: its player can
    pause. Raises `Failed`."""
    story, voice = visit.story, visit.limits
    constraints = visit.call.headers.get(b"x-dragoman-constraints")
    model = Inside(
        gateway, name, key=visit.call.key, principal=story.principal, session=visit.call.id, surface=story.row.dialect,
        constraints=constraints.decode("latin-1") if constraints else None, trace=story.trace,
    )  # fmt: skip

    def counted(turn: Turn) -> Failure | None:
        observe(turn)
        return visit.took_tokens(turn.tokens)

    def book(spent: Spent) -> None:
        error = "upstream_error" if spent.failed else None
        visit.turn(Took(target=spent.target, account=spent.account, usage=spent.usage, cost=spent.cost, error=error,
                        status=502 if spent.failed else 200))  # fmt: skip

    def broke() -> None:
        counts.broken += 1

    engines = await speech.engines(voice)
    try:
        pipeline = Pipeline(
            name, model, engines, kind=_KINDS[transcription], tells_turns=turns, tells_pauses=pauses, observe=counted,
            speculations=voice.paid_speculations, book=book, settings=settings, broke=broke,
        )  # fmt: skip
    except Refused as refused:
        message = refused.error["message"]
        raise Failed(Failure(kind="bad_request", message=message, param=refused.error["param"])) from None
    return Piped(pipeline, bridges.client_codec(dialect, notices))
