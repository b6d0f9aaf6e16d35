"""One HTTP/1.1 connection to an upstream: requests out, replies in, one at a time.

What a connection can be, and what moves it on:

| state        | how it shows   | bytes come         | the stream ends         | the clock                          |
|--------------|----------------|--------------------|-------------------------|------------------------------------|
| idle, pooled | no reply       | unasked: closed    | closed, leaves the pool | closed at the idle limit           |
| head awaited | reply.status 0 | parsed; 1xx passed | `ConnectionLost`        | first_byte, total                  |
| body         | reply.status   | parsed, kept       | `BodyTruncated`, or the | idle (only while the reader        |
|              |                |                    | end of an unframed body | waits), total                      |
| closed       | `closed`       | dropped            |                         |                                    |

When a body is complete the reply keeps what was not read yet, and the connection goes back to the pool at once, unless
the peer said it will close, sent more than was asked for, or has not taken the whole request.

Timers cost more than the work they guard, so a connection has one at most. It is not moved for every exchange: it
stands where it is, and looks when it fires whether something is really due (`_look_at_clock`).

Source: RFC 9112 sections 6.3 (length of a body), 9.3 (persistence); RFC 9110 section 15.2 (interim responses).
"""

import asyncio
from collections.abc import AsyncIterable
from math import inf
from typing import TYPE_CHECKING, Protocol

from httptools import HttpParserError, HttpResponseParser

from dragoman.wire.burst import Burst
from dragoman.wire.errors import (
    BodyTruncated,
    ConnectionLost,
    HeadersTooLarge,
    ProtocolBroken,
    Stage,
    TimedOut,
    WireError,
)
from dragoman.wire.origin import Timeouts
from dragoman.wire.reply import Reply, Take

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, BaseTransport, Future, Task, TimerHandle, Transport

HEAD_LIMIT = 64 * 1024  # bytes of a response head, interim responses included; also of framing without any body
HEADER_COUNT = 200
UNREAD_LIMIT = 256 * 1024  # bytes that may wait for the reader before the peer is made to wait
_H = ord("H")
SPLIT_BODY = 64 * 1024  # bytes of a request body from which on it is not copied behind its head


