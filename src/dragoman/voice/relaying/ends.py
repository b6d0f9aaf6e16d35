"""The two ends of a relayed session: a client's and a provider's, each a `Duplex` with or without a codec.

Between the ends events are texts of one protocol: where both ends speak it, they pass as they came; where one does
not, its codec turns its messages into texts of OpenAI's GA protocol and back.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from dragoman.accounts.lease import Outcome
from dragoman.dialects.fields import Malformed
from dragoman.voice.relaying.heads import GA, Names

Event = dict[str, Any]
Message = str | bytes


class Duplex(Protocol):
    """Messages both ways: a `wire.websocket.Socket`, or what behaves like one."""

    async def receive(self) -> Message | None:
        """The next message; None: the other side is gone."""
        ...

    async def send(self, message: Message) -> None:
        """At the other side's pace. Raises nothing when it is gone."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class Codec(Protocol):
    """A dialect, on either end: a client's `read` gives GA client events and its `write` takes GA server events, a
    provider's the other way round. Pure; one a connection. `model`: what the client asks for, where its messages say
    it. `closing`: code and reason, once the peer's socket is to be closed."""

    lossy: list[str]
    model: str | None
    closing: tuple[int, str] | None

    def read(self, message: Message) -> list[Event]:
        """Raises `Malformed`."""
        ...

    def answers(self) -> list[Message]:
        """What goes straight back to the peer for what was read; taken once."""
        ...

    def write(self, event: Event) -> list[Message]: ...

    def echoes(self) -> list[Event]:
        """What goes straight back to the other end for what was written; taken once."""
        ...


class End:
    """One end. `receive` gives events as texts, `send` takes them; what `send` gives goes back to the other end."""

    def __init__(self, duplex: Duplex, codec: Codec | None = None, first: Message | None = None) -> None:
        """`first`: a message that has been received already."""
        self._duplex = duplex
        self.codec = codec
        self.taken: list[Message] | None = None  # what was received, where somebody wants it as it came
        self._first = first
        self._back: list[str] = []
        self._answers: list[Message] = []  # of the codec, to what is `taken`

    async def receive(self) -> list[str] | None:
        """The events of the next message; None: the other side is gone. What a codec can't read it answers itself."""
        if self._back:
            answers, self._answers, self.taken = self._answers, [], None
            for answer in answers:
                await self._duplex.send(answer)
            events, self._back = self._back, []
            return events
        message, self._first = self._first, None
        if message is None:
            message = await self._duplex.receive()
        if message is None:
            return None
        if self.taken is not None:
            self.taken.append(message)
        codec = self.codec
        if codec is None:
            return [message if isinstance(message, str) else message.decode("utf-8", "replace")]
        try:
            found = codec.read(message)
            answers = codec.answers()
            if self.taken is not None:
                self._answers += answers
                answers = []
        except Malformed as error:
            found = []
            refuse: Callable[[Malformed], list[Message]] | None = getattr(codec, "refuse", None)
            answers = refuse(error) if refuse is not None else []
        for answer in answers:
            await self._duplex.send(answer)
        await self._closed(codec)
        return [text(event) for event in found]

    def plain(self) -> tuple[Duplex, list[Message]]:
        """The other side without a codec, and what was `taken` of it."""
        taken, self.taken = self.taken or [], None
        return self._duplex, taken

    def put_back(self, events: list[str]) -> None:
        """Events that were received, for the next who receives."""
        self._back += events

    def begin(self) -> list[str]:
        """What the codec has to say to the other end before anything has come."""
        return [] if self.codec is None else [text(event) for event in self.codec.echoes()]

    async def send(self, event: str) -> list[str]:
        codec = self.codec
        if codec is None:
            await self._duplex.send(event)
            return []
        try:
            said = msgspec.json.decode(event)
        except (msgspec.DecodeError, RecursionError):
            said = None  # the codec knows what is to be said to that
        for message in codec.write(said):
            await self._duplex.send(message)
        await self._closed(codec)
        return [text(echo) for echo in codec.echoes()]

    async def _closed(self, codec: Codec) -> None:
        if codec.closing is not None:
            await self._duplex.close(*codec.closing)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._duplex.close(code, reason)


class Client:
    """A client's end for who works on events, not on texts."""

    def __init__(self, end: End) -> None:
        self.end = end
        self._waiting: list[str] = []

    async def receive(self) -> Event | None:
        """The next event; None: the client is gone. What is no event is passed over: its codec has answered it."""
        while True:
            while self._waiting:
                event = msgspec.json.decode(self._waiting.pop(0))
                if isinstance(event, dict):
                    return event
            events = await self.end.receive()
            if events is None:
                return None
            self._waiting += events

    async def send(self, event: Event) -> None:
        """At the client's pace; raises nothing when it is gone."""
        self._waiting += await self.end.send(text(event))


class Line(Struct):
    """A session open at a provider: its end, where it is, and what is to be told when it is over. `until`: when the
    provider will close it (on the event loop's clock; None: not known). `names`: of the protocol's two versions, the
    one it speaks."""

    end: End
    target: str
    account: str
    settle: Callable[[Outcome], None]
    until: float | None = None
    names: Names = GA


def text(event: Event) -> str:
    return msgspec.json.encode(event).decode()
