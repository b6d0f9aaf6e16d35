"""The HTTP/1.1 client towards upstreams: `Client.send` gives a `Reply` once the head of the response is in.

A request on a connection that was used before can meet a peer that has just closed it. If the connection ends before
one byte of a response came, the request is sent once more, on a new connection, whatever its method: a peer that closes
an idle connection has not read the request (RFC 9112 section 9.3.1 lets a client do so where it knows that; nginx and
the browsers do). Never is a request repeated that went out on a fresh connection, that timed out, that got any byte of
an answer, or whose body was an iterable (it may be used up).
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Sequence
from math import inf

from dragoman.wire import head
from dragoman.wire.burst import Burst
from dragoman.wire.connection import Connection
from dragoman.wire.dial import dial, tls_context
from dragoman.wire.errors import ConnectionLost, TimedOut
from dragoman.wire.head import Block
from dragoman.wire.origin import Origin, Timeouts
from dragoman.wire.pool import Place, Pool
from dragoman.wire.proxies import Proxies
from dragoman.wire.reply import Reply
from dragoman.wire.upgrade import CONNECT, offer
from dragoman.wire.websocket import Patience, Socket

Headers = bytes | Sequence[tuple[bytes, bytes]]
_BODYLESS = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"))
_DEFAULT = Timeouts()
_TARGETS = 1024  # targets remembered as checked


class Client:
    """Connections to any number of origins. It belongs to one event loop; `close` it at the end.

    tls: the context for https; the default verifies against the system's CAs.
    idle_limit: seconds a free connection is kept. Shorter than what upstreams keep (60 s is common), so that we close
        first.
    burst: what makes the writes of one turn of the event loop together; without it, each is made at once.
    limit: connections in all; per_origin: to one origin. Who finds no room waits, as part of `Timeouts.connect`.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
        idle_limit: float = 55.0,
        limit: int = 4096,
        per_origin: int | None = None,
        burst: Burst | None = None,
    ) -> None:
        self._tls = tls
        self._proxies = proxies
        self._idle_limit = idle_limit
        self._burst = burst
        self._pool = Pool(self._make, limit, per_origin)
        self._queue = self._pool.queue
        self._places: dict[Origin, Place] = {}
        self._clock: Callable[[], float] | None = None  # the loop's: to ask for the loop costs a system call
        self._targets: set[bytes] = set()  # found good; a gateway asks for the same few again and again

    async def send(
        self,
        origin: Origin,
        method: bytes | str,
        target: bytes,
        headers: Headers = b"",
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        timeouts: Timeouts = _DEFAULT,
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> Reply:
        """Sends a request; returns when the head of the response (1xx passed over) is in.

        `headers` is best a ready `head.block(…)`, `extra` what this one request adds. host, content-length,
        transfer-encoding and connection are written here. A body that is an async iterable is sent chunked.
        Raises `ValueError` for what cannot be said in a request head, and any `WireError`.
        """
        place = self._places.get(origin) or self._place(origin)
        verb = method if method == b"POST" else _verb(method)
        if target not in self._targets:
            self._check(target)
        lines = headers if type(headers) is Block else _block(headers)
        if extra:
            lines = Block(lines + head.block(extra))
        framing = b"content-length: %d\r\n\r\n" % len(body) if type(body) is bytes and body else _framing(verb, body)
        request = b"".join((verb, b" ", place.prefix, target, place.fixed, lines, framing))
        if self._clock is None:
            self._clock = asyncio.get_running_loop().time
        end = inf if timeouts.total is None else self._clock() + timeouts.total
        fresh = False
        while True:
            connection = (
                place.idle.pop()
                if place.idle and not fresh and not self._queue
                else await self._connect(place, fresh, timeouts, end)
            )
            reply = connection.start(request, body, verb == b"HEAD", timeouts, end)
            try:
                await connection.head_arrived()
            except asyncio.CancelledError:
                reply.close()
                raise
            if reply.status:
                return reply
            error = reply.failure()
            stale = isinstance(error, ConnectionLost) and error.before_first_byte and connection.used
            if fresh or not stale or not isinstance(body, bytes):
                raise error
            fresh = True

    async def websocket(
        self,
        origin: Origin,
        target: bytes,
        headers: Block,
        *,
        subprotocols: Sequence[str] = (),
        within: float = CONNECT,
        patience: Patience | None = None,
    ) -> Socket:
        """A WebSocket of its own, by the same proxies and with the same trust. See `upgrade.offer`."""
        return await offer(
            origin, target, headers, subprotocols=subprotocols, tls=self._context, proxies=self._proxies,
            within=within, patience=patience,
        )  # fmt: skip

    async def close(self) -> None:
        """Closes every connection; replies not yet whole end with `ConnectionLost`."""
        self._pool.close()
        await asyncio.sleep(0)  # lets the transports go

    def _check(self, target: bytes) -> None:
        head.check_target(target)
        if len(self._targets) < _TARGETS:
            self._targets.add(target)

    async def _connect(self, place: Place, fresh: bool, timeouts: Timeouts, end: float) -> Connection:
        now = asyncio.get_running_loop().time()
        limit = inf if timeouts.connect is None else timeouts.connect
        try:
            async with asyncio.timeout(None if limit == end == inf else min(limit, end - now)):
                return await self._pool.take(place, fresh=fresh)
        except TimeoutError as error:
            if timeouts.total is not None and end - now <= limit:
                raise TimedOut("total", timeouts.total, str(place.origin)) from error
            raise TimedOut("connect", limit, str(place.origin)) from error

    async def _make(self, place: Place) -> Connection:
        def protocol() -> Connection:
            return Connection(self._pool, place, str(place.origin), self._idle_limit, self._burst)

        return await dial(place.origin, place.proxy, self._context, protocol)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context()
        return self._tls

    def _place(self, origin: Origin) -> Place:
        if origin.scheme not in {"http", "https"}:
            raise ValueError(f"not an http or https origin: {origin}")
        authority = origin.authority.encode("ascii")
        head.check_target(b"/" + authority)
        proxy = self._proxies.of(origin) if self._proxies is not None else None
        prefix = b""
        fixed = b" HTTP/1.1\r\nhost: " + authority + b"\r\n"
        if proxy is not None and origin.scheme == "http":
            prefix = b"http://" + authority
            if proxy.authorization:
                fixed += b"proxy-authorization: " + proxy.authorization + b"\r\n"
        place = self._places[origin] = Place(origin, proxy, prefix, fixed)
        return place


def _verb(method: bytes | str) -> bytes:
    verb = method.encode("ascii") if isinstance(method, str) else method
    head.check_method(verb)
    return verb


def _block(headers: Headers) -> Block:
    return head.lines(headers) if isinstance(headers, bytes) else head.block(headers)


def _framing(method: bytes, body: bytes | AsyncIterable[bytes]) -> bytes:
    """How the body's end is told, and the end of the head."""
    if isinstance(body, bytes) and (body or method not in _BODYLESS):
        return b"content-length: %d\r\n\r\n" % len(body)
    return b"\r\n" if body == b"" else b"transfer-encoding: chunked\r\n\r\n"
