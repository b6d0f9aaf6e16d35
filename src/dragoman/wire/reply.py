"""One response being received."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Protocol, TypeAlias, TypeVar

from dragoman.wire.decode import Decoder, decoder
from dragoman.wire.errors import BodyTooLarge, ConnectionLost, WireError

T = TypeVar("T")
Take: TypeAlias = Callable[[bytes], bool]  # is given a piece of a body; says whether it wants the next at once


class Source(Protocol):
    """What a reply needs of the connection that it comes from."""

    def expect_more(self, take: Take | None = None) -> asyncio.Future[bool]:
        """A future for the next arrival, or for when `take` says no (True) or the end comes (False); starts the idle
        clock."""

    def drained(self) -> None:
        """All that had arrived was taken."""

    def abandon(self, error: BaseException) -> None:
        """Nobody wants the rest: close, and let the reply end with `error`."""


class Reply:
    """The head of a response, and its body as it comes.

    `status` and the headers are there from the start. The connection belongs to the reply until
    the body is complete; whoever does not read to the end calls `close`, or uses the reply as a context manager.
    One reader at a time.
    """

    __slots__ = ("_decoder", "_end", "_names", "_parts", "_plain", "_source", "head", "status")

    def __init__(self, source: Source, parts: list[bytes]) -> None:
        self.status = 0
        self.head = b""  # status line, header lines, empty line, as the parser has found them valid
        self._names = b""  # the head in lower case, once it was needed
        self._parts = parts  # what has arrived and was not taken; the connection fills it
        self._source: Source | None = source  # None once nothing more will come
        self._end: BaseException | None = None  # how it ended, if not well
        self._decoder: Decoder | None = None
        self._plain: bool | None = None  # nothing is to be decoded; None: not looked at yet

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Every header line, in order, names in lower case."""
        pairs = []
        for line in self.head[:-4].split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            pairs.append((name.lower(), value.strip(b" \t")))
        return pairs

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header called `name`, which is given in lower case."""
        names = self._names or self._lower()
        at = names.find(b"\r\n" + name + b":")
        if at < 0:
            return None
        start = at + len(name) + 3
        return self.head[start : names.find(b"\r\n", start)].strip(b" \t")

    def mentions(self, word: bytes) -> bool:
        """Whether `word`, in lower case, stands anywhere in the head: a cheap look before a dear one."""
        return word in (self._names or self._lower())

    @property
    def complete(self) -> bool:
        """The whole body has arrived (it may not have been taken yet)."""
        return self._source is None and self._end is None

    async def chunk(self) -> bytes:
        """All of the body that has arrived and was not taken yet, as it was sent; b"" at the end.

        Waits only if there is nothing. Raises `BodyTruncated`, `TimedOut`, `ProtocolBroken`, `ConnectionLost`, after
        all that had come before was given out.
        """
        parts = self._parts
        source = self._source
        if not parts and source is not None:
            try:
                await source.expect_more()
            except asyncio.CancelledError:
                self.close()
                raise
            parts = self._parts
            source = self._source
        if not parts:
            if self._end is not None:
                raise self._end
            return b""
        if len(parts) == 1:
            data = parts.pop()
        else:
            data = b"".join(parts)
            parts.clear()
        if source is not None:
            source.drained()
        return data

    async def pour(self, take: Take) -> bool:
        """Gives the body, its content-encoding undone, to `take` piece by piece, each in the very callback that brings
        it: no task is woken for it. Returns True when `take` says no, False at the end of the body. Raises as `chunk`;
        `take` must not raise."""
        while data := await self.decoded():
            if not take(data):
                return True
            if self._plain and self._source is not None and not self._parts:
                try:
                    if await self._source.expect_more(take):
                        return True
                except asyncio.CancelledError:
                    self.close()
                    raise
        return False

    def decoded(self) -> Coroutine[None, None, bytes]:
        """Like `chunk`, with the content-encoding undone; b"" only at the end. Also raises `BodyUndecodable`."""
        if self._plain is None:
            self._plain = b"\r\ncontent-encoding:" not in self._lower()
        return self.chunk() if self._plain else self._decode()

    async def _decode(self) -> bytes:
        if self._decoder is None:
            self._decoder = self._find_decoder()
        if self._decoder is None:
            return await self.chunk()
        while data := await self.chunk():
            if plain := self._step(self._decoder.feed, data):
                return plain
        self._decoder.finish()
        return b""

    def at_once(self, limit: int) -> bytes | None:
        """The rest of the body, where it is here already and not encoded; None: `read` it."""
        if self._source is not None or self._end is not None or b"\r\ncontent-encoding:" in self._lower():
            return None
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(body) > limit:
            return None
        parts.clear()
        return body

    async def read(self, limit: int) -> bytes:
        """The rest of the body, its content-encoding undone. Raises `BodyTooLarge` beyond `limit` bytes, and closes."""
        body = self.at_once(limit)
        if body is not None:
            return body
        if self._decoder is None:
            self._decoder = self._find_decoder(limit)
        pieces = []
        size = 0
        while piece := await self.decoded():
            size += len(piece)
            if size > limit:
                self.close()
                raise BodyTooLarge(f"the body is more than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def settle(self, parts: list[bytes], error: BaseException | None) -> None:
        """For the connection: nothing more will come; `parts` have arrived and are still to be read."""
        self._parts = parts
        self._end = error
        self._source = None

    def failure(self) -> BaseException:
        """What ended a reply that never got its head."""
        return self._end or ConnectionLost("the connection was closed", before_first_byte=True)

    def close(self) -> None:
        """Ends the exchange. The connection is closed, unless the body had arrived whole: then it is already back."""
        if self._source is not None:
            self._source.abandon(ConnectionLost("the reply was closed before its end"))

    def __enter__(self) -> "Reply":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _lower(self) -> bytes:
        names = self._names = self.head.lower()
        return names

    def _find_decoder(self, limit: int | None = None) -> Decoder | None:
        encoding = self.header(b"content-encoding")
        if encoding is None:
            return None
        return self._step(lambda data: decoder(data) if limit is None else decoder(data, limit), encoding)

    def _step(self, step: Callable[[bytes], T], data: bytes) -> T:
        try:
            return step(data)
        except WireError:
            self.close()
            raise
