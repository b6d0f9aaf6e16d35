"""A session at a provider of the client's own dialect that is not OpenAI's Realtime: Gemini Live, OpenAI Live.

Messages pass as they came; only the model's name in the first is the provider's. A `Watch` sees them pass, and can
tell another Gemini what has happened; where nobody else can go on, the client's socket is closed as the provider's was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct

from dragoman.accounts.lease import Outcome
from dragoman.canon import Failed, Failure, Usage
from dragoman.voice.relaying.ends import Duplex, Message
from dragoman.voice.relaying.gemini_watch import GeminiWatch, Seen
from dragoman.voice.relaying.relay import FRUITLESS, Book, Counts, Turn
from dragoman.wire.websocket import Socket

log = logging.getLogger("dragoman")
READY = 10.0  # seconds a provider has to take a session up


class Watch(Protocol):
    """What is remembered of a session. See `GeminiWatch`."""

    leaving: bool
    answering: bool

    @property
    def idle(self) -> bool: ...
    def sent(self, message: Message, model: str) -> Message: ...
    def came(self, message: Message) -> Seen: ...
    def replay(self, model: str) -> list[Message]:
        """None of it where nobody can go on."""
        ...


class LiveWatch:
    """OpenAI Live: a session is of one connection, and told by seconds, not turns."""

    leaving = answering = False
    idle = False

    def sent(self, message: Message, model: str) -> Message:
        try:
            event = msgspec.json.decode(message)
            if event["type"] == "session.start":
                event["session"]["model"] = model
                return msgspec.json.encode(event).decode()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            pass
        return message

    def came(self, message: Message) -> Seen:
        return Seen(message)

    def replay(self, model: str) -> list[Message]:
        return []


WATCHES: dict[str, Callable[[], Watch]] = {"gemini": GeminiWatch, "live": LiveWatch}


class Way(Struct):
    """A session open at a provider. `model`: as its first message names it. `settle`: once it is over."""

    socket: Socket
    target: str
    account: str
    model: str
    settle: Callable[[Outcome], None]


Reopen: TypeAlias = Callable[[], Awaitable[Way]]  # raises `Failed`


class Passing:
    """One session. `run` brings it to its end."""

    def __init__(self, way: Way, watch: Watch, reopen: Reopen, book: Book, counts: Counts) -> None:
        self._way = way
        self._watch = watch
        self._reopen = reopen
        self._book = book
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._asked = self._loop.time()
        self._sounded: float | None = None
        self._taken = Usage()
        self._resumed = self._fruitless = 0
        self._standing = asyncio.Event()  # the provider's end can be written to
        self._standing.set()

    async def run(self, client: Duplex, first: list[Message]) -> tuple[int, str]:
        """Until one side is gone for good; the code and the reason to close the client's socket with. `first`: what has
        been received of the client already."""
        for message in first:
            await self._way.socket.send(self._watch.sent(message, self._way.model))
        from_client = asyncio.create_task(self._from_client(client))
        from_provider = asyncio.create_task(self._from_provider(client))
        try:
            await asyncio.wait((from_client, from_provider), return_when=asyncio.FIRST_COMPLETED)
            return from_provider.result() if from_provider.done() else (1000, "")
        finally:
            for task in (from_client, from_provider):
                task.cancel()
            await asyncio.gather(from_client, from_provider, return_exceptions=True)
            self._settle(None)
            await self._way.socket.close()

    async def _from_client(self, client: Duplex) -> None:
        while (message := await client.receive()) is not None:
            await self._standing.wait()
            was_idle = self._watch.idle
            await self._way.socket.send(self._watch.sent(message, self._way.model))
            if was_idle:
                self._asked = self._loop.time()

    async def _from_provider(self, client: Duplex) -> tuple[int, str]:
        while True:
            message = await self._way.socket.receive()
            if message is None:
                closing = await self._go_on()
                if closing is not None:
                    return closing
                continue
            seen = self._watch.came(message)
            now = self._loop.time()
            if seen.sounds and self._sounded is None:
                self._sounded, self._fruitless = now, 0
            refused = self._booked(seen.usage, now) if seen.over else None
            if seen.shown is not None:
                await client.send(seen.shown)
            if refused is not None:
                return 1008, refused.message
            if self._watch.leaving and self._watch.idle:
                await self._way.socket.close()

    def _booked(self, usage: Usage | None, now: float, broke: bool = False) -> Failure | None:
        self._counts.turns += not broke
        if usage is not None:
            self._taken.input += usage.input
            self._taken.output += usage.output
        turn = Turn(
            target=self._way.target, account=self._way.account, usage=usage, started=self._asked, ended=now,
            sounded=self._sounded, resumed=self._resumed, broke=broke,
        )  # fmt: skip
        self._sounded, self._resumed = None, 0
        return self._book(turn)

    async def _go_on(self) -> tuple[int, str] | None:
        """The provider's end is gone: another is told the session. None where it goes on there; else how to close."""
        gone, planned = self._way, self._watch.leaving
        self._standing.clear()
        self._settle(None if planned else "stream_broken")
        if not planned:
            self._counts.lost += 1
            log.warning("%s at account %s: the session's connection is lost", gone.target, gone.account)
        if self._watch.answering and not planned:
            self._booked(None, self._loop.time(), broke=True)
        self._fruitless += not planned
        closing = (gone.socket.code if gone.socket.code != 1006 else 1011, gone.socket.reason)
        hopeless = not planned and (_refused(gone.socket.code) or self._fruitless > FRUITLESS)
        if hopeless or not self._watch.replay(gone.model):
            return closing
        try:
            self._way = await self._reopen()
        except Failed as error:
            return 1011, error.failure.message
        first, *rest = self._watch.replay(self._way.model)
        await self._way.socket.send(first)
        try:
            async with asyncio.timeout(READY):
                ready = await self._way.socket.receive()
        except TimeoutError:
            self._way.socket.abort()
            return None  # as if it had been lost: the next is tried
        if ready is not None:
            self._watch.came(ready)
            for message in rest:
                await self._way.socket.send(message)
        self._resumed += 1
        self._counts.resumed += 1
        self._standing.set()
        return None

    def _settle(self, kind: str | None) -> None:
        taken, self._taken = self._taken, Usage()
        self._way.settle(Outcome(kind=kind, tokens_in=taken.input, tokens_out=taken.output))


def _refused(code: int) -> bool:
    """The provider closed because of what it was told: another would do the same."""
    return code in {1003, 1007, 1008, 1009}
