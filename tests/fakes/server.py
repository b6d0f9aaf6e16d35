"""A small HTTP/1.1 server that can break off a reply at any frame, in every way a network can."""

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .scenario import Scenario


@dataclass
class Request:
    """A request as it was received. `headers` have lower-case names. `frames`: of a stream, so many are on their way.
    `client_left`: before the reply's end. `over`: the end of the reply is on its way, or never will be."""

    method: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    key: str | None = None
    status: int | None = None
    frames: int = 0
    client_left: bool = False
    over: bool = False
    done: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """`body` is whole, or a list of frames that are streamed. `broken` are the frames of a mid-stream error."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | list[bytes] = b""
    broken: list[bytes] = field(default_factory=list)
    scenario: Scenario = field(default_factory=Scenario)


class _Gone(Exception):
    """The client left, or the scenario ended the connection."""


def reply_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A whole JSON reply."""
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return Reply(status, {"content-type": "application/json", **named}, json.dumps(value).encode())


class _Loop:
    """One event loop in a thread, for all fakes of the process."""

    _lock = threading.Lock()
    _loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def get(cls) -> asyncio.AbstractEventLoop:
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="fakes", daemon=True).start()
            return cls._loop

    @classmethod
    def run(cls, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, cls.get()).result(20)


class Server:
    """Serves `handle` on a free loopback port, in a thread of its own; requests are recorded in `requests`."""

    def __init__(self, handle: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.port = 0
        self.connections = 0
        self.tls = tls
        self._handle = handle
        self._news = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        if self._server is None:
            _Loop.run(self._start())

    def stop(self) -> None:
        if self._server is not None:
            _Loop.run(self._stop())

    def wait(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Block until `condition` holds; it is looked at after each event of the server."""
        with self._news:
            if not self._news.wait_for(condition, timeout):
                raise TimeoutError(f"after {timeout} s still not so; {len(self.requests)} requests were received")

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while request := await _read(reader, writer):
                await self._answer(request, reader, writer)
        except (_Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the connection is over, which is recorded in the request
        finally:
            self._tasks.discard(task)
            self._tell()
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = self._handle(request)
        request.status = reply.status
        self.requests.append(request)
        self._tell()
        left = asyncio.ensure_future(_left(reader))
        try:
            await _Sender(request, reply, writer, left).send()
        except (ConnectionError, _Gone):
            request.client_left = left.done()
            raise
        finally:
            request.over = request.done = True
            left.cancel()
            await asyncio.wait([left])  # unlike awaiting it, this does not swallow a cancellation of our own
            self._tell()


async def _left(reader: asyncio.StreamReader) -> None:
    """Returns when the client closes its side; never, where it sends its next request before it has the reply."""
    wait_eof: Callable[[str], Awaitable[None]] = reader._wait_for_data  # the one way to wait without taking bytes
    while not reader.at_eof() and not reader._buffer:
        try:
            await wait_eof("left")
        except ConnectionError:
            return
    if not reader.at_eof():
        await asyncio.Event().wait()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    split = urlsplit(target)
    query = {k: v[-1] for k, v in parse_qs(split.query, keep_blank_values=True).items()}
    return Request(method, unquote(split.path), target, query, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


@dataclass
class _Sender:
    """Sends one reply, with the faults of its scenario."""

    request: Request
    reply: Reply
    writer: asyncio.StreamWriter
    left: "asyncio.Future[None]"

    async def send(self) -> None:
        scenario = self.reply.scenario
        if scenario.fault and scenario.after == 0 and scenario.fault not in ("cut", "error"):
            await self._strike(whole=None)
        body = self.reply.body
        if isinstance(body, list):
            await self._stream(body)
        else:
            await self._whole(body)

    def _head(self, *extra: str) -> bytes:
        lines = [f"HTTP/1.1 {self.reply.status} X", *(f"{k}: {v}" for k, v in self.reply.headers.items()), *extra]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _whole(self, body: bytes) -> None:
        self.writer.write(self._head(f"content-length: {len(body)}"))
        if self.reply.scenario.fault and self.reply.scenario.after:
            await self._write(body[: len(body) // 2])
            await self._strike(whole=body)
            self.request.over = True
            await self._write(body[len(body) // 2 :])
        else:
            if self.reply.scenario.delay:
                await self._pause(self.reply.scenario.delay)
            self.request.over = True
            await self._write(body)

    async def _stream(self, frames: list[bytes]) -> None:
        scenario = self.reply.scenario
        self.writer.write(self._head("transfer-encoding: chunked"))
        for i, frame in enumerate(frames):
            if scenario.fault and i == scenario.after and not await self._may_go_on():
                break
            if scenario.delay:
                await self._pause(scenario.delay)
            self.request.frames, self.request.over = i + 1, i == len(frames) - 1
            for piece in _pieces(frame, scenario.split):
                await self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _may_go_on(self) -> bool:
        """Strike in mid-stream. Whether the stream goes on after it."""
        fault = self.reply.scenario.fault
        if fault == "cut":
            return False
        if fault == "error":
            for frame in self.reply.broken:
                await self._write(b"%x\r\n%b\r\n" % (len(frame), frame))
            return False
        await self._strike(whole=None)
        return True

    async def _strike(self, whole: bytes | None) -> None:
        scenario = self.reply.scenario
        match scenario.fault:
            case "hang":
                await self.left
                raise _Gone
            case "hold":
                while not scenario.released:
                    await self._pause(0.005)
            case "reset":
                sock: socket.socket = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.writer.transport.abort()
                raise _Gone
            case "drop" | "cut" | "error":
                await self.writer.drain()
                raise _Gone

    async def _pause(self, seconds: float) -> None:
        done, _ = await asyncio.wait([self.left], timeout=seconds)
        if done:
            raise _Gone

    async def _write(self, data: bytes) -> None:
        if self.left.done():
            raise _Gone
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)


def _pieces(frame: bytes, size: int | None) -> list[bytes]:
    return [frame] if not size else [frame[i : i + size] for i in range(0, len(frame), size)]