class Home(Protocol):
    """Where connections go when they are free, and are struck off when they are gone."""

    def release(self, connection: "Connection") -> None: ...

    def forget(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """See the module. `place` is the home's own note of where this one belongs."""

    __slots__ = (
        "_at",
        "_barren",
        "_burst",
        "_done",
        "_end",
        "_head",
        "_home",
        "_is_head",
        "_junk",
        "_keep",
        "_limits",
        "_loop",
        "_parser",
        "_parts",
        "_paused",
        "_pump",
        "_reply",
        "_take",
        "_timer",
        "_timer_at",
        "_transport",
        "_unread",
        "_unsent",
        "_waiter",
        "_writable",
        "closed",
        "deadline",
        "idle_limit",
        "place",
        "used",
        "where",
    )

    def __init__(self, home: Home, place: object, where: str, idle_limit: float, burst: Burst | None = None) -> None:
        self.place = place
        self.where = where  # for messages
        self.closed = False
        self.used = False  # it has carried an exchange before
        self.idle_limit = idle_limit  # seconds
        self._home = home
        self._burst = burst
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._transport: Transport
        self._reply: Reply | None = None
        self._waiter: Future[bool] | None = None
        self._take: Take | None = None
        self._limits = Timeouts()
        self._head = b""  # what came before the body, interim responses included
        self._at = 0  # where in it the present response begins
        self._parts: list[bytes] = []
        self._unread = 0
        self._barren = 0  # bytes that came without giving any body
        self._paused = False
        self._is_head = False
        self._done = False
        self._keep = False
        self._junk = False
        self.deadline = inf  # on the loop's clock: when the present wait is over
        self._end = inf  # when the whole exchange is
        self._timer: TimerHandle | None = None
        self._timer_at = inf
        self._unsent = 0
        self._pump: Task[None] | None = None
        self._writable: Future[None] | None = None
        self._parser = HttpResponseParser(_Callbacks(self, self._parts))

    # -- one exchange

    def start(
        self, head: bytes, body: bytes | AsyncIterable[bytes], is_head: bool, limits: Timeouts, end: float
    ) -> Reply:
        """Writes a request, and waits with `head_arrived`. `end` is on the loop's clock."""
        reply = self._reply = Reply(self, self._parts)
        self._limits = limits
        self._is_head = is_head
        self._take = None
        self._at = 0
        if not isinstance(body, bytes):
            self._transport.write(head)
            self._pump = self._loop.create_task(self._send_pieces(body))
        elif len(body) < SPLIT_BODY:
            if self._burst is None:
                self._transport.write(head + body)
            else:
                self._burst.write(self._transport, head + body)
        else:
            self._transport.writelines((head, body))
        self._end = end
        self._wait(limits.first_byte)
        return reply

    def head_arrived(self) -> "Future[bool]":
        """Done when the reply has its status, or has failed."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def expect_more(self, take: Take | None = None) -> "Future[bool]":
        """For `Reply`: done when more of the body came, or its end. Starts the idle clock. With `take`, all that comes
        is handed to it at once, and the future is done, with True, when it says no; False tells of the end."""
        if self._waiter is not None:
            raise RuntimeError("two readers on one reply")
        self._take = take
        waiter = self._waiter = self._loop.create_future()
        self._wait(self._limits.idle)
        return waiter

    def drained(self) -> None:
        """For `Reply`: the reader has taken all there was."""
        self._unread = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def abandon(self, error: BaseException) -> None:
        """Closes at once; the reply, if there is one, ends with `error`."""
        self._close()
        self._settle(error)

    def retire(self) -> None:
        """Closes an idle connection politely."""
        if not self.closed:
            self._close(politely=True)

    # -- asyncio's callbacks

    def connection_made(self, transport: "BaseTransport") -> None:
        self._transport = transport  # type: ignore[assignment]  # the loops give no other kind here

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self._close()  # unasked-for bytes while idle: nothing this peer says next can be trusted
            return
        if not reply.status:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self._done:
                self._break(error)
                return
            self._junk = True
        if self._done:
            self._finish()
        elif self._parts:
            self._barren = 0
            if self._take is not None and self._waiter is not None:
                self._hand_on(self._take)
                return
            self._unread += len(data)
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(False)
            elif self._unread > UNREAD_LIMIT and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        else:
            self._barren += len(data)
            if self._barren > HEAD_LIMIT:
                self._break(None)

    def _hand_on(self, take: Take) -> None:
        parts = self._parts
        data = parts.pop() if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._wait(self._limits.idle)
        if not take(data):
            waiter = self._waiter
            self._waiter = self._take = None
            if waiter is not None and not waiter.done():
                waiter.set_result(True)

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self._ended(exc)

    def pause_writing(self) -> None:
        if self._pump is not None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # -- the parser's callbacks

    def message_began(self) -> None:
        if self._done:
            raise ProtocolBroken(f"{self.where}: a second response to one request")

    def head_complete(self) -> None:
        reply = self._reply
        head = self._head
        start = self._at
        if head[start] != _H:
            start = head.find(b"H", start)  # the parser passes empty lines before a response
        end = head.find(b"\r\n\r\n", start) + 4
        if reply is None or end > HEAD_LIMIT or head.count(b"\r\n", start, end) > HEADER_COUNT + 2:
            raise HeadersTooLarge(f"{self.where}: a response head above {HEADER_COUNT} lines or {HEAD_LIMIT} bytes")
        status = self._parser.get_status_code()
        if status < 200:
            self._at = end
            if status == 101:
                raise ProtocolBroken(f"{self.where}: the peer switched protocols unasked")
            return
        self._keep = self._parser.should_keep_alive()
        reply.head = head[start:end]
        reply.status = status
        self._head = b""
        self._barren = 0
        if self._is_head:
            self._done = True
            self._keep = False  # the parser now expects a body that will not come
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(False)

    def message_complete(self) -> None:
        reply = self._reply
        if reply is not None and reply.status:
            self._done = True

    # -- ends

    def _finish(self) -> None:
        """The body is complete."""
        self._settle(None)
        pump = self._pump
        if (
            not self._keep
            or self._junk
            or self.closed
            or self._transport.get_write_buffer_size()
            or (pump is not None and not pump.done())
        ):
            self._close()
            return
        self._pump = None
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self.used = True
        self._end = inf
        self._wait(self.idle_limit)
        self._home.release(self)

    def _settle(self, error: BaseException | None) -> None:
        """Parts the reply from the connection: what has arrived stays with it."""
        reply = self._reply
        if reply is not None:
            self._reply = None
            self._done = False
            self._unread = 0
            reply.settle(self._parts.copy(), error)
            self._parts.clear()
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(False)

    def _break(self, error: HttpParserError | None) -> None:
        """The peer does not keep to HTTP, or to the limits."""
        broken: WireError
        if error is not None and isinstance(error.__context__, WireError):
            broken = error.__context__  # raised by a callback below
        elif error is not None:
            broken = ProtocolBroken(f"{self.where}: not HTTP/1.1: {error}")
            broken.__cause__ = error
        elif self._reply is not None and not self._reply.status:
            broken = HeadersTooLarge(f"{self.where}: a response head above {HEAD_LIMIT} bytes")
        else:
            broken = ProtocolBroken(f"{self.where}: {HEAD_LIMIT} bytes of framing without any body")
        self.abandon(broken)

    def _ended(self, exc: Exception | None) -> None:
        """The stream of the peer is over."""
        reply = self._reply
        if reply is None:
            self._close()
            return
        error: Exception | None
        if not reply.status:
            how = f"was lost ({exc})" if exc else "was closed by the peer"
            error = ConnectionLost(
                f"{self.where}: the connection {how} before the response's head was whole",
                before_first_byte=not self._head,
            )
        elif exc is None and _ends_with_connection(reply):
            error = None
        else:
            how = f"the connection was lost: {exc}" if exc else "the peer closed the connection"
            error = BodyTruncated(f"{self.where}: the body is not whole: {how}")
        if error is not None:
            error.__cause__ = exc
        self._close()
        self._settle(error)

    def _close(self, politely: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pump is not None:
            self._pump.cancel()
        if politely:
            self._transport.close()
        else:
            self._transport.abort()
        self._home.forget(self)

    # -- a request body in pieces

    async def _send_pieces(self, pieces: AsyncIterable[bytes]) -> None:
        """Chunked (RFC 9112 section 7.1), at the peer's pace. What the iterable raises ends the exchange."""
        try:
            async for piece in pieces:
                if self.closed:
                    return
                if piece:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    if self._writable is not None:
                        await self._writable
            if not self.closed:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:
            self.abandon(error)

    # -- the clock

    def _wait(self, limit: float | None) -> None:
        deadline = self.deadline = inf if limit is None else self._loop.time() + limit
        if self._end < deadline:  # noqa: PLR1730  # min() costs three times this
            deadline = self._end
        if deadline < self._timer_at:
            self._set_timer(deadline)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look_at_clock)
        self._timer_at = at

    def _look_at_clock(self) -> None:
        self._timer = None
        self._timer_at = inf
        now = self._loop.time() + 0.001  # the loop's clock may stand up to a millisecond before the timer's time
        reply = self._reply
        if now >= self._end and reply is not None:
            self._time_out("total", self._limits.total)
        elif now < self.deadline:
            self._set_timer(min(self.deadline, self._end))
        elif reply is None:
            self.retire()
        elif not reply.status:
            if not self._moved():
                self._time_out("first_byte", self._limits.first_byte)
        elif self._waiter is not None:
            self._time_out("idle", self._limits.idle)
        elif self._end < inf:
            self._set_timer(self._end)  # the reader is busy elsewhere, the upstream owes nothing

    def _moved(self) -> bool:
        """The request is still going out, and has got further since this was last asked: the wait begins anew."""
        unsent = self._transport.get_write_buffer_size()
        pumping = self._pump is not None and not self._pump.done()
        before, self._unsent = self._unsent, unsent
        if pumping or (unsent and unsent != before):
            self._wait(self._limits.first_byte)
            return True
        return False

    def _time_out(self, stage: Stage, limit: float | None) -> None:
        self.abandon(TimedOut(stage, limit or 0, self.where))


class _Callbacks:
    """What the parser calls. Pieces of body go straight into the list, and header lines nowhere (`Reply` cuts them out
    of the head when asked), without a line of Python."""

    __slots__ = ("on_body", "on_headers_complete", "on_message_begin", "on_message_complete")

    def __init__(self, connection: Connection, parts: list[bytes]) -> None:
        self.on_message_begin = connection.message_began
        self.on_headers_complete = connection.head_complete
        self.on_body = parts.append
        self.on_message_complete = connection.message_complete


def _ends_with_connection(reply: Reply) -> bool:
    """No length and no chunks: the body goes on until the peer closes (RFC 9112 section 6.3, rule 8)."""
    return reply.header(b"content-length") is None and reply.header(b"transfer-encoding") is None
