"""The HTTP/1.1 server: one connection of a client, from its bytes to requests and back.

What a connection can be, and what moves it on:

| state     | bytes come                      | the client leaves         | the clock                                  |
|-----------|---------------------------------|---------------------------|--------------------------------------------|
| idle      | parsed: reading                 | closed                    | closed after `KEEP_ALIVE`                  |
| reading   | parsed; whole: answering        | closed                    | closed `READ` after its begin or last body |
| answering | parsed and queued (pipelining)  | the answer is cancelled   | cut if the client takes nothing for `WRITE`|
| refused   | dropped                         | closed                    | cut after `LINGER`                         |
| upgraded  | a WebSocket's: see `wire.websocket`                                                                      |
| closed    | dropped                         |                           | cut if the client takes nothing for `WRITE`|

A gateway's requests are small and its answers begin late, so a body is read whole (up to the limit) before the
application is asked, and the head of an answer goes out with its first bytes, in one write. A client that leaves
cancels the task that answers it.

Source: RFC 9112; limits as nginx has them by default.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import NoReturn, TypeAlias
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

from dragoman.server.coding import body_decoder
from dragoman.server.heads import Head, Heads, Known
from dragoman.server.response import Response
from dragoman.wire import upgrade
from dragoman.wire.burst import Burst
from dragoman.wire.decode import Decoder
from dragoman.wire.errors import BodyTooLarge, BodyTruncated, BodyUndecodable, WireError
from dragoman.wire.websocket import Socket

log = logging.getLogger("dragoman")
KEEP_ALIVE = 75.0  # seconds an idle connection is kept
READ = 60.0  # seconds the head of a request may take, and its body may make no progress
WRITE = 60.0  # seconds a client may take nothing of its answer
LINGER = 5.0  # seconds a refused client is listened to: closed at once, it would lose the refusal to a reset
HEAD_LIMIT = 64 * 1024  # bytes of a request line and headers
HEADER_COUNT = 200
PIPELINED = 16  # requests that may wait behind the one being answered
_TICK = 15.0  # seconds between two looks at the clock


class Request(Struct):
    """A whole request. Header names are in lower case; of a repeated header, the values joined by commas. `path` is
    percent-decoded. `refused` is the status with which the request is to be refused unread. `known`: its head, where
    one like it came before. `upgrade`: a WebSocket is offered, which `Response.accept` takes up; any other answer
    refuses it."""

    method: str = ""
    path: str = ""
    query: bytes = b""
    headers: dict[bytes, bytes] = {}
    body: bytes = b""
    keep_alive: bool = True
    refused: int = 0
    known: Head | None = None
    upgrade: bool = False


Application: TypeAlias = Callable[[Request, Response], Awaitable[None]]


class Refusal(Exception):
    """The request is refused while it is being read."""


class Listener:
    """What the connections of one worker share: the application, its limits, and the set of open connections."""

    def __init__(self, application: Application, body_limit: Callable[[], int], burst: Burst | None = None) -> None:
        self.application = application
        self.body_limit = body_limit
        self.burst = burst or Burst()
        self.heads = Heads()
        self.connections: set[Connection] = set()
        self.closing = False
        self._date = (0, b"")

    def date(self) -> bytes:
        """The `date` header line of this second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, f"date: {formatdate(now, usegmt=True)}\r\n".encode())
        return self._date[1]

    def close_idle(self) -> None:
        """No more requests: idle connections are closed now, the others after their answer."""
        self.closing = True
        self.burst.flush()
        for connection in list(self.connections):
            connection.close_if_idle()


