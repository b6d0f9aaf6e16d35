"""Clients as rude as a test wants, on real sockets, and the server they talk to: `http.Connection` with an application
of the test's own."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dragoman.server.http import Application, Connection, Listener, Request
from dragoman.server.response import Response


class Answer:
    """One answer, off the wire."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = dict(headers)
        self.lines = headers
        self.body = body


class Talk:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> "Talk":
        self.writer.write(data)
        return self

    async def answer(self, bare: bool = False) -> Answer:
        """The next answer; `bare`: to a HEAD."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        found = Answer(int(first.split(" ")[1]), pairs, b"")
        if bare or found.status in {100, 204}:
            return found
        if "content-length" in found.headers:
            found.body = await self.reader.readexactly(int(found.headers["content-length"]))
        elif found.headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                found.body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            assert await self.reader.readexactly(2) == b"\r\n"
        else:
            found.body = await self.reader.read(-1)
        return found

    async def ended(self) -> bytes:
        """What comes until the server closes: it must."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    def stop_reading(self) -> None:
        """Takes nothing more, and stays."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a full transport, not only a writer's

    def leave(self) -> None:
        """Closes without a word (RST)."""
        self.writer.transport.abort()


class Served:
    """A running server. `seen` are the requests its application was given."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.listener: Listener
        self.port = 0
        self.cancelled = asyncio.Event()  # set when an answer was cancelled
        self._talks: list[Talk] = []
        self._tls: ssl.SSLContext | None = None

    async def dial(self) -> Talk:
        """A new connection."""
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self._tls, server_hostname="localhost" if self._tls else None, limit=2**24
        )
        self._talks.append(Talk(*streams))
        return self._talks[-1]

    async def say(self, data: bytes) -> Talk:
        """A new connection on which `data` is sent."""
        return (await self.dial()).send(data)


async def echo(request: Request, out: Response) -> None:
    """Tells the client what was understood."""
    words = [request.method, request.path, request.query.decode("latin-1"), request.body.decode("latin-1")]
    head = b"content-type: text/plain\r\n"
    await out.whole(request.refused or 200, head, "|".join(words).encode())


async def write(out: Response, data: bytes) -> None:
    """A piece of an answer, at the client's pace."""
    if not out.push(data):
        await out.drained()


@asynccontextmanager
async def serve(
    application: Application = echo,
    *,
    body_limit: int = 1000,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
) -> AsyncIterator[Served]:
    """A server on loopback; `tls` are the server's and the client's contexts."""
    served = Served()

    async def noting(request: Request, out: Response) -> None:
        served.seen.append(request)
        try:
            await application(request, out)
        except asyncio.CancelledError:
            served.cancelled.set()
            raise

    served.listener = Listener(noting, lambda: body_limit)
    served._tls = tls[1] if tls else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(served.listener), "127.0.0.1", 0, ssl=tls[0] if tls else None)
    served.port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(20):
            yield served
    finally:
        server.close()
        for talk in served._talks:
            talk.leave()
        for connection in list(served.listener.connections):
            connection.transport.abort()
        while served.listener.connections:
            await asyncio.sleep(0)
