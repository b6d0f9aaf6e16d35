"""The ASGI application: recognises surface and key, reads the body, and hands the call to the gateway."""

import asyncio
import logging
from urllib.parse import parse_qs

from dragoman import dialects
from dragoman.canon import Failure
from dragoman.dialects.gemini.writer import ArrayStreamWriter
from dragoman.gateway import Call, Gateway
from dragoman.server import browsers, surfaces
from dragoman.server.metrics import Metrics
from dragoman.server.out import AsgiOut, Headers, Receive, Scope, Send
from dragoman.server.pages import Ask, Handler, Pages
from dragoman.server.protocol import CUT, GONE
from dragoman.server.surfaces import Surface

log = logging.getLogger("dragoman")
PAGE_BODY_LIMIT = 1024 * 1024


class TooLarge(Exception):
    """The client's body is above the limit."""


class App:
    """One worker's application: the client surfaces, and the pages that ask no model."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self.gateway = gateway
        self.pages = Pages(gateway, metrics, lambda: self.draining)
        self.draining = False
        self.running = 0  # calls being answered
        self._idle: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path: str = scope["path"]
        method: str = scope["method"]
        settings = self.gateway.serving.settings
        access = browsers.judge(headers, settings)
        out = AsgiOut(send, access.headers, scope[CUT])
        if access.refused:
            await _fail(out, path, Failure(kind="forbidden", status=403, message=access.refused))
        elif method == "OPTIONS":
            await out.start(204, [(b"content-length", b"0")])
            await out.finish()
        elif method == "POST" and (surface := surfaces.find(path)) is not None:
            await self._call(scope, headers, surface, receive, out)
        elif (page := self.pages.find(method, path)) is not None:
            await self._page(scope, headers, page, receive, out)
        elif surfaces.find(path) is not None:
            failure = Failure(kind="method_not_allowed", status=405, message=f"{path} takes POST, not {method}")
            await _fail(out, path, failure, [(b"allow", b"POST")])
        else:
            await _fail(out, path, Failure(kind="not_found", status=404, message=f"there is no {method} {path} here"))

    async def _call(
        self, scope: Scope, headers: dict[bytes, bytes], surface: Surface, receive: Receive, out: AsgiOut
    ) -> None:
        dialect = dialects.client(surface.dialect)
        if self.draining:
            failure = Failure(kind="draining", status=503, message="this gateway is shutting down", retry_after=1)
            await _fail(out, scope["path"], failure, [(b"connection", b"close"), (b"retry-after", b"1")])
            return
        limit = int(self.gateway.serving.settings.server.max_body_mb * 1024 * 1024)
        try:
            body = await read_body(receive, headers, limit)
        except TooLarge:
            failure = Failure(kind="too_large", status=413, message=f"the body is larger than {limit} bytes")
            await _fail(out, scope["path"], failure, [(b"connection", b"close")])
            return
        if body is None:
            return  # the client left while it was sending
        query: bytes = scope["query_string"]
        array = surface.dialect == "gemini" and surface.stream is True and b"alt=sse" not in query
        call = Call(
            dialect=dialect,
            op=surface.op,
            body=body,
            headers=headers,
            key=surfaces.gateway_key(headers, query),
            model=surface.model,
            stream=surface.stream,
            stream_default=dialect.NAME == "ollama",
            own_ids=surface.op == "respond",
            writer=ArrayStreamWriter if array else None,
            stream_type=ArrayStreamWriter.TYPE if array else None,
        )
        task = asyncio.current_task()
        if task is not None:
            scope[GONE] = task.cancel
        self.running += 1
        try:
            await self.gateway.answer(call, out)
        finally:
            self.running -= 1
            if self.draining and not self.running and self._idle is not None:
                self._idle.set()

    async def idle(self) -> None:
        """Returns when no call is being answered; for use once `draining` is set."""
        if self.running:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def _page(
        self, scope: Scope, headers: dict[bytes, bytes], found: tuple[Handler, str], receive: Receive, out: AsgiOut
    ) -> None:
        handler, rest = found
        try:
            body = await read_body(receive, headers, PAGE_BODY_LIMIT) or b""
        except TooLarge:
            await _fail(out, scope["path"], Failure(kind="too_large", status=413, message="the body is too large"))
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        page = await self.pages.answer(handler, Ask(scope["method"], scope["path"], rest, headers, query, body))
        content = [(b"content-type", page.content_type.encode()), (b"content-length", b"%d" % len(page.body))]
        await out.start(page.status, content)
        await out.finish(b"" if scope["method"] == "HEAD" else page.body)


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes | None:
    """The request's body; None if the client left. Raises `TooLarge`, where possible before the body is read."""
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise TooLarge
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body if message["type"] == "http.request" else None
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge
    return b"".join(parts)


async def _fail(out: AsgiOut, path: str, failure: Failure, extra: Headers | None = None) -> None:
    """An answer in the envelope of whoever's path this looks like; nothing was asked of a model, so no ledger row."""
    body = surfaces.guess_dialect(path).write_error(failure)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-dragoman-error", failure.kind.encode()),
        *(extra or []),
    ]
    await out.start(failure.status, headers)
    await out.finish(body)
