"""The application: recognises surface and key, and hands the call to the gateway."""

import asyncio
from collections.abc import Awaitable
from urllib.parse import parse_qs

from msgspec import Struct

from dragoman import config, dialects
from dragoman.access.client_secrets import ClientSecrets
from dragoman.canon import Failure
from dragoman.dialects.gemini.writer import ArrayStreamWriter
from dragoman.gateway import Call, Gateway
from dragoman.gateway.call import Story, named
from dragoman.server import browsers, realtime, surfaces
from dragoman.server.calls.desk import Calls
from dragoman.server.coding import ACCEPTED
from dragoman.server.http import Request
from dragoman.server.metrics import Metrics
from dragoman.server.pages import Ask, Handler, Pages
from dragoman.server.response import Response, lines
from dragoman.server.speech import LocalSpeech
from dragoman.server.surfaces import Surface

_REFUSALS = {
    400: Failure(kind="bad_request", status=400, message="this is not HTTP/1.1 as we read it"),
    413: Failure(
        kind="too_large",
        status=413,
        message="the body is larger than server.max_body_mb allows, or swells more than prompts do",
    ),
    415: Failure(
        kind="bad_request",
        status=415,
        message="the body is not what its content-encoding says, or that is none of " + ACCEPTED,
    ),
    431: Failure(kind="bad_request", status=431, message="the headers are larger than 64 KiB or more than 200"),
}
_NO_WEBSOCKET = Failure(
    kind="bad_request", status=426, message="there is no WebSocket here: send the request over HTTP"
)
_ONLY_WEBSOCKET = Failure(kind="bad_request", status=426, message="this is a WebSocket's place: offer one")
_DRAINING = Failure(kind="draining", status=503, message="this gateway is shutting down: try again", retry_after=1)

TALK = "/console/voice"  # whoever opens this page will speak next


class _Note(Struct):
    """What a head means that came before, under `settings`."""

    settings: config.Config
    access: browsers.Access
    surface: Surface
    key: str | None


