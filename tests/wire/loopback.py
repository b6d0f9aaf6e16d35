"""Servers on loopback that say exactly what a test tells them to."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext

from dragoman.wire.origin import Origin

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's side of one connection. `number` counts the connections of a server from 1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def request(self) -> tuple[bytes, bytes]:
        """The head and the body of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if b"content-length" in fields:
            return head, await self.reader.readexactly(int(fields[b"content-length"]))
        body = b""
        while fields.get(b"transfer-encoding") == b"chunked":
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if not size:
                break
        return head, body

    def say(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def gone(self) -> None:
        """Until the client has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Closes with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.connections = 0
        self.requests: list[tuple[bytes, bytes]] = []


@asynccontextmanager
async def serving(script: Script, tls: SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Runs `script` for every connection; errors of the network end it, other errors fail the test."""
    failures: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        server.connections += 1
        try:
            await script(Peer(reader, writer, server.connections))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:
            failures.append(error)
        finally:
            writer.close()

    listening = await asyncio.start_server(run, "127.0.0.1", 0, ssl=tls)
    server = Server(Origin("https" if tls else "http", host, listening.sockets[0].getsockname()[1]))
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]


def answering(*replies: bytes) -> Script:
    """Answers each request of a connection with the next of `replies`, then closes."""

    async def script(peer: Peer) -> None:
        for reply in replies:
            await peer.request()
            peer.say(reply)

    return script


async def echo(peer: Peer) -> None:
    """Answers every request with its body, on and on."""
    while True:
        _, body = await peer.request()
        peer.say(ok(body))


def ok(body: bytes, *lines: bytes) -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + end
