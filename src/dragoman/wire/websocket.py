"""A WebSocket, either side of it: whole messages in, whole messages out, over an asyncio transport.

The protocol itself (frames, masks, the closing handshake's rules) is the sans-IO core of the library `websockets`;
here are the transport, the time-outs and the back-pressure. How a WebSocket begins is in `wire.upgrade`. No compression
is offered: what passes here is mostly sound.

| state   | a message comes    | the peer closes   | we close      | the clock                                         |
|---------|--------------------|-------------------|---------------|---------------------------------------------------|
| open    | kept for `receive` | answered; closing | said; closing | ping after `ping`; cut after `dead`, or `stalled` |
| closing | dropped            | closed            |               | cut after `close`                                 |
| closed  | dropped            |                   |               |                                                   |

Where more than `HELD` waits for `receive`, nothing more is read: the peer's own sending then comes to a stand.

Source: RFC 6455.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from msgspec import Struct
from websockets.frames import BINARY, CLOSE, CONT, PING, TEXT, CloseCode, Frame
from websockets.http11 import Response
from websockets.protocol import CONNECTING, OPEN, Protocol

MOST = 16 * 1024 * 1024  # bytes of a message: a client may append 15 MiB of base64 sound at once
HELD = 256 * 1024  # bytes that wait for `receive`; above, the peer's next ones stay in the kernel
_EACH = 256  # bytes that a message counts beside its own
_PONGS = 64 * 1024  # bytes of pongs that a peer who reads nothing may make us keep
_REASON = 123  # bytes of a close frame's reason (RFC 6455, section 5.5)
QUIET = logging.getLogger("dragoman.websocket")  # the library tells of each close at level INFO
QUIET.setLevel(logging.ERROR)


class Patience(Struct, frozen=True, kw_only=True):
    """Seconds. ping: of silence, after which the peer is asked for a sign of life; dead: of silence, after which it is
    taken for gone; stalled: in which it takes nothing of what it is sent; close: for its part of the closing."""

    ping: float = 20.0
    dead: float = 50.0
    stalled: float = 30.0
    close: float = 5.0


class Socket(asyncio.Protocol):
    """One side of a WebSocket. One task at a time may `receive`; any may `send`.

    `code` and `reason`: how it ended, once `receive` gives None (1006: without a word). `subprotocol`: what both have
    agreed on. `headers`: those of the upgrade's answer (client's side).
    """

    def __init__(
        self, protocol: Protocol, patience: Patience | None = None, lost: Callable[[], None] | None = None
    ) -> None:
        """`protocol`: of either side; `lost` is called when the connection is gone."""
        self.transport: asyncio.Transport
        self.code: int = CloseCode.ABNORMAL_CLOSURE
        self.reason = ""
        self.headers: dict[str, str] = {}
        self.gone: asyncio.Future[None]
        self.answered: asyncio.Future[None]  # the upgrade's answer has come, or the connection is gone
        self._protocol = protocol
        self._patience = patience or Patience()
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self.gone = self._loop.create_future()
        self.answered = self._loop.create_future()
        self._inbox: deque[str | bytes] = deque()
        self._held = 0
        self._parts: bytearray | None = None  # of a message that comes in several frames
        self._is_text = False
        self._over = False  # no message comes any more
        self._arrived: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None  # set while the peer is slow
        self._pongs = 0  # bytes of them since it is
        self._paused = False
        self._heard = self._moved = self._loop.time()
        self._unsent = 0
        self._pinged = False
        self._closing: float | None = None  # since when
        self._timer: asyncio.TimerHandle | None = None

    @property
    def subprotocol(self) -> str | None:
        return self._protocol.subprotocol

    @property
    def open(self) -> bool:
        """Whether messages can still be sent."""
        return self._protocol.state is OPEN

    async def receive(self) -> str | bytes | None:
        """The next message; None when there is none to come any more."""
        while not self._inbox:
            if self._over:
                return None
            self._arrived = self._loop.create_future()
            await self._arrived
        message = self._inbox.popleft()
        self._held -= len(message) + _EACH
        if self._paused and self._held < HELD // 2:
            self._read_on()
        return message

    async def send(self, message: str | bytes) -> None:
        """Sends a message, at the peer's pace. Where nobody is there to take it, nothing is said of that: `receive`
        tells."""
        while self._writable is not None:
            await self._writable
        self.send_now(message)

    def send_now(self, message: str | bytes) -> bool:
        """Sends a message without waiting. Whether the peer keeps up: if not, wait for `drained` before the next."""
        protocol = self._protocol
        if protocol.state is OPEN:
            if isinstance(message, str):
                protocol.send_text(message.encode("utf-8", "replace"))
            else:
                protocol.send_binary(message)
            self._flush()
        return self._writable is None

    async def drained(self) -> None:
        """Waits while the peer is slow to take what it was sent."""
        while self._writable is not None:
            await self._writable

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes, and waits for the peer's part of that, at most `Patience.close`."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, _short(reason))
            self._flush()
            self._end()
        if not self.gone.done():
            try:
                async with asyncio.timeout(self._patience.close):
                    await asyncio.shield(self.gone)
            except TimeoutError:
                self.abort()

    def abort(self) -> None:
        """Cuts the connection."""
        self.transport.abort()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # the loops give no other kind here
        self._heard = self._moved = self._loop.time()
        self._look_at_clock()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._pinged = False
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Response):
                self.headers = {name.lower(): value for name, value in event.headers.raw_items()}
        if protocol.writes:
            self._flush()
        if protocol.state is CONNECTING:
            answered = protocol.handshake_exc is not None
        else:
            answered = True
            if protocol.state is not OPEN:
                self._end()
        if answered and not self.answered.done():
            self.answered.set_result(None)
        if self._held > HELD:
            self._read_no_more()

    def eof_received(self) -> bool | None:
        self._protocol.receive_eof()
        self._flush()
        self._end()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        self._protocol.data_to_send()
        self._end()
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        for waiting in (self.gone, self.answered):
            if not waiting.done():
                waiting.set_result(None)
        if self._lost is not None:
            self._lost()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._pongs = 0
            self._moved = self._loop.time()
            self._unsent = self.transport.get_write_buffer_size()
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            waiting, self._writable = self._writable, None
            waiting.set_result(None)
            if self._pongs > _PONGS and self._held <= HELD:
                self._read_on()

    # what comes

    def _take(self, frame: Frame) -> None:
        """A frame that the protocol has found good."""
        opcode = frame.opcode
        if opcode is TEXT or opcode is BINARY:
            self._is_text = opcode is TEXT
            if frame.fin:
                self._keep(frame.data)
            else:
                self._parts = bytearray(frame.data)
        elif opcode is CONT and self._parts is not None:
            self._parts += frame.data
            if frame.fin:
                self._keep(self._parts)
                self._parts = None
        elif opcode is PING and self._writable is not None:
            self._pongs += len(frame.data) + 8
            if self._pongs > _PONGS:
                self._read_no_more()
        elif opcode is CLOSE and (said := self._protocol.close_rcvd) is not None:
            self.code, self.reason = said.code, said.reason

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        if self._over:
            return
        message: str | bytes
        if self._is_text:
            try:
                message = str(data, "utf-8")
            except UnicodeDecodeError:
                self._protocol.fail(CloseCode.INVALID_DATA, "not UTF-8")
                return
        else:
            message = bytes(data)
        self._inbox.append(message)
        self._held += len(message) + _EACH
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _read_no_more(self) -> None:
        if not self._paused and not self._over:
            self._paused = True
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._heard = self._loop.time()  # the silence was ours
            self.transport.resume_reading()

    def _end(self) -> None:
        """No message comes any more: somebody has closed, or broken the protocol, or is gone."""
        if self._over:
            return
        self._over = True
        self._closing = self._loop.time()
        sent = self._protocol.close_sent
        if self._protocol.close_rcvd is None and sent is not None:
            self.code, self.reason = sent.code, sent.reason
        if self._paused:
            self._read_on()
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # what goes

    def _flush(self) -> None:
        """Writes what the protocol has to say. An empty piece: that was all."""
        transport = self.transport
        for piece in self._protocol.data_to_send():
            if transport.is_closing():
                return
            if piece:
                transport.write(piece)
            elif transport.can_write_eof():
                transport.write_eof()  # what the peer still sends is read: a reset would cost it our last words
            else:
                transport.close()

    # the clock

    def _look_at_clock(self) -> None:
        now, patience = self._loop.time(), self._patience
        silence = 0.0 if self._paused else now - self._heard
        if self._writable is not None and (unsent := self.transport.get_write_buffer_size()) != self._unsent:
            self._unsent, self._moved = unsent, now
        if (
            (self._closing is not None and now - self._closing >= patience.close)
            or (self._writable is not None and now - self._moved >= patience.stalled)
            or silence >= patience.dead
        ):
            self.abort()
            return
        if silence >= patience.ping and not self._pinged and self.open:
            self._pinged = True
            self._protocol.send_ping(b"")
            self._flush()
        tick = min(patience.ping, patience.dead, patience.stalled, patience.close) / 2
        self._timer = self._loop.call_later(tick, self._look_at_clock)


def _short(reason: str) -> str:
    return reason.encode("utf-8", "replace")[:_REASON].decode("utf-8", "ignore")