class App:
    """One worker's application: the client surfaces, and the pages that ask no model."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self.gateway = gateway
        secrets = ClientSecrets(gateway.settings.state)
        self.pages = Pages(gateway, metrics, lambda: self.draining, secrets)
        self.sessions = realtime.Sessions(gateway, secrets)
        self.sessions.observe = metrics.spoke
        metrics.sessions = self.sessions.counts
        self.speech = LocalSpeech(gateway, self.sessions)
        gateway.hosted = {"audio/transcriptions": self.speech.transcribe, "audio/speech": self.speech.say}
        self.calls = Calls(gateway, self.sessions, self._begun, self._done)
        self.draining = False
        self.running = 0  # calls being answered
        self._idle: asyncio.Event | None = None

    def body_limit(self) -> int:
        """Bytes a request's body may have."""
        return int(self.gateway.serving.settings.server.max_body_mb * 1024 * 1024)

    def __call__(self, request: Request, out: Response) -> Awaitable[None]:
        note = request.known.note if request.known is not None else None
        if isinstance(note, _Note) and note.settings is self.gateway.serving.settings:
            out.extra = note.access.headers
            return self._call(request, note.surface, note.key, out)
        return self._find(request, out)

    async def _find(self, request: Request, out: Response) -> None:
        settings = self.gateway.serving.settings
        access = browsers.judge(request.headers, settings)
        out.extra = access.headers
        method, path = request.method, _tidy(request.path)
        request.path = path
        if request.refused:
            extra = [("accept-encoding", ACCEPTED)] if request.refused == 415 else []
            await self._refuse(request, out, _REFUSALS[request.refused], *extra)
        elif access.refused:
            await self._refuse(request, out, Failure(kind="forbidden", status=403, message=access.refused))
        elif request.upgrade and (realtime_surface := realtime.find(request)) is not None:
            await self._session(request, realtime_surface, out)
        elif request.upgrade:
            await _fail(out, path, _NO_WEBSOCKET, ("upgrade", "websocket"))  # Codex, told 426, goes on without
        elif method == "POST" and (surface := surfaces.find(path)) is not None:
            key = surfaces.gateway_key(request.headers, request.query)
            if request.known is not None:
                request.known.note = _Note(settings, access, surface, key)
            await self._call(request, surface, key, out)
        elif method == "OPTIONS":
            await out.whole(204, named(), b"")
        elif (act := self.calls.find(method, path)) is not None:
            await (_fail(out, path, _DRAINING, ("retry-after", "1")) if self.draining else act(request, out))
        elif surfaces.find(path) is None and (page := self.pages.find(method, path)) is not None:
            await self._page(request, page, out)
        elif methods := ["POST"] if surfaces.find(path) is not None else self.pages.methods(path):
            allowed = ", ".join(methods)
            failure = Failure(kind="method_not_allowed", status=405, message=f"{path} takes {allowed}, not {method}")
            await _fail(out, path, failure, ("allow", allowed))
        elif realtime.find(request) is not None:
            await _fail(out, path, _ONLY_WEBSOCKET, ("upgrade", "websocket"))
        else:
            await _fail(out, path, Failure(kind="not_found", status=404, message=f"there is no {method} {path} here"))

    async def _refuse(self, request: Request, out: Response, failure: Failure, *extra: tuple[str, str]) -> None:
        """Refused at the door. What was to be a call is booked, as all calls are."""
        surface = surfaces.find(request.path) if request.method == "POST" else None
        if surface is None:
            await _fail(out, request.path, failure, *extra)
        else:
            await self._turn_away(_call(request, surface, None), out, failure, *extra)

    async def _turn_away(self, call: Call, out: Response, failure: Failure, *extra: tuple[str, str]) -> None:
        await Story(call, out, self.gateway.write_story).refuse(failure, lines(extra))

    async def _call(self, request: Request, surface: Surface, key: str | None, out: Response) -> None:
        if self.draining:
            await self._turn_away(_call(request, surface, key), out, _DRAINING)
            return
        self.running += 1
        try:
            await self.gateway.answer(_call(request, surface, key), out)
        finally:
            self._done()

    async def _session(self, request: Request, surface: realtime.Surface, out: Response) -> None:
        if self.draining:
            await _fail(out, request.path, _DRAINING, ("retry-after", "1"))
            return
        self.running += 1
        try:
            if surface.call is not None:
                await self.calls.attend(request, surface.call, surface.key, out)
            else:
                await self.sessions.serve(request, surface, out)
        finally:
            self._done()

    def _begun(self) -> None:
        self.running += 1

    def _done(self) -> None:
        self.running -= 1
        if self._idle is not None and not self.running:
            self._idle.set()

    async def idle(self) -> None:
        """Returns when no call is being answered; for use once `draining` is set."""
        if self.running:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def _page(self, request: Request, found: tuple[Handler, str], out: Response) -> None:
        handler, rest = found
        if request.path == TALK:
            self.sessions.speech.warm(self.gateway)
        query = parse_qs(request.query.decode("latin-1"))
        page = await self.pages.answer(
            handler, Ask(request.method, request.path, rest, request.headers, query, request.body)
        )
        error = [("x-dragoman-error", page.error)] if page.error else []
        head = lines([("content-type", page.content_type), *error, *page.headers])
        await out.whole(page.status, head + named(), page.body)


def _call(request: Request, surface: Surface, key: str | None) -> Call:
    dialect = dialects.client(surface.dialect)
    array = surface.dialect == "gemini" and surface.stream is True and b"alt=sse" not in request.query
    return Call(
        dialect=dialect,
        op=surface.op,
        body=request.body,
        headers=request.headers,
        key=key,
        model=surface.model,
        stream=surface.stream,
        stream_default=dialect.NAME == "ollama",
        own_ids=surface.op == "respond",
        writer=ArrayStreamWriter if array else None,
        stream_type=ArrayStreamWriter.TYPE if array else None,
    )


def _tidy(path: str) -> str:
    """Without the slashes that base URLs leave within and behind."""
    if "//" in path or path.endswith("/"):
        return "/" + "/".join(filter(None, path.split("/")))
    return path


async def _fail(out: Response, path: str, failure: Failure, *extra: tuple[str, str]) -> None:
    """An answer in the envelope of whoever's path this looks like; nothing was asked of a model, so no ledger row."""
    body = surfaces.guess_dialect(path).write_error(failure)
    head = lines([("content-type", "application/json"), ("x-dragoman-error", failure.kind), *extra])
    await out.whole(failure.status, head + named(), body)
