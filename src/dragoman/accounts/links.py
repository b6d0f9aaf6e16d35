"""How a worker reaches the steward: in Redis, or in a process of its own host, over a Unix socket."""

import asyncio
import contextlib
import socket
import struct
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.accounts.steward import Reply, Report, Steward

if TYPE_CHECKING:
    from redis.asyncio import Redis

PATIENCE = 1.0  # seconds until an answer that has not come is given up
PREFIX = "dragoman:{shared}:"  # the braces keep all keys together in a cluster
_LENGTH = struct.Struct("!I")
_encode = msgspec.msgpack.Encoder().encode
_reply = msgspec.msgpack.Decoder(Reply, strict=False).decode
_report = msgspec.msgpack.Decoder(Report).decode


class LinkError(Exception):
    """The steward is not reached, or has not answered. The message says why."""


class Link(ABC):
    """A connection to the steward. `run` names the life of it that was reached."""

    run = ""

    @abstractmethod
    async def connect(self, worker: str, poked: Callable[[], None]) -> None:
        """Connects anew. `poked` is called when the steward has something for `worker`. Raises `LinkError`."""

    @abstractmethod
    async def exchange(self, report: Report) -> Reply:
        """One report, one answer. Raises `LinkError`; connect again then."""

    @abstractmethod
    async def close(self) -> None: ...


class RedisLink(Link):
    """The steward that is a script in Redis or Valkey: `redis://`, `rediss://` or `unix://`, with what the URL carries.

    One connection for reports and one to be poked on. A connection that breaks is never mended in silence: the server
    behind the next one may have lost its memory, and its `run` tells.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None
        self._listener: asyncio.Task[None] | None = None
        self._script = ""

    async def connect(self, worker: str, poked: Callable[[], None]) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        await self.close()
        try:
            client = self._client = Redis.from_url(
                self._url, single_connection_client=True, retry=Retry(NoBackoff(), 0), socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE, protocol=2,
            )  # fmt: skip
            await client.initialize()
            self.run = str((await client.info("server"))["run_id"])
            self._script = await client.script_load(_source())
            channel = client.pubsub(ignore_subscribe_messages=True)
            await channel.subscribe(f"{PREFIX}poke:{worker}")
            self._listener = asyncio.create_task(self._listen(channel, poked))
        except (RedisError, OSError, ValueError) as error:
            raise LinkError(f"{type(error).__name__}: {error}") from None

    async def _listen(self, channel: Any, poked: Callable[[], None]) -> None:
        """Ends with the connection; the reports' own says then what is wrong."""
        from redis.exceptions import RedisError

        with contextlib.suppress(RedisError, OSError):
            while True:
                message = await channel.get_message(timeout=None)
                if message is not None:
                    poked()

    async def exchange(self, report: Report) -> Reply:
        from redis.exceptions import RedisError

        assert self._client is not None, "connected"
        try:
            answer = await self._client.evalsha(self._script, 1, PREFIX, _encode(report))
            return _reply(answer)
        except (RedisError, OSError, msgspec.DecodeError) as error:
            raise LinkError(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None
        if self._client is not None:
            from redis.exceptions import RedisError

            client, self._client = self._client, None
            with contextlib.suppress(RedisError, OSError):  # it is given up, in whatever state it is
                await client.aclose()


def _source() -> str:
    from importlib.resources import files

    return (files("dragoman.accounts") / "steward.lua").read_text("utf-8")


class SocketLink(Link):
    """The steward that is a process of this host (`serve_steward`). A message is its length and MessagePack: a Report
    there, and back: the run, first; then a Reply, or nil, which is a poke."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[Reply] | None = None

    async def connect(self, worker: str, poked: Callable[[], None]) -> None:
        await self.close()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                self.run = msgspec.msgpack.decode(await _read(reader), type=str)
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise LinkError(f"{self._path}: {type(error).__name__}: {error}") from None
        self._reader = asyncio.create_task(self._read(reader, poked))

    async def _read(self, reader: asyncio.StreamReader, poked: Callable[[], None]) -> None:
        try:
            while True:
                message = await _read(reader)
                if message == _POKE:
                    poked()
                elif self._answer is not None and not self._answer.done():
                    self._answer.set_result(_reply(message))
        except (OSError, EOFError, msgspec.DecodeError) as error:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(LinkError(f"{self._path}: {type(error).__name__}: {error}"))

    async def exchange(self, report: Report) -> Reply:
        if self._writer is None or self._reader is None or self._reader.done():
            raise LinkError(f"{self._path}: the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        _write(self._writer, _encode(report))
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer
        except TimeoutError:
            raise LinkError(f"{self._path}: no answer within {PATIENCE:g} s") from None

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None


_POKE = _encode(None)


def _bound(path: Path) -> socket.socket:
    """A socket that only this user may connect to."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    path.chmod(0o600)
    return bound


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(_LENGTH.pack(len(message)) + message)


async def serve_steward(path: Path, clock: Callable[[], float], first: bool) -> None:
    """Is the steward of this host's workers, at `path`, until it is cancelled. Should it die, start it again, not as
    the `first`: it learns then from the workers what they hold. `clock`: seconds, never going back."""
    steward, run = Steward(), uuid.uuid4().hex
    if first:
        steward.run = run  # there is nobody to be asked
    writers: dict[str, asyncio.StreamWriter] = {}

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = ""
        try:
            _write(writer, _encode(run))
            while True:
                report = _report(await _read(reader))
                worker = report.worker
                writers[worker] = writer
                reply = steward.report(report, clock())
                _write(writer, _encode(reply))
                for name in reply.poke:
                    if name in writers:
                        _write(writers[name], _POKE)
                await writer.drain()
        except (OSError, EOFError, msgspec.DecodeError, asyncio.CancelledError):
            pass  # the worker is gone, or is none; that it is dead, time will tell. Or we end
        finally:
            if writers.get(worker) is writer:
                del writers[worker]
            writer.close()

    async with await asyncio.start_unix_server(attend, sock=_bound(path)) as server:
        await server.serve_forever()
