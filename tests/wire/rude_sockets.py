"""Peers of a WebSocket as rude as a test wants: raw frames over real sockets."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.utils import accept_key, apply_mask

from dragoman.server.http import Connection, Listener, Request
from dragoman.server.response import Response
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Patience, Socket

TEXT, BINARY, CONT, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
OFFER = (
    b"GET /v1/realtime?model=x HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
Serve = Callable[[Socket], Awaitable[None]]


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, masked: bool = True, length: int | None = None) -> bytes:
    """A frame; `length` is what it says of its length, if not the truth."""
    size = len(data) if length is None else length
    head = bytes([opcode | (0x80 if fin else 0)])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    mask = os.urandom(4)
    return head + mask + apply_mask(data, mask) if masked else head + data


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


class Raw:
    """A peer that sends what it is told to, and reads frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and data."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4) if second & 0x80 else None
        data = await self.reader.readexactly(size)
        return first & 0x0F, apply_mask(data, mask) if mask else data

    async def closed_with(self) -> int:
        """The code of the close frame that comes next."""
        opcode, data = await self.frame()
        assert opcode == CLOSE, (opcode, data[:80])
        return int(struct.unpack("!H", data[:2])[0])

    async def ended(self) -> bytes:
        """What comes until the other end is gone."""
        try:
            return await self.reader.read(-1)
        except ConnectionError:
            return b""

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a full transport


@asynccontextmanager
async def server_of(serve: Serve, patience: Patience | None = None) -> AsyncIterator[int]:
    """A gateway's HTTP server whose application takes up every WebSocket and hands it to `serve`; its port."""

    async def application(request: Request, out: Response) -> None:
        await serve(out.accept(patience=patience))

    listener = Listener(application, lambda: 1000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(listener), "127.0.0.1", 0)
    try:
        async with asyncio.timeout(20):
            yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(listener.connections):
            connection.transport.abort()
        while listener.connections:
            await asyncio.sleep(0)


async def raw_client(port: int, then: bytes = b"") -> Raw:
    """A client whose offer was taken up; `then` is sent in one piece with it."""
    raw = Raw(*await asyncio.open_connection("127.0.0.1", port, limit=2**25))
    raw.send(OFFER + b"\r\n" + then)
    assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return raw


@asynccontextmanager
async def client_of(
    script: Callable[[Raw], Awaitable[None]], patience: Patience | None = None, then: bytes = b""
) -> AsyncIterator[Socket]:
    """Our client's side of a WebSocket to a server that does as `script` says."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = Raw(reader, writer)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        accept = accept_key(fields[b"sec-websocket-key"].decode()).encode()
        answer = b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: "
        raw.send(answer + accept + b"\r\n\r\n" + then)
        try:
            await script(raw)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0, limit=2**25)
    port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(20):
            socket = await connect(f"ws://127.0.0.1:{port}/v1/realtime?model=x", patience=patience)
            try:
                yield socket
            finally:
                socket.abort()
                await socket.gone
    finally:
        server.close()
