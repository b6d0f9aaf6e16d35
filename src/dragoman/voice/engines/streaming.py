"""Speech to text over a provider's WebSocket: sound goes out while it is spoken, words come back meanwhile.

Each utterance has a connection of its own. Its sound is kept, so that where a connection fails another account hears it
all from the start.

What differs from provider to provider is a `Talk`: pure, one a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from dragoman.canon import Failed, Failure, FailureKind
from dragoman.voice.engine import HEARD, Book, Words
from dragoman.voice.engines.calls import FAILURES, Call, Calls, Place
from dragoman.wire.errors import ConnectionLost, TimedOut
from dragoman.wire.websocket import Socket

ANSWER = 10.0  # seconds the provider has for the final words
DRAFT = 0.25  # seconds that a draft waits for words of the latest sound
_LAG = 0.2  # seconds at the end of the sound, which is silent then, that a draft does without
SECOND = HEARD * 2  # bytes


class Talk(Protocol):
    """A provider's side of one transcription. `done`: the final words are there. `covered`: how many seconds of the
    sound the words take into account; infinite where it does not tell."""

    done: bool

    @property
    def covered(self) -> float: ...

    def words(self) -> Words: ...

    def sound(self, pcm: bytes) -> list[str | bytes]:
        """The messages for further sound, at `HEARD`; it may keep some for the next."""
        ...

    def end(self) -> list[str | bytes]:
        """The messages that say that no more follows."""
        ...

    def read(self, message: dict[str, Any]) -> None:
        """Raises `Failed` for what says that it can't be done."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The provider has closed before `done`. Raises `Failed` unless that is its way to say it is done."""
        ...


class StreamingTranscriber:
    """See `Transcriber`. `path` gives path and query for a language and a prompt, `talk` what is said there.

    Not metered: the sound costs, once, however often its words are asked for.
    """

    metered = False

    def __init__(
        self, calls: Calls, path: Callable[[str | None], str], talk: Callable[[str | None], Talk]
    ) -> None:  # fmt: skip
        self.name = calls.name
        self._calls = calls
        self._path = path
        self._talk = talk
        self._closing: set[asyncio.Task[None]] = set()

    def begin(
        self, *, language: str | None = None, prompt: str | None = None, book: Book | None = None
    ) -> StreamedUtterance:
        return StreamedUtterance(
            self._calls.begin(book), self._path(language), lambda: self._talk(prompt), self.part
        )  # fmt: skip

    def part(self, socket: Socket) -> None:
        """Closes in the background: nobody waits for the provider's part of that."""
        task = asyncio.get_running_loop().create_task(socket.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        await asyncio.gather(*self._closing, return_exceptions=True)


class StreamedUtterance:
    """See `Utterance`."""

    def __init__(self, call: Call, path: str, talk: Callable[[], Talk], part: Callable[[Socket], None]) -> None:
        self._call = call
        self._path = path
        self._make = talk
        self._part = part
        self._sound = bytearray()
        self._ended = False
        self._more = asyncio.Event()  # there is sound to send, or the end
        self._news = asyncio.Event()  # something came
        self._talk: Talk | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._over)

    def feed(self, pcm: bytes) -> None:
        self._sound += pcm
        self._more.set()

    async def words(self) -> Words:
        goal = len(self._sound) / SECOND - _LAG
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAFT):
                while not self._task.done() and (self._talk is None or self._talk.covered < goal):
                    self._news.clear()
                    await self._news.wait()
        if self._task.done():
            return await self._task
        return Words("") if self._talk is None else self._talk.words()

    async def finish(self) -> Words:
        self._ended = True
        self._more.set()
        try:
            return await self._task
        except asyncio.CancelledError:
            self._task.cancel()
            raise

    def drop(self) -> None:
        self._task.cancel()

    def _over(self, task: asyncio.Task[Words]) -> None:
        self._news.set()
        self._sound.clear()
        if not task.cancelled():
            task.exception()  # told to whoever asks for the words

    async def _run(self) -> Words:
        while True:
            try:
                with await self._call.place() as place:
                    return await self._at(place)
            except FAILURES as error:
                self._talk = None
                self._call.after(error)

    async def _at(self, place: Place) -> Words:
        """All of it, with one account."""
        socket = await place.open(self._path)
        talk = self._talk = self._make()
        try:
            async with asyncio.timeout(None) as limit:
                sending = asyncio.create_task(self._send(socket, talk, place, limit))
                try:
                    while not talk.done:
                        message = await socket.receive()
                        if message is None:
                            talk.closed(socket.code, socket.reason)
                            break
                        talk.read(_decoded(message))
                        place.began()
                        self._news.set()
                finally:
                    sending.cancel()
        except TimeoutError:
            socket.abort()
            raise TimedOut("first_byte", ANSWER, place.seat.target.name) from None
        except BaseException:
            socket.abort()
            raise
        self._part(socket)
        return talk.words()

    async def _send(self, socket: Socket, talk: Talk, place: Place, limit: asyncio.Timeout) -> None:
        sent = 0
        while True:
            self._more.clear()
            ended = self._ended
            piece = bytes(self._sound[sent : sent + SECOND])
            for message in talk.sound(piece):
                await socket.send(message)
            sent += len(piece)
            place.seconds = sent / SECOND
            if sent < len(self._sound):
                continue
            if ended:
                break
            await self._more.wait()
        for message in talk.end():
            await socket.send(message)
        limit.reschedule(asyncio.get_running_loop().time() + ANSWER)


def _decoded(message: str | bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise failed("upstream_error", "sent what is no JSON object")
    return event


def failed(kind: FailureKind, message: str) -> Failed:
    """To raise where a provider says that it can't be done."""
    return Failed(Failure(kind=kind, message=message))


def lost(code: int, reason: str) -> ConnectionLost:
    """To raise where a provider closes too early."""
    return ConnectionLost(f"the provider closed before the final words ({code} {reason})".replace(" )", ")"))
