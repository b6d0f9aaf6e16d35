"""The answer to one request: how its head and body go out on the connection that it came by."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from dragoman.gateway.call import clean
from dragoman.wire import upgrade
from dragoman.wire.websocket import Patience, Socket

if TYPE_CHECKING:
    from dragoman.server.http import Connection, Listener, Request

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_STATUS[499] = b"HTTP/1.1 499 Client Closed Request\r\n"


class Response:
    """The answer to one request: `whole`; or `start` once, `push` any number of times, `finish` once.

    A `head` is ready header lines, each with its CRLF: whoever makes them sees to it that no value breaks a line. What
    frames the body is written here. `extra` lines are added to every answer (CORS).
    """

    __slots__ = (
        "_bare", "_begun", "_chunked", "_connection", "_head", "_listener", "_request", "ended", "extra", "socket",
    )  # fmt: skip

    def __init__(self, connection: "Connection", request: "Request", listener: "Listener") -> None:
        self._connection = connection
        self._request = request
        self._listener = listener
        self._head = b""
        self._chunked = False
        self._bare = request.method == "HEAD"
        self._begun = False  # bytes of it have gone out
        self.ended = False
        self.extra = b""
        self.socket: Socket | None = None

    def accept(self, head: bytes = b"", subprotocol: str | None = None, patience: Patience | None = None) -> Socket:
        """Takes up the offer of a WebSocket (`Request.upgrade`), speaking `subprotocol`, one of those offered. It is
        closed when the application returns. Raises `ValueError` with what is wrong with the offer; nothing is sent
        then."""
        lines = upgrade.answer(self._request.method, self._request.headers)
        if subprotocol is not None:
            lines += b"sec-websocket-protocol: " + clean(subprotocol).encode("latin-1") + b"\r\n"
        lines = b"".join((_STATUS[101], self._listener.date(), lines, head, self.extra, b"\r\n"))
        self.socket = upgrade.accepted(subprotocol, patience, self._connection.left)
        self._connection.become(self.socket, lines)
        self.ended = True
        return self.socket

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer, in one write. If another has begun, the connection is cut: no client takes that for an
        end."""
        if self._begun:
            self.abort()
            return
        head = self._lines(status, head, b"" if status == 204 else b"content-length: %d\r\n" % len(body))
        self._listener.burst.write(self._connection.transport, head if self._bare else head + body)
        self.ended = True

    async def start(self, status: int, head: bytes) -> None:
        """The head of an answer whose length is not known; it goes out with the first bytes of the body."""
        self._chunked = self._request.keep_alive and not self._bare
        self._head = self._lines(status, head, b"transfer-encoding: chunked\r\n" if self._chunked else b"")

    def _lines(self, status: int, head: bytes, framing: bytes) -> bytes:
        if self._listener.closing:
            self._request.keep_alive = False
        end = b"\r\n" if self._request.keep_alive else b"connection: close\r\n\r\n"
        line = _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"".join((line, self._listener.date(), head, self.extra, framing, end))

    def push(self, data: bytes) -> bool:
        """A piece of the body, not empty. Whether the client keeps up; if not, wait for `drained` before the next."""
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(data), data)
        elif self._head:
            data = self._head + data
        self._head = b""
        self._begun = True
        connection = self._connection
        self._listener.burst.write(connection.transport, data)
        return connection.writable is None

    async def drained(self) -> None:
        """Waits while the client is slow to take what it was sent."""
        if self._connection.writable is not None:
            await self._connection.writable

    async def finish(self, data: bytes = b"") -> None:
        """The last piece of the body, or none."""
        if self._bare:
            data = b""
        if self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self._listener.burst.write(self._connection.transport, self._head + data)
        self._head = b""
        self.ended = True

    def abort(self) -> None:
        """Cuts the connection: for an answer that can't be ended honestly. What was said before goes out."""
        self._listener.burst.flush()
        self._connection.transport.abort()


def lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines for a `head`; what could break a line becomes a question mark."""
    return "".join(f"{name}: {clean(value)}\r\n" for name, value in headers).encode("latin-1")