class Connection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_after",
        "_body",
        "_busy",
        "_decoder",
        "_head_size",
        "_in_head",
        "_last",
        "_listener",
        "_loop",
        "_missing",
        "_more",
        "_parsed",
        "_parser",
        "_queue",
        "_reading",
        "_refused",
        "_request",
        "_size",
        "_stuck",
        "_task",
        "_timer",
        "_url",
        "transport",
        "writable",
    )

    def __init__(self, listener: Listener) -> None:
        self.transport: asyncio.Transport
        self.writable: asyncio.Future[None] | None = None  # set while the client is slower than the answer
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None  # answers, one request after the other; made with the first
        self._more: asyncio.Future[None] | None = None  # what it waits for when there is none
        self._busy = False  # a request is being answered
        self._last = self._loop.time()
        self._reading = False
        self._in_head = False
        self._refused = False
        self._stuck = 0.0  # when the client stopped taking its answer
        self._request = Request()
        self._body: list[bytes] = []
        self._decoder: Decoder | None = None  # of the body that comes compressed
        self._missing = 0  # bytes of the body of a request whose head was known
        self._parsed = 0  # requests that the parser has read
        self._size = 0
        self._head_size = 0
        self._url = b""
        self._after = b""  # what came behind the offer of a WebSocket
        self._timer = self._loop.call_later(_TICK, self._look_at_clock)

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # the loops give no other kind here
        self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._request.upgrade:
            self._after += data  # a WebSocket's first frames, before its offer is answered
            return
        if not self._in_head:
            self._last = self._loop.time()
        if self._missing:
            data = self._take_rest(data)
        between = not self._reading
        if between:
            heads, limit = self._listener.heads, self._listener.body_limit()
            while data and not self._reading and (known := heads.find(data, limit)) is not None:
                data = self._take_known(known, data)
        if not data:
            return
        parsed = self._parsed
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except HttpParserError as error:
            if isinstance(error.__context__, Refusal):
                self._refuse(self._request.refused)
            elif self._reading:
                self._refuse(400)
            else:
                self._refused = True  # bytes after a request that was to be the last: nobody asked anything
        else:
            if between and self._parsed == parsed + 1 and not self._reading:
                request = self._request
                if request.keep_alive and not request.refused:
                    self._listener.heads.learn(data, request.method, request.path, request.query, request.headers)

    def _take_known(self, known: Known, data: bytes) -> bytes:
        """A request whose head came before, with as much of its body as is here. Returns what follows it."""
        head, length, start = known
        headers = head.headers.copy()
        if length:
            headers[b"content-length"] = length
        self._request = Request(head.method, head.path, head.query, headers, known=head)
        end = start + int(length or b"0")
        body = data[start:end]
        if end > len(data):
            self._reading, self._missing, self._body = True, end - len(data), [body]
            return b""
        self._request.body = body
        self._queue_up()
        return data[end:]

    def _take_rest(self, data: bytes) -> bytes:
        """More of the body of a request whose head was known. Returns what follows it."""
        body = data[: self._missing]
        self._body.append(body)
        self._missing -= len(body)
        if not self._missing:
            self._reading = False
            self._request.body = b"".join(self._body)
            self._queue_up()
        return data[len(body) :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._timer.cancel()
        self._queue.clear()
        self._refused = True
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        if self._task is not None:
            self._task.cancel()

    def _stay(self, rest: bytes) -> None:
        """The client offers another protocol. A WebSocket is the application's to take up; any other offer (Java's HTTP
        client offers h2c with every first request) is passed over, as RFC 9110, section 7.8 allows, and the request
        read as HTTP/1.1."""
        request = self._request
        if request.method == "CONNECT":
            self._refuse(400)
            return
        if upgrade.offered(request.headers):
            self.transport.pause_reading()
            self._after = rest
            self._reading = request.keep_alive = False
            request.upgrade = True
            self._queue.append(request)
            self._next()
            return
        request.headers.pop(b"upgrade", None)
        request.headers.pop(b"connection", None)
        lines = [b"%b: %b\r\n" % header for header in request.headers.items()]
        self._parser = HttpRequestParser(self)
        self.data_received(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (request.method.encode(), self._url, b"".join(lines), rest))

    def pause_writing(self) -> None:
        self._stuck = self._loop.time()
        self.writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self.writable is not None:
            if not self.writable.done():
                self.writable.set_result(None)
            self.writable = None

    # the parser's callbacks

    def on_message_begin(self) -> None:
        self._request = Request(headers={})
        self._url = b""
        self._body = []
        self._size = self._head_size = 0
        self._reading = self._in_head = True
        self._last = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_size += len(url)
        if self._head_size > HEAD_LIMIT:
            self._stop(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_LIMIT:
            self._stop(431)
        if not self._in_head:
            return  # a trailer: it must not pass for a header (RFC 9110, section 6.5.1)
        headers = self._request.headers
        name = name.lower()
        if name in headers:
            if name == b"host":
                self._stop(400)
            value = headers[name] + b", " + value
        headers[name] = value
        if len(headers) > HEADER_COUNT:
            self._stop(431)

    def on_headers_complete(self) -> None:
        request, parser = self._request, self._parser
        self._in_head = False
        request.method = parser.get_method().decode("ascii")
        request.path, request.query = _target(self._url)
        if not self._url.startswith((b"/", b"*")) and b"host" in request.headers:
            request.headers[b"host"] = self._url.partition(b"://")[2].partition(b"/")[0]  # RFC 9112, section 3.2.2
        version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive() and version == "1.1"
        if version == "1.1":
            coding = request.headers.get(b"transfer-encoding", b"chunked").lower()
            well = b"host" in request.headers and coding == b"chunked"
        else:
            well = version == "1.0" and b"transfer-encoding" not in request.headers
        if not well:
            self._stop(400)
        self._decoder = self._decoding(request.headers) if b"content-encoding" in request.headers else None
        length = request.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._listener.body_limit():
            self._stop(413)
        if not self._busy and version == "1.1" and request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._listener.burst.write(self.transport, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _decoding(self, headers: dict[bytes, bytes]) -> Decoder | None:
        waiting = sum(len(request.body) for request in self._queue)
        try:
            return body_decoder(headers, self._listener.body_limit() - waiting)
        except BodyUndecodable:
            self._stop(415)

    def on_body(self, body: bytes) -> None:
        if self._decoder is not None:
            try:
                body = self._decoder.feed(body)
            except WireError as error:
                self._stop(413 if isinstance(error, BodyTooLarge) else 415)
        self._body.append(body)
        self._size += len(body)
        if self._size > self._listener.body_limit():
            self._stop(413)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return  # see `_stay`
        if self._decoder is not None:
            try:
                self._decoder.finish()
            except BodyTruncated:
                self._stop(415)
        self._reading = False
        self._parsed += 1
        body = self._body
        self._request.body = body[0] if len(body) == 1 else b"".join(body)
        self._queue_up()

    def _queue_up(self) -> None:
        """The request is whole."""
        self._queue.append(self._request)
        self._next()
        if len(self._queue) >= PIPELINED:
            self.transport.pause_reading()

    def _stop(self, status: int) -> NoReturn:
        """Nothing more of this request is read."""
        self._request.refused = status
        raise Refusal

    # answering

    def _refuse(self, status: int) -> None:
        """Whatever else comes is not read: the request at hand is answered with `status`, then the connection ends."""
        self._refused = True
        request = self._request
        request.refused = status
        request.keep_alive = False
        request.path = request.path or _target(self._url)[0]
        self._queue.append(request)
        self._next()

    def _next(self) -> None:
        """A request is in the queue."""
        if not self._busy:
            self._busy = True
            if self._task is None:
                self._task = self._loop.create_task(self._serve())
            elif self._more is not None and not self._more.done():
                self._more.set_result(None)

    async def _serve(self) -> None:
        """Answers all that comes. One task for a connection: one for each request would cost more than waking it."""
        listener, queue, transport = self._listener, self._queue, self.transport
        while True:
            while queue:
                request = queue.popleft()
                response = Response(self, request, listener)
                try:
                    await listener.application(request, response)
                except asyncio.CancelledError:
                    transport.abort()
                except Exception:
                    log.exception("%s %s broke the server", request.method, request.path)
                    transport.abort()
                if response.socket is not None:
                    await response.socket.close()
                    return
                if not response.ended:
                    response.abort()  # half an answer must not look like a whole one
                self._last = self._loop.time()
                if transport.is_closing():
                    return
                if queue or listener.closing or request.refused or request.upgrade or not request.keep_alive:
                    self._go_on(request)
                    if transport.is_closing():
                        return
            self._busy = False
            more = self._more = self._loop.create_future()
            await more

    def _go_on(self, request: Request) -> None:
        """`request` is answered, and is not just to be followed by waiting for the next."""
        if request.refused or request.upgrade:
            self._listener.burst.flush()
            self._linger()
        elif not request.keep_alive or (self._listener.closing and not self._queue):
            self._listener.burst.flush()
            self.transport.close()
        elif self._queue and not self._request.upgrade:
            self.transport.resume_reading()

    def close_if_idle(self) -> None:
        if not self._busy:
            self.transport.close()

    def become(self, socket: Socket, answer: bytes) -> None:
        """From now on it is `socket`'s; `answer` takes up the client's offer."""
        self._timer.cancel()
        self._listener.burst.flush()
        self.transport.write(answer)
        self.transport.set_protocol(socket)
        socket.connection_made(self.transport)
        if self.writable is not None:
            socket.pause_writing()
        rest, self._after = self._after, b""
        if rest:
            socket.data_received(rest)
        self.transport.resume_reading()

    def left(self) -> None:
        """The WebSocket's connection is gone."""
        self._listener.connections.discard(self)

    def _linger(self) -> None:
        """Tells the client that nothing more comes, and drops what it still sends, for a while."""
        self._refused = True
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer.cancel()
        self._timer = self._loop.call_later(LINGER, self.transport.abort)

    def _look_at_clock(self) -> None:
        now = self._loop.time()
        if self.writable is not None or self.transport.is_closing():
            if now - max(self._stuck, self._last) > WRITE:
                self.transport.abort()
        elif not self._busy and now - self._last > (READ if self._reading else KEEP_ALIVE):
            self.transport.close()
        self._timer = self._loop.call_later(_TICK, self._look_at_clock)


def _target(url: bytes) -> tuple[str, bytes]:
    """A request target's path, percent-decoded, and its query."""
    raw, _, query = url.partition(b"?")
    path = raw.decode("latin-1")
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]  # the absolute form, as proxies are sent it
    return (unquote(path) if "%" in path else path), query
